//! A `CertificateSigningRequest` as the API server has it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;

/// What is decided on. The API server set all of it but the request and the wishes in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    #[serde(default)]
    pub(super) status: Status,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default)]
    pub(super) uid: String,
    #[serde(default)]
    pub(super) resource_version: String,
    pub(super) creation_timestamp: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    /// PEM in base64.
    #[serde(default)]
    pub(super) request: String,
    pub(super) signer_name: String,
    #[serde(default)]
    pub(super) username: String,
    #[serde(default)]
    pub(super) uid: String,
    #[serde(default)]
    pub(super) groups: Vec<String>,
    #[serde(default)]
    pub(super) extra: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(super) usages: Vec<String>,
    pub(super) expiration_seconds: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    conditions: Vec<Condition>,
    certificate: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    r#type: String,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Approved,
    Denied,
    Failed,
    Issued,
}

impl Status {
    /// The furthest that is said: a certificate counts for more than the condition that led to it.
    pub(super) fn state(&self) -> State {
        let has = |name: &str| self.conditions.iter().any(|condition| condition.r#type == name);
        if self.certificate.as_ref().is_some_and(|certificate| !certificate.is_empty()) {
            State::Issued
        } else if has("Denied") {
            State::Denied
        } else if has("Failed") {
            State::Failed
        } else if has("Approved") {
            State::Approved
        } else {
            State::Pending
        }
    }
}
