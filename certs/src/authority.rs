//! A certificate authority: creating one, reading one, and issuing leaves from it.

use std::fmt;
use std::fs;
use std::path::Path;

use pem::{EncodeConfig, LineEnding};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use time::{Duration, OffsetDateTime};

use crate::Error;

/// Clocks differ; kubeadm, too, starts every certificate this long before now.
pub(crate) const BACKDATE: Duration = Duration::minutes(5);

/// A certificate, its private key and the CA that signed it, all as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The private key: PKCS #8 where this crate made it.
    pub key: String,
    /// The certificate of the CA that signed.
    pub ca: String,
}

impl Pair {
    /// Reads a pair that somebody else issued: certificate, chain and key from one file, as kubelets
    /// keep their own, and the CA from another. Whether they belong together is Envoy's to say.
    pub fn read(pair: &Path, ca: &Path) -> Result<Self, Error> {
        let blocks = |path: &Path| {
            let text = fs::read_to_string(path)
                .map_err(|source| Error::Import { path: path.into(), source })?;
            pem::parse_many(text)
                .map_err(|_| Error::Authority { path: path.into(), reason: "is not PEM" })
        };
        let text = |blocks: &[pem::Pem], path: &Path, reason, wanted: fn(&str) -> bool| {
            let wanted: Vec<_> = blocks.iter().filter(|b| wanted(b.tag())).cloned().collect();
            if wanted.is_empty() {
                return Err(Error::Authority { path: path.into(), reason });
            }
            Ok(pem::encode_many_config(
                &wanted,
                EncodeConfig::new().set_line_ending(LineEnding::LF),
            ))
        };
        let held = blocks(pair)?;
        let is_certificate = |tag: &str| tag == "CERTIFICATE";
        let is_key = |tag: &str| tag.ends_with("PRIVATE KEY");
        Ok(Self {
            certificate: text(&held, pair, "holds no certificate", is_certificate)?,
            key: text(&held, pair, "holds no private key", is_key)?,
            ca: text(&blocks(ca)?, ca, "holds no certificate", is_certificate)?,
        })
    }
}

/// Whom a client's certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// `CN`: the user's name, in Kubernetes' eyes.
    pub common_name: String,
    /// `O`: the user's groups; at most two.
    pub organizations: Vec<String>,
}

/// A CA with its private key.
pub struct Authority {
    certificate: String,
    not_after: OffsetDateTime,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Creates a self-signed CA, which may sign leaves but no further CA.
    pub(crate) fn create(common_name: &str, now: OffsetDateTime, days: u16) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let validity = Validity::starting(now, days)?;
        let mut params = validity.params();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        Ok(Self {
            certificate: params.self_signed(&key)?.pem(),
            not_after: validity.not_after,
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads the CA whose certificate and key are `stem` with `.crt` and `.key` appended.
    pub(crate) fn read(stem: &Path) -> Result<Self, Error> {
        let path = stem.with_added_extension("crt");
        let refuse = |reason| Error::Authority { path: path.clone(), reason };
        let certificate = read(&path)?;
        let der = pem::parse(&certificate).map_err(|_| refuse("holds no PEM certificate"))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(der.contents())
            .map_err(|_| refuse("holds no X.509 certificate"))?;
        if !parsed.is_ca() {
            return Err(refuse("is not the certificate of a CA"));
        }
        let key = read_key(&stem.with_added_extension("key"))?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(refuse("does not belong to the key beside it"));
        }
        Ok(Self {
            not_after: parsed.validity().not_after.to_datetime(),
            issuer: Issuer::from_ca_cert_pem(&certificate, key)?,
            certificate,
        })
    }

    /// The CA's own certificate, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// When its own certificate ends.
    pub(crate) fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    pub(crate) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(crate) fn issue(&self, leaf: &Leaf) -> Result<Pair, Error> {
        let validity = leaf.validity.within(self.not_after)?;
        let mut params = validity.params();
        params.is_ca = IsCa::ExplicitNoCa;
        params.distinguished_name = leaf.subject.encode()?;
        params.subject_alt_names.clone_from(&leaf.names);
        params.extended_key_usages.clone_from(&leaf.purposes);
        // An ECDSA key only ever signs; key encipherment is for RSA.
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(Pair {
            certificate: params.signed_by(&key, &self.issuer)?.pem(),
            key: key.serialize_pem(),
            ca: self.certificate.clone(),
        })
    }
}

/// Everything that differs between one leaf and another.
pub(crate) struct Leaf {
    pub(crate) subject: Subject,
    pub(crate) names: Vec<SanType>,
    pub(crate) purposes: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) validity: Validity,
}

