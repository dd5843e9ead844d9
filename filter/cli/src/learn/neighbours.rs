//! Requests beside one that was seen, each with a single difference.

use serde_json::{Value, json};

use super::asked::Asked;
use crate::request;

/// The differences, as merge patches of the input document (RFC 7396).
pub(super) fn of(asked: &Asked, document: &Value) -> Vec<Value> {
    let Asked { caller, endpoint, method, place, .. } = asked;
    let mut patches = Vec::new();
    if let Some(place) = place {
        patches.push(json!({"namespace": format!("{}-x", place.namespace)}));
        patches.push(json!({"pod": format!("x-{}", place.pod)}));
        patches.push(json!({"pod": format!("{}0", place.pod)}));
        if let Some(container) = &place.container {
            patches.push(json!({"container": format!("{container}-x")}));
        }
    } else {
        patches.push(json!({"path": format!("{}/x", text(document, "/path"))}));
    }
    for name in ["exec", "run"] {
        if let Some(Value::Array(words)) = document.pointer(&format!("/{name}/command")) {
            let more = words.iter().cloned().chain([Value::from("x")]).collect::<Vec<_>>();
            patches.push(json!({name: {"command": more}}));
            if let Some((_, [_, ..])) = words.split_last() {
                let less = words.get(..words.len() - 1);
                patches.push(json!({name: {"command": less}}));
            }
        }
    }
    for name in ["exec", "attach"] {
        for stream in ["stdin", "stdout", "tty"] {
            if let Some(Value::Bool(is_on)) = document.pointer(&format!("/{name}/{stream}")) {
                patches.push(json!({name: {stream: !is_on}}));
            }
        }
    }
    if endpoint == "exec" {
        patches.push(json!({"exec": {"env": {"LD_PRELOAD": "/tmp/x.so"}}}));
    }
    if endpoint == "portForward" {
        patches.push(json!({"port_forward": {"ports": [1], "ports_in_stream": false}}));
    }
    for flag in ["follow", "previous"] {
        if let Some(Value::Bool(is_on)) = document.pointer(&format!("/logs/{flag}")) {
            let (is_on, spelt) = (!is_on, (!is_on).to_string());
            patches.push(json!({"logs": {flag: is_on}, "query": {flag: [spelt]}}));
        }
    }
    patches.push(json!({"query": {"x": ["1"]}}));
    patches.push(json!({"method": if method == "GET" { "POST" } else { "GET" }}));
    let other = match (place, endpoint.as_str()) {
        (Some(_), "checkpoint") => "run",
        (Some(_), _) => "checkpoint",
        (None, "pods") => "configz",
        (None, _) => "pods",
    };
    patches.push(json!({"endpoint": other}));
    let first = caller.organizations.first().map(String::as_str);
    patches.push(peer(&format!("{}-x", caller.common_name), first));
    let group = format!("{}-x", first.unwrap_or_default());
    patches.push(peer(&caller.common_name, Some(&group)));
    if first.is_some() {
        patches.push(peer(&caller.common_name, None));
    }
    patches
}

/// Another caller.
fn peer(common_name: &str, organization: Option<&str>) -> Value {
    json!({"peer": {
        "common_name": common_name,
        "organizations": organization.into_iter().collect::<Vec<_>>(),
        "subject": request::Caller::new(common_name, organization).subject,
    }})
}

fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
