//! The `Node` that a request is for.

use std::{collections::BTreeMap, net::IpAddr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::object::null_as_default;

/// A node, as the API server has it. Whoever may edit its status chooses the addresses: the node
/// itself, and the control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Node {
    /// The name that the request gives it.
    pub name: String,
    /// Whether there is such a node. If not, everything below is empty.
    pub exists: bool,
    /// Seconds since it was created.
    pub age_seconds: Option<i64>,
    /// The name that a cloud gives it.
    pub provider_id: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its DNS names and host name, as they are written.
    pub dns: Vec<String>,
    /// Its IP addresses, in their canonical spelling.
    pub ip: Vec<IpAddr>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    metadata: Metadata,
    #[serde(default, deserialize_with = "null_as_default")]
    spec: Spec,
    #[serde(default, deserialize_with = "null_as_default")]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    creation_timestamp: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "null_as_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "null_as_default")]
    addresses: Vec<Address>,
}

#[derive(Deserialize)]
struct Address {
    r#type: String,
    address: String,
}

impl Node {
    /// A node that there isn't.
    pub(super) fn absent(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Reads the API server's answer; `None` if it is not this node.
    pub(super) fn from_json(name: &str, body: &[u8], now: DateTime<Utc>) -> Option<Self> {
        let Object { metadata, spec, status } = serde_json::from_slice(body).ok()?;
        if metadata.name != name {
            return None;
        }
        let (mut dns, mut ip) = (Vec::new(), Vec::new());
        for Address { r#type, address } in status.addresses {
            match (r#type.as_str(), address.parse()) {
                ("InternalIP" | "ExternalIP", Ok(parsed)) => ip.push(parsed),
                // The name of a host may look like an address, and is an address then.
                ("Hostname", Ok(parsed)) => ip.push(parsed),
                ("Hostname" | "InternalDNS" | "ExternalDNS", _) => dns.push(address),
                _ => {}
            }
        }
        Some(Self {
            name: metadata.name,
            exists: true,
            age_seconds: metadata.creation_timestamp.map(|created| (now - created).num_seconds()),
            provider_id: spec.provider_id,
            labels: metadata.labels,
            dns,
            ip,
        })
    }

    /// The address at which its kubelet is looked for: the first that isn't the approver's own machine,
    /// or one that no node has.
    pub(super) fn reachable(&self) -> Option<IpAddr> {
        self.ip.iter().copied().find(|ip| match ip.to_canonical() {
            IpAddr::V4(ip) => {
                !(ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_link_local()
                    || ip.is_multicast()
                    || ip.is_broadcast())
            }
            IpAddr::V6(ip) => {
                !(ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_unicast_link_local()
                    || ip.is_multicast())
            }
        })
    }
}
