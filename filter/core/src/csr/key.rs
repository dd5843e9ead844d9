//! Public keys and the signatures that prove who has the private ones.

use der::{Encode, asn1::ObjectIdentifier};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use rsa::{Pkcs1v15Sign, traits::PublicKeyParts as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::request::Malformed;

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Key {
    /// What kind of key.
    pub r#type: KeyType,
    /// Its size in bits: of the field, or of RSA's modulus.
    pub bits: usize,
    /// The SHA-256 of its `SubjectPublicKeyInfo` in DER, 64 hexadecimal digits.
    pub sha256: String,
}

/// The kinds of keys that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum KeyType {
    /// On the curves P-256 and P-384.
    #[serde(rename = "ECDSA")]
    Ecdsa,
    /// RSA.
    #[serde(rename = "RSA")]
    Rsa,
    /// Ed25519.
    Ed25519,
}

/// The sizes of RSA keys that are read. Larger ones cost their reader time: 8192 bits take some ms.
const RSA_BITS: std::ops::RangeInclusive<usize> = 1024..=8192;

/// A public key, ready to verify.
enum Verifier {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Rsa(rsa::RsaPublicKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl Key {
    pub(super) fn read(info: &SubjectPublicKeyInfoOwned) -> Result<Self, Malformed> {
        let (r#type, bits) = match Verifier::new(info)? {
            Verifier::P256(_) => (KeyType::Ecdsa, 256),
            Verifier::P384(_) => (KeyType::Ecdsa, 384),
            Verifier::Rsa(key) => (KeyType::Rsa, key.n().bits()),
            Verifier::Ed25519(_) => (KeyType::Ed25519, 256),
        };
        let der = info.to_der().map_err(|_| Malformed::Der)?;
        Ok(Self { r#type, bits, sha256: super::hex(&Sha256::digest(der)) })
    }
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

impl Verifier {
    fn new(info: &SubjectPublicKeyInfoOwned) -> Result<Self, Malformed> {
        let bytes = info.subject_public_key.as_bytes().ok_or(Malformed::Key)?;
        let curve = || {
            let parameters = info.algorithm.parameters.as_ref()?;
            parameters.decode_as::<ObjectIdentifier>().ok()
        };
        let key = match info.algorithm.oid {
            EC_PUBLIC_KEY => match curve() {
                Some(P256) => {
                    p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok().map(Self::P256)
                }
                Some(P384) => {
                    p384::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok().map(Self::P384)
                }
                _ => None,
            },
            RSA => rsa_key(bytes).map(Self::Rsa),
            ED25519 => {
                let bytes = bytes.try_into().ok();
                bytes
                    .and_then(|b| ed25519_dalek::VerifyingKey::from_bytes(b).ok())
                    .map(Self::Ed25519)
            }
            _ => None,
        };
        key.ok_or(Malformed::Key)
    }
}

fn rsa_key(bytes: &[u8]) -> Option<rsa::RsaPublicKey> {
    use rsa::{BigUint, pkcs1::RsaPublicKey};

    let key = <RsaPublicKey<'_> as der::Decode>::from_der(bytes).ok()?;
    let modulus = BigUint::from_bytes_be(key.modulus.as_bytes());
    let exponent = BigUint::from_bytes_be(key.public_exponent.as_bytes());
    if !RSA_BITS.contains(&modulus.bits()) {
        return None;
    }
    rsa::RsaPublicKey::new_with_max_size(modulus, exponent, *RSA_BITS.end()).ok()
}

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");

/// Whether the owner of the key signed the bytes. SHA-1 and what is older sign nothing.
pub(super) fn verify(
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &AlgorithmIdentifierOwned,
    signed: &[u8],
    signature: &[u8],
) -> Result<(), Malformed> {
    let is_valid = match (Verifier::new(key)?, algorithm.oid) {
        (Verifier::P256(key), oid) => ecdsa_digest(oid, signed)
            .zip(p256::ecdsa::DerSignature::from_bytes(signature).ok())
            .is_some_and(|(digest, signature)| key.verify_prehash(&digest, &signature).is_ok()),
        (Verifier::P384(key), oid) => ecdsa_digest(oid, signed)
            .zip(p384::ecdsa::DerSignature::from_bytes(signature).ok())
            .is_some_and(|(digest, signature)| key.verify_prehash(&digest, &signature).is_ok()),
        (Verifier::Rsa(key), RSA_SHA256) => {
            key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(signed), signature).is_ok()
        }
        (Verifier::Rsa(key), RSA_SHA384) => {
            key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(signed), signature).is_ok()
        }
        (Verifier::Rsa(key), RSA_SHA512) => {
            key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(signed), signature).is_ok()
        }
        (Verifier::Ed25519(key), ED25519) => ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
        (Verifier::Rsa(_) | Verifier::Ed25519(_), _) => false,
    };
    if is_valid { Ok(()) } else { Err(Malformed::Signature) }
}

fn ecdsa_digest(algorithm: ObjectIdentifier, signed: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        ECDSA_SHA256 => Some(Sha256::digest(signed).to_vec()),
        ECDSA_SHA384 => Some(Sha384::digest(signed).to_vec()),
        ECDSA_SHA512 => Some(Sha512::digest(signed).to_vec()),
        _ => None,
    }
}
