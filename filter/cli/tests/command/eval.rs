//! `gatelet eval`.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use gatelet_core::corpus::Corpus;
use serde_json::{Value, json};

use crate::support::{METRICS, Run, done, folder, gatelet, project, write};

/// A policy of one's own, with what Rego has: functions, `every`, `not`, comprehensions.
const TEAMS: &[(&str, &str)] = &[
    (
        "rego/teams.rego",
        r#"package kubelet.authz

import data.teams as known

default decision := false

decision := {"allow": true, "rule": min(grants)} if {
	count(grants) > 0
	every word in input.exec.command { word in {"id", "-u"} }
	not forbidden
}

grants contains "team" if {
	input.endpoint == "exec"
	some team in known
	is_member(team, input.peer.organizations)
	count([x | some x in team.namespaces; x == input.namespace]) > 0
}

is_member(team, organizations) if team.name in organizations

forbidden if input.namespace == "kube-system"

forbidden if startswith(input.pod, "secret-")
"#,
    ),
    (
        "data.json",
        r#"{"teams": [{"name": "red", "namespaces": ["shop"]}, {"name": "blue", "namespaces": ["kube-system"]}]}"#,
    ),
];

#[test]
fn the_answer_is_the_gate_s_own() {
    for name in ["dry_run", "nobody", "peers", "logs"] {
        let file = format!("tests/cases/{name}.json");
        let corpus = Corpus::parse(&fs::read_to_string(project().join(&file)).unwrap()).unwrap();
        for (number, case) in (1..).zip(&corpus.cases) {
            let named = format!("{file}#{number}");
            let run = gatelet(&project(), &["eval", "rego", "--format", "json", "--case", &named]);
            let report: Value = serde_json::from_str(&run.out).unwrap();
            let want = case.want.as_str();
            assert_eq!(report["reason"], want, "{file}: {}", case.note);
            assert_eq!(report["rule"], json!(case.rule), "{file}: {}", case.note);
            let code = i32::from(!matches!(want, "allowed" | "would_deny"));
            assert_eq!(run.code, code, "{file}: {}", case.note);
        }
    }
}

#[test]
fn a_request_is_decided_for_the_caller_who_is_named() {
    let folder = shipped();
    for (peer, request, code, reason) in [
        ("apiserver", "GET /metrics", 0, "allowed"),
        ("CN=apiserver,O=operators", "GET /metrics", 0, "allowed"),
        ("CN=apiserver,O=others", "GET /metrics", 1, "denied"),
        ("spiffe://cluster.local/ns/shop/sa/web", "GET /metrics", 1, "denied"),
        ("none", "GET /metrics", 1, "denied"),
        ("apiserver", "GET /pods", 1, "denied"),
        ("apiserver", "GET //pods", 1, "malformed"),
        ("apiserver", "GET /podz", 1, "unknown_endpoint"),
        ("apiserver", "POST /pods", 1, "method"),
        ("apiserver", "POST /exec/default/db-0/app?command=df&command=-h&output=1", 0, "allowed"),
        ("apiserver", "GET /exec/default/db-0/app?command=df&command=-h&output=1", 0, "allowed"),
        ("apiserver", "POST /portForward/debug/toolbox-0", 0, "allowed"),
        ("apiserver", "GET /portForward/debug/toolbox-0", 0, "allowed"),
        ("apiserver", "POST /attach/batch/report-1/any?output=1", 0, "allowed"),
    ] {
        let run = eval(&folder, &["--peer", peer, "--format", "json", request]);
        let report: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &report["reason"]), (code, &json!(reason)), "{peer}: {request}");
        assert_eq!(report["allowed"], code == 0, "{peer}: {request}");
    }
}

#[test]
fn a_person_reads_the_answer_the_rule_and_the_input() {
    let folder = shipped();
    let run = eval(&folder, &["--peer", "apiserver", "GET /metrics"]);
    let mut lines = run.out.lines();
    for want in ["allowed", "reason   allowed", "rule     observe"] {
        assert_eq!(lines.next(), Some(want), "{}", run.out);
    }
    let (_, input) = run.out.split_once("\ninput\n").unwrap();
    let input: Value = serde_json::from_str(input).unwrap();
    assert_eq!(input["peer"]["common_name"], "apiserver");
    assert_eq!((run.code, run.err.as_str()), (0, ""));

    let run = eval(&folder, &["--peer", "apiserver", "GET /pods"]);
    assert!(
        run.out.starts_with(
            "denied: the caller gets 403 and `Denied by policy`\nreason   denied\n\
             message  no preset of the peer allows it\n"
        ),
        "{}",
        run.out
    );
}

