//! The subresource that decides: who may, what it may change, and what can't be taken back.

use std::sync::Arc;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use serde_json::{Value, json};

use super::answer::Answer;
use super::request::may_approve;
use super::resources::{decode, now, text};
use super::status::Status;
use super::store::{REQUESTS, VERSION, set};
use super::{ApiServer, Caller};

const KIND: &str = "CertificateSigningRequest";
const GROUP: &str = "certificates.k8s.io";

/// Replaces the conditions of a request.
pub(super) fn update(
    server: &Arc<ApiServer>,
    caller: &Caller,
    name: &str,
    body: Value,
) -> Result<Answer, Status> {
    let _request: CertificateSigningRequest = decode(&body)?;
    let current = server
        .store
        .get(REQUESTS, "", name)
        .ok_or_else(|| Status::not_found(REQUESTS, GROUP, name))?;
    let invalid = |field, problem| Err(Status::invalid(KIND, name, field, problem));
    let Some(version) = text(&body, VERSION) else {
        return invalid("metadata.resourceVersion", "must be specified for an update");
    };
    if current.pointer(VERSION) != Some(&json!(version)) {
        return Err(Status::conflict(REQUESTS, GROUP, name));
    }
    let signer = text(&current, "/spec/signerName").unwrap_or_default();
    let (permission, allowed) = may_approve(&server.rbac, &caller.user, &signer);
    server.record(caller, permission, allowed, String::new());
    if !allowed {
        return Err(Status::not_an_approver(name, &signer));
    }
    // The real one keeps its own, silently.
    if body.get("spec") != current.get("spec") {
        return invalid("spec", "is immutable");
    }
    if body.pointer("/status/certificate") != current.pointer("/status/certificate") {
        return invalid("status.certificate", "updates may not set certificate content");
    }

    let mut conditions = conditions(&body);
    check(name, &conditions)?;
    for old in self::conditions(&current) {
        let same = |new: &&mut Value| new.get("type") == old.get("type");
        match conditions.iter_mut().find(same) {
            Some(new) if untimed(new) == untimed(&old) => *new = old,
            _ => {
                return invalid(
                    "status.conditions",
                    "updates may not modify or remove a condition",
                );
            }
        }
    }
    for condition in &mut conditions {
        for time in ["lastUpdateTime", "lastTransitionTime"] {
            if condition.get(time).is_none_or(Value::is_null) {
                set(condition, &[time], json!(now()));
            }
        }
    }
    let mut decided = Value::clone(&current);
    set(&mut decided, &["status", "conditions"], Value::Array(conditions));
    let decided = server
        .store
        .replace(REQUESTS, &version, decided)
        .map_err(|_| Status::conflict(REQUESTS, GROUP, name))?;
    server.signer.sign(&server.store, &decided);
    Ok(Answer::ok(Value::clone(&decided)))
}

fn conditions(request: &Value) -> Vec<Value> {
    let conditions = request.pointer("/status/conditions").and_then(Value::as_array);
    conditions.cloned().unwrap_or_default()
}

fn check(name: &str, conditions: &[Value]) -> Result<(), Status> {
    let invalid = |problem: &str| Err(Status::invalid(KIND, name, "status.conditions", problem));
    let kinds: Vec<_> = conditions
        .iter()
        .map(|condition| condition.get("type").and_then(Value::as_str).unwrap_or_default())
        .collect();
    for (index, (kind, condition)) in kinds.iter().zip(conditions).enumerate() {
        if kind.is_empty() {
            return invalid("type: Required value");
        }
        if kinds.iter().skip(index + 1).any(|other| other == kind) {
            return invalid("type: Duplicate value");
        }
        if matches!(*kind, "Approved" | "Denied" | "Failed")
            && condition.get("status") != Some(&json!("True"))
        {
            return invalid("status: Unsupported value: supported values: \"True\"");
        }
    }
    if kinds.contains(&"Approved") && kinds.contains(&"Denied") {
        return invalid("Approved and Denied conditions are mutually exclusive");
    }
    Ok(())
}

fn untimed(condition: &Value) -> Value {
    let mut condition = condition.clone();
    if let Some(fields) = condition.as_object_mut() {
        fields
            .retain(|field, _| !matches!(field.as_str(), "lastUpdateTime" | "lastTransitionTime"));
    }
    condition
}
