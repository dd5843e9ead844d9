//! Decisions.
//!
//! The bytes are a request in the form of HTTP/1: a line with method and target, then header lines.
//! The line `peer` is the subject of the caller's certificate; without it there is none. The line
//! `cluster` is where Envoy's route leads.

use std::thread::LocalKey;

use chrono::DateTime;
use gatelet_core::{
    Answer, Call, Config, Decision, Gate, Headers, Peer, Reason,
    kubelet::{self, Method, Refusal},
    peer::{InvalidPeer, PeerProperties},
    policy::Builtins,
};
use serde_json::{Value, json};

use crate::seeds;

thread_local! {
    static CLOSED: Gate = closed();
    static OPEN: Gate = compiled(&json!({
        "policy": {"modules": {"open.rego": OPEN_REGO}}, "token_cluster": "kubelet-tokens",
    }));
    static HTTP: Gate = compiled(
        &json!({"profile": "http", "policy": {"modules": {"open.rego": OPEN_HTTP_REGO}}}),
    );
}

const OPEN_REGO: &str = "package kubelet.authz\n\ndecision := true";
const OPEN_HTTP_REGO: &str = "package http.authz\n\ndecision := true";

/// Nothing is allowed under the preset `closed`, and nothing without a reading under any policy.
pub fn run(data: &[u8]) {
    let request = Request::parse(data);
    let closed = ask(&CLOSED, &request);
    assert!(matches!(closed.decision, Decision::Deny(_)), "allowed under the preset `closed`");

    let open = ask(&OPEN, &request);
    let headers = Headers::new(&request.lines);
    let parsed = kubelet::Request::parse(headers, request.ends);
    let has_certificate = request.peer.as_ref().is_ok_and(|peer| peer.certificate.is_some());
    let is_for_tokens = parsed.as_ref().is_ok_and(|parsed| {
        parsed.method == Method::Get
            && ["metrics", "stats", "healthz"].contains(&parsed.endpoint.name())
    });
    let has_token = headers.has_one_bearer_token() && request.cluster == Some(b"kubelet-tokens");
    let want = match (&request.peer, &parsed) {
        (Err(_), _) | (_, Err(Refusal::Malformed(_))) => Reason::Malformed,
        (_, Err(Refusal::UnknownEndpoint)) => Reason::UnknownEndpoint,
        (_, Err(Refusal::Method)) => Reason::Method,
        (Ok(_), Ok(_)) if has_certificate || has_token && is_for_tokens => Reason::Allowed,
        (Ok(_), Ok(_)) => Reason::Denied,
    };
    assert_eq!(open.reason, want, "{parsed:?} by {:?}", request.peer);
    if let Decision::Allow(permit) = open.decision {
        let removed = permit.into_removed_headers();
        for (name, _) in &request.lines {
            let speaks = name == "authorization" && has_certificate
                || name.starts_with("impersonate-")
                || name.starts_with("x-remote-");
            assert!(!speaks || removed.contains(name), "`{name}` goes along");
        }
    }

    let http = ask(&HTTP, &request);
    assert!(
        request.peer.is_ok() || matches!(http.decision, Decision::Deny(_)),
        "allowed for nobody knows whom"
    );
}

fn ask(gate: &'static LocalKey<Gate>, request: &Request<'_>) -> Answer {
    let Request { lines, ends, peer, cluster } = request;
    let headers = Headers::new(lines);
    let call = Call { headers, end_of_stream: *ends, peer, cluster: *cluster, decision_id: "1" };
    let answer = gate.with(|gate| gate.decide(&call, || DateTime::UNIX_EPOCH));
    let record: Value = serde_json::from_str(&answer.record).expect("a record is JSON");
    assert_eq!(record["reason"], answer.reason.as_str(), "the log has another reason");
    match &answer.decision {
        Decision::Allow(_) => assert_eq!(answer.reason, Reason::Allowed),
        Decision::Deny(denial) => {
            let want = if answer.reason == Reason::Malformed { 400 } else { 403 };
            assert_eq!(denial.status, want, "{:?}", answer.reason);
            assert!(!denial.body.contains(": "), "{}", denial.body);
        }
    }
    answer
}

/// A request as the filter gets it.
struct Request<'a> {
    lines: Vec<(String, Vec<u8>)>,
    ends: bool,
    peer: Result<Peer, InvalidPeer>,
    cluster: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn parse(data: &'a [u8]) -> Self {
        let mut rest = data.split(|&byte| byte == b'\n');
        let mut first = rest.next().unwrap_or_default().splitn(2, |&byte| byte == b' ');
        let mut lines = vec![
            (":method".to_owned(), first.next().unwrap_or_default().to_vec()),
            (":path".to_owned(), first.next().unwrap_or_default().to_vec()),
            (":authority".to_owned(), b"worker-1:10250".to_vec()),
        ];
        let (mut subject, mut cluster) = (None, None);
        for line in rest {
            let mut halves = line.splitn(2, |&byte| byte == b':');
            let name = String::from_utf8_lossy(halves.next().unwrap_or_default());
            let value = halves.next().unwrap_or_default().trim_ascii();
            match name.to_ascii_lowercase().as_str() {
                "peer" => subject = Some(value),
                "cluster" => cluster = Some(value),
                name => lines.push((name.to_owned(), value.to_vec())),
            }
        }
        let goes_on = |(name, _): &(String, _)| name == "upgrade" || name == "transfer-encoding";
        let ends = !lines.iter().any(goes_on);
        let properties = PeerProperties {
            mtls: Some(if subject.is_some() { &[1] } else { &[0] }),
            subject,
            sha256: subject.map(|_| [b'0'; 64].as_slice()),
            ..PeerProperties::default()
        };
        Self { lines, ends, peer: Peer::from_properties(&properties, false), cluster }
    }
}

/// The shipped rules with a caller who has every preset, and is shut out.
fn closed() -> Gate {
    let presets = ["closed", "observe", "logs", "operate", "scrape"];
    let pins = json!([{
        "common_name": "kube-apiserver-kubelet-client", "organization": "kubeadm:cluster-admins",
        "presets": presets,
    }]);
    let operate = json!([{
        "namespaces": ["default"], "pods": ["db-0"], "containers": ["app"],
        "exec": [{"command": ["id"]}], "attach": true, "port_forward": true,
    }]);
    compiled(&json!({"policy": {
        "modules": seeds::rego("kubelet").expect("the shipped rules can be read"),
        "data": {"kubelet": {
            "peers": pins, "logs": {"namespaces": ["default"]}, "operate": operate,
        }},
    }}))
}

fn compiled(config: &Value) -> Gate {
    let config = Config::from_json(config.to_string().as_bytes()).expect("a configuration");
    Gate::new(config, Builtins::Standard).expect("a policy that compiles")
}