#[test]
fn what_is_probably_meant_is_said_and_changes_nothing() {
    let folder = shipped();
    for (request, code, reason, hint) in [
        ("GET /podz", 1, "unknown_endpoint", "did you mean /pods?"),
        (
            "GET /containerlogs/a/b/c",
            1,
            "unknown_endpoint",
            "did you mean /containerLogs/{namespace}/{pod}/{container}?",
        ),
        (
            "POST /attach/a/b/0-1-2/c",
            1,
            "unknown_endpoint",
            "the kubelet has /attach/{namespace}/{pod}/{container}, and the form with the pod's UID is not allowed",
        ),
        (
            "GET /api/v1/pods",
            1,
            "unknown_endpoint",
            "that is a path of the API server; the kubelet's begin with an endpoint, as `/exec/…`",
        ),
        ("PATCH /stats/summary", 1, "method", "the endpoint has GET and POST"),
        (
            "POST /exec/a/b/c?command=id&stdin=1",
            1,
            "malformed",
            "the kubelet's word for `stdin` is `input=1`",
        ),
        (
            "GET /healthz%2f",
            1,
            "malformed",
            "in a path, nothing may be percent-encoded; in a query, it may",
        ),
        ("GET /metrics", 0, "allowed", ""),
        ("GET /something", 1, "unknown_endpoint", ""),
    ] {
        let run = eval(&folder, &["--peer", "apiserver", "--format", "json", request]);
        let report: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &report["reason"]), (code, &json!(reason)), "{request}");
        assert_eq!(report["hint"].as_str().unwrap_or_default(), hint, "{request}");
    }
}

#[test]
fn headers_are_as_given() {
    let folder = shipped();
    let exec = "POST /exec/default/db-0/app?command=df&command=-h&output=1";
    for (options, code, reason) in [
        (&[][..], 0, "allowed"),
        (&["--as-is"], 1, "malformed"),
        (&["-H", "Upgrade: h2c"], 1, "malformed"),
        (&["-H", "Host: a,b"], 1, "malformed"),
        (&["-H", "Content-Type: text/plain"], 1, "malformed"),
    ] {
        let arguments = [&["--peer", "apiserver", "--format", "json"], options, &[exec]].concat();
        let run = eval(&folder, &arguments);
        let report: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &report["reason"]), (code, &json!(reason)), "{options:?}");
    }
    let run = eval(
        &folder,
        &[
            "--peer",
            "apiserver",
            "-H",
            "Authorization: Bearer t",
            "-H",
            "X-Remote-User: a",
            "GET /metrics",
        ],
    );
    assert!(run.out.contains("\nremoved  authorization, x-remote-user\n"), "{}", run.out);
}

#[test]
fn a_certificate_has_all_that_is_said_of_it() {
    let digest = "AB".repeat(32);
    let peers = format!(
        "kubelet: {{peers: [{{common_name: a, organization: null, certificate_sha256: '{digest}', \
         presets: [observe]}}]}}"
    );
    let folder = folder(&[("peers.yaml", peers.as_str()), METRICS]);
    let rego = project().join("rego").display().to_string();
    for (options, code) in [
        (&["--peer", "a"][..], 0),
        (&["--peer", "CN=a"], 1),
        (&["--peer", "CN=a", "--certificate-sha256", digest.as_str()], 0),
        (&["--peer", "CN=a,O=b", "--certificate-sha256", digest.as_str()], 1),
    ] {
        let arguments =
            [&["eval", &rego, "--data", "peers.yaml"], options, &["GET /metrics"]].concat();
        assert_eq!(gatelet(folder.path(), &arguments).code, code, "{options:?}");
    }
    let arguments = [
        "eval",
        "rego",
        "--peer",
        "CN=a",
        "--uri-san",
        "spiffe://u",
        "--dns-san",
        "d",
        "--address",
        "10.0.0.7",
        "--source-address",
        "--format",
        "json",
        "GET /metrics",
    ];
    let report: Value = serde_json::from_str(&done(folder.path(), &arguments).out).unwrap();
    let peer = &report["input"]["peer"];
    assert_eq!(
        (&peer["uri_san"], &peer["dns_san"], &peer["address"]),
        (&json!("spiffe://u"), &json!("d"), &json!("10.0.0.7"))
    );
}

