//! The gate as a whole: what it says of a request, and what it writes down.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use chrono::DateTime;
use gatelet_core::{
    Call, Config, Decision, Gate, Headers, Peer, Reason,
    peer::{InvalidPeer, PeerProperties},
    policy::Builtins,
};
use gatelet_portable::{fs, test};
use serde_json::{Value, json};

const APISERVER: &str = "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins";
const SPDY: &[(&str, &str)] = &[
    ("upgrade", "SPDY/3.1"),
    ("connection", "Upgrade"),
    ("x-stream-protocol-version", "v4.channel.k8s.io"),
];
const WEBSOCKET: &[(&str, &str)] = &[
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", "v4.channel.k8s.io"),
];

fn gate(config: Value) -> Gate {
    let config = Config::from_json(config.to_string().as_bytes()).unwrap();
    Gate::new(config, Builtins::Standard).unwrap()
}

fn peer(subject: &str, uri_san: &str) -> Result<Peer, InvalidPeer> {
    let properties = PeerProperties {
        mtls: Some(&[1]),
        subject: Some(subject.as_bytes()),
        uri_san: Some(uri_san.as_bytes()),
        sha256: Some(&[b'0'; 64]),
        ..PeerProperties::default()
    };
    Peer::from_properties(&properties, false)
}

/// The reason, and the line of the log.
fn ask(
    gate: &Gate,
    peer: &Result<Peer, InvalidPeer>,
    method: &str,
    target: &str,
    lines: &[(&str, &str)],
) -> (Reason, Value) {
    let lines: Vec<_> = [(":method", method), (":path", target), (":authority", "worker-1")]
        .iter()
        .chain(lines)
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    let headers = Headers::new(&lines);
    let end_of_stream = !headers.has("upgrade");
    let call = Call { headers, end_of_stream, peer, cluster: None, decision_id: "a-b-c" };
    let answer = gate.decide(&call, || DateTime::UNIX_EPOCH);
    let forwards = matches!(answer.decision, Decision::Allow(_));
    assert_eq!(forwards, matches!(answer.reason, Reason::Allowed | Reason::WouldDeny));
    (answer.reason, serde_json::from_str(&answer.record).unwrap())
}

/// What its README has, in words of our own.
const KUBELET_TLS_PROXY: &str = r#"
package kubelet.policy

import rego.v1

deny if {
	input.method == "POST"
	startswith(input.path, "/exec")
}

deny if {
	input.method == "POST"
	startswith(input.path, "/portForward")
}

deny if {
	input.method == "POST"
	startswith(input.path, "/attach")
}
"#;

#[test]
fn an_unchanged_policy_of_kubelet_tls_proxy_denies_what_it_means() {
    let gate = gate(json!({
        "policy": {"modules": {"policy.rego": KUBELET_TLS_PROXY}, "adapter": "kubelet-tls-proxy"},
        "peers": [{"common_name": "kube-apiserver-kubelet-client", "organization": "kubeadm:cluster-admins"}],
    }));
    let apiserver = peer(APISERVER, "");
    for (method, target, lines, want) in [
        ("GET", "/containerLogs/default/web-0/app", &[][..], Reason::Allowed),
        ("GET", "/pods", &[], Reason::Allowed),
        ("GET", "/metrics/cadvisor", &[], Reason::Allowed),
        ("GET", "/stats/summary", &[], Reason::Allowed),
        ("GET", "/healthz", &[], Reason::Allowed),
        ("POST", "/exec/default/web-0/app?command=id", SPDY, Reason::Denied),
        // It has never heard of WebSockets, nor of what its own HTTP client follows.
        ("GET", "/exec/default/web-0/app?command=id", WEBSOCKET, Reason::Denied),
        ("GET", "/attach/default/web-0/app?output=1", WEBSOCKET, Reason::Denied),
        ("GET", "/portForward/default/web-0?port=80", WEBSOCKET, Reason::Denied),
        ("POST", "//exec/default/web-0/app?command=id", SPDY, Reason::Malformed),
        ("POST", "/run/default/web-0/app?cmd=id", &[], Reason::Denied),
        ("POST", "/checkpoint/default/web-0/app", &[], Reason::Denied),
        ("GET", "/runningpods/", &[], Reason::Denied),
        ("GET", "/logs/", &[], Reason::Denied),
        ("GET", "/configz", &[], Reason::Denied),
        ("GET", "/flagz", &[], Reason::Denied),
        ("GET", "/statusz", &[], Reason::Denied),
        ("GET", "/debug/pprof/heap", &[], Reason::Denied),
    ] {
        assert_eq!(ask(&gate, &apiserver, method, target, lines).0, want, "{method} {target}");
    }
    let scheduler = peer("CN=system:kube-scheduler", "");
    assert_eq!(ask(&gate, &scheduler, "GET", "/healthz", &[]).0, Reason::Denied);
    assert_eq!(ask(&gate, &Ok(Peer::default()), "GET", "/healthz", &[]).0, Reason::Denied);
}

