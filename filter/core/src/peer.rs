//! Who is at the other end: the facts of a verified client certificate, as Envoy tells them.

mod subject;

use serde::Serialize;
use thiserror::Error;

pub use subject::{InvalidSubject, Subject};

/// Envoy's connection properties, each as it was read; `None` where Envoy has no such value.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerProperties<'a> {
    /// `connection.mtls`: one byte, 1 if a client certificate was presented and verified.
    pub mtls: Option<&'a [u8]>,
    /// `connection.subject_peer_certificate`, RFC 2253.
    pub subject: Option<&'a [u8]>,
    /// `connection.uri_san_peer_certificate`, the first one.
    pub uri_san: Option<&'a [u8]>,
    /// `connection.dns_san_peer_certificate`, the first one.
    pub dns_san: Option<&'a [u8]>,
    /// `connection.sha256_peer_certificate_digest`, in hexadecimal digits.
    pub sha256: Option<&'a [u8]>,
    /// `source.address`, `ip:port`.
    pub address: Option<&'a [u8]>,
}

/// A caller: with a verified certificate, or nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The certificate's facts; `None` is a caller without one.
    pub certificate: Option<Certificate>,
    /// The address that the connection came from, without the port.
    pub address: Option<String>,
}

/// The facts of a client certificate that Envoy verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Certificate {
    /// Its subject.
    pub subject: Subject,
    /// Its first URI subject alternative name.
    pub uri_san: Option<String>,
    /// Its first DNS subject alternative name.
    pub dns_san: Option<String>,
    /// The SHA-256 of its DER, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why nothing is known of a caller who has a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidPeer {
    /// The subject is missing, or can't be read.
    #[error("the subject of the client certificate: {0}")]
    Subject(#[from] InvalidSubject),
    /// Some other property is missing or isn't what Envoy documents.
    #[error("property `{0}` of the client certificate")]
    Property(&'static str),
}

impl Peer {
    /// Reads Envoy's properties. The address is kept only if the configuration vouches for it.
    ///
    /// # Errors
    /// When there is a certificate and one of its facts can't be read.
    pub fn from_properties(
        properties: &PeerProperties<'_>,
        with_address: bool,
    ) -> Result<Self, InvalidPeer> {
        let address = match properties.address {
            Some(bytes) if with_address => {
                Some(ip(bytes).ok_or(InvalidPeer::Property("source.address"))?)
            }
            _ => None,
        };
        let certificate = match properties.mtls {
            Some([1]) => Some(Certificate::from_properties(properties)?),
            Some([0]) | None => None,
            Some(_) => return Err(InvalidPeer::Property("connection.mtls")),
        };
        Ok(Self { certificate, address })
    }
}

impl Certificate {
    fn from_properties(properties: &PeerProperties<'_>) -> Result<Self, InvalidPeer> {
        let uri_san = text(properties.uri_san, "connection.uri_san_peer_certificate")?;
        let dns_san = text(properties.dns_san, "connection.dns_san_peer_certificate")?;
        let subject = match properties.subject {
            Some(subject) => subject,
            // Who is named elsewhere needs no subject (RFC 5280, 4.1.2.6), and many an SVID has none.
            None if uri_san.is_some() || dns_san.is_some() => b"",
            None => return Err(InvalidSubject::NotText.into()),
        };
        let sha256 = properties.sha256.and_then(digest);
        Ok(Self {
            subject: Subject::parse(subject)?,
            uri_san,
            dns_san,
            sha256: sha256
                .ok_or(InvalidPeer::Property("connection.sha256_peer_certificate_digest"))?,
        })
    }
}

/// An absent name is an empty property in Envoy.
fn text(bytes: Option<&[u8]>, name: &'static str) -> Result<Option<String>, InvalidPeer> {
    let text =
        bytes.map(std::str::from_utf8).transpose().map_err(|_| InvalidPeer::Property(name))?;
    Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

fn digest(bytes: &[u8]) -> Option<String> {
    let digest = std::str::from_utf8(bytes).ok()?.to_ascii_lowercase();
    (digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digest)
}

fn ip(bytes: &[u8]) -> Option<String> {
    let address: std::net::SocketAddr = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    Some(address.ip().to_canonical().to_string())
}

/// The caller, as a policy sees it. Only the first subject alternative name of each kind is known:
/// Envoy tells no more.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PeerInput<'a> {
    /// Whether there is a certificate, verified against the configured CA.
    pub authenticated: bool,
    /// The subject's common name.
    pub common_name: Option<&'a str>,
    /// The subject's organizations: groups, to Kubernetes.
    pub organizations: &'a [String],
    /// The whole subject, RFC 2253.
    pub subject: Option<&'a str>,
    /// The first URI subject alternative name.
    pub uri_san: Option<&'a str>,
    /// The first DNS subject alternative name.
    pub dns_san: Option<&'a str>,
    /// The SHA-256 of the certificate's DER, 64 lower-case hexadecimal digits.
    pub certificate_sha256: Option<&'a str>,
    /// The address that the connection came from; null unless the configuration vouches for it.
    pub address: Option<&'a str>,
    /// Whether the request has an `Authorization: Bearer` header, which says nothing of its worth.
    pub bearer_token: bool,
}

impl<'a> PeerInput<'a> {
    /// The document's part about the caller.
    #[must_use]
    pub fn new(peer: &'a Peer, bearer_token: bool) -> Self {
        let Peer { certificate, address } = peer;
        let certificate = certificate.as_ref();
        let subject = certificate.map(|certificate| &certificate.subject);
        Self {
            authenticated: certificate.is_some(),
            common_name: subject.and_then(Subject::common_name),
            organizations: subject.map_or(&[], Subject::organizations),
            subject: subject.map(Subject::as_str),
            uri_san: certificate.and_then(|certificate| certificate.uri_san.as_deref()),
            dns_san: certificate.and_then(|certificate| certificate.dns_san.as_deref()),
            certificate_sha256: certificate.map(|certificate| certificate.sha256.as_str()),
            address: address.as_deref(),
            bearer_token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &[u8] = &[b'a'; 64];

    fn properties() -> PeerProperties<'static> {
        PeerProperties {
            mtls: Some(&[1]),
            subject: Some(b"CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins"),
            sha256: Some(DIGEST),
            uri_san: Some(b""),
            address: Some(b"10.0.0.10:4711"),
            ..PeerProperties::default()
        }
    }

    #[test]
    fn a_verified_certificate_is_a_caller() {
        let peer = Peer::from_properties(&properties(), true).unwrap();
        let input = PeerInput::new(&peer, false);
        assert!(input.authenticated);
        assert_eq!(input.common_name, Some("kube-apiserver-kubelet-client"));
        assert_eq!(input.organizations, ["kubeadm:cluster-admins"]);
        assert_eq!(input.uri_san, None);
        assert_eq!(input.address, Some("10.0.0.10"));
    }

    #[test]
    fn no_certificate_is_nobody_whatever_else_is_said() {
        for mtls in [None, Some(&[0_u8][..])] {
            let peer =
                Peer::from_properties(&PeerProperties { mtls, ..properties() }, true).unwrap();
            let input = PeerInput::new(&peer, true);
            assert_eq!((input.authenticated, input.common_name), (false, None));
            assert!(input.bearer_token);
        }
    }

    #[test]
    fn an_address_that_nobody_vouches_for_is_not_known() {
        assert_eq!(Peer::from_properties(&properties(), false).unwrap().address, None);
        let ipv6 = PeerProperties { address: Some(b"[::ffff:10.0.0.1]:1"), ..properties() };
        assert_eq!(
            Peer::from_properties(&ipv6, true).unwrap().address.as_deref(),
            Some("10.0.0.1")
        );
        let pipe = PeerProperties { address: Some(b"/run/x"), ..properties() };
        assert_eq!(
            Peer::from_properties(&pipe, true),
            Err(InvalidPeer::Property("source.address"))
        );
    }

    #[test]
    fn an_svid_needs_no_subject() {
        let id = "spiffe://cluster.local/ns/shop/sa/web";
        let svid = PeerProperties { subject: None, uri_san: Some(id.as_bytes()), ..properties() };
        let peer = Peer::from_properties(&svid, false).unwrap();
        let input = PeerInput::new(&peer, false);
        assert!(input.authenticated);
        assert_eq!((input.uri_san, input.common_name, input.subject), (Some(id), None, Some("")));
    }

    #[test]
    fn a_certificate_with_an_unreadable_fact_is_refused() {
        let digest = InvalidPeer::Property("connection.sha256_peer_certificate_digest");
        for (note, properties, want) in [
            (
                "no name at all",
                PeerProperties { subject: None, ..properties() },
                InvalidSubject::NotText.into(),
            ),
            ("no digest", PeerProperties { sha256: None, ..properties() }, digest),
            (
                "short digest",
                PeerProperties { sha256: Some(b"ab"), ..properties() },
                InvalidPeer::Property("connection.sha256_peer_certificate_digest"),
            ),
            (
                "odd flag",
                PeerProperties { mtls: Some(b"true"), ..properties() },
                InvalidPeer::Property("connection.mtls"),
            ),
            (
                "binary name",
                PeerProperties { dns_san: Some(&[0xff]), ..properties() },
                InvalidPeer::Property("connection.dns_san_peer_certificate"),
            ),
        ] {
            assert_eq!(Peer::from_properties(&properties, true), Err(want), "{note}");
        }
    }
}
