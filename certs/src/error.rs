//! What can go wrong, with the way out.

use std::io;
use std::path::PathBuf;

/// Why a certificate was not issued, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller asked to write where something already is.
    #[error(
        "`{}` already exists and nothing is overwritten: choose an empty folder with --out, \
         or delete it yourself",
        path.display()
    )]
    Exists {
        /// The file in the way.
        path: PathBuf,
    },

    /// A file that somebody else wrote could not be read.
    #[error("cannot read `{}`", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// The certificate or key of a CA could not be read.
    #[error(
        "cannot read `{}`, which a folder with a CA has if `gatelet-certs create` or kubeadm made it",
        path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// A file or folder could not be written; nothing of it is left behind.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// A file was read, but can't serve as what it is named for.
    #[error("`{}` {reason}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What it is not.
        reason: &'static str,
    },

    /// A node's name that Kubernetes would not take.
    #[error(
        "`{0}` is no node name: it takes lower-case letters, digits, `-` and `.`, begins and ends \
         with a letter or digit, and has at most 253 characters"
    )]
    NodeName(String),

    /// The clock and the lifetime give a date that no certificate can carry.
    #[error("a lifetime of {days} days from now ends beyond the calendar")]
    Lifetime {
        /// The lifetime that was asked for.
        days: u16,
    },

    /// The CA's own certificate has ended: what it signs would not be accepted anywhere.
    #[error("the certificate of the CA ended on {0}: a new CA is needed")]
    Ended(time::Date),

    /// More organizations than the encoder can put into one subject.
    #[error("a subject takes at most two organizations, not {0}")]
    Organizations(usize),

    /// A usage, by its name in `spec.usages`, that no signer of Kubernetes puts on a node's certificate.
    #[error("cannot sign for the usage `{0}`")]
    Usage(String),

    /// The encoder refused; a bug here or a name that X.509 can't carry.
    #[error("cannot issue a certificate")]
    Issue(#[from] rcgen::Error),
}
