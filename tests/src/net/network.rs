//! Two pods, a node and an outsider, joined by the node's bridge.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::namespace::Namespace;

/// A namespace with an address of each family.
#[derive(Debug)]
pub struct Host {
    /// The namespace.
    pub namespace: Namespace,
    number: u8,
}

/// All of them. The pods' default route is the node.
#[derive(Debug)]
pub struct Network {
    /// Calls.
    pub web: Host,
    /// Is called.
    pub db: Host,
    /// Has no identity.
    pub outsider: Host,
    /// Has the bridge, and sends probes from its address.
    pub node: Host,
}

impl Host {
    /// A port at its IPv4 address.
    pub fn v4(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ipv4(), port)
    }

    /// A port at its IPv6 address.
    pub fn v6(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ipv6(), port)
    }

    /// The port at both.
    pub fn both(&self, port: u16) -> [SocketAddr; 2] {
        [self.v4(port), self.v6(port)]
    }

    /// Its IPv4 address.
    pub fn ipv4(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 9, 0, self.number))
    }

    /// Its IPv6 address.
    pub fn ipv6(&self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, self.number.into()))
    }

    fn create(role: &str, number: u8) -> anyhow::Result<Self> {
        Ok(Self { namespace: Namespace::create(role)?, number })
    }
}

impl Network {
    /// Makes all of it.
    ///
    /// # Errors
    /// As [`Namespace::create`].
    pub fn create() -> anyhow::Result<Self> {
        let network = Self {
            web: Host::create("web", 2)?,
            db: Host::create("db", 3)?,
            outsider: Host::create("outsider", 4)?,
            node: Host::create("node", 1)?,
        };
        let Self { web, db, outsider, node } = &network;
        node.namespace.ip("link add bridge type bridge")?;
        addresses(node, "bridge")?;
        for (name, pod) in [("web", web), ("db", db), ("outsider", outsider)] {
            let there = pod.namespace.name();
            node.namespace
                .ip(&format!("link add {name} type veth peer name eth0 netns {there}"))?;
            node.namespace.ip(&format!("link set {name} master bridge up"))?;
            addresses(pod, "eth0")?;
            for gateway in [node.ipv4(), node.ipv6()] {
                let family = if gateway.is_ipv4() { "-4" } else { "-6" };
                pod.namespace.ip(&format!("{family} route add default via {gateway}"))?;
            }
        }
        Ok(network)
    }
}

fn addresses(host: &Host, device: &str) -> anyhow::Result<()> {
    host.namespace.ip(&format!("link set {device} up"))?;
    host.namespace.ip(&format!("address add {}/24 dev {device}", host.ipv4()))?;
    // Without waiting for whether somebody else has it.
    host.namespace.ip(&format!("address add {}/64 dev {device} nodad", host.ipv6()))?;
    Ok(())
}
