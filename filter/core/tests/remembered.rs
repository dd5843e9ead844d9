//! Decisions that are remembered: never for another question, and never when time would tell.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod shipped;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use gatelet_core::{
    Call, Config, Gate, Headers, Peer, Reason,
    peer::{InvalidPeer, PeerProperties},
    policy::Builtins,
};
use gatelet_portable::test;
use serde_json::{Value, json};

type Line = (String, Vec<u8>);

/// A request, and who sent it.
struct Asked {
    note: String,
    lines: Vec<Line>,
    end_of_stream: bool,
    peer: Result<Peer, InvalidPeer>,
}

fn ask(gate: &Gate, asked: &Asked) -> (Reason, Value) {
    let call = Call {
        headers: Headers::new(&asked.lines),
        end_of_stream: asked.end_of_stream,
        peer: &asked.peer,
        cluster: Some(b"tokens"),
        decision_id: "1",
    };
    let answer = gate.decide(&call, || DateTime::UNIX_EPOCH);
    (answer.reason, serde_json::from_str(&answer.record).unwrap())
}

fn is_remembered(record: &Value) -> bool {
    record.pointer("/metrics/counter_server_query_cache_hit") == Some(&json!(1))
}

fn gate(config: Value) -> Gate {
    let config = Config::from_json(config.to_string().as_bytes()).unwrap();
    Gate::new(config, Builtins::Standard).unwrap()
}

fn with_policy(rego: &str) -> Value {
    json!({"policy": {"modules": {"a.rego": format!("package kubelet.authz\n\n{rego}")}}})
}

fn lines(method: &str, target: &str, further: &[(&str, &str)]) -> Vec<Line> {
    [(":method", method), (":path", target), (":authority", "worker-1")]
        .iter()
        .chain(further)
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

const SUBJECT: &str = "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins";

fn properties() -> PeerProperties<'static> {
    PeerProperties {
        mtls: Some(&[1]),
        subject: Some(SUBJECT.as_bytes()),
        sha256: Some(&[b'0'; 64]),
        address: Some(b"10.0.0.10:4711"),
        ..PeerProperties::default()
    }
}

/// Callers that differ in one fact each.
fn callers() -> Vec<(&'static str, PeerProperties<'static>)> {
    vec![
        ("the API server", properties()),
        (
            "another name",
            PeerProperties { subject: Some(b"CN=other,O=kubeadm:cluster-admins"), ..properties() },
        ),
        (
            "another organization",
            PeerProperties {
                subject: Some(b"CN=kube-apiserver-kubelet-client,O=other"),
                ..properties()
            },
        ),
        (
            "one more attribute",
            PeerProperties {
                subject: Some(b"C=DE,CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins"),
                ..properties()
            },
        ),
        ("a URI", PeerProperties { uri_san: Some(b"spiffe://a/b"), ..properties() }),
        ("a DNS name", PeerProperties { dns_san: Some(b"a.example"), ..properties() }),
        ("another certificate", PeerProperties { sha256: Some(&[b'1'; 64]), ..properties() }),
        ("another address", PeerProperties { address: Some(b"10.0.0.11:4711"), ..properties() }),
    ]
}