#[test]
fn a_wrong_command_line_decides_nothing() {
    let folder = shipped();
    for (arguments, want) in [
        (&["--peer", "apiserver", "/pods"][..], "`/pods` is not a request"),
        (
            &["--peer", "nobody", "GET /pods"],
            "there is no peer `nobody`: the data names `apiserver`",
        ),
        (&["--peer", "CN=a, O=b", "GET /pods"], "--peer CN=a, O=b: "),
        (&["--certificate-sha256", "00", "--peer", "CN=a", "GET /pods"], "`00` is not a SHA-256"),
        (&["--dns-san", "d", "GET /pods"], "a certificate's names without a certificate"),
        (&["-H", "nonsense", "GET /pods"], "`nonsense` is not a header"),
        (&["--profile", "csr", "GET /pods"], "nothing for the approver's policy"),
        (&["--case", "peers.yaml"], "`peers.yaml` names no case"),
        (&[], "required"),
        (&["--case", "a#1", "GET /pods"], "cannot be used with"),
    ] {
        let run = eval(&folder, arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments:?}: {}", run.err);
        assert!(run.err.contains(want), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn a_dry_run_says_what_it_forwards() {
    let folder = shipped();
    let until = ["--peer", "apiserver", "--dry-run-until", "2999-01-01T00:00:00Z"];
    for (request, code, first) in [
        ("GET /metrics", 0, "allowed"),
        ("GET /pods", 0, "forwarded: a dry run forwards what the policy denies"),
        ("GET //pods", 1, "denied: the caller gets 400 and `Malformed request`"),
    ] {
        let run = eval(&folder, &[&until[..], &[request]].concat());
        assert_eq!((run.code, run.out.lines().next()), (code, Some(first)), "{request}");
    }
}

#[test]
fn a_rendered_file_answers_as_its_folder_does() {
    let folder = folder(TEAMS);
    done(folder.path(), &["render", "rego", "--data", "data.json", "-o", "p.json"]);
    let of = |policy: &[&str], request| {
        let arguments =
            [&["eval"], policy, &["--peer", "CN=a,O=red", "--explain", request]].concat();
        gatelet(folder.path(), &arguments)
    };
    for (request, code) in [
        ("POST /exec/shop/p/c?command=id&output=1", 0),
        ("POST /exec/shop/p/c?command=sh&output=1", 1),
    ] {
        let run = of(&["p.json"], request);
        assert_eq!(run.code, code, "{request}: {}", run.err);
        assert_eq!(run, of(&["rego", "--data", "data.json"], request), "{request}");
    }
}

#[test]
fn what_the_log_hides_is_shown_to_the_author() {
    let folder = shipped();
    for (query, want) in
        [("env=TOKEN%3Dsecret", json!({"TOKEN": "secret"})), ("error=1", json!({}))]
    {
        let request = format!("POST /exec/default/db-0/app?command=df&command=-h&output=1&{query}");
        let input = input(&folder, &request);
        assert_eq!(input["exec"]["env"], want, "{query}");
    }
}

#[test]
fn a_line_of_the_log_is_asked_again() {
    let folder = shipped();
    for (request, code, reason) in [
        ("GET /metrics", 0, "allowed"),
        ("GET /pods", 1, "denied"),
        ("POST /exec/default/db-0/app?command=df&command=-h&output=1", 0, "allowed"),
    ] {
        let input = input(&folder, request);
        write(folder.path(), "line.json", &line(&input, &[]));
        let run = eval(&folder, &["--log", "line.json", "--format", "json"]);
        let report: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &report["reason"]), (code, &json!(reason)), "{request}: {}", run.err);
        assert_eq!(report["input"], input, "{request}");
        assert_eq!(
            report["about"], "7f of 2026-11-20T10:00:00Z, then `denied` by closed",
            "{request}"
        );
    }
}

#[test]
fn a_line_may_come_by_a_pipe() {
    let folder = shipped();
    let line = line(&input(&folder, "GET /metrics"), &[]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_gatelet"))
        .args(["eval", &rego(), "--data", "peers.yaml", "--log", "-"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.starts_with(b"allowed\n"), "{output:?}");
}

#[test]
fn what_the_log_does_not_have_is_not_judged() {
    let folder = shipped();
    let whole = input(&folder, "GET /metrics");
    let newer = {
        let mut input = whole.clone();
        input["schema"] = json!("gatelet/v9");
        input
    };
    for (text, code, want) in [
        (line(&whole, &["/exec/env"]), 3, "something else in place of /exec/env"),
        (line(&newer, &[]), 3, "schema `gatelet/v9` is not known"),
        (line(&json!({"method": "GET", "path": "/"}), &[]), 3, "no policy was asked"),
        ("{\"decision\": {".to_owned(), 3, "cut off"),
        ([line(&whole, &[]), line(&whole, &[])].join("\n"), 2, "is not one line"),
        (line(&whole, &[]), 0, ""),
    ] {
        write(folder.path(), "line.json", &text);
        let run = eval(&folder, &["--log", "line.json"]);
        assert_eq!(run.code, code, "{want}: {}{}", run.out, run.err);
        assert!(run.err.contains(want), "{want}: {}", run.err);
    }
}

#[test]
fn an_explanation_names_the_first_expression_that_fails_and_what_it_saw() {
    let folder = folder(TEAMS);
    for (peer, request, want) in [
        (
            "CN=a,O=red",
            "POST /exec/shop/p/c?command=id&output=1",
            r#"
  data.kubelet.authz.decision is {"allow": true, "rule": "team"}
    holds teams.rego:7: decision := {"allow": true, "rule": min(grants)} if {
      data.kubelet.authz.grants is {"team"}
        holds teams.rego:13: grants contains "team" if {
          data.kubelet.authz.is_member is true
            holds teams.rego:20: is_member(team, organizations) if team.name in organizations
"#,
        ),
        (
            "CN=a,O=red",
            "POST /exec/shop/p/c?command=rm&command=-u&output=1",
            r#"
  data.kubelet.authz.decision is false
    by default: teams.rego:5: default decision := false
    fails teams.rego:7: decision := {"allow": true, "rule": min(grants)} if {
      at teams.rego:9: every word in input.exec.command { word in {"id", "-u"} }
        input.exec.command = ["rm", "-u"]
        word = "rm"
"#,
        ),
        (
            "CN=a,O=blue",
            "POST /exec/kube-system/p/c?command=id&output=1",
            r#"
  data.kubelet.authz.decision is false
    by default: teams.rego:5: default decision := false
    fails teams.rego:7: decision := {"allow": true, "rule": min(grants)} if {
      at teams.rego:10: not forbidden
        forbidden = true
      data.kubelet.authz.forbidden is true
        holds teams.rego:22: forbidden if input.namespace == "kube-system"
        fails teams.rego:24: forbidden if startswith(input.pod, "secret-")
          at startswith(input.pod, "secret-")
            input.pod = "p"
"#,
        ),
        (
            "CN=a,O=green",
            "POST /exec/shop/p/c?command=id&output=1",
            r#"
  data.kubelet.authz.decision is false
    by default: teams.rego:5: default decision := false
    fails teams.rego:7: decision := {"allow": true, "rule": min(grants)} if {
      at teams.rego:8: count(grants) > 0
        count(grants) = 0
        grants = set()
      data.kubelet.authz.grants is set()
        fails teams.rego:13: grants contains "team" if {
          at teams.rego:16: is_member(team, input.peer.organizations)
            team = {"name": "blue", "namespaces": ["kube-system"]} | {"name": "red", "namespaces": ["shop"]}
            input.peer.organizations = ["green"]
          data.kubelet.authz.is_member is undefined
            fails teams.rego:20: is_member(team, organizations) if team.name in organizations
              at team.name in organizations
                team.name = "blue" | "red"
                organizations = ["green"]
"#,
        ),
        (
            "CN=a,O=red",
            "GET /metrics",
            r#"
  data.kubelet.authz.decision is false
    by default: teams.rego:5: default decision := false
    fails teams.rego:7: decision := {"allow": true, "rule": min(grants)} if {
      at teams.rego:8: count(grants) > 0
        count(grants) = 0
        grants = set()
      data.kubelet.authz.grants is set()
        fails teams.rego:13: grants contains "team" if {
          at teams.rego:14: input.endpoint == "exec"
            input.endpoint = "metrics"
"#,
        ),
    ] {
        let arguments =
            ["eval", "rego", "--data", "data.json", "--peer", peer, "--explain", request];
        let run = gatelet(folder.path(), &arguments);
        let (_, why) = run.out.split_once("\nwhy").unwrap();
        let (why, _) = why.split_once("\ninput\n").unwrap();
        assert_eq!(why, want, "{peer}: {request}");
    }
}

#[test]
fn an_explanation_leaves_the_decision_alone() {
    let folder = shipped();
    for request in ["GET /metrics", "GET /pods", "POST /exec/default/db-0/app?command=sh&output=1"]
    {
        let plain = eval(&folder, &["--peer", "apiserver", "--format", "json", request]);
        let explained =
            eval(&folder, &["--peer", "apiserver", "--format", "json", "--explain", request]);
        let mut report: Value = serde_json::from_str(&explained.out).unwrap();
        let explanation = report.as_object_mut().unwrap().remove("explanation").unwrap();
        assert_eq!(explanation[0]["rule"], "data.kubelet.authz.decision", "{request}");
        assert_eq!(report, serde_json::from_str::<Value>(&plain.out).unwrap(), "{request}");
        assert_eq!(explained.code, plain.code, "{request}");
    }
}

#[test]
fn what_can_not_be_explained_is_said_to_be_so() {
    let folder = folder(&[
        METRICS,
        (
            "late/a.rego",
            "package kubelet.authz\n\ndefault decision := false\n\ndecision if {\n\tstartswith(x, \"P\")\n\tsome x in [input.method]\n}\n",
        ),
    ]);
    let run =
        gatelet(folder.path(), &["eval", "late", "--peer", "CN=a", "--explain", "GET /metrics"]);
    assert!(
        run.out.contains(
            "unknown a.rego:5: decision if {\n      its expressions can't be evaluated one by one: "
        ),
        "{}",
        run.out
    );
    // A request without a reading isn't the policy's business.
    let run = gatelet(folder.path(), &["eval", "rego", "--peer", "CN=a", "--explain", "GET /podz"]);
    assert!(run.out.contains("\nwhy\n  the policy was not asked\n"), "{}", run.out);
    let run =
        gatelet(folder.path(), &["eval", "rego", "--peer", "CN=a", "--explain", "GET /metrics"]);
    assert!(run.out.contains("\n    holds kubelet/authz/authz.rego:5: decision if"), "{}", run.out);
}

#[test]
fn the_adapter_is_explained_by_what_denies() {
    let folder = folder(&[
        (
            "rego/p.rego",
            "package kubelet.policy\n\ndeny if {\n\tinput.method == \"POST\"\n\tstartswith(input.path, \"/exec\")\n}\n",
        ),
        ("peers.yaml", "kubelet: {peers: [{common_name: a, organization: null, presets: []}]}"),
    ]);
    for (request, code, want) in [
        (
            "GET /exec/d/p/c?command=id&output=1",
            1,
            "data.kubelet.policy.deny is true\n    holds p.rego:3: deny if {\n",
        ),
        (
            "GET /metrics",
            0,
            "data.kubelet.policy.deny is undefined\n    fails p.rego:3: deny if {\n",
        ),
    ] {
        let arguments = [
            "eval",
            "rego",
            "--data",
            "peers.yaml",
            "--adapter",
            "kubelet-tls-proxy",
            "--peer",
            "a",
            "--explain",
            request,
        ];
        let run = gatelet(folder.path(), &arguments);
        assert_eq!(run.code, code, "{request}: {}", run.err);
        assert!(run.out.contains(want), "{request}: {}", run.out);
    }
}

#[test]
fn a_service_s_policy_is_asked_without_an_upgrade() {
    let example = project().join("rego/examples/http.yaml").display().to_string();
    let web = "spiffe://cluster.local/ns/shop/sa/web";
    for (peer, request, code) in [
        (web, "GET /api/catalogue/7", 0),
        (web, "GET /exec/catalogue", 1),
        ("none", "GET /api/catalogue/7", 1),
    ] {
        let arguments =
            ["eval", &rego(), "--profile", "http", "--data", &example, "--peer", peer, request];
        let run = gatelet(&project(), &arguments);
        assert_eq!(run.code, code, "{peer} {request}: {}{}", run.out, run.err);
    }
}

fn rego() -> String {
    project().join("rego").display().to_string()
}

/// A folder with data for the shipped policies.
fn shipped() -> tempfile::TempDir {
    let examples = project().join("rego/examples/operate.yaml");
    folder(&[
        (
            "peers.yaml",
            "kubelet: {peers: [{common_name: apiserver, organization: operators, presets: [observe, operate]}]}",
        ),
        ("operate.yaml", &fs::read_to_string(examples).unwrap()),
    ])
}

fn eval(folder: &tempfile::TempDir, arguments: &[&str]) -> Run {
    let policy = ["eval", &rego(), "--data", "peers.yaml", "--data", "operate.yaml"];
    gatelet(folder.path(), &[&policy[..], arguments].concat())
}

/// The input document of a request.
fn input(folder: &tempfile::TempDir, request: &str) -> Value {
    let run =
        eval(folder, &["--peer", "apiserver", "--node", "worker-7", "--format", "json", request]);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    report.get("input").unwrap().clone()
}

/// A line of the decision log about it.
fn line(input: &Value, masked: &[&str]) -> String {
    let decision = json!({
        "decision_id": "7f",
        "timestamp": "2026-11-20T10:00:00Z",
        "path": "kubelet/authz/decision",
        "input": input,
        "result": false,
        "reason": "denied",
        "rule": "closed",
        "policy_sha256": "0",
        "labels": {},
        "metrics": {},
        "masked": masked,
    });
    json!({"decision": decision, "response_code": 403}).to_string()
}
