//! `gatelet learn`.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    log_lines::{Recorder, SPDY, ended, opened},
    support::{APISERVER, Run, ask, done, folder, gate, gatelet, write},
};
use gatelet_core::Reason;

/// The policy of a first dry run: metrics for the API server, and everything for nobody.
const OBSERVE: &str = r#"package kubelet.authz

default decision := false

decision := {"allow": true, "rule": "observe"} if input.endpoint == "metrics"
"#;

const PROMETHEUS: &str = "CN=prometheus,O=monitoring";

const STRANGER: &str = "CN=system:node:worker-2,O=system:nodes";

fn recorder() -> Recorder {
    let settings = json!({
        "mode": "dry_run",
        "dry_run_until": "2030-01-01T00:00:00Z",
        "peers": [
            {"common_name": "kube-apiserver-kubelet-client", "organization": "kubeadm:cluster-admins"},
            {"common_name": "prometheus", "organization": "monitoring"},
        ],
    });
    Recorder::new(OBSERVE, settings)
}

const EXEC: &str = "POST /exec/default/web-0/app?command=df&command=-h&output=1";
const SHELL: &str = "POST /exec/default/web-7d4b9c5f6-x2x4z/app?command=sh&input=1&output=1&tty=1";
const ATTACH: &str = "POST /attach/default/web-0/app?input=1&output=1";
const FORWARD: &str = "POST /portForward/default/web-0";

/// One of everything, with a stranger among them.
fn log() -> String {
    let mut recorder = recorder();
    let mut log = String::new();
    for (subject, request, headers) in [
        (APISERVER, "GET /containerLogs/default/web-0/app", [].as_slice()),
        (APISERVER, "GET /containerLogs/default/web-1/app", &[]),
        (APISERVER, "GET /containerLogs/default/web-0/app?tailLines=10", &[]),
        (APISERVER, EXEC, SPDY),
        (APISERVER, EXEC, SPDY),
        (APISERVER, SHELL, SPDY),
        (APISERVER, ATTACH, SPDY),
        (APISERVER, "POST /run/default/web-0/app?cmd=id", &[]),
        (APISERVER, "POST /checkpoint/default/web-0/app", &[]),
        (APISERVER, "GET /pods", &[]),
        (APISERVER, "GET /configz", &[]),
        (APISERVER, "GET /logs/syslog", &[]),
        (PROMETHEUS, "GET /metrics/cadvisor", &[]),
        (STRANGER, "GET /configz", &[]),
        (APISERVER, "GET //pods", &[]),
    ] {
        log += &recorder.line(subject, request, headers);
    }
    let forward = [SPDY, &[]].concat();
    let forward: Vec<_> = forward
        .into_iter()
        .map(|(name, value)| {
            (name, if name.starts_with("x-stream") { "portforward.k8s.io" } else { value })
        })
        .collect();
    log + &recorder.line(APISERVER, FORWARD, &forward)
}

fn learn(log: &str, further: &[&str]) -> (TempDir, Run) {
    let folder = folder(&[("decisions.log", log)]);
    let run =
        gatelet(folder.path(), &[&["learn", "decisions.log", "-o", "policy"], further].concat());
    (folder, run)
}

fn rendered(folder: &TempDir) -> gatelet_core::Gate {
    done(folder.path(), &["render", "policy", "-o", "policy.json"]);
    gate(&folder.path().join("policy.json"))
}