#[test]
fn peers_of_the_configuration_hold_whatever_the_policy_says() {
    let config = |peers: Value| {
        gate(json!({
            "policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision := true"}},
            "peers": peers,
        }))
    };
    let pin = json!({"common_name": "kube-apiserver-kubelet-client", "organization": "kubeadm:cluster-admins"});
    let pods = |gate: &Gate, subject| ask(gate, &peer(subject, ""), "GET", "/pods", &[]);
    assert_eq!(pods(&config(json!([pin])), APISERVER).0, Reason::Allowed);
    let (reason, record) = pods(&config(json!([pin])), "CN=system:kube-scheduler");
    assert_eq!(reason, Reason::Denied);
    assert_eq!(record["message"], "the caller is not one of the configured peers");
    assert_eq!(pods(&config(json!([])), APISERVER).0, Reason::Denied);
}

#[test]
fn a_denied_certificate_gets_nothing_even_in_a_dry_run() {
    let pin = json!({"common_name": "kube-apiserver-kubelet-client", "organization": "kubeadm:cluster-admins"});
    for (mode, decision, want) in [
        (json!({}), "true", Reason::Allowed),
        (json!({"denied_certificates": ["0".repeat(64)]}), "true", Reason::Denied),
        (json!({"denied_certificates": ["1".repeat(64)]}), "true", Reason::Allowed),
        (
            json!({"mode": "dry_run", "dry_run_until": "2026-12-31T00:00:00Z"}),
            "false",
            Reason::WouldDeny,
        ),
        (
            json!({
                "mode": "dry_run", "dry_run_until": "2026-12-31T00:00:00Z",
                "denied_certificates": [vec!["00"; 32].join(":")],
            }),
            "false",
            Reason::Denied,
        ),
    ] {
        let rego = format!("package kubelet.authz\n\ndecision := {decision}");
        let mut config = json!({"policy": {"modules": {"a.rego": rego}}, "peers": [pin]});
        config.as_object_mut().unwrap().extend(mode.as_object().unwrap().clone());
        let gate = gate(config.clone());
        assert_eq!(ask(&gate, &peer(APISERVER, ""), "GET", "/pods", &[]).0, want, "{config}");
    }
}

/// Decides a request of a caller without a certificate, and tells whether its token goes on.
fn ask_without_certificate(
    gate: &Gate,
    cluster: Option<&str>,
    (method, target): (&str, &str),
    tokens: &[&str],
) -> (Reason, bool) {
    let mut lines = vec![
        (":method".to_owned(), method.into()),
        (":path".to_owned(), target.into()),
        (":authority".to_owned(), "worker-1".into()),
        ("x-remote-user".to_owned(), "root".into()),
    ];
    lines.extend(tokens.iter().map(|&token| ("authorization".to_owned(), token.into())));
    let call = Call {
        headers: Headers::new(&lines),
        end_of_stream: true,
        peer: &Ok(Peer::default()),
        cluster: cluster.map(str::as_bytes),
        decision_id: "1",
    };
    let answer = gate.decide(&call, || DateTime::UNIX_EPOCH);
    let Decision::Allow(permit) = answer.decision else { return (answer.reason, false) };
    let removed = permit.into_removed_headers();
    assert!(removed.contains(&"x-remote-user".to_owned()), "{removed:?}");
    (answer.reason, !removed.contains(&"authorization".to_owned()))
}

