//! `gatelet test`.

use crate::support::{Run, done, folder, gatelet, project};

const POLICY: (&str, &str) = ("rego/a.rego", "package a\n\nallow if input.x == 1\n");

#[test]
fn the_shipped_policies_pass_their_tests() {
    let run = done(&project(), &["test", "rego"]);
    let passed = run.out.strip_suffix(" passed, 0 failed\n").unwrap();
    assert!(passed.parse::<u32>().unwrap() > 50, "{}", run.out);
}

#[test]
fn a_failure_has_its_place_and_fails_the_run() {
    let folder = folder(&[
        POLICY,
        (
            "rego/a_test.rego",
            "package a_test\n\nimport data.a\n\n\
             test_one if a.allow with input as {\"x\": 1}\n\n\
             test_two if a.allow with input as {\"x\": 2}\n\n\
             test_three := 3\n",
        ),
    ]);
    let Run { code, out, err } = gatelet(folder.path(), &["test", "rego"]);
    assert_eq!(
        out,
        "FAIL data.a_test.test_three (rego/a_test.rego:9)\n  its value is 3\n\
         FAIL data.a_test.test_two (rego/a_test.rego:7)\n\
         1 passed, 2 failed\n"
    );
    assert_eq!((code, err.as_str()), (1, ""));
}

#[test]
fn a_test_that_cannot_run_fails_no_other() {
    let folder = folder(&[
        POLICY,
        (
            "rego/b/bad_test.rego",
            "package a.b_test\n\nlist := 1\n\ntest_bad if {\n\tsome x in list\n\tx == 1\n}\n",
        ),
        (
            "rego/a_test.rego",
            "package a_test\n\nimport data.a\n\ntest_good if a.allow with input as {\"x\": 1}\n",
        ),
    ]);
    let Run { code, out, .. } = gatelet(folder.path(), &["test", "rego"]);
    assert!(out.starts_with("FAIL data.a.b_test.test_bad (rego/b/bad_test.rego:5)\n"), "{out}");
    assert!(out.ends_with("1 passed, 1 failed\n"), "{out}");
    assert_eq!(code, 1);
}

#[test]
fn tests_share_what_has_no_tests_itself() {
    let folder = folder(&[
        POLICY,
        ("rego/inputs_test.rego", "package inputs_test\n\none := {\"x\": 1}\n"),
        (
            "rego/a_test.rego",
            "package a_test\n\nimport data.a\nimport data.inputs_test\n\n\
             test_one if a.allow with input as inputs_test.one\n",
        ),
    ]);
    assert_eq!(done(folder.path(), &["test", "rego"]).out, "1 passed, 0 failed\n");
}

#[test]
fn what_the_filter_reads_can_be_tested() {
    let long = format!("package a\n\nallow if input.x in [{}1]\n", "0, ".repeat(1000));
    let folder = folder(&[
        ("rego/a.rego", long.as_str()),
        (
            "rego/a_test.rego",
            "package a_test\n\nimport data.a\n\ntest_one if a.allow with input as {\"x\": 1}\n",
        ),
    ]);
    done(folder.path(), &["check", "rego", "--entrypoint", "data.a.allow"]);
    assert_eq!(done(folder.path(), &["test", "rego"]).out, "1 passed, 0 failed\n");
}

#[test]
fn tests_see_the_data() {
    let folder = folder(&[
        ("rego/a.rego", "package a\n\nallow if data.x == 1\n"),
        ("rego/a_test.rego", "package a_test\n\nimport data.a\n\ntest_one if a.allow\n"),
        ("data.yaml", "x: 1"),
    ]);
    assert_eq!(
        gatelet(folder.path(), &["test", "rego"]).out.lines().last(),
        Some("0 passed, 1 failed")
    );
    let run = done(folder.path(), &["test", "rego", "--data", "data.yaml"]);
    assert_eq!(run.out, "1 passed, 0 failed\n");
}

#[test]
fn a_file_that_is_no_rego_has_its_place() {
    let folder = folder(&[POLICY, ("rego/a_test.rego", "package a_test\n\ntest_one if = 1\n")]);
    let Run { code, out, err } = gatelet(folder.path(), &["test", "rego"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(
        err,
        "gatelet: expecting expression\n --> a_test.rego:3:13\n  |\n3 | test_one if = 1\n  |             ^\n"
    );
}

#[test]
fn no_tests_are_a_failure() {
    let folder = folder(&[POLICY, ("rego/a_test.rego", "package a_test\n\nnot_a_test := true\n")]);
    let run = gatelet(folder.path(), &["test", "rego"]);
    assert_eq!(
        run,
        Run {
            code: 1,
            out: String::new(),
            err: "gatelet: rego has no tests\nhelp: add rules `test_*` to files `*_test.rego`\n"
                .into(),
        }
    );
}
