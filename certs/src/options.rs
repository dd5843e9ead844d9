//! What a cluster's certificates are made of: names, addresses, lifetimes.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use crate::Error;

/// Whom the certificates name, and how long they last.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Name of the gated node, as `kubectl get nodes` prints it
    #[arg(long, value_name = "NAME")]
    pub node: NodeName,

    /// Address at which the API server dials that node; may be repeated
    #[arg(long = "node-address", value_name = "IP", default_value = "127.0.0.1")]
    pub node_addresses: Vec<IpAddr>,

    /// Name of the control plane's node
    #[arg(long, value_name = "NAME", default_value = "control-plane")]
    pub control_plane: NodeName,

    /// Address of the API server, for its certificate, etcd's and the kubeconfigs
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub apiserver_address: IpAddr,

    /// Name of a second node, whose certificate must not open the first one's gate
    #[arg(long, value_name = "NAME", default_value = "worker-2")]
    pub other_node: NodeName,

    /// Days that a CA lasts
    #[arg(long, value_name = "DAYS", default_value_t = Self::CA_DAYS)]
    pub ca_days: u16,

    /// Days that every other certificate lasts, though never longer than its CA
    #[arg(long, value_name = "DAYS", default_value_t = Self::LEAF_DAYS)]
    pub leaf_days: u16,
}

impl Options {
    /// Ten years, as kubeadm gives a CA.
    pub const CA_DAYS: u16 = 3_650;
    /// One year, as kubeadm gives a leaf.
    pub const LEAF_DAYS: u16 = 365;

    /// A cluster on this machine, with the gate in front of `node`.
    pub fn new(node: NodeName) -> Self {
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            node,
            node_addresses: vec![localhost],
            control_plane: NodeName("control-plane".into()),
            apiserver_address: localhost,
            other_node: NodeName("worker-2".into()),
            ca_days: Self::CA_DAYS,
            leaf_days: Self::LEAF_DAYS,
        }
    }
}

/// The name of a node: a DNS subdomain (RFC 1123), as Kubernetes demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(String);

impl FromStr for NodeName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let label = |label: &str| {
            label.bytes().all(|byte| plain(byte) || byte == b'-')
                && label.bytes().next().is_some_and(plain)
                && label.bytes().last().is_some_and(plain)
        };
        if name.len() <= 253 && name.split('.').all(label) {
            Ok(Self(name.into()))
        } else {
            Err(Error::NodeName(name.into()))
        }
    }
}

impl AsRef<str> for NodeName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
