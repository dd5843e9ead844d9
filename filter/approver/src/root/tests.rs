//! The shell: what it asks Envoy for, and what it makes of the answers.

use gatelet_core::csr::{Written, route_config};
use serde_json::{Value, json};

use super::*;
use crate::fake::Fake;

const POLICY: &str = r#"package csr.approval

decision := {"decision": "leave", "reason": "Nothing is decided."}"#;

fn configuration(policy: &str) -> (String, Vec<u8>) {
    let written: Written =
        serde_json::from_value(json!({"policy": {"modules": {"a.rego": policy}}})).unwrap();
    let file = route_config::route_config(&written).unwrap();
    let text = route_config::configuration(&file).unwrap().as_bytes().to_vec();
    (file["version_info"].as_str().unwrap().to_owned(), text)
}

fn deliver(root: &mut Root<&Fake>, token: u32, headers: &[(&str, &str)], body: &[u8]) {
    let lines = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
    *root.host.headers.borrow_mut() = lines.collect();
    *root.host.body.borrow_mut() = body.to_vec();
    root.on_http_call_response(token, headers.len(), body.len(), 0);
}

/// A root that was asked to run this policy.
fn started<'a>(fake: &'a Fake, policy: &str) -> Root<&'a Fake> {
    let mut root = Root::new(fake);
    assert!(root.on_configure(0));
    root.on_tick();
    let (version, text) = configuration(policy);
    let token = fake.tokens("configuration")[0];
    deliver(&mut root, token, &[(":status", "200"), ("etag", &version)], &text);
    root
}

#[test]
fn a_configuration_is_in_force_from_the_next_tick() {
    let fake = Fake::default();
    let mut root = started(&fake, POLICY);
    assert_eq!(fake.metric("gatelet_approver_policy_loaded"), Some(1));
    assert_eq!(fake.metric("gatelet_approver_policy_updates.accepted"), Some(1));
    assert!(fake.tokens("api_server").is_empty());
    root.on_tick();
    let call = fake.calls.borrow()[fake.tokens("api_server")[0] as usize].clone();
    assert!(call.headers[":path"].contains("fieldSelector=spec.signerName"), "{call:?}");
}

#[test]
fn a_bad_configuration_leaves_the_old_one_and_is_looked_at_once() {
    let fake = Fake::default();
    let mut root = started(&fake, POLICY);
    for _ in 0..3 {
        fake.pass(Duration::from_secs(3));
        root.on_tick();
        let (version, text) = configuration("package csr.approval");
        let token = *fake.tokens("configuration").last().unwrap();
        deliver(&mut root, token, &[(":status", "200"), ("etag", &version)], &text);
    }
    assert_eq!(fake.metric("gatelet_approver_policy_loaded"), Some(1));
    assert_eq!(fake.metric("gatelet_approver_policy_updates.rejected"), Some(1));
    assert!(root.controller.is_some());
}

#[test]
fn the_version_that_is_there_is_asked_about() {
    let fake = Fake::default();
    let mut root = started(&fake, POLICY);
    fake.pass(Duration::from_secs(3));
    root.on_tick();
    let tokens = fake.tokens("configuration");
    let asked = |token: u32| fake.calls.borrow()[token as usize].headers["if-none-match"].clone();
    assert_eq!((asked(tokens[0]), asked(tokens[1])), ("none".to_owned(), configuration(POLICY).0));
    deliver(&mut root, tokens[1], &[(":status", "304")], b"");
    assert_eq!(fake.metric("gatelet_approver_policy_updates.accepted"), Some(1));
}

#[test]
fn without_a_configuration_nothing_is_asked_of_the_api_server() {
    let fake = Fake::default();
    let mut root = Root::new(&fake);
    assert!(root.on_configure(0));
    for _ in 0..10 {
        root.on_tick();
        fake.pass(Duration::from_secs(3));
        let token = *fake.tokens("configuration").last().unwrap();
        deliver(&mut root, token, &[(":status", "404")], b"");
    }
    assert!(fake.tokens("api_server").is_empty());
    assert_eq!(fake.metric("gatelet_approver_policy_loaded"), Some(0));
}

#[test]
fn an_answer_that_is_too_large_is_not_read() {
    let fake = Fake::default();
    let mut root = started(&fake, POLICY);
    root.on_tick();
    let read = fake.bodies_read.get();
    *fake.headers.borrow_mut() = vec![(":status".to_owned(), b"200".to_vec())];
    root.on_http_call_response(fake.tokens("api_server")[0], 1, LARGEST_BODY + 1, 0);
    assert_eq!(fake.bodies_read.get(), read);
    assert_eq!(fake.metric("gatelet_approver_errors"), Some(1));
}

#[test]
fn answers_that_are_none_are_failures_and_no_traps() {
    for headers in [vec![], vec![(":status", "ok")], vec![(":status", "99999")], vec![("x", "y")]] {
        let fake = Fake::default();
        let mut root = started(&fake, POLICY);
        root.on_tick();
        deliver(&mut root, fake.tokens("api_server")[0], &headers, b"{}");
        assert_eq!(fake.metric("gatelet_approver_errors"), Some(1), "{headers:?}");
    }
}

