//! Who is in a cluster: one table of every CA and every certificate.

use clap::ValueEnum;

use crate::{CaIdentity, Files, Identity, Names, Usage};

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
    Approver,
    OtherNode,
}

impl Ca {
    /// The table's entry.
    pub const fn identity(self) -> CaIdentity {
        match self {
            Self::Cluster => CaIdentity {
                common_name: "kubernetes",
                stem: "pki/ca",
                key_held_by: "kube-controller-manager `--cluster-signing-cert-file` \
                            `--cluster-signing-key-file`",
                trusted_by: "kube-apiserver `--client-ca-file` `--kubelet-certificate-authority`, \
                             kube-controller-manager `--root-ca-file`, the gate's `trusted_ca`",
            },
            Self::Etcd => CaIdentity {
                common_name: "etcd-ca",
                stem: "pki/etcd/ca",
                key_held_by: "nobody once the certificates are made",
                trusted_by: "etcd `--trusted-ca-file` `--peer-trusted-ca-file`, \
                             kube-apiserver `--etcd-cafile`",
            },
            Self::FrontProxy => CaIdentity {
                common_name: "front-proxy-ca",
                stem: "pki/front-proxy-ca",
                key_held_by: "nobody once the certificates are made",
                trusted_by: "kube-apiserver `--requestheader-client-ca-file`",
            },
            Self::Gate => CaIdentity {
                common_name: "gatelet-ca",
                stem: "gatelet/ca",
                key_held_by: "the gate's node, which it never leaves",
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
            Self::Approver => Identity {
                channel: "approver → kube-apiserver",
                ca: Ca::Cluster,
                common_name: "gatelet-approver",
                organization: None,
                usage: Usage::Client,
                files: Files::Watched("gatelet/approver"),
                presented_by: "the approver's Envoy, upstream `tls_certificate`",
                checked_by: "kube-apiserver `--client-ca-file`, and RBAC: `envoy/approver/rbac.yaml`",
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
