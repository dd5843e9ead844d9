//! Who is in a cluster: one table of every CA and every certificate.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::ValueEnum;
use rcgen::{ExtendedKeyUsagePurpose, SanType};
use time::OffsetDateTime;

use crate::authority::{Leaf, Subject, Validity};
use crate::{Error, Options};

/// The address that kubeadm gives the `kubernetes` Service.
const SERVICE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// A certificate authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ca {
    /// Signs whoever talks to the API server or to a kubelet.
    Cluster,
    /// Signs whoever talks to etcd.
    Etcd,
    /// Signs the API server as a front proxy of extension API servers.
    FrontProxy,
    /// Signs the gate towards its kubelet, and that kubelet. Only the gate's node holds it.
    Gate,
}

/// What there is to know of a CA.
pub struct CaIdentity {
    /// The subject's common name.
    pub common_name: &'static str,
    /// Where its `.crt` and `.key` are.
    pub stem: &'static str,
    /// The flags that want its key, as Markdown.
    pub signs_for: &'static str,
    /// The flags that trust its certificate, as Markdown.
    pub trusted_by: &'static str,
}

/// Somebody with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the table below says what each one is")]
pub enum Persona {
    Apiserver,
    ApiserverKubeletClient,
    ApiserverEtcdClient,
    EtcdServer,
    EtcdPeer,
    EtcdHealthcheckClient,
    FrontProxyClient,
    GateServing,
    GateClientOwned,
    GateClientHardened,
    KubeletServingOwned,
    KubeletServingHardened,
    KubeletClient,
    Scheduler,
    ControllerManager,
    Administrator,
    Prometheus,
    OtherNode,
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

impl Ca {
    /// The table's entry.
    pub const fn identity(self) -> CaIdentity {
        match self {
            Self::Cluster => CaIdentity {
                common_name: "kubernetes",
                stem: "pki/ca",
                signs_for: "kube-controller-manager `--cluster-signing-cert-file` \
                            `--cluster-signing-key-file`",
                trusted_by: "kube-apiserver `--client-ca-file` `--kubelet-certificate-authority`, \
                             kube-controller-manager `--root-ca-file`, the gate's `trusted_ca`",
            },
            Self::Etcd => CaIdentity {
                common_name: "etcd-ca",
                stem: "pki/etcd/ca",
                signs_for: "nobody while the cluster runs",
                trusted_by: "etcd `--trusted-ca-file` `--peer-trusted-ca-file`, \
                             kube-apiserver `--etcd-cafile`",
            },
            Self::FrontProxy => CaIdentity {
                common_name: "front-proxy-ca",
                stem: "pki/front-proxy-ca",
                signs_for: "nobody while the cluster runs",
                trusted_by: "kube-apiserver `--requestheader-client-ca-file`",
            },
            Self::Gate => CaIdentity {
                common_name: "gatelet-ca",
                stem: "gatelet/ca",
                signs_for: "the node's owner; the key never leaves the node",
                trusted_by: "kubelet `--client-ca-file` and the gate's upstream `trusted_ca`, \
                             both in profile owned",
            },
        }
    }
}

impl Persona {
    /// The table's entry.
    pub const fn identity(self) -> Identity {
        match self {
            Self::Apiserver => Identity {
                channel: "clients → kube-apiserver",
                ca: Ca::Cluster,
                common_name: "kube-apiserver",
                organization: None,
                usage: Usage::Server(Names::Apiserver),
                files: Files::Pair("pki/apiserver"),
                presented_by: "kube-apiserver `--tls-cert-file` `--tls-private-key-file`",
                checked_by: "`certificate-authority-data` in every kubeconfig",
            },
            Self::ApiserverKubeletClient => Identity {
                channel: "kube-apiserver → gate",
                ca: Ca::Cluster,
                common_name: "kube-apiserver-kubelet-client",
                organization: Some("kubeadm:cluster-admins"),
                usage: Usage::Client,
                files: Files::Pair("pki/apiserver-kubelet-client"),
                presented_by: "kube-apiserver `--kubelet-client-certificate` \
                               `--kubelet-client-key`",
                checked_by: "Envoy, downstream `trusted_ca`, and the policy's peers",
            },
            Self::ApiserverEtcdClient => Identity {
                channel: "kube-apiserver → etcd",
                ca: Ca::Etcd,
                common_name: "kube-apiserver-etcd-client",
                organization: None,
                usage: Usage::Client,
                files: Files::Pair("pki/apiserver-etcd-client"),
                presented_by: "kube-apiserver `--etcd-certfile` `--etcd-keyfile`",
                checked_by: "etcd `--client-cert-auth` `--trusted-ca-file`",
            },
            Self::EtcdServer => Identity {
                channel: "kube-apiserver → etcd",
                ca: Ca::Etcd,
                common_name: "<control-plane>",
                organization: None,
                // etcd's own gRPC gateway dials the member with its serving certificate.
                usage: Usage::ServerAndClient(Names::Etcd),
                files: Files::Pair("pki/etcd/server"),
                presented_by: "etcd `--cert-file` `--key-file`",
                checked_by: "kube-apiserver `--etcd-cafile`",
            },
            Self::EtcdPeer => Identity {
                channel: "etcd ↔ etcd",
                ca: Ca::Etcd,
                common_name: "<control-plane>",
                organization: None,
                usage: Usage::ServerAndClient(Names::Etcd),
                files: Files::Pair("pki/etcd/peer"),
                presented_by: "etcd `--peer-cert-file` `--peer-key-file`",
                checked_by: "etcd `--peer-client-cert-auth` `--peer-trusted-ca-file`",
            },
            Self::EtcdHealthcheckClient => Identity {
                channel: "etcd's health check → etcd",
                ca: Ca::Etcd,
                common_name: "kube-etcd-healthcheck-client",
                organization: None,
                usage: Usage::Client,
                files: Files::Pair("pki/etcd/healthcheck-client"),
                presented_by: "etcdctl `--cert` `--key`",
                checked_by: "etcd `--client-cert-auth` `--trusted-ca-file`",
            },
            Self::FrontProxyClient => Identity {
                channel: "kube-apiserver → extension API servers",
                ca: Ca::FrontProxy,
                common_name: "front-proxy-client",
                organization: None,
                usage: Usage::Client,
                files: Files::Pair("pki/front-proxy-client"),
                presented_by: "kube-apiserver `--proxy-client-cert-file` \
                               `--proxy-client-key-file`",
                checked_by: "`--requestheader-client-ca-file` \
                             `--requestheader-allowed-names=front-proxy-client`",
            },
            Self::GateServing => Identity {
                channel: "kube-apiserver → gate",
                ca: Ca::Cluster,
                common_name: "system:node:<node>",
                organization: Some("system:nodes"),
                usage: Usage::Server(Names::Node),
                files: Files::Watched("gatelet/serving"),
                presented_by: "Envoy, downstream `tls_certificate`",
                checked_by: "kube-apiserver `--kubelet-certificate-authority`, \
                             from 1.37 also `--enable-kubelet-cert-cn-validation`",
            },
            Self::GateClientOwned => Identity {
                channel: "gate → kubelet, profile owned",
                ca: Ca::Gate,
                common_name: "gatelet:<node>",
                organization: Some("gatelet"),
                usage: Usage::Client,
                files: Files::Watched("gatelet/owned"),
                presented_by: "Envoy, upstream `tls_certificate`",
                checked_by: "kubelet `--client-ca-file=gatelet/ca.crt` \
                             `--authorization-mode=AlwaysAllow`",
            },
            Self::GateClientHardened => Identity {
                channel: "gate → kubelet, profile hardened",
                ca: Ca::Cluster,
                common_name: "gatelet:<node>",
                organization: Some("gatelet"),
                usage: Usage::Client,
                files: Files::Watched("gatelet/hardened"),
                presented_by: "Envoy, upstream `tls_certificate`",
                checked_by: "kubelet `--client-ca-file=pki/ca.crt` `--authorization-mode=Webhook`, \
                             group `gatelet` bound to ClusterRole `system:kubelet-api-admin`",
            },
            Self::KubeletServingOwned => Identity {
                channel: "gate → kubelet, profile owned",
                ca: Ca::Gate,
                common_name: "system:node:<node>",
                organization: Some("system:nodes"),
                usage: Usage::Server(Names::Node),
                files: Files::Pair("kubelet/owned"),
                presented_by: "kubelet `--tls-cert-file` `--tls-private-key-file`",
                checked_by: "Envoy, upstream `trusted_ca` and the node's name as the exact SAN",
            },
            Self::KubeletServingHardened => Identity {
                channel: "gate → kubelet, profile hardened",
                ca: Ca::Cluster,
                common_name: "system:node:<node>",
                organization: Some("system:nodes"),
                usage: Usage::Server(Names::Node),
                files: Files::Pair("kubelet/hardened"),
                presented_by: "kubelet `--tls-cert-file` `--tls-private-key-file`",
                checked_by: "Envoy, upstream `trusted_ca` and the node's name as the exact SAN",
            },
            Self::KubeletClient => Identity {
                channel: "kubelet → kube-apiserver",
                ca: Ca::Cluster,
                common_name: "system:node:<node>",
                organization: Some("system:nodes"),
                usage: Usage::Client,
                files: Files::Kubeconfig("kubelet.conf"),
                presented_by: "kubelet `--kubeconfig`",
                checked_by: "kube-apiserver `--client-ca-file` `--authorization-mode=Node,RBAC`",
            },
            Self::Scheduler => Identity {
                channel: "kube-scheduler → kube-apiserver",
                ca: Ca::Cluster,
                common_name: "system:kube-scheduler",
                organization: None,
                usage: Usage::Client,
                files: Files::Kubeconfig("scheduler.conf"),
                presented_by: "kube-scheduler `--kubeconfig`",
                checked_by: "kube-apiserver `--client-ca-file`",
            },
            Self::ControllerManager => Identity {
                channel: "kube-controller-manager → kube-apiserver",
                ca: Ca::Cluster,
                common_name: "system:kube-controller-manager",
                organization: None,
                usage: Usage::Client,
                files: Files::Kubeconfig("controller-manager.conf"),
                presented_by: "kube-controller-manager `--kubeconfig`",
                checked_by: "kube-apiserver `--client-ca-file`",
            },
            Self::Administrator => Identity {
                channel: "kubectl → kube-apiserver",
                ca: Ca::Cluster,
                common_name: "kubernetes-admin",
                organization: Some("kubeadm:cluster-admins"),
                usage: Usage::Client,
                files: Files::Kubeconfig("admin.conf"),
                presented_by: "kubectl `--kubeconfig`",
                checked_by: "kube-apiserver `--client-ca-file`",
            },
            Self::Prometheus => Identity {
                channel: "Prometheus → gate",
                ca: Ca::Cluster,
                common_name: "prometheus",
                organization: Some("monitoring"),
                usage: Usage::Client,
                files: Files::Pair("clients/prometheus"),
                presented_by: "Prometheus `tls_config`: `cert_file`, `key_file`",
                checked_by: "Envoy, downstream `trusted_ca`, and the policy's peers",
            },
            Self::OtherNode => Identity {
                channel: "another node's kubelet → gate, to be refused",
                ca: Ca::Cluster,
                common_name: "system:node:<other-node>",
                organization: Some("system:nodes"),
                usage: Usage::Client,
                files: Files::Pair("clients/other-node"),
                presented_by: "that node's kubelet",
                checked_by: "Envoy, downstream `trusted_ca`, and the policy's peers",
            },
        }
    }
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
            subject: Subject {
                common_name,
                organizations,
            },
            names: self
                .usage
                .names()
                .map_or(Ok(Vec::new()), |names| names.of(options))?,
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
