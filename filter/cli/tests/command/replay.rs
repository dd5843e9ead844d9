//! `gatelet replay`.

use serde_json::{Value, json};

use crate::{
    log_lines::{Recorder, SPDY, ended, opened},
    support::{APISERVER, Run, done, folder, gatelet, write},
};

/// Metrics for everybody, exec and the containers' output for the API server.
const OLD: &str = r#"package kubelet.authz

default decision := false

decision := {"allow": true, "rule": min(allow)} if count(allow) > 0

allow contains "metrics" if input.endpoint == "metrics"

allow contains "exec" if {
	input.endpoint == "exec"
	input.namespace == "default"
}

allow contains "logs" if input.endpoint == "containerLogs"
"#;

/// Exec in another namespace, and metrics by another rule.
const NEW: &str = r#"package kubelet.authz

default decision := false

decision := {"allow": true, "rule": min(allow)} if count(allow) > 0

allow contains "observe" if input.endpoint == "metrics"

allow contains "exec" if {
	input.endpoint == "exec"
	input.namespace == "kube-system"
}

allow contains "logs" if input.endpoint == "containerLogs"
"#;

const PROMETHEUS: &str = "CN=prometheus,O=monitoring";

fn exec(namespace: &str, pod: &str) -> String {
    format!("POST /exec/{namespace}/{pod}/app?command=sh&command=-c&command=id&output=1")
}

/// Three newly allowed, two newly denied, one by another rule, two the same, one without a reading.
fn log() -> String {
    let mut recorder = Recorder::new(OLD, json!({}));
    let mut log = String::new();
    for pod in ["etcd-1", "etcd-0", "etcd-0"] {
        log += &recorder.line(APISERVER, &exec("kube-system", pod), SPDY);
    }
    let session = recorder.decision(APISERVER, &exec("default", "web-0"), SPDY);
    log += &opened(&session);
    log += &recorder.line(APISERVER, "GET /containerLogs/default/web-0/app", &[]);
    log += &recorder.line(PROMETHEUS, "GET /metrics", &[]);
    log += &recorder.line(APISERVER, &exec("default", "web-1"), SPDY);
    log += &recorder.line(PROMETHEUS, "GET /configz", &[]);
    log += &recorder.line(PROMETHEUS, "GET //metrics", &[]);
    log += &ended(&session, 60_000, 4096);
    log += "{\"refused\":{\"timestamp\":\"2026-11-20T15:20:17.677Z\",\"reason\":\"TLS_error\"},\"connection_id\":9}\n";
    log
}

fn replay(log: &str, further: &[&str]) -> Run {
    let folder = folder(&[("new/authz.rego", NEW), ("decisions.log", log)]);
    gatelet(folder.path(), &[&["replay", "decisions.log", "--policy", "new"], further].concat())
}

#[test]
fn what_is_newly_allowed_comes_first_and_equals_are_one() {
    let Run { code, out, err } = replay(&log(), &[]);
    assert_eq!(
        out,
        r#"9 decisions
3 newly allowed
2 newly denied
1 by another rule or for another reason
2 the same
1 without a reading, so no policy is asked

newly allowed 3x: exec ["sh","-c","id"] in kube-system, by kube-apiserver-kubelet-client (kubeadm:cluster-admins)
  was denied, is allowed by exec
  pods etcd-0, etcd-1
  e.g. 2026-11-20T15:20:01.000Z 00000000-0000-4000-8000-000000000001 POST /exec/kube-system/etcd-1/app

newly denied 2x: exec ["sh","-c","id"] in default, by kube-apiserver-kubelet-client (kubeadm:cluster-admins)
  was allowed by exec, is denied
  pods web-0, web-1
  e.g. 2026-11-20T15:20:04.000Z 00000000-0000-4000-8000-000000000004 POST /exec/default/web-0/app

otherwise 1x: metrics GET /metrics, by prometheus (monitoring)
  was allowed by metrics, is allowed by observe
  e.g. 2026-11-20T15:20:06.000Z 00000000-0000-4000-8000-000000000006 GET /metrics
"#
    );
    assert_eq!((code, err.as_str()), (1, ""));
}

#[test]
fn the_policy_that_decided_says_the_same() {
    let folder = folder(&[("old/authz.rego", OLD), ("decisions.log", &log())]);
    let run = done(folder.path(), &["replay", "decisions.log", "--policy", "old"]);
    assert!(
        run.out.starts_with("9 decisions\n0 newly allowed\n0 newly denied\n8 the same\n"),
        "{}",
        run.out
    );
}

