//! `gatelet check`.

use crate::support::{METRICS, Run, done, folder, gatelet, project, write};

#[test]
fn a_sound_policy_has_a_digest_and_no_warnings() {
    let folder = folder(&[METRICS]);
    let checked = done(folder.path(), &["check", "rego"]);
    let rendered = done(folder.path(), &["render", "rego", "-o", "p.json"]);
    assert_eq!(checked.out, rendered.out.replace("p.json", "rego"));
    assert_eq!(checked.err, "");
    let again = done(folder.path(), &["check", "p.json"]);
    assert_eq!(again, rendered);
}

#[test]
fn a_policy_for_nobody_says_so() {
    let shipped = project().join("rego");
    let folder = folder(&[("data.yaml", "kubelet: {peers: []}")]);
    let warning = "warning: `data.kubelet.peers` pins nobody, so the policy denies everybody; \
                   rego/examples shows how to\n";
    for arguments in [&["check"][..], &["check", "--data", "data.yaml"]] {
        let mut arguments = arguments.to_vec();
        arguments.push(shipped.to_str().unwrap());
        assert_eq!(done(folder.path(), &arguments).err, warning, "{arguments:?}");
    }
    let example = shipped.join("examples/k3s.yaml");
    let arguments = ["check", shipped.to_str().unwrap(), "--data", example.to_str().unwrap()];
    assert_eq!(done(folder.path(), &arguments).err, "");
}

#[test]
fn functions_are_those_of_the_module_that_the_policy_is_for() {
    let folder = folder(&[(
        "rego/authz.rego",
        "package kubelet.authz\n\ndefault decision := false\n\n\
         decision if regex.match(`^/metrics`, input.path)\n",
    )]);
    let Run { code, err, .. } = gatelet(folder.path(), &["check", "rego"]);
    assert_eq!(code, 1);
    assert_eq!(
        err,
        "gatelet: `regex.match` is not in gatelet.wasm\n \
         --> authz.rego:5:13\n  |\n5 | decision if regex.match(`^/metrics`, input.path)\n  |             ^\n\
         help: use gatelet-full.wasm, or `startswith`, `endswith`, `contains`, `split` and sets of exact values\n"
    );
    done(folder.path(), &["check", "rego", "--full"]);
}

#[test]
fn the_dearest_request_of_the_corpus_is_named() {
    let project = project();
    let run = done(&project, &["check", "rego", "--corpus", "tests/cases"]);
    let (first, _) = run.out.split_once('\n').unwrap();
    let (count, rest) = first.strip_prefix("at most ").unwrap().split_once(' ').unwrap();
    // The shipped policies leave room for a hundred times as much data.
    assert!((100..1000).contains(&count.parse::<u32>().unwrap()), "{first}");
    assert!(rest.starts_with("of 25000 instructions in "), "{first}");
    assert!(rest.ends_with(" in tests/cases/exec.json"), "{first}");
    assert_eq!(run.err, "", "the corpus brings data");
}

#[test]
fn every_corpus_is_evaluated_and_what_is_skipped_is_counted() {
    let project = project();
    for (options, wants) in [
        (
            &["--corpus", "tests/cases"][..],
            &[
                "skipped 2 files with a configuration of their own",
                " requests that no policy is asked about",
            ][..],
        ),
        (&["--corpus", "tests/cases-http", "--profile", "http"], &[" in tests/cases-http/"]),
        (
            &["--corpus", "tests/csrs.json", "--profile", "csr"],
            &["at most ", " instructions in 8", " in tests/csrs.json"],
        ),
    ] {
        let run = done(&project, &[&["check", "rego"], options].concat());
        for want in wants {
            assert!(run.out.contains(want), "{options:?}: {}", run.out);
        }
    }
}

#[test]
fn a_rendered_file_costs_what_its_folder_costs() {
    let project = project();
    let folder = folder(&[]);
    let file = folder.path().join("p.json");
    let data = ["--data", "rego/examples/k3s.yaml"];
    let render = ["render", "rego", "-o", file.to_str().unwrap()];
    done(&project, &[&render[..], &data].concat());
    let most = |arguments: &[&str]| {
        let run = done(&project, &[arguments, &["--corpus", "tests/cases/exec.json"]].concat());
        run.out.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        most(&["check", file.to_str().unwrap()]),
        most(&[&["check", "rego"], &data[..]].concat())
    );
}

