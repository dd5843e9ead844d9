//! What the controller asks, writes, and makes of bad answers.

use std::collections::VecDeque;

use chrono::TimeDelta;
use gatelet_core::csr::{Call, Count, Destination, Effect, Failure, Response};
use serde_json::{Value, json};

use crate::{
    api::{Api, status},
    corpus::Corpus,
    rego::{controller, readable, shipped},
};

fn one() -> Api {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    api.create("csr", &corpus.usual());
    api
}

#[test]
fn a_good_request_is_approved_recorded_and_told_of() {
    let mut api = one();
    api.run(&mut shipped(&json!({})), TimeDelta::seconds(1));
    let (r#type, message) = api.condition("csr").unwrap();
    assert_eq!(r#type, "Approved");
    assert!(message.contains("the Node object, which the control plane and the node"), "{message}");
    assert_eq!(api.objects["csr"]["metadata"]["unknown"], json!({"kept": true}));
    assert_eq!(api.record("csr")["result"], "approve");
    assert_eq!(api.events[0]["reason"], "PolicyApproved");
    assert_eq!(api.events[0]["involvedObject"]["name"], "csr");
    assert_eq!(api.count(Count::Approved), 1);
}

#[test]
fn a_dry_run_writes_nothing_but_its_log() {
    let mut api = one();
    let mut controller = readable(&json!({"mode": "dry_run"}));
    api.run(&mut controller, TimeDelta::seconds(60));
    assert_eq!(api.condition("csr"), None);
    assert_eq!(api.records.len(), 1);
    assert_eq!(
        (&api.record("csr")["result"], &api.record("csr")["dry_run"]),
        (&json!("approve"), &json!(true))
    );
    assert_eq!(api.count(Count::WouldApprove), 1);
    let is_read = |asked: &str| asked.starts_with("GET") || asked.starts_with("HEAD");
    let writes = |asked: &&String| !is_read(asked) && !asked.contains("review");
    let writes: Vec<_> = api.asked.iter().filter(writes).collect();
    assert!(writes.iter().all(|asked| *asked == "POST /decisions"), "{writes:?}");
}

#[test]
fn what_is_not_on_record_is_not_carried_out() {
    let mut api = one();
    for _ in 0..3 {
        api.fail("POST", "/decisions", status(503, &Value::Null));
    }
    let mut controller = readable(&json!({}));
    api.run(&mut controller, TimeDelta::seconds(2));
    assert_eq!(api.condition("csr"), None);
    api.run(&mut controller, TimeDelta::seconds(20));
    assert!(api.condition("csr").is_some());
}

#[test]
fn every_failure_is_tried_again() {
    let truncated =
        || Ok(Response { status: 200, body: b"{\"metadata\": {".to_vec(), ..Response::default() });
    let failures = [
        || Err(Failure::Unanswered),
        || Err(Failure::TooLarge),
        || status(500, &json!({"message": "etcd"})),
        || status(429, &Value::Null),
        truncated,
    ];
    for (method, part) in [
        ("GET", "limit="),
        ("GET", "certificatesigningrequests/csr"),
        ("GET", "/nodes/"),
        ("POST", "subjectaccessreviews"),
        ("PUT", "/approval"),
    ] {
        for (index, failure) in failures.iter().enumerate() {
            let is_write = method == "PUT";
            let answer = failure();
            // The body of a write's answer doesn't matter.
            if is_write && matches!(&answer, Ok(Response { status: 200, .. })) {
                continue;
            }
            // A list that may have been too large is asked for in smaller pages at once.
            let is_at_once = part == "limit=" && answer.is_err();
            let mut api = one();
            api.fail(method, part, answer);
            let mut controller = readable(&json!({}));
            api.run(&mut controller, TimeDelta::milliseconds(200));
            assert_eq!(api.condition("csr").is_some(), is_at_once, "{part} {index}");
            api.run(&mut controller, TimeDelta::seconds(5));
            assert!(api.condition("csr").is_some(), "{part} {index}: {:?}", api.warnings);
            assert_eq!(api.count(Count::Approved), 1, "{part} {index}");
        }
    }
}

#[test]
fn retry_after_is_honoured_by_all_calls() {
    let mut api = one();
    let rest = Response { status: 429, retry_after: Some(30), ..Response::default() };
    api.fail("GET", "limit=", Ok(rest));
    let mut controller = readable(&json!({}));
    api.run(&mut controller, TimeDelta::seconds(29));
    assert_eq!(api.asked.len(), 1);
    api.run(&mut controller, TimeDelta::seconds(5));
    assert!(api.condition("csr").is_some());
}

#[test]
fn another_writer_comes_first_and_the_approver_looks_again() {
    let mut api = one();
    api.fail("PUT", "/approval", status(409, &Value::Null));
    let mut controller = readable(&json!({}));
    api.run(&mut controller, TimeDelta::seconds(2));
    assert_eq!((api.count(Count::Conflict), api.count(Count::Approved)), (1, 1));
    assert_eq!(api.records.len(), 1, "the same decision is on record once");
}

#[test]
fn two_approvers_decide_once() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    for number in 0..40 {
        api.create(&format!("csr-{number}"), &corpus.usual());
    }
    let (mut one, mut other) = (readable(&json!({})), readable(&json!({})));
    // Each has read what the other is about to write.
    for _ in 0..50 {
        api.now += TimeDelta::milliseconds(200);
        let (first, second) = (one.tick(api.now), other.tick(api.now));
        api.serve(&mut one, first);
        api.serve(&mut other, second);
    }
    for object in api.objects.values() {
        assert_eq!(object["status"]["conditions"].as_array().unwrap().len(), 1);
    }
    assert_eq!(api.count(Count::Approved), 40);
    assert_eq!(api.events.len(), 40);
}

#[test]
fn an_absent_live_certificate_equals_nothing() {
    // The Node object doesn't have the addresses, and nobody serves them.
    let mut api = one();
    api.nodes.insert(
        "worker-1".to_owned(),
        json!({"metadata": {"name": "worker-1"}, "status": {"addresses": []}}),
    );
    api.run(&mut shipped(&json!({})), TimeDelta::seconds(2));
    assert_eq!(api.condition("csr"), None);
    assert_eq!(api.record("csr")["input"]["serving"], Value::Null);
    assert_eq!(api.record("csr")["rule"], "names");
}

#[test]
fn what_a_node_serves_is_read_or_absent() {
    let pem = include_str!("../../../../certs/tests/kubeadm/pki/ca.crt");
    let encode =
        |text: &str| -> String { text.bytes().map(|byte| format!("%{byte:02X}")).collect() };
    for (served, common_name) in [
        (encode(pem), json!("kubernetes")),
        (encode(&pem.replace("CERTIFICATE", "CERTIFICATE REQUEST")), Value::Null),
        (encode(pem.split_at(pem.len() / 2).0), Value::Null),
        ("%".to_owned(), Value::Null),
        (String::new(), Value::Null),
    ] {
        let mut api = one();
        api.certificates.insert("10.0.0.11:10250".to_owned(), served.clone());
        api.run(&mut readable(&json!({})), TimeDelta::seconds(1));
        let serving = &api.record("csr")["input"]["serving"];
        assert_eq!(serving["subject"]["common_name"], common_name, "{served}");
        assert_eq!(serving.is_null(), common_name.is_null(), "{served}");
    }
}

#[test]
fn nodes_on_the_approver_s_own_machine_are_not_dialed() {
    let corpus = Corpus::read();
    for address in ["127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "::ffff:127.0.0.1", "fe80::1"]
    {
        let mut api = corpus.api();
        let addresses = json!([{"type": "InternalIP", "address": address}]);
        let node = json!({"metadata": {"name": "worker-1"}, "status": {"addresses": addresses}});
        api.nodes.insert("worker-1".to_owned(), node);
        api.create("csr", &corpus.usual());
        api.run(&mut readable(&json!({})), TimeDelta::seconds(1));
        assert!(!api.asked.iter().any(|asked| asked.contains("healthz")), "{address}");
    }
    let mut api = one();
    api.run(&mut readable(&json!({})), TimeDelta::seconds(1));
    assert!(api.asked.iter().any(|asked| asked.contains("healthz")));
}

#[test]
fn a_request_of_another_signer_is_nobody_s() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    let mut spec = corpus.usual();
    spec["signerName"] = json!("kubernetes.io/kube-apiserver-client-kubelet");
    api.create("client", &spec);
    api.create("serving", &corpus.usual());
    api.run(&mut readable(&json!({})), TimeDelta::seconds(5));
    assert!(api.condition("serving").is_some());
    assert!(!api.asked.iter().any(|asked| asked.contains("/client")));
}

#[test]
fn a_kubelet_that_asks_for_rest_gets_none() {
    let mut api = one();
    let rest = Response { status: 503, retry_after: Some(300), ..Response::default() };
    api.fail("HEAD", "/healthz", Ok(rest));
    let mut controller = readable(&json!({}));
    api.run(&mut controller, TimeDelta::seconds(1));
    assert!(api.condition("csr").is_some());
    let mut other = Corpus::read().usual();
    other["username"] = json!("system:node:worker-2");
    api.create("other", &other);
    let seen = json!({"type": "ADDED", "object": api.objects["other"]});
    api.fail("GET", "watch=1", status(200, &seen));
    api.run(&mut controller, TimeDelta::seconds(2));
    assert!(api.condition("other").is_some());
}

#[test]
fn what_another_request_of_the_name_is_decided_is_on_record_too() {
    let mut api = one();
    api.fail("PUT", "/approval", status(409, &Value::Null));
    let mut controller = readable(&json!({}));
    api.run(&mut controller, TimeDelta::milliseconds(200));
    api.create("csr", &Corpus::read().usual());
    api.objects.get_mut("csr").unwrap()["metadata"]["uid"] = json!("another");
    api.run(&mut controller, TimeDelta::seconds(2));
    assert!(api.condition("csr").is_some());
    let id = api.record("csr")["decision_id"].as_str().unwrap();
    assert!(id.starts_with("another/"), "{id}");
    assert_eq!(api.records.len(), 2);
}

#[test]
fn what_goes_wrong_is_tried_again_after_pauses_that_double_up_to_five_minutes() {
    let mut api = one();
    for _ in 0..12 {
        api.fail("GET", "/nodes/", status(500, &Value::Null));
    }
    let mut controller = readable(&json!({}));
    let mut times = Vec::new();
    while api.condition("csr").is_none() {
        let before = api.asked.len();
        api.run(&mut controller, TimeDelta::milliseconds(200));
        if api.asked.iter().skip(before).any(|asked| asked.contains("/nodes/")) {
            times.push(api.now);
        }
    }
    let pauses: Vec<_> = times.windows(2).map(|two| (two[1] - two[0]).num_seconds()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[test]
fn who_asks_is_reviewed_with_their_uid_and_what_else_is_known_of_them() {
    let mut spec = Corpus::read().usual();
    spec["uid"] = json!("u-1");
    spec["extra"] = json!({"authentication.kubernetes.io/credential-id": ["X509SHA256=00"]});
    let mut api = Corpus::read().api();
    api.create("csr", &spec);
    api.run(&mut readable(&json!({})), TimeDelta::seconds(1));
    let review = &api.reviews[0]["spec"];
    for field in ["uid", "groups", "extra"] {
        assert_eq!(review[field], spec[field], "{field}");
    }
    assert_eq!(review["user"], spec["username"]);
}

#[test]
fn a_kubelet_that_is_silent_holds_up_its_own_request_alone() {
    let corpus = Corpus::read();
    let mut api = corpus.api();
    for number in 0..100 {
        let mut spec = corpus.usual();
        spec["username"] = json!(format!("system:node:n{number}"));
        api.create(&format!("csr-{number}"), &spec);
    }
    // Lists, reads, and asks for facts; no kubelet answers.
    let mut controller = readable(&json!({"queue": {"concurrency": 4}}));
    let mut effects: VecDeque<_> = controller.tick(api.now).into();
    let mut silent = 0;
    while let Some(effect) = effects.pop_front() {
        match effect {
            Effect::Call(Call { to: Destination::Kubelet(_), .. }) => silent += 1,
            Effect::Call(call) => {
                let answer = api.answer(&call);
                effects.extend(controller.answer(call.id, answer, api.now));
            }
            _ => {}
        }
    }
    assert_eq!(silent, 100);
}

#[test]
fn a_decision_whose_answer_was_lost_is_counted_and_told_of_once() {
    for fault in [Err(Failure::Unanswered), status(504, &Value::Null)] {
        let mut api = one();
        api.lost = Some(fault);
        let mut controller = readable(&json!({}));
        api.run(&mut controller, TimeDelta::seconds(5));
        assert_eq!((api.count(Count::Approved), api.events.len(), api.records.len()), (1, 1, 1));
        // A watch shows it once more.
        let seen = json!({"type": "MODIFIED", "object": api.objects["csr"]});
        api.fail("GET", "watch=1", status(200, &seen));
        api.run(&mut controller, TimeDelta::seconds(5));
        assert_eq!((api.count(Count::Approved), api.events.len()), (1, 1));
    }
}

#[test]
fn what_a_policy_says_is_written_in_printable_ascii() {
    let policy = r#"package csr.approval

decision := {"decision": "deny", "reason": "no\u001b[31m\nnode ok é \u202e"}"#;
    let mut api = one();
    let policy = json!({"modules": {"approval.rego": policy}});
    api.run(&mut controller(&policy, &json!({})), TimeDelta::seconds(1));
    let written = r"no\u{1b}[31m\nnode ok \u{e9} \u{202e}";
    assert_eq!(api.condition("csr"), Some(("Denied", written)));
    assert_eq!(api.events[0]["message"], written);
}

#[test]
fn a_line_that_would_be_too_long_names_the_request_all_the_same() {
    let mut api = one();
    let usages: Vec<_> = (0..60).map(|_| "x".repeat(1_000)).collect();
    api.objects.get_mut("csr").unwrap()["spec"]["usages"] = json!(usages);
    api.run(&mut readable(&json!({})), TimeDelta::seconds(1));
    let spec = &api.objects["csr"]["spec"];
    let short = json!({
        "name": "csr", "signer": spec["signerName"], "username": spec["username"],
    });
    assert_eq!(api.records[0]["input"], short);
}
