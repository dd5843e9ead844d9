//! Every certificate of a cluster like kubeadm's, of the gate in front of its kubelet, and the
//! broken ones that tests need.
//!
//! ```text
//!   Options ─▶ Cluster ──issue──▶ Pair            nothing is written
//!    names      4 CAs  ──flawed─▶ Pair            expired, wrong CA, …
//!                      ──write──▶ a folder        kubeadm's layout, keys 0600
//!                                 Pair ──publish─▶ a folder that Envoy watches
//!            Signer ──sign──▶ the certificate of a request, as kube-controller-manager signs
//! ```
//!
//! Who exists, who signs whom, where the files are and which flags want them is one table:
//! [`Persona::identity`]. Issuing, the layout and the command's listing all read it.
//!
//! ```
//! # use std::time::SystemTime;
//! # use gatelet_certs::{Cluster, Options, Persona};
//! let cluster = Cluster::new(Options::new("worker-1".parse()?), SystemTime::now())?;
//! let apiserver = cluster.issue(Persona::ApiserverKubeletClient)?;
//! assert!(apiserver.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok::<(), gatelet_certs::Error>(())
//! ```

mod authority;
mod cluster;
mod error;
mod files;
mod flaw;
mod identity;
mod kubeconfig;
mod options;
mod personas;
mod signer;
mod table;

pub use authority::{Authority, Pair, Subject};
pub use cluster::{Cluster, issue_from};
pub use error::Error;
pub use files::{publish, publish_to};
pub use flaw::Flaw;
pub use identity::{CaIdentity, Files, Identity, Names, Usage};
pub use options::{NodeName, Options};
pub use personas::{Ca, Persona};
pub use signer::Signer;
pub use table::table;
