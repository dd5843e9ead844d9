//! What a stand-in API server is started with.

use std::net::{Ipv4Addr, SocketAddr};

use gatelet_certs::Cluster;

use crate::tls::Identity;

/// `--cluster-signing-duration` of a kube-controller-manager that nobody bounds, in seconds.
pub const TEN_YEARS: i64 = 10 * 365 * 24 * 3_600;

/// What the bootstrap roles of Kubernetes let kubelets do.
const BOOTSTRAP: &str = include_str!("bootstrap.yaml");

/// How to run a [`StandInApiServer`](super::StandInApiServer).
pub struct Options {
    /// Where to listen; port 0 lets the system pick.
    pub listen: SocketAddr,
    /// The serving pair.
    pub serving: Identity,
    /// The CA (PEM) of the clients that come with a certificate.
    pub client_ca: Vec<u8>,
    /// Roles and their bindings, as YAML.
    pub manifests: Vec<String>,
    /// Who signs what was approved.
    pub signer: gatelet_certs::Signer,
}

impl Options {
    /// The API server of a cluster, on a port of 127.0.0.1 that the system picks. Beside the bootstrap
    /// roles it has those of `manifest`.
    ///
    /// # Errors
    /// When a certificate can't be issued.
    pub fn new(cluster: &Cluster, manifest: &str) -> anyhow::Result<Self> {
        use gatelet_certs::{Ca, Persona};
        Ok(Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            serving: cluster.issue(Persona::Apiserver)?.into(),
            client_ca: cluster.authority(Ca::Cluster).certificate().as_bytes().to_vec(),
            manifests: vec![BOOTSTRAP.to_owned(), manifest.to_owned()],
            signer: cluster.signer()?,
        })
    }
}