#[test]
fn what_was_seen_is_allowed_and_what_is_beside_it_is_not() {
    let (folder, run) = learn(&log(), &[]);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{}", run.out);
    let gate = rendered(&folder);
    for (subject, request, headers, want) in [
        (APISERVER, EXEC, SPDY, Reason::Allowed),
        (APISERVER, SHELL, SPDY, Reason::Allowed),
        (APISERVER, "GET /containerLogs/default/web-1/app", &[], Reason::Allowed),
        (APISERVER, "GET /containerLogs/default/web-0/app?tailLines=10", &[], Reason::Allowed),
        (APISERVER, "POST /run/default/web-0/app?cmd=id", &[], Reason::Allowed),
        (APISERVER, "GET /pods", &[], Reason::Allowed),
        (PROMETHEUS, "GET /metrics/cadvisor", &[], Reason::Allowed),
        (APISERVER, "GET /metrics/cadvisor", &[], Reason::Denied),
        (PROMETHEUS, "GET /metrics", &[], Reason::Denied),
        (PROMETHEUS, "GET /pods", &[], Reason::Denied),
        (STRANGER, "GET /configz", &[], Reason::Denied),
        (APISERVER, "GET /containerLogs/default/web-2/app", &[], Reason::Denied),
        (APISERVER, "GET /containerLogs/default/web-1/app?tailLines=10", &[], Reason::Denied),
        (APISERVER, "GET /containerLogs/default/web-0/app?tailLines=11", &[], Reason::Denied),
        (APISERVER, "GET /containerLogs/default/web-0/app?previous=true", &[], Reason::Denied),
        (APISERVER, "GET /containerLogs/kube-system/web-0/app", &[], Reason::Denied),
        (APISERVER, "POST /run/default/web-0/app?cmd=id+-u", &[], Reason::Denied),
        (APISERVER, "GET /logs/", &[], Reason::Denied),
        (APISERVER, &format!("{EXEC}&input=1"), SPDY, Reason::Denied),
        (APISERVER, &format!("{EXEC}&tty=1"), SPDY, Reason::Denied),
        (APISERVER, &format!("{EXEC}&command=x"), SPDY, Reason::Denied),
        (APISERVER, &format!("{EXEC}&env=LD_PRELOAD%3D%2Fx.so"), SPDY, Reason::Denied),
        (APISERVER, &format!("{EXEC}&env=KUBERNETES_EXEC_AUDIT_ID%3D1"), SPDY, Reason::Allowed),
        (APISERVER, &SHELL.replace("x2x4z", "x2x4b"), SPDY, Reason::Denied),
    ] {
        assert_eq!(ask(&gate, subject, request, headers), want, "{subject} {request}");
    }
}

