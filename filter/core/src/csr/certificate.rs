//! The certificate that a kubelet serves at the moment.

use chrono::{DateTime, Utc};
use der::Decode;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate as X509;

use super::{
    key::Key,
    names::{AlternativeNames, Subject},
    rfc3339,
};

/// A certificate that a connection to the node was shown. Envoy verified that it is of the cluster's
/// CA and that the node has its key; under whose name is for the policy to compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Certificate {
    /// Whose it is.
    pub subject: Subject,
    /// Its names and addresses.
    pub sans: AlternativeNames,
    /// Its key.
    pub key: Key,
    /// The end of its validity.
    #[serde(serialize_with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub not_after: DateTime<Utc>,
    /// The SHA-256 of its DER, 64 hexadecimal digits.
    pub sha256: String,
}

impl Certificate {
    /// Reads PEM. What can't be read is no certificate: a policy sees that there is none.
    #[must_use]
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let (label, der) = pem_rfc7468::decode_vec(pem).ok()?;
        if label != "CERTIFICATE" {
            return None;
        }
        let certificate = X509::from_der(&der).ok()?.tbs_certificate;
        let mut names = certificate
            .extensions
            .iter()
            .flatten()
            .filter(|e| e.extn_id.to_string() == "2.5.29.17");
        let sans = match (names.next(), names.next()) {
            (Some(extension), None) => {
                AlternativeNames::read(extension.extn_value.as_bytes()).ok()?
            }
            (None, _) => AlternativeNames::default(),
            (Some(_), Some(_)) => return None,
        };
        let not_after = certificate.validity.not_after.to_unix_duration().as_secs();
        Some(Self {
            subject: Subject::read(&certificate.subject).ok()?,
            sans,
            key: Key::read(&certificate.subject_public_key_info).ok()?,
            not_after: DateTime::from_timestamp(i64::try_from(not_after).ok()?, 0)?,
            sha256: super::hex(&Sha256::digest(der)),
        })
    }
}