#[test]
fn a_token_in_place_of_a_certificate_goes_only_where_the_configuration_says() {
    const METRICS: (&str, &str) = ("GET", "/metrics/resource");
    const TOKEN: &[&str] = &["Bearer t"];
    let all = json!({"modules": {"a.rego": "package kubelet.authz\n\ndecision := true"}});
    let closed = gate(json!({"policy": all}));
    let open = gate(json!({"policy": all, "token_cluster": "tokens"}));
    let (to_tokens, to_kubelet) = (Some("tokens"), Some("kubelet"));
    for (note, gate, cluster, request, tokens, want) in [
        ("metrics", &open, to_tokens, METRICS, TOKEN, true),
        ("statistics", &open, to_tokens, ("GET", "/stats/summary"), TOKEN, true),
        ("health", &open, to_tokens, ("GET", "/healthz"), TOKEN, true),
        ("not configured", &closed, to_tokens, METRICS, TOKEN, false),
        ("not configured, another cluster", &closed, to_kubelet, METRICS, TOKEN, false),
        ("the cluster with the certificate", &open, to_kubelet, METRICS, TOKEN, false),
        ("an unknown cluster", &open, None, METRICS, TOKEN, false),
        ("no token", &open, to_tokens, METRICS, &[], false),
        ("two tokens", &open, to_tokens, METRICS, &["Bearer t", "Bearer t"], false),
        ("no bearer", &open, to_tokens, METRICS, &["Basic eA=="], false),
        ("pods", &open, to_tokens, ("GET", "/pods"), TOKEN, false),
        ("logs", &open, to_tokens, ("GET", "/containerLogs/default/web-0/app"), TOKEN, false),
        ("run", &open, to_tokens, ("POST", "/run/default/web-0/app?cmd=id"), TOKEN, false),
        ("a reset", &open, to_tokens, ("DELETE", "/metrics/slis"), TOKEN, false),
    ] {
        let reason = if want { Reason::Allowed } else { Reason::Denied };
        let got = ask_without_certificate(gate, cluster, request, tokens);
        assert_eq!(got, (reason, want), "{note}");
    }
    let watching = gate(json!({
        "policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision := false"}},
        "token_cluster": "tokens", "peers": [],
        "mode": "dry_run", "dry_run_until": "2026-12-31T00:00:00Z",
    }));
    let got = ask_without_certificate(&watching, to_tokens, METRICS, TOKEN);
    assert_eq!(got, (Reason::Denied, false), "a dry run is for peers");
    let (reason, record) = ask(&closed, &Ok(Peer::default()), "GET", "/metrics", &[]);
    assert_eq!(reason, Reason::Denied);
    assert_eq!(record["message"], "the caller has no certificate");
}

#[test]
fn a_dry_run_forwards_a_token_that_the_policy_allows_and_no_other() {
    let dry_run = |decision: &str| {
        gate(json!({
            "policy": {"modules": {"a.rego": format!("package kubelet.authz\n\ndecision := {decision}")}},
            "mode": "dry_run",
            "dry_run_until": "2026-12-31T00:00:00Z",
            "peers": [{"common_name": "kube-apiserver-kubelet-client", "organization": "kubeadm:cluster-admins"}],
            "token_cluster": "tokens",
        }))
    };
    for (decision, want) in [("true", Reason::Allowed), ("false", Reason::Denied)] {
        let gate = dry_run(decision);
        let got =
            ask_without_certificate(&gate, Some("tokens"), ("GET", "/metrics"), &["Bearer t"]);
        assert_eq!(got, (want, want == Reason::Allowed), "{decision}");
    }
}

#[test]
fn strangers_are_turned_away_before_the_policy_is_asked_and_without_a_long_record() {
    let all = json!({"modules": {"a.rego": "package kubelet.authz\n\ndecision := true"}});
    let gate = gate(json!({"policy": all, "denied_certificates": ["0".repeat(64)]}));
    let target = format!("/logs/{}", "a".repeat(50_000));
    let (reason, record) = ask(&gate, &Ok(Peer::default()), "GET", &target, &[]);
    assert_eq!(reason, Reason::Denied);
    assert_eq!(record["input"]["path"].as_str().map(str::len), Some(1024));
    assert_eq!(record["input"].get("schema"), None);
    // Of somebody known, everything is on record.
    let (reason, record) = ask(&gate, &peer(APISERVER, ""), "GET", &target, &[]);
    assert_eq!(reason, Reason::Denied);
    assert_eq!(record["input"]["path"], target);
    assert_eq!(record["message"], "the caller's certificate is denied by the configuration");
}

#[test]
fn a_token_beside_a_certificate_stays_behind_whatever_the_configuration_says() {
    let all = json!({"modules": {"a.rego": "package kubelet.authz\n\ndecision := true"}});
    let gate = gate(json!({"policy": all, "token_cluster": "tokens"}));
    let lines = [
        (":method", "GET"),
        (":path", "/metrics"),
        (":authority", "worker-1"),
        ("authorization", "Bearer t"),
    ];
    let lines: Vec<_> =
        lines.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    let call = Call {
        headers: Headers::new(&lines),
        end_of_stream: true,
        peer: &peer(APISERVER, ""),
        cluster: Some(b"tokens"),
        decision_id: "1",
    };
    let Decision::Allow(permit) = gate.decide(&call, || DateTime::UNIX_EPOCH).decision else {
        panic!("a certificate suffices");
    };
    assert_eq!(permit.into_removed_headers(), ["authorization"]);
}