#[test]
fn the_folder_passes_its_tests_the_checks_and_the_replay() {
    let (folder, run) = learn(&log(), &[]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let Run { out, .. } = done(folder.path(), &["test", "policy"]);
    // Two tests for each of the grants.
    assert!(out.starts_with("PASS: 24/24\n"), "{out}");
    let Run { err, .. } = done(folder.path(), &["check", "policy", "--strict"]);
    assert_eq!(err, "");
    let Run { out, code, .. } =
        gatelet(folder.path(), &["replay", "decisions.log", "--policy", "policy"]);
    assert!(out.contains("\n 0 newly denied\n"), "{out}");
    assert_eq!(code, 1, "what the dry run let through is newly allowed: {out}");
    // A second dry run begins with what the first one taught.
    done(
        folder.path(),
        &["render", "policy", "--dry-run-until", "2099-01-01T00:00:00Z", "-o", "policy.json"],
    );
}

#[test]
fn the_data_is_what_a_person_reviews() {
    let mut recorder = recorder();
    let log = recorder.line(APISERVER, EXEC, SPDY)
        + &recorder.line(APISERVER, "GET /pods", &[])
        + &recorder.line(APISERVER, EXEC, SPDY);
    let (folder, _) = learn(&log, &[]);
    let data = fs::read_to_string(folder.path().join("policy/data.yaml")).unwrap();
    let (_, data) = data.split_once("kubelet:\n").unwrap();
    assert_eq!(
        data,
        r#"  peers:
    - common_name: kube-apiserver-kubelet-client
      organization: kubeadm:cluster-admins
      presets: [learned]

  learned:
    - common_name: kube-apiserver-kubelet-client
      organizations: [kubeadm:cluster-admins]
      allow:
        # 2x, 2026-11-20T15:20:01Z to 2026-11-20T15:20:03Z, e.g. 00000000-0000-4000-8000-000000000001
        - endpoint: exec
          method: POST
          namespace: default
          pods: [web-0]
          container: app
          exec: {command: [df, "-h"], stderr: false, stdin: false, stdout: true, tty: false}
        # 1x, 2026-11-20T15:20:02Z, e.g. 00000000-0000-4000-8000-000000000002
        - endpoint: pods
          method: GET
          path: /pods
          query: {}
"#
    );
}

#[test]
fn pods_of_a_workload_are_allowed_on_demand_and_never_in_silence() {
    let other = SHELL.replace("x2x4z", "bcdfg");
    let foreign = SHELL.replace("web-7d4b9c5f6-x2x4z", "webhook-7d4b9c5f6-x2x4z");
    let (folder, run) = learn(&log(), &[]);
    assert_eq!(ask(&rendered(&folder), APISERVER, &other, SPDY), Reason::Denied);
    assert!(run.out.contains("web-7d4b9c5f6-x2x4z to web-*\n"), "{}", run.out);
    let (_, allowed) = run.out.split_once("Allowed, though nobody has seen it").unwrap();
    assert!(!allowed.split("Not allowed, as").next().unwrap().contains("web-*"), "{}", run.out);

    let (folder, run) = learn(&log(), &["--generalize", "pods"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let (_, allowed) = run.out.split_once("Allowed, though nobody has seen it").unwrap();
    assert!(allowed.contains("why: the names look like pods of a Deployment\n"), "{}", run.out);
    assert!(
        allowed.contains("allows: every pod in default whose name begins with `web-`"),
        "{}",
        run.out
    );
    let gate = rendered(&folder);
    assert_eq!(ask(&gate, APISERVER, &other, SPDY), Reason::Allowed);
    assert_eq!(ask(&gate, APISERVER, &foreign, SPDY), Reason::Denied);
    done(folder.path(), &["test", "policy"]);
}

#[test]
fn a_denial_in_the_log_is_stronger_than_a_generalisation() {
    let mut recorder = recorder();
    let mut log = recorder.line(APISERVER, SHELL, SPDY);
    let mut enforcing = Recorder::new(OBSERVE, json!({}));
    let denied = SHELL.replace("x2x4z", "bcdfg");
    log += &enforcing
        .line(APISERVER, &denied, SPDY)
        .replace("00000000-0000-4000", "00000000-0000-4001");
    let (folder, run) = learn(&log, &["--generalize", "pods"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("but the log has a denial of one of them"), "{}", run.out);
    let gate = rendered(&folder);
    assert_eq!(ask(&gate, APISERVER, SHELL, SPDY), Reason::Allowed);
    assert_eq!(ask(&gate, APISERVER, &denied, SPDY), Reason::Denied);
}

#[test]
fn any_lines_of_a_log_are_allowed_on_demand() {
    let (folder, run) = learn(&log(), &["--generalize", "log-lines"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("allows: any lines of the log, by number"), "{}", run.out);
    let gate = rendered(&folder);
    for (request, want) in [
        ("GET /containerLogs/default/web-0/app?sinceSeconds=60", Reason::Allowed),
        ("GET /containerLogs/default/web-0/app?follow=true", Reason::Denied),
        ("GET /containerLogs/default/web-0/app?previous=true", Reason::Denied),
    ] {
        assert_eq!(ask(&gate, APISERVER, request, &[]), want, "{request}");
    }
    done(folder.path(), &["test", "policy"]);
}

#[test]
fn who_was_turned_away_is_listed_and_learned_by_name_alone() {
    let (folder, run) = learn(&log(), &["--denied"]);
    let listed =
        "1x system:node:worker-2 (system:nodes), e.g. 00000000-0000-4000-8000-000000000014";
    assert!(run.out.contains(listed), "{}", run.out);
    assert_eq!(ask(&rendered(&folder), STRANGER, "GET /configz", &[]), Reason::Denied);
    let (folder, run) = learn(&log(), &["--peer", STRANGER]);
    assert!(!run.out.contains("Turned away"), "{}", run.out);
    let gate = rendered(&folder);
    assert_eq!(ask(&gate, STRANGER, "GET /configz", &[]), Reason::Allowed);
    assert_eq!(ask(&gate, STRANGER, "GET /pods", &[]), Reason::Denied);
}

#[test]
fn what_is_not_to_go_on_is_left_out() {
    let (folder, run) = learn(&log(), &["--without", "run", "--without", "pods"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    assert!(run.out.contains("1x `--without run` (decisions.log:8)"), "{}", run.out);
    let gate = rendered(&folder);
    for (request, want) in [
        ("POST /run/default/web-0/app?cmd=id", Reason::Denied),
        ("GET /pods", Reason::Denied),
        ("GET /configz", Reason::Allowed),
    ] {
        assert_eq!(ask(&gate, APISERVER, request, &[]), want, "{request}");
    }
    let (_, run) = learn(&log(), &["--without", "Run"]);
    assert_eq!(run.code, 2, "{}", run.err);
}

#[test]
fn what_is_masked_is_never_learned_in_silence() {
    let mut recorder = recorder();
    let audited = format!("{EXEC}&env=KUBERNETES_EXEC_AUDIT_ID%3D1");
    let preload = format!("{EXEC}&env=LD_PRELOAD%3D%2Fx.so");
    let log = recorder.line(APISERVER, &audited, SPDY)
        + &recorder.line(APISERVER, &preload, SPDY)
        + &recorder.line(APISERVER, "GET /pods", &[]);
    let (folder, run) = learn(&log, &[]);
    assert_eq!(run.code, 3, "{}", run.out);
    let listed =
        "2x /input/exec/env, /input/query/env are hidden (decisions.log:1, decisions.log:2)";
    assert!(run.out.contains(listed), "{}", run.out);
    let allows = |folder| {
        let gate = rendered(folder);
        [EXEC, &audited, &preload].map(|request| ask(&gate, APISERVER, request, SPDY))
    };
    assert_eq!(allows(&folder), [Reason::Denied; 3]);
    let (folder, run) = learn(&log, &["--allow-masked"]);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(run.out.contains("an environment of its own: LD_PRELOAD"), "{}", run.out);
    assert_eq!(allows(&folder), [Reason::Allowed, Reason::Allowed, Reason::Denied]);
}

#[test]
fn a_masked_command_is_learned_by_no_option() {
    let settings = json!({
        "mode": "dry_run",
        "dry_run_until": "2030-01-01T00:00:00Z",
        "peers": [{"common_name": "kube-apiserver-kubelet-client", "organization": "kubeadm:cluster-admins"}],
        "log": {"mask": ["/exec/command", "/query/command"]},
    });
    let mut recorder = Recorder::new(OBSERVE, settings);
    let log = recorder.line(APISERVER, EXEC, SPDY) + &recorder.line(APISERVER, "GET /pods", &[]);
    let (folder, run) = learn(&log, &["--allow-masked"]);
    assert!(
        run.out.contains("1x /input/exec/command, /input/query/command are hidden"),
        "{}",
        run.out
    );
    let gate = rendered(&folder);
    for request in [EXEC, "POST /exec/default/web-0/app?command=**&command=**&output=1"] {
        assert_eq!(ask(&gate, APISERVER, request, SPDY), Reason::Denied, "{request}");
    }
}

#[test]
fn cut_lines_are_listed_and_a_newer_schema_is_refused() {
    let whole = log();
    let (half, _) = whole.split_at(whole.len() - 100);
    let (_, run) = learn(half, &[]);
    assert_eq!(run.code, 3, "{}", run.out);
    assert!(
        run.out.contains("1x the line is cut off, or no JSON (decisions.log:16)"),
        "{}",
        run.out
    );
    assert_eq!(learn(half, &["--allow-masked"]).1.code, 0);

    let (folder, run) = learn(&whole.replace("gatelet/v1", "gatelet/v2"), &["--allow-masked"]);
    assert_eq!((run.code, run.out.as_str()), (3, ""));
    assert!(run.err.contains("decisions.log:1: schema `gatelet/v2` is not known"), "{}", run.err);
    assert!(!folder.path().join("policy").exists());
}

#[test]
fn a_session_that_is_written_twice_counts_once() {
    let session = recorder().decision(APISERVER, EXEC, SPDY);
    let (_, run) = learn(&(opened(&session) + &ended(&session, 60_000, 1)), &[]);
    assert!(run.out.starts_with("1 decisions, "), "{}", run.out);
    assert!(run.out.contains("  1x exec by POST of default/web-0/app"), "{}", run.out);
}

#[test]
fn nobodys_work_is_overwritten() {
    let (folder, _) = learn(&log(), &[]);
    let again = |further: &[&str]| {
        gatelet(folder.path(), &[&["learn", "decisions.log", "-o", "policy"], further].concat())
    };
    assert_eq!(again(&["--generalize", "pods"]).code, 0, "its own files, as it wrote them");
    let data = folder.path().join("policy/data.yaml");
    let edited = fs::read_to_string(&data).unwrap() + "# mine\n";
    fs::write(&data, &edited).unwrap();
    let Run { code, err, .. } = again(&[]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("policy has changes that would be lost: data.yaml"), "{err}");
    assert_eq!(fs::read_to_string(&data).unwrap(), edited);
    assert_eq!(again(&["--force"]).code, 0);
    assert!(!fs::read_to_string(&data).unwrap().contains("# mine"));

    write(folder.path(), "policy/mine_test.rego", "package mine_test\n");
    assert_eq!(again(&[]).code, 0, "tests are no part of a policy");
    write(folder.path(), "policy/mine.rego", "package kubelet.authz\n\nallow contains \"x\"\n");
    let Run { code, err, .. } = again(&["--force"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("policy/mine.rego is not of `gatelet learn`"), "{err}");
}

#[test]
fn nothing_is_learned_from_denials() {
    let log = Recorder::new(OBSERVE, json!({})).line(APISERVER, "GET /pods", &[]);
    let (folder, run) = learn(&log, &[]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("nothing of 1 decisions can be learned from"), "{}", run.err);
    assert!(run.err.contains("--dry-run-until"), "{}", run.err);
    assert!(!folder.path().join("policy").exists());
}

#[test]
fn more_than_a_decision_can_go_through_is_refused() {
    let mut recorder = recorder();
    let line = |n| recorder.line(APISERVER, &format!("POST /run/default/web-0/app?cmd={n}"), &[]);
    let (folder, run) = learn(&(0..700).map(line).collect::<String>(), &[]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(run.err.contains("more than the 25000 instructions"), "{}", run.err);
    assert!(!folder.path().join("policy").exists());
}

#[test]
fn other_logs_are_kindly_refused() {
    let settings = json!({"profile": "http", "policy": {
        "modules": {"a.rego": "package http.authz\n\ndecision := true if input.method == \"GET\"\n"},
        "entrypoint": "data.http.authz.decision",
    }});
    let http = Recorder::new(OBSERVE, settings).line(APISERVER, "GET /", &[]);
    let approver = r#"{"path":"csr/approval/decision","input":{},"result":"approve"}"#;
    for (log, whose) in [(http.as_str(), "profile http"), (approver, "the approver")] {
        let (folder, run) = learn(log, &[]);
        assert_eq!(run.code, 2, "{}", run.err);
        let text = format!("decisions.log:1: a decision of {whose}, and `gatelet learn` knows");
        assert!(run.err.contains(&text), "{}", run.err);
        assert!(!folder.path().join("policy").exists());
    }
}

#[test]
fn programs_get_json_and_reviews_markdown() {
    let (_, run) = learn(&log(), &["--format", "json"]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report.get("decisions"), Some(&json!(16)));
    assert_eq!(report.pointer("/verified/seen"), Some(&json!(13)));
    assert_eq!(report.pointer("/turned_away").unwrap().as_object().unwrap().len(), 1);
    let (_, run) = learn(&log(), &["--format", "markdown"]);
    assert!(run.out.contains("\n## Left out\n"), "{}", run.out);
    assert!(run.out.contains("\n- 1x `pods by GET /pods`\n"), "{}", run.out);
}
