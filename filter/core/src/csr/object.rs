//! A `CertificateSigningRequest` as the API server has it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};

/// What is decided on. The API server set all of it but the request and the wishes in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) status: Status,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) uid: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) resource_version: String,
    pub(super) creation_timestamp: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    /// PEM in base64.
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) request: String,
    pub(super) signer_name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) username: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) uid: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) groups: Vec<String>,
    #[serde(default, deserialize_with = "extra")]
    pub(super) extra: BTreeMap<String, Vec<String>>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) usages: Vec<String>,
    pub(super) expiration_seconds: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    #[serde(deserialize_with = "null_as_default")]
    conditions: Vec<Condition>,
    certificate: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    r#type: String,
    reason: Option<String>,
    message: Option<String>,
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

    /// Whether it has this condition.
    pub(super) fn says(&self, r#type: &str, reason: &str, message: &str) -> bool {
        self.conditions.iter().any(|condition| {
            condition.r#type == r#type
                && condition.reason.as_deref() == Some(reason)
                && condition.message.as_deref() == Some(message)
        })
    }
}

/// Go writes `null` for a list or a map of nothing.
pub(super) fn null_as_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(from).map(Option::unwrap_or_default)
}

fn extra<'de, D>(from: D) -> Result<BTreeMap<String, Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    let extra: BTreeMap<_, Option<_>> = null_as_default(from)?;
    Ok(extra.into_iter().map(|(name, values)| (name, values.unwrap_or_default())).collect())
}
