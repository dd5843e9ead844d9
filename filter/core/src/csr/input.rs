//! What a policy sees of a certificate signing request: schema `gatelet/csr/v1`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Certificate, Node, Request, object::Object};

/// The name and version of the document.
pub const SCHEMA: &str = "gatelet/csr/v1";

/// The input document of profile `csr`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Input<'a> {
    /// `gatelet/csr/v1`.
    pub schema: &'static str,
    /// The object's name.
    pub name: &'a str,
    /// Seconds since it was created; negative if the API server's clock is ahead.
    pub age_seconds: Option<i64>,
    /// Who is to sign, such as `kubernetes.io/kubelet-serving`.
    pub signer: &'a str,
    /// Who asks, as the API server authenticated them.
    pub username: &'a str,
    /// Their UID.
    pub uid: &'a str,
    /// Their groups.
    pub groups: &'a [String],
    /// What else the API server knows of them.
    pub extra: &'a BTreeMap<String, Vec<String>>,
    /// What the certificate may be used for, such as `server auth`.
    pub usages: &'a [String],
    /// How long it is to be valid; `null` leaves it to the signer.
    pub expiration_seconds: Option<i64>,
    /// Why the request can't be read; `null` if it can. What can't be read is never approved.
    pub malformed: Option<&'a str>,
    /// The request itself; `null` if it can't be read.
    pub request: Option<&'a Request>,
    /// The node in the request's common name; `null` if that is no node's.
    pub node: Option<&'a Node>,
    /// What the node's kubelet serves at the moment; `null` if it can't be reached, has no certificate
    /// of the cluster's CA, or wasn't asked. `null` equals nothing.
    pub serving: Option<&'a Certificate>,
    /// Whether who asks may `create` the request, by the subresource that was asked for; without one,
    /// by `certificatesigningrequests`.
    pub access: &'a BTreeMap<String, bool>,
    /// Other requests of who asks.
    pub existing: Existing,
}

/// How many other requests of the same user are known. The API server forgets decided ones after an hour,
/// and others after a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Existing {
    /// Undecided ones that were made within the last hour.
    pub pending: usize,
    /// Approved, with and without a certificate.
    pub approved: usize,
    /// Denied.
    pub denied: usize,
    /// Approved, but the signer could not sign.
    pub failed: usize,
    /// Approved ones that were made within the last hour.
    pub approved_last_hour: usize,
}

/// What was found out about a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) request: Option<Request>,
    pub(super) malformed: Option<String>,
    pub(super) node: Option<Node>,
    pub(super) serving: Option<Certificate>,
    pub(super) access: BTreeMap<String, bool>,
    pub(super) existing: Existing,
}

impl<'a> Input<'a> {
    pub(super) fn new(object: &'a Object, facts: &'a Facts, now: DateTime<Utc>) -> Self {
        let Object { metadata, spec, status: _ } = object;
        let Facts { request, malformed, node, serving, access, existing } = facts;
        Self {
            schema: SCHEMA,
            name: &metadata.name,
            age_seconds: metadata.creation_timestamp.map(|created| (now - created).num_seconds()),
            signer: &spec.signer_name,
            username: &spec.username,
            uid: &spec.uid,
            groups: &spec.groups,
            extra: &spec.extra,
            usages: &spec.usages,
            expiration_seconds: spec.expiration_seconds,
            malformed: malformed.as_deref(),
            request: request.as_ref(),
            node: node.as_ref(),
            serving: serving.as_ref(),
            access,
            existing: *existing,
        }
    }
}
