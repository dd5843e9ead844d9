//! Lines of a decision log, as a gate writes them.

use chrono::{DateTime, TimeDelta};
use gatelet_core::{Call, Config, Gate, Headers, Peer, peer::PeerProperties, policy::Builtins};
use serde_json::{Value, json};

/// A gate that fills a log.
pub(crate) struct Recorder {
    gate: Gate,
    written: i64,
}

/// The header lines of an exec by SPDY.
pub(crate) const SPDY: &[(&str, &str)] = &[
    ("connection", "Upgrade"),
    ("upgrade", "SPDY/3.1"),
    ("x-stream-protocol-version", "v4.channel.k8s.io"),
];

impl Recorder {
    /// With this Rego as the policy, and further settings.
    pub(crate) fn new(rego: &str, settings: Value) -> Self {
        let mut config = json!({"policy": {"modules": {"authz.rego": rego}}});
        if let (Some(config), Value::Object(settings)) = (config.as_object_mut(), settings) {
            config.extend(settings);
        }
        let config = Config::from_json(config.to_string().as_bytes()).unwrap();
        Self { gate: Gate::new(config, Builtins::Standard).unwrap(), written: 0 }
    }

    /// The decision on a request, a second after the last one.
    pub(crate) fn decision(
        &mut self,
        subject: &str,
        request: &str,
        headers: &[(&str, &str)],
    ) -> Value {
        let properties = PeerProperties {
            mtls: Some(&[1]),
            subject: Some(subject.as_bytes()),
            sha256: Some(&[b'0'; 64]),
            ..PeerProperties::default()
        };
        let (method, path) = request.split_once(' ').unwrap();
        let lines: Vec<_> =
            [(":method", method), (":path", path), (":authority", "worker-1:10250")]
                .iter()
                .chain(headers)
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect();
        self.written += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.written);
        let headers = Headers::new(&lines);
        let call = Call {
            headers,
            end_of_stream: !headers.has("upgrade"),
            peer: &Peer::from_properties(&properties, false),
            cluster: None,
            decision_id: &id,
        };
        let time = DateTime::from_timestamp(1_795_188_000, 0).unwrap();
        let now = time + TimeDelta::seconds(self.written);
        serde_json::from_str(&self.gate.decide(&call, || now).record).unwrap()
    }

    /// The same as a line of Envoy's.
    pub(crate) fn line(
        &mut self,
        subject: &str,
        request: &str,
        headers: &[(&str, &str)],
    ) -> String {
        ended(&self.decision(subject, request, headers), 3, 1024)
    }
}

/// A decision with what Envoy says at its end.
pub(crate) fn ended(decision: &Value, duration_ms: u64, bytes_sent: u64) -> String {
    let allowed = decision.get("result") == Some(&json!(true));
    let code = match decision.pointer("/input/upgrade") {
        _ if !allowed => 403,
        Some(Value::String(_)) => 101,
        _ => 200,
    };
    record(decision, "DownstreamEnd", code, duration_ms, bytes_sent)
}

/// A decision as it is written when a session opens.
pub(crate) fn opened(decision: &Value) -> String {
    record(decision, "DownstreamTunnelSuccessfullyEstablished", 101, 2, 0)
}

fn record(
    decision: &Value,
    log_type: &str,
    code: u16,
    duration_ms: u64,
    bytes_sent: u64,
) -> String {
    let line = json!({
        "decision": decision,
        "log_type": log_type,
        "response_code": code,
        "response_flags": "-",
        "duration_ms": duration_ms,
        "bytes_received": 0,
        "bytes_sent": bytes_sent,
        "connection_id": 7,
    });
    format!("{line}\n")
}
