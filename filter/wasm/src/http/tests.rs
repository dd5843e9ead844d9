//! One request through the shell, with a fake host.

use gatelet_core::policy::Builtins;
use serde_json::json;

use super::*;
use crate::{fake::Fake, root::Shared};

const APISERVER: &str = "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins";

/// Logs for whoever has a certificate, and `/metrics` for everybody.
const POLICY: &str = r#"
package kubelet.authz

decision := {"allow": count(allow) > 0, "rule": min(allow | {"none"})}

allow contains "logs" if {
	input.endpoint == "containerLogs"
	input.peer.authenticated
}

allow contains "metrics" if input.endpoint == "metrics"
"#;

fn shared(more: serde_json::Value) -> Option<Rc<Shared>> {
    let mut config = json!({"policy": {"modules": {"authz.rego": POLICY}}});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let config = gatelet_core::Config::from_json(config.to_string().as_bytes()).unwrap();
    let gate = gatelet_core::Gate::new(config, Builtins::Standard).unwrap();
    Some(Rc::new(Shared::new(gate)))
}

fn request(method: &str, target: &str, further: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    [(":method", method), (":path", target), (":authority", "worker-1:10250")]
        .iter()
        .chain(further)
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

fn send(fake: &Fake, shared: Option<Rc<Shared>>) -> Action {
    Http::new(fake, shared).on_http_request_headers(0, true)
}

const LOGS: &str = "/containerLogs/default/web-0/app";

#[test]
fn an_allowed_request_goes_on_and_is_on_record() {
    let fake = Fake::new(request("GET", LOGS, &[]), Some(APISERVER));
    assert_eq!(send(&fake, shared(json!({}))), Action::Continue);
    assert_eq!(*fake.replies.borrow(), []);
    let records = fake.records.borrow();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["result"], &records[0]["rule"]), (&json!(true), &json!("logs")));
    assert_eq!(records[0]["input"]["peer"]["common_name"], "kube-apiserver-kubelet-client");
    assert_eq!(records[0]["timestamp"], "2026-01-01T00:00:00.000000000Z");
    assert_eq!(fake.metric("gatelet_decisions.containerLogs.allowed"), Some(1));
}

#[test]
fn what_is_not_allowed_is_answered_here() {
    for (note, method, target, subject, want, metric) in [
        ("no certificate", "GET", LOGS, None, (403, "Denied by policy"), "containerLogs.denied"),
        ("denied", "GET", "/pods", Some(APISERVER), (403, "Denied by policy"), "pods.denied"),
        (
            "unknown",
            "GET",
            "/exec",
            Some(APISERVER),
            (403, "Denied by policy"),
            "none.unknown_endpoint",
        ),
        ("method", "POST", "/pods", Some(APISERVER), (403, "Denied by policy"), "none.method"),
        (
            "malformed",
            "GET",
            "//pods",
            Some(APISERVER),
            (400, "Malformed request"),
            "none.malformed",
        ),
        (
            "subject",
            "GET",
            "/metrics",
            Some("CN=\\zz"),
            (400, "Malformed request"),
            "none.malformed",
        ),
    ] {
        let fake = Fake::new(request(method, target, &[]), subject);
        assert_eq!(send(&fake, shared(json!({}))), Action::Pause, "{note}");
        assert_eq!(*fake.replies.borrow(), [(want.0, want.1.to_owned())], "{note}");
        assert_eq!(fake.records.borrow()[0]["result"], false, "{note}");
        assert_eq!(fake.metric(&format!("gatelet_decisions.{metric}")), Some(1), "{note}");
    }
}

#[test]
fn a_header_of_other_bytes_than_text_is_malformed_and_no_panic() {
    let mut lines = request("GET", "/metrics", &[]);
    lines.push(("user-agent".to_owned(), vec![0xff, 0xfe]));
    let fake = Fake::new(lines, Some(APISERVER));
    assert_eq!(send(&fake, shared(json!({}))), Action::Pause);
    assert_eq!(fake.replies.borrow()[0].0, 400);
}

