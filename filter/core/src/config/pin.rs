//! Peers and certificates named by the configuration.

use serde::{Deserialize, Serialize};

use crate::peer::{Certificate, Peer};

/// A peer known by its certificate. It must match in all that is said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PeerPin {
    /// Its common name.
    #[serde(deserialize_with = "not_empty")]
    common_name: String,
    /// One of its organizations; `null` is a subject without any.
    #[serde(deserialize_with = "Option::deserialize")]
    organization: Option<String>,
    /// The certificate itself.
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<CertificateDigest>,
}

/// The SHA-256 of a certificate's DER: 64 hexadecimal digits, with or without the colons that openssl
/// prints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct CertificateDigest(String);

impl PeerPin {
    /// Whether this is the peer.
    #[must_use]
    pub fn matches(&self, peer: &Peer) -> bool {
        let Self { common_name, organization, certificate_sha256 } = self;
        let Some(certificate) = &peer.certificate else {
            return false;
        };
        let organizations = certificate.subject.organizations();
        certificate.subject.common_name() == Some(common_name)
            && match organization {
                Some(name) => organizations.contains(name),
                None => organizations.is_empty(),
            }
            && certificate_sha256.as_ref().is_none_or(|digest| digest.is_of(certificate))
    }
}

impl CertificateDigest {
    /// Whether this is the certificate.
    #[must_use]
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        self.0 == certificate.sha256
    }
}

impl TryFrom<String> for CertificateDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digest = text.replace(':', "").to_ascii_lowercase();
        if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(digest))
        } else {
            Err(format!("`{text}` is not a SHA-256 in 64 hexadecimal digits"))
        }
    }
}

impl From<CertificateDigest> for String {
    fn from(digest: CertificateDigest) -> Self {
        digest.0
    }
}

fn not_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    if name.is_empty() {
        return Err(serde::de::Error::custom("a peer without a common name"));
    }
    Ok(name)
}

/// An absent value is none; `null` is a mistake.
fn some<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<CertificateDigest>, D::Error> {
    CertificateDigest::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::peer::PeerProperties;

    fn peer(subject: &str) -> Peer {
        let properties = PeerProperties {
            mtls: Some(&[1]),
            subject: Some(subject.as_bytes()),
            sha256: Some(&[b'a'; 64]),
            ..PeerProperties::default()
        };
        Peer::from_properties(&properties, false).unwrap()
    }

    fn pin(json: serde_json::Value) -> PeerPin {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_peer_matches_in_all_that_is_said() {
        let admins = pin(json!({"common_name": "api", "organization": "admins"}));
        let nobody_s = pin(json!({"common_name": "api", "organization": null}));
        let with = |digest: String| {
            pin(
                json!({"common_name": "api", "organization": "admins", "certificate_sha256": digest}),
            )
        };
        let colons = vec!["AA"; 32].join(":");
        for (pin, subject, want) in [
            (&admins, "CN=api,O=admins", true),
            (&admins, "CN=api,O=others,O=admins", true),
            (&admins, "CN=api", false),
            (&admins, "CN=api,O=others", false),
            (&admins, "CN=API,O=admins", false),
            (&admins, "O=admins", false),
            (&nobody_s, "CN=api", true),
            (&nobody_s, "CN=api,O=admins", false),
            (&with("a".repeat(64)), "CN=api,O=admins", true),
            (&with(colons), "CN=api,O=admins", true),
            (&with("b".repeat(64)), "CN=api,O=admins", false),
        ] {
            assert_eq!(pin.matches(&peer(subject)), want, "{pin:?} {subject}");
        }
        assert!(!nobody_s.matches(&Peer::default()));
    }

    #[test]
    fn a_pin_that_would_match_too_much_is_refused() {
        for json in [
            json!({"common_name": "api"}),
            json!({"organization": "admins"}),
            json!({"common_name": "", "organization": null}),
            json!({"common_name": "api", "organisation": "admins"}),
            json!({"common_name": "api", "organization": null, "certificate_sha256": "ab"}),
            json!({"common_name": "api", "organization": null, "certificate_sha256": null}),
        ] {
            assert!(serde_json::from_value::<PeerPin>(json.clone()).is_err(), "{json}");
        }
    }
}