/// The kubelet takes the gate for an administrator; a service knows nothing of it.
#[test]
fn credentials_for_a_service_go_on_and_those_for_a_kubelet_stay_behind() {
    let all = |package| {
        let module = format!("package {package}\n\ndecision := true");
        json!({"modules": {"a.rego": module}})
    };
    let credentials = ["authorization", "cookie", "x-forwarded-client-cert", "x-remote-user"];
    for (config, removed) in [
        (json!({"policy": all("kubelet.authz")}), &credentials[..]),
        (json!({"profile": "http", "policy": all("http.authz")}), &[]),
    ] {
        let lines = [(":method", "GET"), (":path", "/metrics"), (":authority", "worker-1")];
        let lines: Vec<_> = lines
            .into_iter()
            .chain(credentials.map(|name| (name, "secret")))
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
            .collect();
        let call = Call {
            headers: Headers::new(&lines),
            end_of_stream: true,
            peer: &peer(APISERVER, ""),
            cluster: None,
            decision_id: "1",
        };
        let answer = gate(config.clone()).decide(&call, || DateTime::UNIX_EPOCH);
        let Decision::Allow(permit) = answer.decision else { panic!("{config}") };
        assert_eq!(permit.into_removed_headers(), removed, "{config}");
    }
}

#[test]
fn what_a_policy_can_say_wrong_is_a_denial_with_its_reason() {
    let looping = "package kubelet.authz\n\ndecision if count([1 | some x in numbers.range(1, 300); some y in numbers.range(1, 300); x != y]) > 0";
    for (rego, want) in [
        ("package kubelet.authz\n\ndecision := true", Reason::Allowed),
        ("package kubelet.authz\n\ndecision := false", Reason::Denied),
        ("package kubelet.authz\n\ndecision if input.method == \"POST\"", Reason::Undefined),
        ("package kubelet.authz\n\ndecision := \"yes\"", Reason::NotBoolean),
        (
            "package kubelet.authz\n\ndecision := {\"allow\": true, \"obligations\": []}",
            Reason::UnknownKey,
        ),
        (looping, Reason::Budget),
    ] {
        let gate = gate(json!({"policy": {"modules": {"a.rego": rego}}}));
        let (reason, record) = ask(&gate, &peer(APISERVER, ""), "GET", "/pods", &[]);
        assert_eq!(reason, want, "{rego}");
        assert_eq!(record["result"], want == Reason::Allowed, "{rego}");
    }
}

#[test]
fn the_record_has_the_shape_of_opa_s_decision_log() {
    let gate = gate(json!({
        "policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision := {\"allow\": true, \"rule\": \"all\", \"reason\": \"why not\"}"}},
        "node": {"name": "worker-1"},
        "log": {"labels": {"cluster": "a"}},
    }));
    let lines = [SPDY, &[("authorization", "Bearer secret")]].concat();
    let target = "/exec/default/web-0/app?command=id&env=TOKEN%3Dsecret";
    let (_, record) = ask(&gate, &peer(APISERVER, ""), "POST", target, &lines);
    assert_eq!(record["decision_id"], "a-b-c");
    assert_eq!(record["timestamp"], "1970-01-01T00:00:00.000000000Z");
    assert_eq!(record["path"], "kubelet/authz/decision");
    assert_eq!(record["result"], true);
    assert_eq!(record["reason"], "allowed");
    assert_eq!(record["rule"], "all");
    assert_eq!(record["message"], "why not");
    assert_eq!(record["policy_sha256"], gate.digest());
    assert_eq!(record["labels"], json!({"cluster": "a"}));
    assert_eq!(record["metrics"]["timer_rego_query_eval_ns"], 0);
    assert_eq!(record["input"]["exec"]["env"], json!({"TOKEN": "**"}));
    assert_eq!(record["masked"], json!(["/input/exec/env", "/input/query/env"]));
    assert!(!record.to_string().contains("secret"), "{record}");
}