/// Requests that differ in one thing each, beyond those of the corpus.
fn variations() -> Vec<Asked> {
    let spdy = [
        ("connection", "Upgrade"),
        ("upgrade", "SPDY/3.1"),
        ("x-stream-protocol-version", "v4.channel.k8s.io"),
    ];
    let older = [spdy[0], spdy[1], ("x-stream-protocol-version", "v3.channel.k8s.io")];
    let websocket = [
        spdy[0],
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "v4.channel.k8s.io"),
    ];
    let exec = "/exec/default/web-0/app?output=1";
    let logs = "/containerLogs/default/web-0/app";
    let mut requests = Vec::new();
    let mut add = |target: &str, method, lines: &[(&'static str, &'static str)]| {
        requests.push((target.to_owned(), method, lines.to_vec()));
    };
    for target in [
        "/containerLogs/other/web-0/app",
        "/containerLogs/default/web-1/app",
        "/containerLogs/default/web-0/other",
        "/runningpods/",
        "/configz",
        "/flagz",
        "/statusz",
        "/healthz",
        "/healthz/ping",
        "/healthz/log",
        "/healthz?verbose",
        "/healthz?exclude=a",
        "/healthz?exclude=a&exclude=b",
        "/healthz?exclude=b&exclude=a",
        "/debug/pprof/heap",
        "/debug/pprof/profile",
        "/debug/pprof/heap?seconds=1",
        "/metrics",
        "/metrics/cadvisor",
        "/stats/summary",
        "/stats/summary?only_cpu_and_memory=true",
        "/logs/",
        "/logs/syslog",
        "/logs/?query=kubelet",
        "/logs/?query=a&query=b",
        "/logs/?query=b&query=a",
        "/logs/?query=a&sinceTime=2026-01-01T00%3A00%3A00Z",
        "/logs/?query=a&untilTime=2026-01-01T00%3A00%3A00Z",
        "/logs/?query=a&tailLines=1",
        "/logs/?query=a&boot=0",
        "/logs/?query=a&pattern=x",
    ] {
        add(target, "GET", &[]);
    }
    for query in [
        "",
        "?follow=true",
        "?previous=true",
        "?timestamps=true",
        "?sinceSeconds=1",
        "?sinceSeconds=2",
        "?sinceTime=2026-01-01T00%3A00%3A00Z",
        "?tailLines=1",
        "?limitBytes=1",
        "?stream=All",
        "?follow=true&timestamps=true",
        "?timestamps=true&follow=true",
    ] {
        add(&format!("{logs}{query}"), "GET", &[]);
    }
    add(logs, "GET", &[("user-agent", "kubectl")]);
    add(logs, "GET", &[("user-agent", "curl")]);
    add(logs, "GET", &[("authorization", "Bearer a")]);
    add("/checkpoint/default/web-0/app", "POST", &[]);
    add("/checkpoint/default/web-0/app?timeout=5", "POST", &[]);
    add("/run/default/web-0/app?cmd=id", "POST", &[]);
    add("/run/default/web-0/app?cmd=ls", "POST", &[]);
    add("/metrics/slis", "GET", &[]);
    add("/metrics/slis", "DELETE", &[]);
    add("/debug/flags/v", "PUT", &[]);
    for query in [
        "",
        "&command=a&command=b",
        "&command=b&command=a",
        "&command=a+b",
        "&input=1",
        "&error=1",
        "&error=1&tty=1",
        "&tty=1",
        "&env=A%3Dsecret",
        "&env=A%3Dother",
        "&env=B%3Dsecret",
        "&command=a&env=A%3Dsecret",
    ] {
        add(&format!("{exec}{query}"), "POST", &spdy);
    }
    add(exec, "POST", &older);
    add(exec, "GET", &spdy);
    add(exec, "GET", &websocket);
    for query in ["output=1", "output=1&input=1", "output=1&error=1", "output=1&tty=1", "input=1"] {
        add(&format!("/attach/default/web-0/app?{query}"), "POST", &spdy);
    }
    add("/exec/default/web-0/app?input=1", "POST", &spdy);
    add(
        "/portForward/default/web-0",
        "POST",
        &[spdy[0], spdy[1], ("x-stream-protocol-version", "portforward.k8s.io")],
    );
    for ports in ["port=80", "port=81", "port=80&port=81", "port=81&port=80"] {
        add(&format!("/portForward/default/web-0?{ports}"), "GET", &websocket);
    }
    let mut all = Vec::new();
    for (target, method, further) in &requests {
        all.push(Asked {
            note: format!("{method} {target} {further:?}"),
            lines: lines(method, target, further),
            end_of_stream: further.is_empty() || !further.contains(&spdy[0]),
            peer: Peer::from_properties(&properties(), true),
        });
    }
    for (note, caller) in callers() {
        all.push(Asked {
            note: note.to_owned(),
            lines: lines("GET", logs, &[]),
            end_of_stream: true,
            peer: Peer::from_properties(&caller, true),
        });
    }
    all.push(Asked {
        note: "a token".to_owned(),
        lines: lines("GET", "/metrics", &[("authorization", "Bearer a")]),
        end_of_stream: true,
        peer: Ok(Peer::default()),
    });
    all
}

