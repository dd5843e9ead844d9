//! `gatelet test`.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use regex::Regex;
use serde_json::{Value, json};

use crate::support::{METRICS, Run, done, folder, gatelet, project, write};

const POLICY: (&str, &str) = ("rego/a.rego", "package a\n\nallow if input.x == 1\n");

const TESTS: (&str, &str) = (
    "rego/a_test.rego",
    "package a_test\n\nimport data.a\n\n\
     test_one if a.allow with input as {\"x\": 1}\n\n\
     test_two if a.allow with input as {\"x\": 2}\n\n\
     test_three := 3\n",
);

/// What is printed, without the times.
fn timeless(text: &str) -> String {
    Regex::new(r" \([0-9.]+[µnm]?s\)").unwrap().replace_all(text, "").into_owned()
}

#[test]
fn the_shipped_policies_pass_their_tests_on_both_machines() {
    let out = done(&project(), &["test", "rego"]).out;
    let numbers: Vec<u32> = Regex::new("[0-9]+")
        .unwrap()
        .find_iter(&out)
        .map(|it| it.as_str().parse().unwrap())
        .collect();
    let [passed, all, compared, _] = numbers[..] else { panic!("{out}") };
    assert!(passed == all && all > 150 && compared + 10 > all, "{out}");
}

#[test]
fn a_failure_has_its_place_and_its_input_and_fails_the_run() {
    let folder = folder(&[POLICY, TESTS]);
    let Run { code, out, err } = gatelet(folder.path(), &["test", "rego"]);
    assert_eq!(
        timeless(&out),
        "data.a_test.test_three: FAIL\n  rego/a_test.rego:9\n  its value is 3\n\
         data.a_test.test_two: FAIL\n  rego/a_test.rego:7\n  \
         it is undefined: a statement in it is not true\n  \
         at rego/a_test.rego:7: a.allow with input as {\"x\": 2}\n  input: {\"x\":2}\n\
         PASS: 1/3\nFAIL: 2/3\n2/3 put to the register VM, too\n"
    );
    assert_eq!((code, err.as_str()), (1, ""));
}

#[test]
fn passed_tests_are_printed_when_asked_for_and_chosen_by_name() {
    let folder = folder(&[POLICY, TESTS]);
    let run = |options: &[&str]| {
        let run = gatelet(folder.path(), &[&["test", "rego"], options].concat());
        (run.code, timeless(&run.out))
    };
    let sums = "PASS: 1/1\n1/1 put to the register VM, too\n";
    let one = format!("data.a_test.test_one: PASS\n{sums}");
    assert_eq!(run(&["-v", "--run", "test_one"]), (0, one));
    assert_eq!(run(&["--run", "a_test.*one$"]), (0, sums.to_owned()));
    assert_eq!(run(&["--run", "nothing"]), (1, String::new()));
    assert_eq!(run(&["--run", "("]).0, 2);
}

#[test]
fn what_the_filter_would_decide_otherwise_is_a_failure() {
    let folder = folder(&[
        (
            "rego/a.rego",
            "package a\n\nallow if {\n\tsome i in numbers.range(1, 30000)\n\ti == input.x\n}\n",
        ),
        (
            "rego/a_test.rego",
            "package a_test\n\nimport data.a\n\ntest_one if a.allow with input.x as 30000\n",
        ),
    ]);
    let Run { code, out, .. } = gatelet(folder.path(), &["test", "rego"]);
    assert_eq!(
        timeless(&out),
        "data.a_test.test_one: FAIL\n  rego/a_test.rego:5\n  \
         data.a.allow differs: the register VM says Budget, the interpreter says true\n  \
         rego/a_test.rego:5: a.allow with input.x as 30000\nPASS: 0/1\nFAIL: 1/1\n\
         0/1 put to the register VM, too\n"
    );
    assert_eq!(code, 1);
}

#[test]
fn lines_that_no_test_reaches_are_named_and_counted() {
    let folder = folder(&[
        (
            "rego/a.rego",
            "package a\n\nallow if {\n\tinput.x == 1\n}\n\nallow if {\n\tinput.y == 1\n\tinput.z == 1\n\tinput.z\n}\n",
        ),
        ("rego/b.rego", "package b\n\nallow if input.x == 1\n"),
        TESTS,
    ]);
    let coverage = ["test", "rego", "--coverage", "--run", "test_one"];
    let run = |options: &[&str]| gatelet(folder.path(), &[&coverage[..], options].concat());
    let out = run(&[]).out;
    let report =
        " 50.0 %  a.rego  not covered: 9-10\n  0.0 %  b.rego  not covered: 3\n 40.0 %  in all\n";
    assert_eq!(out, format!("{report}PASS: 1/1\n1/1 put to the register VM, too\n"));
    for (percent, code) in [("40", 0), ("40.1", 1), ("100", 1), ("101", 2)] {
        assert_eq!(run(&["--threshold", percent]).code, code, "{percent}");
    }
    let json: Value = serde_json::from_str(&run(&["--format", "json"]).out).unwrap();
    assert_eq!(json["coverage"], 40.0);
    assert_eq!(
        json["files"]["a.rego"]["not_covered"],
        json!([{"start": {"row": 9}, "end": {"row": 10}}])
    );
    assert_eq!(json["files"]["b.rego"]["coverage"], 0.0);
    assert_eq!(json["files"].as_object().unwrap().len(), 2, "tests are no part of the policy");
}

