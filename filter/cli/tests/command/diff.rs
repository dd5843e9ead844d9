//! `gatelet diff`.

use serde_json::{Value, json};

use crate::{
    log_lines::Recorder,
    support::{APISERVER, Run, done, folder, gatelet, project},
};

const OLD: &str = r#"package kubelet.authz

default decision := false

decision := {"allow": true, "rule": min(allow)} if count(allow) > 0

allow contains "logs" if {
	input.endpoint == "containerLogs"
	input.namespace in data.logs.namespaces
}

allow contains "old" if input.endpoint == "pods"
"#;

/// The same in other words, with a rule more and a definition less.
const NEW: &str = r#"package kubelet.authz

default decision := false

decision := {
	"allow": true,
	"rule": min(allow),
} if count(allow) > 0

allow contains "logs" if {
	input.endpoint == "containerLogs"
	input.namespace in data.logs.namespaces
}

helper := true
"#;

const DATA: (&str, &str) = ("old.yaml", "logs: {namespaces: [default, web], tail: 10}");
const NEW_DATA: (&str, &str) = ("new.yaml", "logs: {namespaces: [web, kube-system], tail: 20}");

fn log() -> String {
    let mut recorder = Recorder::new(OLD, json!({}));
    ["default", "web", "kube-system"]
        .map(|namespace| {
            let request = format!("GET /containerLogs/{namespace}/web-0/app");
            recorder.line(APISERVER, &request, &[])
        })
        .concat()
}

fn diff(further: &[&str]) -> Run {
    let folder = folder(&[
        ("old/authz.rego", OLD),
        ("new/authz.rego", NEW),
        DATA,
        NEW_DATA,
        ("decisions.log", &log()),
        (
            "corpus/a.json",
            r#"{"about": "Output", "data": {}, "peers": {"apiserver": "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins"},
                "cases": [
                  {"note": "pods", "peer": "apiserver", "method": "GET", "target": "/pods", "want": "allowed"},
                  {"note": "no reading", "peer": "apiserver", "method": "GET", "target": "//pods", "want": "malformed"}]}"#,
        ),
        ("settings.yaml", "limits: {instructions: 1000}"),
    ]);
    gatelet(folder.path(), &[&["diff"], further].concat())
}

#[test]
fn rules_and_data_that_differ_are_named() {
    let options = ["old", "new", "--data", "old.yaml", "--new-data", "new.yaml"];
    let Run { code, out, err } = diff(&options);
    assert_eq!(
        out,
        "~ rule data.kubelet.authz.allow\n\
         ~ rule data.kubelet.authz.decision\n\
         + rule data.kubelet.authz.helper\n\
         - data.logs.namespaces[]: \"default\"\n\
         + data.logs.namespaces[]: \"kube-system\"\n\
         ~ data.logs.tail: 10, now 20\n"
    );
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn a_policy_differs_in_nothing_from_itself() {
    let run = diff(&["old", "old", "--data", "old.yaml"]);
    assert_eq!((run.code, run.out.as_str()), (0, "the policies are the same\n"));
}

#[test]
fn decisions_on_a_log_are_compared() {
    let options =
        ["old", "old", "--data", "old.yaml", "--new-data", "new.yaml", "--log", "decisions.log"];
    let Run { code, out, .. } = diff(&options);
    assert!(
        out.contains("\n\n3 decisions\n1 newly allowed\n1 newly denied\n1 the same\n\nnewly allowed 1x: containerLogs in kube-system"),
        "{out}"
    );
    assert_eq!(code, 1, "{out}");
}

#[test]
fn decisions_on_a_corpus_are_compared() {
    let Run { code, out, .. } = diff(&["old", "new", "--corpus", "corpus"]);
    assert!(out.contains("2 decisions\n0 newly allowed\n1 newly denied\n"), "{out}");
    assert!(out.contains("  e.g. corpus/a.json pods GET /pods\n"), "{out}");
    assert_eq!(code, 1, "{out}");
}

#[test]
fn the_shipped_corpus_has_its_own_data() {
    let options = ["diff", "rego/kubelet", "rego/kubelet", "--corpus", "tests/cases"];
    let run = done(&project(), &options);
    assert!(run.out.starts_with("the policies are the same\n\n"), "{}", run.out);
    let mut lines = run.out.lines().skip(2).filter_map(|line| line.split_once(' '));
    let (count, what) = lines.next().unwrap();
    assert!(what == "decisions" && count.parse::<u32>().unwrap() > 100, "{}", run.out);
}

#[test]
fn rendered_policies_differ_in_settings_too() {
    let folder = folder(&[("old/authz.rego", OLD), DATA, ("s.yaml", "denial: {show_rule: true}")]);
    let render = ["render", "old", "--data", "old.yaml"];
    done(folder.path(), &[&render[..], &["-o", "live.json"]].concat());
    done(folder.path(), &[&render[..], &["-o", "next.json", "--settings", "s.yaml"]].concat());
    let run = done(folder.path(), &["diff", "live.json", "next.json"]);
    assert_eq!(run.out, "~ setting denial\n");
}

#[test]
fn programs_get_json() {
    let options =
        ["old", "new", "--data", "old.yaml", "--log", "decisions.log", "--format", "json"];
    let report: Value = serde_json::from_str(&diff(&options).out).unwrap();
    assert_eq!(report.pointer("/counts/same"), Some(&json!(3)));
    assert_eq!(report.pointer("/changes/rules/0/path"), Some(&json!("data.kubelet.authz.allow")));
    assert_eq!(report.pointer("/policy_sha256").unwrap().as_array().unwrap().len(), 2);
    let report: Value =
        serde_json::from_str(&diff(&["old", "new", "--format", "json"]).out).unwrap();
    assert_eq!(report.get("counts"), None, "nothing was compared");
}
