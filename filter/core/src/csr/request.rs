//! A certificate request as bytes: one PEM block, PKCS#10 in DER, and a signature that its own key made.

use der::{Decode, Encode};
use serde::Serialize;
use x509_cert::{
    ext::Extensions,
    request::{CertReq, ExtensionReq},
};

use super::{
    key::{Key, verify},
    names::{AlternativeNames, Subject},
};

/// The longest request that is read, in bytes of PEM. A kubelet's has about 600.
pub const LONGEST: usize = 64 * 1024;

/// A certificate request that has one reading and a valid signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Request {
    /// Whom it is for.
    pub subject: Subject,
    /// Under which names and addresses.
    pub sans: AlternativeNames,
    /// The key, whose owner signed the request.
    pub key: Key,
    /// The extensions asked for, in their order.
    pub extensions: Vec<RequestedExtension>,
    /// Whether it asks for a certificate that can issue others.
    pub certificate_authority: bool,
    /// The object identifiers of all other attributes, in their order.
    pub attributes: Vec<String>,
}

/// An extension asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestedExtension {
    /// Its object identifier, such as `2.5.29.17`.
    pub oid: String,
    /// Whether who doesn't know it must refuse the certificate.
    pub critical: bool,
}

/// Why a request has no reading. The text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than [`LONGEST`] bytes.
    #[error("the request is longer than {LONGEST} bytes")]
    TooLong,
    /// Not one PEM block and nothing else.
    #[error("the request is not one PEM block of type CERTIFICATE REQUEST and nothing else")]
    Pem,
    /// Not the DER of PKCS#10.
    #[error("the request is not PKCS#10 in DER")]
    Der,
    /// A subject, name or extension that can't be shown as it is.
    #[error("{0}")]
    Field(&'static str),
    /// A kind or size of key that isn't known.
    #[error("the key is none of ECDSA P-256 or P-384, RSA of 1024 to 8192 bits, Ed25519")]
    Key,
    /// Not a signature by the request's own key.
    #[error("the request is not signed by its own key")]
    Signature,
}

const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
const SUBJECT_ALTERNATIVE_NAME: &str = "2.5.29.17";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";

impl Request {
    /// Reads PEM.
    ///
    /// # Errors
    /// When two readers could read it in two ways, or its key didn't sign it.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Malformed> {
        if pem.len() > LONGEST {
            return Err(Malformed::TooLong);
        }
        // Text before the block is for people, and could be another block to some readers.
        if !pem.starts_with(b"-----BEGIN ") {
            return Err(Malformed::Pem);
        }
        match pem_rfc7468::decode_vec(pem) {
            Ok(("CERTIFICATE REQUEST", der)) => Self::from_der(&der),
            _ => Err(Malformed::Pem),
        }
    }

    fn from_der(der: &[u8]) -> Result<Self, Malformed> {
        let CertReq { info, algorithm, signature } =
            CertReq::from_der(der).map_err(|_| Malformed::Der)?;
        let key = Key::read(&info.public_key)?;
        // The bytes that were signed, unless they weren't DER; then the signature doesn't match.
        let signed = info.to_der().map_err(|_| Malformed::Der)?;
        let signature = signature.as_bytes().ok_or(Malformed::Signature)?;
        verify(&info.public_key, &algorithm, &signed, signature)?;

        let mut attributes = Vec::new();
        let mut extensions: Option<Extensions> = None;
        for attribute in info.attributes.iter() {
            let oid = attribute.oid.to_string();
            if oid != EXTENSION_REQUEST {
                attributes.push(oid);
                continue;
            }
            let mut values = attribute.values.iter();
            let (Some(value), None, None) = (values.next(), values.next(), &extensions) else {
                return Err(Malformed::Field("extensions are asked for in several places"));
            };
            let ExtensionReq(read) = value.decode_as().map_err(|_| Malformed::Der)?;
            extensions = Some(read);
        }
        let extensions = extensions.unwrap_or_default();
        let requested: Vec<_> = extensions
            .iter()
            .map(|e| RequestedExtension { oid: e.extn_id.to_string(), critical: e.critical })
            .collect();
        for (index, extension) in requested.iter().enumerate() {
            if requested.iter().skip(index + 1).any(|other| other.oid == extension.oid) {
                return Err(Malformed::Field("an extension is asked for twice"));
            }
        }
        let value = |oid: &str| {
            extensions
                .iter()
                .find(|e| e.extn_id.to_string() == oid)
                .map(|e| e.extn_value.as_bytes())
        };
        let sans = match value(SUBJECT_ALTERNATIVE_NAME) {
            Some(der) => AlternativeNames::read(der)?,
            None => AlternativeNames::default(),
        };
        let certificate_authority = match value(BASIC_CONSTRAINTS) {
            Some(der) => {
                x509_cert::ext::pkix::BasicConstraints::from_der(der)
                    .map_err(|_| Malformed::Field("basic constraints that can't be read"))?
                    .ca
            }
            None => false,
        };
        Ok(Self {
            subject: Subject::read(&info.subject)?,
            sans,
            key,
            extensions: requested,
            certificate_authority,
            attributes,
        })
    }
}