#[test]
fn what_is_let_through_by_a_dry_run_counts_as_denied() {
    let settings = json!({
        "mode": "dry_run",
        "dry_run_until": "2030-01-01T00:00:00Z",
        "peers": [{"common_name": "prometheus", "organization": "monitoring"}],
    });
    let mut recorder = Recorder::new(OLD, settings);
    let decision = recorder.decision(PROMETHEUS, "GET /configz", &[]);
    assert_eq!(decision.get("reason"), Some(&json!("would_deny")));
    let run = replay(&ended(&decision, 3, 1), &[]);
    assert_eq!((run.code, run.out.lines().last()), (0, Some("1 the same")), "{}", run.out);
}

#[test]
fn a_masked_value_is_never_replayed_in_silence() {
    let mut recorder = Recorder::new(OLD, json!({}));
    let with_environment = format!("{}&env=TOKEN%3Dsecret", exec("default", "web-0"));
    let log = recorder.line(APISERVER, &with_environment, SPDY)
        + &recorder.line(PROMETHEUS, "GET /metrics/cadvisor", &[]);
    let Run { code, out, .. } = replay(&log, &[]);
    assert_eq!(code, 3, "{out}");
    assert!(
        out.ends_with("not judged 1x: /input/exec/env, /input/query/env are hidden\n  in line 1\n"),
        "{out}"
    );
    let Run { code, out, .. } = replay(&log, &["--allow-masked"]);
    assert!(out.contains("\n1 newly denied\n"), "{out}");
    assert!(out.contains("\n1 with masks for values, so perhaps wrong\n"), "{out}");
    assert_eq!(code, 1, "{out}");
}

#[test]
fn a_document_without_its_schema_is_not_taken_for_none() {
    let mut recorder = Recorder::new(OLD, json!({}));
    let mut decision = recorder.decision(PROMETHEUS, "GET /pods", &[]);
    assert_eq!(decision["reason"], "denied");
    decision["input"].as_object_mut().unwrap().remove("schema").unwrap();
    let replayed = |decision: &Value| {
        let run = replay(&ended(decision, 3, 0), &[]);
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.out.contains("missing field `schema`"), "{run:?}");
    };
    replayed(&decision);
    decision["input"].as_object_mut().unwrap().remove("node").unwrap();
    replayed(&decision);
}

#[test]
fn a_document_that_somebody_changed_is_not_judged() {
    type Change = fn(&mut serde_json::Map<String, Value>);
    let changes: [(&str, Change); 4] = [
        ("a field is gone", |input| drop(input.remove("logs"))),
        ("two are gone", |input| {
            input.remove("logs");
            input.remove("namespace");
        }),
        ("the namespace isn't the path's", |input| {
            input.insert("namespace".into(), json!("kube-system"));
        }),
        ("a mask that nobody lists", |input| drop(input.insert("pod".into(), json!("**")))),
    ];
    let mut recorder = Recorder::new(OLD, json!({}));
    let logs = "GET /containerLogs/default/web-0/app";
    let decision = recorder.decision(APISERVER, logs, &[]);
    let run = replay(&ended(&decision, 3, 0), &[]);
    assert!(run.code < 2 && !run.out.contains("not judged"), "unchanged: {run:?}");
    for (what, change) in changes {
        let mut changed = decision.clone();
        change(changed["input"].as_object_mut().unwrap());
        let run = replay(&ended(&changed, 3, 0), &[]);
        assert_eq!(run.code, 3, "{what}: {run:?}");
        assert!(run.out.contains("no request has such an input document"), "{what}: {run:?}");
    }
}

#[test]
fn a_request_does_not_hide_behind_the_name_of_another() {
    let mut recorder = Recorder::new(OLD, json!({}));
    let first = recorder.decision(PROMETHEUS, "GET /pods", &[]);
    let mut second = recorder.decision(APISERVER, "GET /containerLogs/default/web-0/app", &[]);
    second["decision_id"] = first["decision_id"].clone();
    let run = replay(&[ended(&first, 3, 0), ended(&second, 3, 0)].concat(), &[]);
    assert!(run.out.starts_with("2 decisions\n"), "{run:?}");
}