#[test]
fn results_are_there_for_programs() {
    let folder = folder(&[POLICY, TESTS]);
    let run = |format| gatelet(folder.path(), &["test", "rego", "--format", format]);
    let json: Value = serde_json::from_str(&run("json").out).unwrap();
    let names: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|test| (test["name"].as_str().unwrap(), &test["fail"]))
        .collect();
    assert_eq!(
        names,
        [("test_one", &Value::Null), ("test_three", &json!(true)), ("test_two", &json!(true))]
    );
    assert_eq!(json[2]["location"], json!({"file": "rego/a_test.rego", "row": 7}));
    assert_eq!((&json[2]["package"], &json[2]["input"]), (&json!("data.a_test"), &json!({"x": 2})));
    let junit = run("junit");
    assert_eq!(junit.code, 1);
    assert!(junit.out.starts_with("<?xml"), "{}", junit.out);
    assert!(
        junit.out.contains(
            r#"<testsuite name="data.a_test" tests="3" disabled="0" errors="0" failures="2">"#
        ),
        "{}",
        junit.out
    );
}

#[test]
fn the_corpus_is_decided_as_it_says() {
    let project = project();
    for (corpus, options, least) in
        [("tests/cases", &[][..], 200), ("tests/cases-http", &["--profile", "http"], 40)]
    {
        let arguments = ["test", "rego", "--corpus", corpus, "--run", "^tests/cases"];
        let out = done(&project, &[&arguments[..], options].concat()).out;
        let passed = out.strip_prefix("PASS: ").unwrap().split('/').next().unwrap();
        assert!(passed.parse::<u32>().unwrap() > least, "{out}");
    }
}

#[test]
fn a_case_that_is_decided_otherwise_fails() {
    let folder = folder(&[
        METRICS,
        (
            "cases/a.json",
            r#"{"about": "", "data": {}, "peers": {"a": "CN=a"},
                "cases": [{"note": "metrics", "peer": "a", "method": "GET", "target": "/metrics", "want": "denied"},
                          {"note": "pods", "peer": "a", "method": "GET", "target": "/pods", "want": "denied"}]}"#,
        ),
    ]);
    let Run { code, out, .. } = gatelet(folder.path(), &["test", "rego", "--corpus", "cases"]);
    let out = timeless(&out);
    assert!(
        out.starts_with(
            "cases/a.json.metrics: FAIL\n  cases/a.json\n  it is allowed, not denied\n  at GET /metrics\n  input: {"
        ),
        "{out}"
    );
    assert!(out.ends_with("PASS: 1/2\nFAIL: 1/2\n2/2 put to the register VM, too\n"), "{out}");
    assert_eq!(code, 1);
}

#[test]
fn a_change_is_tested_at_once() {
    let folder = folder(&[POLICY, TESTS]);
    let mut watching = Command::new(env!("CARGO_BIN_EXE_gatelet"))
        .args(["test", "rego", "--watch", "--run", "test_two"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .map(Killed)
        .unwrap();
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "FAIL: 1/1"));
    write(folder.path(), POLICY.0, "package a\n\nallow if input.x == 2\n");
    assert!(lines.any(|line| line == "PASS: 1/1"));
}

/// A process that doesn't outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
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
    let out = timeless(&out);
    assert!(out.starts_with("data.a.b_test.test_bad: FAIL\n  rego/b/bad_test.rego:5\n"), "{out}");
    assert!(out.contains("PASS: 1/2\nFAIL: 1/2\n"), "{out}");
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
    let out = done(folder.path(), &["test", "rego"]).out;
    assert_eq!(out, "PASS: 1/1\n1/1 put to the register VM, too\n");
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
    let out = done(folder.path(), &["test", "rego"]).out;
    assert_eq!(out, "PASS: 1/1\n1/1 put to the register VM, too\n");
}

#[test]
fn tests_see_the_data() {
    let folder = folder(&[
        ("rego/a.rego", "package a\n\nallow if data.x == 1\n"),
        ("rego/a_test.rego", "package a_test\n\nimport data.a\n\ntest_one if a.allow\n"),
        ("data.yaml", "x: 1"),
    ]);
    assert_eq!(gatelet(folder.path(), &["test", "rego"]).code, 1);
    let run = done(folder.path(), &["test", "rego", "--data", "data.yaml"]);
    assert_eq!(run.out, "PASS: 1/1\n1/1 put to the register VM, too\n");
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