/// Every value of a document that is no object, by its pointer; arrays count as a whole.
fn leaves(value: &Value, at: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                leaves(value, &format!("{at}/{key}"), found);
            }
        }
        leaf => {
            found.insert(at.to_owned(), leaf.clone());
        }
    }
}

#[test]
fn a_question_that_differs_in_any_field_is_never_answered_from_memory() {
    // Nothing is masked, so that the record has the document as the policy saw it.
    let open = gate(json!({
        "policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision := true"}},
        "node": {"name": "worker-1"},
        "token_cluster": "tokens",
        "log": {"mask": []},
    }));
    let mut documents = BTreeSet::new();
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for asked in variations() {
        let (reason, record) = ask(&open, &asked);
        assert_eq!(reason, Reason::Allowed, "{}: {}", asked.note, record["message"]);
        let is_new = documents.insert(record["input"].to_string());
        assert!(!is_new || !is_remembered(&record), "{}: {record}", asked.note);
        let mut found = BTreeMap::new();
        leaves(&record["input"], "", &mut found);
        for (pointer, value) in found {
            values.entry(pointer).or_default().insert(value.to_string());
        }
        // By its question, then by its lines.
        for _ in 0..2 {
            let again = ask(&open, &asked).1;
            assert!(is_remembered(&again), "{}", asked.note);
            assert_eq!(again["input"], record["input"], "{}", asked.note);
        }
    }
    // What can't differ: constants of the schema and of the configuration.
    let constant = ["/schema", "/node/name", "/authorization/resource", "/query"];
    for (pointer, values) in &values {
        let differs =
            values.len() > 1 || pointer.starts_with("/exec/env") || pointer.starts_with("/query/");
        assert!(differs || constant.contains(&pointer.as_str()), "{pointer} is never another one");
    }
    assert!(values.len() > 50, "{}", values.len());
}

#[test]
fn a_remembered_decision_is_the_decision_and_has_the_same_record() {
    for (name, corpus, gate) in shipped::corpora() {
        for case in &corpus.cases {
            let asked = Asked {
                note: format!("{name}: {}", case.note),
                lines: case.lines(),
                end_of_stream: case.ends(),
                peer: corpus.peer(case),
            };
            // Decided, then remembered by the question, then by the lines.
            let [(first, mut once), (second, mut again), (third, mut at_last)] =
                [(); 3].map(|()| ask(&gate, &asked));
            assert_eq!([first, second, third], [case.want; 3], "{}", asked.note);
            let has_reading =
                !matches!(case.want, Reason::Malformed | Reason::UnknownEndpoint | Reason::Method);
            let message = once["message"].as_str().unwrap_or_default();
            let is_turned_away = message.starts_with("the caller");
            let want = has_reading && !is_turned_away && case.want != Reason::Budget;
            assert_eq!(is_remembered(&again), want, "{}", asked.note);
            assert_eq!(is_remembered(&at_last), want, "{}", asked.note);
            for record in [&mut once, &mut again, &mut at_last] {
                record["metrics"] = Value::Null;
            }
            assert_eq!(once, again, "{}", asked.note);
            assert_eq!(once, at_last, "{}", asked.note);
        }
    }
}

#[test]
fn hidden_values_are_compared_and_never_shown() {
    let rego = "decision := {\"allow\": input.exec.env.TOKEN == \"right\"}";
    let gate = gate(with_policy(rego));
    let exec = |token: &str| {
        let target = format!("/exec/default/web-0/app?output=1&env=TOKEN%3D{token}");
        let further = [
            ("connection", "Upgrade"),
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
        ];
        let peer = Peer::from_properties(&properties(), false);
        ask(
            &gate,
            &Asked {
                note: String::new(),
                lines: lines("POST", &target, &further),
                end_of_stream: false,
                peer,
            },
        )
    };
    for (token, want, remembered) in [
        ("right", Reason::Allowed, false),
        ("wrong", Reason::Denied, false),
        ("right", Reason::Allowed, true),
        ("wrong", Reason::Denied, true),
    ] {
        let (reason, record) = exec(token);
        assert_eq!((reason, is_remembered(&record)), (want, remembered), "{token}");
        assert_eq!(record["input"]["exec"]["env"]["TOKEN"], "**");
        assert_eq!(record["masked"], json!(["/input/exec/env", "/input/query/env"]));
        assert!(!record.to_string().contains(token), "{record}");
    }
}

