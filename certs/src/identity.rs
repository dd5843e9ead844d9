//! What there is to know of a CA and of a certificate; the table itself is in `personas`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{ExtendedKeyUsagePurpose, SanType};
use time::OffsetDateTime;

use crate::authority::{Leaf, Subject, Validity};
use crate::{Ca, Error, Options};

/// The address that kubeadm gives the `kubernetes` Service.
const SERVICE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// What there is to know of a CA.
pub struct CaIdentity {
    /// The subject's common name.
    pub common_name: &'static str,
    /// Where its `.crt` and `.key` are.
    pub stem: &'static str,
    /// Who holds its key, and in which flags, as Markdown.
    pub key_held_by: &'static str,
    /// Who trusts its certificate, and in which flags, as Markdown.
    pub trusted_by: &'static str,
}

/// What there is to know of a persona. `<node>` and its like stand for a name from [`Options`].
pub struct Identity {
    /// Who talks to whom.
    pub channel: &'static str,
    /// Who signs.
    pub ca: Ca,
    /// `CN`.
    pub common_name: &'static str,
    /// `O`.
    pub organization: Option<&'static str>,
    /// What the certificate may be used for.
    pub usage: Usage,
    /// Where it is written.
    pub files: Files<'static>,
    /// The flags that present it, as Markdown.
    pub presented_by: &'static str,
    /// The flags with which the other side checks it, as Markdown.
    pub checked_by: &'static str,
}

/// The extended key usages of a leaf. Who serves has names to be checked; a client has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Client authentication only.
    Client,
    /// Server authentication only.
    Server(Names),
    /// Both, which etcd's members need among themselves.
    ServerAndClient(Names),
}

/// The subject alternative names of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The gated node's name and addresses.
    Node,
    /// The API server's, with those of the `kubernetes` Service.
    Apiserver,
    /// Those of an etcd member beside the API server.
    Etcd,
}

/// The form in which a pair is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files<'a> {
    /// This path with `.crt` and `.key` appended.
    Pair(&'a str),
    /// A kubeconfig with the pair inside.
    Kubeconfig(&'a str),
    /// A folder with `tls.crt`, `tls.key` and `ca.crt`, which Envoy watches (`watched_directory`).
    Watched(&'a str),
}

impl Identity {
    /// The certificate for a given cluster and day.
    pub(crate) fn leaf(&self, options: &Options, now: OffsetDateTime) -> Result<Leaf, Error> {
        let common_name = self
            .common_name
            .replace("<node>", options.node.as_ref())
            .replace("<other-node>", options.other_node.as_ref())
            .replace("<control-plane>", options.control_plane.as_ref());
        let organizations = self.organization.into_iter().map(Into::into).collect();
        Ok(Leaf {
            subject: Subject { common_name, organizations },
            names: self.usage.names().map_or(Ok(Vec::new()), |names| names.of(options))?,
            purposes: self.usage.purposes(),
            validity: Validity::starting(now, options.leaf_days)?,
        })
    }
}

impl fmt::Display for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pair(stem) => write!(f, "{stem}.{{crt,key}}"),
            Self::Kubeconfig(path) => f.write_str(path),
            Self::Watched(folder) => write!(f, "{folder}/{{tls.crt,tls.key,ca.crt}}"),
        }
    }
}

impl Usage {
    /// The names to be checked; a client has none.
    pub const fn names(self) -> Option<Names> {
        match self {
            Self::Client => None,
            Self::Server(names) | Self::ServerAndClient(names) => Some(names),
        }
    }

    pub(crate) fn purposes(self) -> Vec<ExtendedKeyUsagePurpose> {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        match self {
            Self::Client => vec![ClientAuth],
            Self::Server(_) => vec![ServerAuth],
            Self::ServerAndClient(_) => vec![ServerAuth, ClientAuth],
        }
    }
}

impl Names {
    fn of(self, options: &Options) -> Result<Vec<SanType>, Error> {
        let (hosts, addresses): (Vec<&str>, Vec<IpAddr>) = match self {
            Self::Node => (vec![options.node.as_ref()], options.node_addresses.clone()),
            Self::Apiserver => (
                vec![
                    options.control_plane.as_ref(),
                    "kubernetes",
                    "kubernetes.default",
                    "kubernetes.default.svc",
                    "kubernetes.default.svc.cluster.local",
                ],
                vec![SERVICE_ADDRESS, options.apiserver_address],
            ),
            Self::Etcd => (
                vec![options.control_plane.as_ref(), "localhost"],
                vec![
                    options.apiserver_address,
                    Ipv4Addr::LOCALHOST.into(),
                    Ipv6Addr::LOCALHOST.into(),
                ],
            ),
        };
        let mut names = Vec::new();
        for host in hosts {
            names.push(dns_name(host)?);
        }
        for address in addresses {
            let address = SanType::IpAddress(address);
            if !names.contains(&address) {
                names.push(address);
            }
        }
        Ok(names)
    }
}

pub(crate) fn dns_name(host: &str) -> Result<SanType, Error> {
    Ok(SanType::DnsName(host.try_into()?))
}
