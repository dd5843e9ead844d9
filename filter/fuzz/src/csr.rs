//! Certificate signing requests: their PEM, and whatever an API server says of them.

use std::{collections::VecDeque, sync::LazyLock};

use base64ct::{Base64, Encoding as _};
use chrono::{DateTime, TimeDelta};
use gatelet_core::csr::{
    Answer, Call, Certificate, Config, Controller, Destination, Effect, KUBELET_SERVING, Request,
    Response,
};
use serde_json::{Value, json};

/// More calls than any of these answers is a reason for.
const CALLS: usize = 1_000;

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let rego = r#"package csr.approval

decision := {"decision": "approve", "reason": "Whatever it is."}"#;
    let written = json!({"policy": {"modules": {"approve.rego": rego}}});
    Config::from_json(written.to_string().as_bytes()).expect("the configuration is good")
});

/// The bytes are a request's PEM, a node's certificate, a request's object, or all that the API server
/// answers. A controller survives them, and under a policy that approves everything it approves what can be read alone.
pub fn run(data: &[u8]) {
    let _ = Request::from_pem(data);
    let _ = Certificate::from_pem(data);
    serve(|call| api_server(call, data));
    let is_read = |call: &Call| call.path.contains("/certificatesigningrequests/");
    serve(|call| if is_read(call) { data.to_vec() } else { api_server(call, b"") });
    serve(|_| data.to_vec());
}

/// Ticks of some seconds, with these bodies for what is read from the API server.
fn serve(body: impl Fn(&Call) -> Vec<u8>) {
    let mut controller = Controller::new(CONFIG.clone()).expect("the policy compiles");
    let mut now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let mut calls = 0;
    for _ in 0..3 {
        now += TimeDelta::seconds(1);
        let mut effects = VecDeque::from(controller.tick(now));
        while let Some(effect) = effects.pop_front() {
            if let Effect::Call(call) = effect {
                calls += 1;
                assert!(calls < CALLS, "calls without an end, such as {call:?}");
                effects.extend(controller.answer(call.id, answer(&call, &body), now));
            }
        }
    }
}

fn answer(call: &Call, body: &impl Fn(&Call) -> Vec<u8>) -> Answer {
    let mut response = Response { status: 200, ..Response::default() };
    match &call.to {
        Destination::DecisionLog(line) => {
            assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
        }
        Destination::Kubelet(_) => {
            let certificate = body(call).iter().map(|byte| format!("%{byte:02X}")).collect();
            response.peer_certificate = Some(certificate);
        }
        Destination::ApiServer if call.method == "PUT" => check(call),
        Destination::ApiServer => response.body = body(call),
    }
    Ok(response)
}

fn check(call: &Call) {
    let object: Value = serde_json::from_slice(call.body.as_deref().unwrap_or_default())
        .expect("what is written is JSON");
    let spec = &object["spec"];
    assert_eq!(spec["signerName"], KUBELET_SERVING, "another signer's");
    let pem = spec["request"].as_str().and_then(|text| Base64::decode_vec(text).ok());
    let request = Request::from_pem(&pem.unwrap_or_default());
    assert!(request.is_ok(), "approved, although {request:?}");
}

/// An API server that has one request, with this PEM, and allows all.
fn api_server(call: &Call, pem: &[u8]) -> Vec<u8> {
    let request = Base64::encode_string(pem);
    let object = json!({
        "metadata": {"name": "csr", "uid": "1", "resourceVersion": "1"},
        "spec": {"signerName": KUBELET_SERVING, "request": request, "username": "system:node:a"},
    });
    let body = if call.path.contains("limit=") {
        json!({"metadata": {"resourceVersion": "1"}, "items": [object]})
    } else if call.path.contains("/certificatesigningrequests/") {
        object
    } else if call.path.contains("/nodes/") {
        let name = call.path.rsplit('/').next();
        json!({"metadata": {"name": name}, "status": {"addresses": [
            {"type": "InternalIP", "address": "10.0.0.11"},
        ]}})
    } else if call.method == "POST" {
        json!({"status": {"allowed": true}})
    } else {
        return Vec::new();
    };
    body.to_string().into_bytes()
}