#[test]
fn what_depends_on_more_than_the_request_is_asked_every_time() {
    let pods = Asked {
        note: String::new(),
        lines: lines("GET", "/pods", &[]),
        end_of_stream: true,
        peer: Peer::from_properties(&properties(), false),
    };
    for (rego, want) in [
        ("decision := true", true),
        ("decision if time.parse_rfc3339_ns(\"2026-01-01T00:00:00Z\") > 0", true),
        ("decision if time.now_ns() > 0", false),
        ("decision if _late\n\n_late if _now(1) > 0\n\n_now(x) := time.now_ns() * x", false),
        ("decision if not rand.intn(\"a\", 5) < 0", false),
        ("decision if not opa.runtime().a", false),
    ] {
        let Ok(gate) = Config::from_json(with_policy(rego).to_string().as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|config| Gate::new(config, Builtins::Standard).map_err(|e| e.to_string()))
        else {
            // The module has no such builtin.
            assert!(!want, "{rego}");
            continue;
        };
        let first = ask(&gate, &pods).0;
        let (second, record) = ask(&gate, &pods);
        assert_eq!(first, second, "{rego}");
        assert_eq!(is_remembered(&record), want, "{rego}");
    }
}

#[test]
fn the_end_of_a_dry_run_and_the_pins_hold_for_what_is_remembered() {
    let until = DateTime::UNIX_EPOCH + TimeDelta::seconds(10);
    let gate = gate(json!({
        "policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision := false"}},
        "mode": "dry_run",
        "dry_run_until": until.to_rfc3339(),
        "peers": [{"common_name": "kube-apiserver-kubelet-client", "organization": "kubeadm:cluster-admins"}],
        "denied_certificates": ["1".repeat(64)],
    }));
    let at = |seconds, properties: PeerProperties<'_>| {
        let lines = lines("GET", "/pods", &[]);
        let peer = Peer::from_properties(&properties, false);
        let call = Call {
            headers: Headers::new(&lines),
            end_of_stream: true,
            peer: &peer,
            cluster: None,
            decision_id: "1",
        };
        let answer = gate.decide(&call, || DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds));
        let record: Value = serde_json::from_str(&answer.record).unwrap();
        (answer.reason, is_remembered(&record))
    };
    let stranger = PeerProperties { subject: Some(b"CN=a"), ..properties() };
    let denied = PeerProperties { sha256: Some(&[b'1'; 64]), ..properties() };
    for (seconds, caller, want) in [
        (0, properties(), (Reason::WouldDeny, false)),
        (1, properties(), (Reason::WouldDeny, true)),
        (1, stranger, (Reason::Denied, false)),
        (1, stranger, (Reason::Denied, false)),
        (1, denied, (Reason::Denied, false)),
        (9, properties(), (Reason::WouldDeny, true)),
        (10, properties(), (Reason::Denied, true)),
        (11, properties(), (Reason::Denied, true)),
    ] {
        assert_eq!(at(seconds, caller), want, "at {seconds} s, {caller:?}");
    }
}

#[test]
fn envoys_route_is_looked_at_every_time() {
    let gate = gate(json!({
        "policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision := true"}},
        "token_cluster": "tokens",
    }));
    let lines = lines("GET", "/metrics", &[("authorization", "Bearer t")]);
    let peer = Ok(Peer::default());
    let to = |cluster: &str| {
        let call = Call {
            headers: Headers::new(&lines),
            end_of_stream: true,
            peer: &peer,
            cluster: Some(cluster.as_bytes()),
            decision_id: "1",
        };
        let answer = gate.decide(&call, || DateTime::UNIX_EPOCH);
        let record: Value = serde_json::from_str(&answer.record).unwrap();
        (answer.reason, is_remembered(&record))
    };
    assert_eq!(to("tokens"), (Reason::Allowed, false));
    assert_eq!(to("kubelet"), (Reason::Denied, false));
    assert_eq!(to("tokens"), (Reason::Allowed, true));
}