#[test]
fn what_the_configuration_erases_is_seen_by_the_policy_alone() {
    for policy in ["decision := input.exec.env.TOKEN == \"secret\"", "decision := true"] {
        let policy = format!("package kubelet.authz\n\n{policy}");
        let gate = gate(json!({
            "policy": {"modules": {"a.rego": policy}},
            "log": {"mask": [], "erase": ["/input/exec/env", "/input/query/env"]},
        }));
        let target = "/exec/default/web-0/app?command=id&env=TOKEN%3Dsecret";
        // The second time, the decision is remembered.
        for _ in 0..2 {
            let (reason, record) = ask(&gate, &peer(APISERVER, ""), "POST", target, SPDY);
            assert_eq!(reason, Reason::Allowed, "{policy}");
            assert_eq!(record["erased"], json!(["/input/exec/env", "/input/query/env"]));
            assert_eq!(record["masked"], Value::Null);
            assert!(!record.to_string().contains("secret"), "{record}");
        }
    }
}

#[test]
fn requests_of_one_kubectl_have_its_session() {
    const SESSION: &str = "6a6d1a6e-6a2b-4f0e-9d5c-0f6c2f1f7f10";
    let gate = gate(
        json!({"policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision := false"}}}),
    );
    let exec = "/exec/default/web-0/app?command=id";
    let session = ("kubectl-session", SESSION);
    for (method, upgrade) in [("GET", WEBSOCKET), ("POST", SPDY)] {
        let lines = [upgrade, &[session]].concat();
        let (_, record) = ask(&gate, &peer(APISERVER, ""), method, exec, &lines);
        assert_eq!(record["kubectl_session"], SESSION, "{method}");
    }
    for lines in [&[][..], &[("kubectl-session", "x")], &[session, session]] {
        let (_, record) = ask(&gate, &peer(APISERVER, ""), "GET", "/pods", lines);
        assert_eq!(record.get("kubectl_session"), None, "{lines:?}");
    }
}

#[test]
fn a_request_without_reading_is_logged_as_it_came() {
    let gate = gate(
        json!({"policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision := true"}}}),
    );
    let (reason, record) = ask(&gate, &peer(APISERVER, ""), "GET", "/pods/../exec", &[]);
    assert_eq!(reason, Reason::Malformed);
    assert_eq!(record["input"]["path"], "/pods/../exec");
    assert_eq!(record["input"]["peer"]["common_name"], "kube-apiserver-kubelet-client");
    assert_eq!(record["message"], "an empty or dot segment in the path");
    let secret = "/exec/default/web-0/app?env=TOKEN%3Dsecret&env=TOKEN%3Dsecret";
    let (reason, record) = ask(&gate, &peer(APISERVER, ""), "GET", secret, WEBSOCKET);
    assert_eq!(reason, Reason::Malformed);
    assert_eq!(record["input"]["path"], "/exec/default/web-0/app");
    assert!(!record.to_string().contains("secret"), "{record}");
    let long = format!("/{}", "a".repeat(60_000));
    let (_, record) = ask(&gate, &peer(APISERVER, ""), "GET", &long, &[]);
    assert!(record["input"]["path"].as_str().unwrap().len() <= 1024);
}

#[test]
fn profile_http_decides_by_method_path_and_peer() {
    let rego = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../rego/http/authz/authz.rego"
    ));
    let gate = gate(json!({
        "profile": "http",
        "policy": {
            "modules": {"authz.rego": rego.unwrap()},
            "data": {"http": {"peers": [{
                "name": "web-reads-catalogue",
                "uri_san": "spiffe://cluster.local/ns/shop/sa/web",
                "methods": ["GET"],
                "under": ["api", "catalogue"],
            }]}},
        },
    }));
    let web = peer("", "spiffe://cluster.local/ns/shop/sa/web");
    let (reason, record) = ask(&gate, &web, "GET", "/api/catalogue/1?page=2&x;y=%41", &[]);
    assert_eq!(reason, Reason::Malformed, "{record}");
    let (reason, record) = ask(&gate, &web, "GET", "/api/catalogue/1?page=2", &[]);
    assert_eq!((reason, &record["rule"]), (Reason::Allowed, &json!("web-reads-catalogue")));
    assert_eq!(record["path"], "http/authz/decision");
    assert_eq!(record["input"]["schema"], "gatelet/http/v1");
    for (method, target) in [("POST", "/api/catalogue/1"), ("GET", "/api"), ("GET", "/admin")] {
        assert_eq!(ask(&gate, &web, method, target, &[]).0, Reason::Denied, "{method} {target}");
    }
    assert_eq!(ask(&gate, &web, "GET", "/api/catalogue/%2e%2e/admin", &[]).0, Reason::Malformed);
    let other = peer("", "spiffe://cluster.local/ns/shop/sa/batch");
    assert_eq!(ask(&gate, &other, "GET", "/api/catalogue/1", &[]).0, Reason::Denied);
}