#[test]
fn half_of_the_limit_is_worth_a_warning_and_all_of_it_an_error() {
    let folder = folder(&[
        METRICS,
        (
            "cases/a.json",
            r#"{"about": "", "data": {}, "peers": {"nobody": null},
                "cases": [{"note": "metrics", "peer": "nobody", "method": "GET", "target": "/metrics",
                           "want": "allowed"}]}"#,
        ),
    ]);
    let check = ["check", "rego", "--corpus", "cases", "--settings", "settings.yaml"];
    let run = |limit: usize| {
        write(folder.path(), "settings.yaml", &format!("limits: {{instructions: {limit}}}"));
        gatelet(folder.path(), &check)
    };
    let out = run(1000).out;
    let most: usize = out.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(out.starts_with(&format!(
        "at most {most} of 1000 instructions in 1 requests: `metrics` in cases/a.json\n"
    )));
    let warning = "warning: that is half of what a decision may take, or more\n";
    for (limit, code, err) in [
        (2 * most + 1, 0, ""),
        (2 * most, 0, warning),
        (most, 0, warning),
        (
            most - 1,
            1,
            "gatelet: `metrics` in cases/a.json exceeds the limits\nhelp: raise `limits`, or ask less\n",
        ),
    ] {
        let run = run(limit);
        assert_eq!((run.code, run.err.as_str()), (code, err), "{limit}");
    }
}

#[test]
fn a_rendered_file_takes_no_options_that_are_in_it_already() {
    let folder = folder(&[METRICS, ("a.yaml", "{}")]);
    done(folder.path(), &["render", "rego", "-o", "p.json"]);
    done(folder.path(), &["check", "p.json", "--full"]);
    for option in [
        &["--data", "a.yaml"][..],
        &["--settings", "a.yaml"],
        &["--profile", "kubelet"],
        &["--entrypoint", "data.kubelet.authz.decision"],
        &["--adapter", "kubelet-tls-proxy"],
        &["--node", "worker-1"],
        &["--source-address"],
        &["--dry-run-until", "2026-12-31T00:00:00Z"],
    ] {
        let run = gatelet(folder.path(), &[&["check", "p.json"], option].concat());
        let want =
            "gatelet: p.json is rendered already\nhelp: give these options to `gatelet render`\n";
        assert_eq!((run.code, run.err.as_str()), (2, want), "{option:?}");
    }
}

#[test]
fn the_shipped_policies_are_strict() {
    let run = done(&project(), &["check", "rego", "--strict", "--data", "rego/examples/k3s.yaml"]);
    assert_eq!(run.err, "");
}

#[test]
fn what_opa_would_mind_is_found_with_its_line() {
    for (rego, want) in [
        ("import data.b\n\nx := 1\n", "the import `b` is not used\n --> x.rego:3:1"),
        ("import data.b as c\n\nx := data.b\n", "the import `c` is not used\n --> x.rego:3:1"),
        ("import data.b\nimport data.c.b\n\nx := b\n", "`b` is imported twice\n --> x.rego:4:1"),
        ("x if {\n\ty := 1\n\tinput.y\n}\n", "`y` is not used; write `_`\n --> x.rego:4:2"),
        ("x if some y in input.z\n", "`y` is not used; write `_`\n --> x.rego:3:11"),
        ("f(y, z) := z\n", "`y` is not used; write `_`\n --> x.rego:3:3"),
        ("x if {\n  input.y\n}\n", "a line begins with blanks, not with tabs\n --> x.rego:4:1"),
        ("x := 1 \n", "a line ends with blanks\n --> x.rego:3:7"),
        ("x := 1\n\n\ny := 1\n", "there is more than one blank line\n --> x.rego:5:1"),
        ("x := 1", "a file ends with one newline\n --> x.rego:3:7"),
        ("x := 1\n\n", "a file ends with one newline\n --> x.rego:5:1"),
    ] {
        let rego = format!("package x\n\n{rego}");
        let folder = folder(&[METRICS, ("rego/x.rego", &rego)]);
        let run = gatelet(folder.path(), &["check", "rego", "--strict"]);
        assert!(run.err.starts_with(&format!("gatelet: {want}\n")), "{rego}: {}", run.err);
        assert_eq!(run.err.matches("gatelet: ").count(), 1, "{rego}: {}", run.err);
        assert_eq!(run.code, 1, "{rego}");
        done(folder.path(), &["check", "rego"]);
    }
}

#[test]
fn what_is_used_is_not_minded() {
    let rego = "package x\n\nimport data.b\nimport data.c as d\n\n# y := \"unused\"\n\
                x if {\n\tsome k, _ in input.y\n\tz := `a := 1`\n\tf(k, z) == {e | some e in b}\n}\n\n\
                f(_, v) := {v, d.w}\n";
    let folder = folder(&[METRICS, ("rego/x.rego", rego)]);
    assert_eq!(done(folder.path(), &["check", "rego", "--strict"]).err, "");
}