#[test]
fn credentials_are_taken_out_of_what_goes_on() {
    let credentials =
        [("authorization", "Bearer t"), ("impersonate-user", "root"), ("x-remote-group", "g")];
    let fake = Fake::new(request("GET", "/metrics", &credentials), Some(APISERVER));
    assert_eq!(send(&fake, shared(json!({}))), Action::Continue);
    assert_eq!(*fake.removed.borrow(), ["authorization", "impersonate-user", "x-remote-group"]);
    assert_eq!(fake.records.borrow()[0]["input"]["peer"]["bearer_token"], true);
}

#[test]
fn the_token_of_a_caller_without_a_certificate_goes_on_to_its_cluster_alone() {
    let open = || shared(json!({"token_cluster": "tokens"}));
    let credentials = [("authorization", "Bearer t"), ("x-remote-group", "g")];
    for (cluster, want, removed) in [
        (Some("tokens"), Action::Continue, &["x-remote-group"][..]),
        (Some("kubelet"), Action::Pause, &[]),
        (None, Action::Pause, &[]),
    ] {
        let mut fake = Fake::new(request("GET", "/metrics", &credentials), None);
        if let Some(cluster) = cluster {
            fake.set("xds.cluster_name", cluster);
        }
        assert_eq!(send(&fake, open()), want, "{cluster:?}");
        assert_eq!(*fake.removed.borrow(), removed, "{cluster:?}");
        assert_eq!(send(&fake, shared(json!({}))), Action::Pause, "not configured");
    }
}

#[test]
fn nothing_goes_on_when_envoy_fails() {
    let token = [("authorization", "Bearer t")];
    for call in ["request_headers", "set_record", "remove_request_header", "property"] {
        let fake = Fake {
            failing: vec![call],
            ..Fake::new(request("GET", "/metrics", &token), Some(APISERVER))
        };
        assert_eq!(send(&fake, shared(json!({}))), Action::Pause, "{call}");
        assert_eq!(fake.replies.borrow().len(), 1, "{call}");
    }
    let fake = Fake { failing: vec!["reply"], ..Fake::new(request("GET", "/pods", &[]), None) };
    assert_eq!(send(&fake, shared(json!({}))), Action::Pause);
}

#[test]
fn a_metric_that_can_not_be_counted_stops_nobody() {
    let fake = Fake {
        failing: vec!["define_metric"],
        ..Fake::new(request("GET", LOGS, &[]), Some(APISERVER))
    };
    assert_eq!(send(&fake, shared(json!({}))), Action::Continue);
}

#[test]
fn an_evaluation_that_fails_is_a_denial_and_an_error() {
    // regorus' register VM allows this, and its interpreter doesn't.
    let rego = "package kubelet.authz\n\ndecision if f(input.nope)\n\nf(_) := true";
    let fake = Fake::new(request("GET", "/pods", &[]), Some(APISERVER));
    let policy = json!({"policy": {"modules": {"authz.rego": rego}}});
    assert_eq!(send(&fake, shared(policy)), Action::Pause);
    assert_eq!(fake.replies.borrow()[0].0, 403);
    assert_eq!(fake.metric("gatelet_errors"), Some(1));
    assert_eq!(fake.metric("gatelet_decisions.pods.undefined"), Some(1));
}

#[test]
fn without_a_policy_nothing_goes_on() {
    let fake = Fake::new(request("GET", "/metrics", &[]), Some(APISERVER));
    assert_eq!(send(&fake, None), Action::Pause);
    assert_eq!(fake.replies.borrow()[0].0, 500);
}

