//! What a policy sees of a request: schema `gatelet/v1`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CanonicalPath, Endpoint, Method, Request, UpgradeKind};
use crate::peer::{Peer, PeerInput};

/// The name and version of the document.
pub const SCHEMA: &str = "gatelet/v1";

/// The input document of profile `kubelet`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Input<'a> {
    /// `gatelet/v1`.
    pub schema: &'static str,
    /// The method.
    pub method: Method,
    /// The path, which the kubelet gets byte for byte.
    pub path: &'a CanonicalPath,
    /// What the caller wants; its parameters stand beside it.
    #[serde(flatten)]
    pub endpoint: &'a Endpoint,
    /// The upgrade asked for, on exec, attach and portForward.
    pub upgrade: Option<UpgradeKind>,
    /// The sub-protocols on offer.
    pub protocols: &'a [String],
    /// The query, decoded; a key's values are in their order.
    pub query: BTreeMap<&'a str, Vec<&'a str>>,
    /// What the kubelet's own authorizer would ask.
    pub authorization: Authorization,
    /// Who asks.
    pub peer: PeerInput<'a>,
    /// The caller's software, as it says.
    pub user_agent: Option<&'a str>,
    /// The node asked.
    pub node: &'a Node,
}

/// The attributes of the kubelet's own authorization.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Authorization {
    /// `get`, `create`, `update` or `delete`, by the method.
    pub verb: &'static str,
    /// Always `nodes`.
    pub resource: &'static str,
    /// Any of them suffices.
    pub subresources: &'static [&'static str],
}

/// The node that the gate stands before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name, if the configuration gives one.
    pub name: Option<String>,
}

impl<'a> Input<'a> {
    /// The document of one request.
    #[must_use]
    pub fn new(request: &'a Request, peer: &'a Peer, bearer_token: bool, node: &'a Node) -> Self {
        let Request { method, path, endpoint, upgrade, query, user_agent } = request;
        Self {
            schema: SCHEMA,
            method: *method,
            path,
            endpoint,
            upgrade: upgrade.as_ref().map(|upgrade| upgrade.kind),
            protocols: upgrade.as_ref().map_or(&[], |upgrade| &upgrade.protocols),
            query: query.by_key(),
            authorization: Authorization {
                verb: method.verb(),
                resource: "nodes",
                subresources: endpoint.subresources(),
            },
            peer: PeerInput::new(peer, bearer_token),
            user_agent: user_agent.as_deref(),
            node,
        }
    }
}