#[test]
fn what_a_caller_wrote_does_not_turn_the_terminal_around() {
    let mut recorder = Recorder::new(OLD, json!({}));
    let request = "POST /exec/kube-system/etcd-0/app?command=%E2%80%AEhs&output=1";
    let run = replay(&recorder.line(APISERVER, request, SPDY), &[]);
    assert!(run.out.contains(r#"exec ["\u{202e}hs"] in kube-system"#), "{run:?}");
}

#[test]
fn what_is_cut_off_is_counted_and_listed() {
    let mut recorder = Recorder::new(OLD, json!({}));
    let whole = recorder.line(PROMETHEUS, "GET /configz", &[]);
    let (half, _) = whole.split_at(whole.len() / 2);
    for (log, line) in [(format!("{whole}{half}"), 2), (format!("{half}\n{whole}"), 1)] {
        let Run { code, out, .. } = replay(&log, &[]);
        assert_eq!(code, 3, "{out}");
        assert!(out.contains("\n1 the same\n1 not judged\n"), "{out}");
        let listed = format!("not judged 1x: the line is cut off, or no JSON\n  in line {line}\n");
        assert!(out.ends_with(&listed), "{out}");
        assert_eq!(replay(&log, &["--allow-masked"]).code, 0);
    }
}

#[test]
fn a_log_of_a_newer_version_is_refused_by_its_name() {
    let newer = log().replace("gatelet/v1", "gatelet/v2");
    let Run { code, out, err } = replay(&newer, &["--allow-masked"]);
    assert_eq!((code, out.as_str()), (3, ""), "{err}");
    let name = "decisions.log:1: schema `gatelet/v2` is not known: this gatelet reads gatelet/v1 and gatelet/http/v1";
    assert!(err.contains(name), "{err}");
}

#[test]
fn programs_get_json() {
    let Run { out, .. } = replay(&log(), &["--format", "json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    let counts = report.get("counts").unwrap();
    assert_eq!(
        counts,
        &json!({"decisions": 9, "same": 2, "newly_allowed": 3, "newly_denied": 2, "otherwise": 1,
                "not_asked": 1, "with_masks": 0, "not_judged": 0, "other_records": 1})
    );
    let first = report.pointer("/differences/0").unwrap();
    assert_eq!(first.get("change"), Some(&json!("newly_allowed")));
    assert_eq!(first.get("command"), Some(&json!(["sh", "-c", "id"])));
    assert_eq!(first.get("pods"), Some(&json!(["etcd-0", "etcd-1"])));
    assert_eq!(first.pointer("/after/rule"), Some(&json!("exec")));
}

#[test]
fn what_the_configuration_pins_counts_too() {
    let folder = folder(&[
        ("old/authz.rego", OLD),
        ("decisions.log", &log()),
        ("settings.yaml", "peers: [{common_name: prometheus, organization: monitoring}]"),
    ]);
    let replay = ["replay", "decisions.log", "--policy", "old", "--settings", "settings.yaml"];
    let run = gatelet(folder.path(), &replay);
    assert!(run.out.contains("says the caller is not one of the configured peers"), "{}", run.out);
}

#[test]
fn a_rendered_policy_is_replayed_as_it_is() {
    let folder = folder(&[("new/authz.rego", NEW), ("decisions.log", &log())]);
    done(folder.path(), &["render", "new", "-o", "gatelet.json"]);
    let replay = |policy| gatelet(folder.path(), &["replay", "decisions.log", "--policy", policy]);
    assert_eq!(replay("gatelet.json"), replay("new"));
}

#[test]
fn a_record_of_another_profile_is_not_judged() {
    let policy = "package http.authz\n\ndecision := true\n";
    let folder = folder(&[("http/authz.rego", policy), ("decisions.log", &log())]);
    let replay = ["replay", "decisions.log", "--policy", "http", "--profile", "http"];
    let run = gatelet(folder.path(), &replay);
    assert_eq!(run.code, 3, "{}", run.out);
    let why = "a request of profile `kubelet`, and the policy is for profile `http`";
    assert!(run.out.contains(why), "{}", run.out);
}

#[test]
fn the_standard_input_is_a_log_too() {
    let folder = folder(&[("new/authz.rego", NEW)]);
    write(folder.path(), "decisions.log", "");
    let run = done(folder.path(), &["replay", "-", "--policy", "new"]);
    assert!(run.out.starts_with("0 decisions\n"), "{}", run.out);
}
