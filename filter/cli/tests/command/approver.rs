//! The approver's policies: profile `csr`.

use std::fs;

use gatelet_core::csr::{Config, Controller, route_config};

use crate::support::{done, folder, gatelet, project, write};

const LEAVES: (&str, &str) = (
    "rego/csr/approval/approval.rego",
    r#"package csr.approval

decision := {"decision": "leave", "reason": "Nothing is decided."}
"#,
);

#[test]
fn the_file_is_a_route_that_answers_with_the_configuration() {
    let folder = folder(&[LEAVES, ("settings.yaml", "{mode: dry_run, kubelet_port: 10260}")]);
    let settings = ["--settings", "settings.yaml"];
    let render = ["render", "rego", "--profile", "csr", "-o", "approver.json"];
    let run = done(folder.path(), &[&render[..], &settings[..]].concat());
    let text = fs::read_to_string(folder.path().join("approver.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let configuration = route_config::configuration(&file).unwrap();
    let config = Config::from_json(configuration.as_bytes()).unwrap();
    assert_eq!(config.kubelet_port, 10260);
    let digest = Controller::new(config).unwrap().digest().to_owned();
    assert_eq!(run.out, format!("{digest}  approver.json\n"));
    assert_eq!(file["resources"][0]["name"], "gatelet-approver");

    let checked = done(folder.path(), &["check", "approver.json"]);
    assert_eq!(checked.out, run.out);
    let checked = done(folder.path(), &["check", "rego", "--profile", "csr"]);
    assert_eq!(checked.out, format!("{digest}  rego\n"));
}

#[test]
fn the_shipped_rules_pass_their_tests_and_the_check() {
    let run = done(&project(), &["test", "rego/csr"]);
    assert!(run.out.starts_with("PASS: "), "{}", run.out);
    let data = ["--data", "rego/examples/approver.yaml"];
    let run = done(&project(), &[&["check", "rego/csr", "--profile", "csr"][..], &data].concat());
    assert_eq!(run.err, "");
    // Beside the gate's rules, too.
    done(&project(), &["check", "rego", "--profile", "csr"]);
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    for (data, want) in [
        (
            "csr: {preset: inventory}",
            "there is no `data.csr.inventory`, so preset `inventory` approves nothing",
        ),
        (
            "csr: {}",
            "`data.csr.api_server.cidrs` is empty, so whoever edits a Node object can have a \
             certificate for the API server's address",
        ),
        ("csr: {presett: strict, inventory: {}}", "`data.csr` has the unknown key `presett`"),
        ("csr: {inventory: null}", "`data.csr.inventory` is of type null, not object"),
    ] {
        let folder = folder(&[("data.yaml", data)]);
        let data = folder.path().join("data.yaml");
        let arguments = ["check", "rego/csr", "--profile", "csr", "--data", data.to_str().unwrap()];
        assert_eq!(done(&project(), &arguments).err, format!("warning: {want}\n"));
    }
}

#[test]
fn what_the_approver_does_not_know_is_refused() {
    let folder = folder(&[LEAVES]);
    for (settings, want) in [
        ("{signers: []}", "`signers` is empty"),
        (
            "{signers: [kubernetes.io/legacy-unknown]}",
            "`signers` has `kubernetes.io/legacy-unknown`",
        ),
        ("{mode: lax}", "unknown variant `lax`"),
        ("{serving_subresource: 'a/b'}", "`serving_subresource` is `a/b`"),
        ("{queue: {concurrency: 0}}", "expected a nonzero"),
        ("{peers: []}", "unknown field `peers`"),
        ("{policy: {sha256: '0'}}", "settings.yaml has a `policy`"),
    ] {
        write(folder.path(), "settings.yaml", settings);
        let arguments = ["check", "rego", "--profile", "csr", "--settings", "settings.yaml"];
        let run = gatelet(folder.path(), &arguments);
        assert_eq!(run.code, 1, "{settings}");
        assert!(run.err.contains(want), "{settings}: {}", run.err);
    }
    for option in [&["--full"][..], &["--source-address"], &["--node", "worker-1"]] {
        let arguments = [&["check", "rego", "--profile", "csr"][..], option].concat();
        let run = gatelet(folder.path(), &arguments);
        assert!(run.err.contains("has no meaning in profile `csr`"), "{option:?}: {}", run.err);
    }
}