#[test]
fn a_dry_run_forwards_what_the_policy_denied_and_nothing_else() {
    let dry_run = json!({
        "mode": "dry_run",
        "dry_run_until": "2026-01-02T00:00:00Z",
        "peers": [pin()],
    });
    for (note, target, subject, want) in [
        ("denied", "/pods", Some(APISERVER), Action::Continue),
        ("allowed", LOGS, Some(APISERVER), Action::Continue),
        ("malformed", "//pods", Some(APISERVER), Action::Pause),
        ("unknown", "/exec", Some(APISERVER), Action::Pause),
        ("no certificate", "/pods", None, Action::Pause),
        ("another peer", "/pods", Some("CN=system:kube-scheduler"), Action::Pause),
        ("another peer, allowed", LOGS, Some("CN=system:kube-scheduler"), Action::Pause),
    ] {
        let fake = Fake::new(request("GET", target, &[]), subject);
        assert_eq!(send(&fake, shared(dry_run.clone())), want, "{note}");
    }
    let fake = Fake::new(request("GET", "/pods", &[]), Some(APISERVER));
    send(&fake, shared(dry_run.clone()));
    assert_eq!(fake.records.borrow()[0]["reason"], "would_deny");
    assert_eq!(fake.records.borrow()[0]["result"], false);
}

#[test]
fn a_dry_run_ends_by_itself_and_without_a_clock() {
    let over =
        json!({"mode": "dry_run", "dry_run_until": "2025-12-31T23:59:59Z", "peers": [pin()]});
    let fake = Fake::new(request("GET", "/pods", &[]), Some(APISERVER));
    assert_eq!(send(&fake, shared(over)), Action::Pause);

    let on = json!({"mode": "dry_run", "dry_run_until": "2026-12-31T23:59:59Z", "peers": [pin()]});
    let fake =
        Fake { failing: vec!["now"], ..Fake::new(request("GET", "/pods", &[]), Some(APISERVER)) };
    assert_eq!(send(&fake, shared(on)), Action::Pause);
}

#[test]
fn a_connection_s_peer_is_read_once() {
    let shared = shared(json!({}));
    let fake = Fake::new(request("GET", LOGS, &[]), Some(APISERVER));
    assert_eq!(send(&fake, shared.clone()), Action::Continue);
    let first = fake.property_reads.replace(0);
    assert_eq!(send(&fake, shared.clone()), Action::Continue);
    assert!(fake.property_reads.get() < first, "{} of {first}", fake.property_reads.get());
    assert_eq!(fake.property_reads.get(), 1, "the connection's id");

    let mut other = Fake::new(request("GET", LOGS, &[]), None);
    other.set("connection_id", 8_u64.to_le_bytes());
    assert_eq!(send(&other, shared), Action::Pause, "another connection is another peer");
}

#[test]
fn the_rule_is_shown_only_if_the_configuration_says_so() {
    let fake = Fake::new(request("GET", "/pods", &[]), Some(APISERVER));
    send(&fake, shared(json!({"denial": {"show_rule": true}})));
    assert_eq!(fake.replies.borrow()[0].1, "Denied by policy (rule=none)");
}

fn pin() -> serde_json::Value {
    json!({"common_name": "kube-apiserver-kubelet-client", "organization": "kubeadm:cluster-admins"})
}

#[path = "../../../core/tests/shipped/mod.rs"]
mod shipped;

#[test]
fn every_case_of_the_corpus_gets_its_answer() {
    for (name, corpus, gate) in shipped::corpora() {
        let shared = Rc::new(Shared::new(gate));
        for (number, case) in corpus.cases.iter().enumerate() {
            let mut fake = Fake::new(case.lines(), corpus.peers[&case.peer].as_deref());
            fake.set("connection_id", u64::try_from(number).unwrap().to_le_bytes());
            let action =
                Http::new(&fake, Some(Rc::clone(&shared))).on_http_request_headers(0, case.ends());
            let replies = fake.replies.borrow();
            let got = (action, replies.first().map(|(status, _)| *status));
            let want = match case.want.as_str() {
                "allowed" | "would_deny" => (Action::Continue, None),
                "malformed" => (Action::Pause, Some(400)),
                _ => (Action::Pause, Some(403)),
            };
            assert_eq!(got, want, "{name}: {}", case.note);
            assert_eq!(
                fake.records.borrow()[0]["reason"],
                case.want.as_str(),
                "{name}: {}",
                case.note
            );
        }
    }
}