#[test]
fn an_answer_to_nobody_is_nothing() {
    let fake = Fake::default();
    let mut root = started(&fake, POLICY);
    let before = fake.calls.borrow().len();
    deliver(&mut root, 4711, &[(":status", "200")], b"{}");
    assert_eq!(fake.calls.borrow().len(), before);
}

#[test]
fn whatever_fails_of_envoy_is_survived() {
    for call in
        ["now", "call", "answer_headers", "answer_body", "increment_metric", "record_metric"]
    {
        let fake = Fake::default();
        let mut root = started(&fake, POLICY);
        root.on_tick();
        fake.failing.borrow_mut().push(call);
        for _ in 0..5 {
            fake.pass(Duration::from_secs(3));
            root.on_tick();
            for token in fake.tokens("api_server") {
                deliver(&mut root, token, &[(":status", "200")], b"{}");
            }
        }
        fake.failing.borrow_mut().clear();
        for token in fake.tokens("api_server") {
            deliver(&mut root, token, &[(":status", "200")], b"{}");
        }
        let before = fake.tokens("api_server").len();
        fake.pass(Duration::from_secs(60));
        root.on_tick();
        assert!(fake.tokens("api_server").len() > before, "{call}");
    }
}

#[test]
fn a_module_without_metrics_or_ticks_does_not_start() {
    for call in ["define_metric", "tick_every"] {
        let fake = Fake::default();
        fake.failing.borrow_mut().push(call);
        assert!(!Root::new(&fake).on_configure(0), "{call}");
    }
    assert!(Root::new(&Fake::default()).on_configure(0));
}

#[test]
fn a_decision_goes_to_the_log_in_a_header() {
    let fake = Fake::default();
    let mut root = started(&fake, POLICY);
    root.on_tick();
    let object = json!({
        "metadata": {"name": "csr", "uid": "1", "resourceVersion": "1"},
        "spec": {"signerName": "kubernetes.io/kubelet-serving", "request": "", "username": "é"},
    });
    let list = json!({"metadata": {"resourceVersion": "1"}, "items": [object]});
    let status = [(":status", "200")];
    deliver(&mut root, fake.tokens("api_server")[0], &status, list.to_string().as_bytes());
    // The watch, and the request.
    let token = *fake.tokens("api_server").last().unwrap();
    deliver(&mut root, token, &status, object.to_string().as_bytes());
    let call = fake.calls.borrow()[fake.tokens("loopback")[0] as usize].clone();
    let line: Value = serde_json::from_str(&call.headers["x-gatelet-decision"]).unwrap();
    assert_eq!((&line["result"], &line["input"]["username"]), (&json!("leave"), &json!("é")));
    assert!(call.headers["x-gatelet-decision"].is_ascii());
}

/// The token of the first call to the API server or the loopback whose path has this part.
fn asked(fake: &Fake, part: &str) -> Option<u32> {
    let calls = fake.calls.borrow();
    let place = calls.iter().position(|call| call.headers[":path"].contains(part))?;
    u32::try_from(place).ok()
}

#[test]
fn an_api_server_that_asks_for_rest_gets_it() {
    for (retry_after, calls) in [("30", 1), ("0", 2), ("soon", 2)] {
        let fake = Fake::default();
        let mut root = started(&fake, POLICY);
        root.on_tick();
        let headers = [(":status", "429"), ("retry-after", retry_after)];
        deliver(&mut root, fake.tokens("api_server")[0], &headers, b"");
        fake.pass(Duration::from_secs(29));
        root.on_tick();
        assert_eq!(fake.tokens("api_server").len(), calls, "{retry_after}");
    }
}

#[test]
fn of_a_kubelets_answer_only_its_certificate_is_read() {
    let cases: Value = serde_json::from_str(include_str!("../../../../tests/csrs.json")).unwrap();
    let spec = &cases["cases"][0]["spec"];
    let object =
        json!({"metadata": {"name": "csr", "uid": "1", "resourceVersion": "1"}, "spec": spec});
    let list = json!({"metadata": {"resourceVersion": "1"}, "items": [object]});
    let addresses = json!([{"type": "InternalIP", "address": "10.0.0.11"}]);
    let node = json!({"metadata": {"name": "worker-1"}, "status": {"addresses": addresses}});
    let review = json!({"status": {"allowed": true}});

    let fake = Fake::default();
    let mut root = started(&fake, POLICY);
    root.on_tick();
    let ok = [(":status", "200")];
    for (part, answer) in
        [("limit=", list), ("requests/csr", object), ("reviews", review), ("nodes", node)]
    {
        let token = asked(&fake, part).unwrap();
        deliver(&mut root, token, &ok, answer.to_string().as_bytes());
    }
    let token = asked(&fake, "/healthz").unwrap();
    let read = fake.bodies_read.get();
    let headers = [(":status", "503"), ("retry-after", "300"), ("x-gatelet-peer-certificate", "-")];
    deliver(&mut root, token, &headers, b"large");
    assert_eq!(fake.bodies_read.get(), read);
    // It is decided, and the calls go on.
    assert!(asked(&fake, "/decisions").is_some());
    let watch = asked(&fake, "watch=1").unwrap();
    deliver(&mut root, watch, &ok, b"");
    let before = fake.calls.borrow().len();
    fake.pass(Duration::from_secs(1));
    root.on_tick();
    assert!(fake.calls.borrow().len() > before);
}