/// The time in which a certificate is valid.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl Validity {
    pub(crate) fn starting(now: OffsetDateTime, days: u16) -> Result<Self, Error> {
        let beyond = Error::Lifetime { days };
        let end = now.checked_add(Duration::days(days.into()));
        match (now.checked_sub(BACKDATE), end) {
            (Some(not_before), Some(not_after)) => Ok(Self { not_before, not_after }),
            _ => Err(beyond),
        }
    }

    /// Ends no later than the CA does: a chain is only as good as its shortest part.
    fn within(self, end: OffsetDateTime) -> Result<Self, Error> {
        if end <= self.not_before + BACKDATE {
            return Err(Error::Ended(end.date()));
        }
        Ok(Self { not_after: self.not_after.min(end), ..self })
    }

    fn params(self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.not_before = self.not_before;
        params.not_after = self.not_after;
        params
    }
}

impl Subject {
    fn encode(&self) -> Result<DistinguishedName, Error> {
        // rcgen keeps one value for each type; the second organization goes in by its number.
        let organization = [2, 5, 4, 10];
        let types = [DnType::OrganizationName, DnType::CustomDnType(organization.into())];
        if self.organizations.len() > types.len() {
            return Err(Error::Organizations(self.organizations.len()));
        }
        let mut name = DistinguishedName::new();
        for (kind, organization) in types.into_iter().zip(&self.organizations) {
            name.push(kind, organization);
        }
        name.push(DnType::CommonName, &self.common_name);
        Ok(name)
    }
}

impl fmt::Debug for Pair {
    /// Without the private key, so that no log can hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// The subject of a certificate as it is encoded, if there is one to be read.
pub(crate) fn subject(certificate: &str) -> Option<Vec<u8>> {
    let der = pem::parse(certificate).ok()?;
    let (_, parsed) = x509_parser::parse_x509_certificate(der.contents()).ok()?;
    Some(parsed.subject().as_raw().to_vec())
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })
}

/// Reads a private key: PKCS #8, or the PKCS #1 that kubeadm writes for RSA.
fn read_key(path: &Path) -> Result<KeyPair, Error> {
    let refuse = |reason| Error::Authority { path: path.into(), reason };
    let key = pem::parse(read(path)?).map_err(|_| refuse("holds no PEM private key"))?;
    let unusable = |_| refuse("holds no private key that can sign here");
    match key.tag() {
        "PRIVATE KEY" => KeyPair::try_from(key.contents()).map_err(unusable),
        "RSA PRIVATE KEY" => KeyPair::try_from(pkcs8_of_rsa(key.contents())).map_err(unusable),
        _ => Err(refuse("is not in PKCS #8: `openssl pkcs8 -topk8 -nocrypt` converts it")),
    }
}

/// Wraps a PKCS #1 RSA key as PKCS #8 (RFC 5208, section 5).
fn pkcs8_of_rsa(pkcs1: &[u8]) -> Vec<u8> {
    let rsa_encryption =
        yasna::models::ObjectIdentifier::from_slice(&[1, 2, 840, 113_549, 1, 1, 1]);
    yasna::construct_der(|writer| {
        writer.write_sequence(|key| {
            key.next().write_u8(0);
            key.next().write_sequence(|algorithm| {
                algorithm.next().write_oid(&rsa_encryption);
                algorithm.next().write_null();
            });
            key.next().write_bytes(pkcs1);
        });
    })
}
