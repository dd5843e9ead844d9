//! PKCS #10 requests byte by byte, for those that rcgen refuses to make.

use pem::{EncodeConfig, LineEnding, Pem, encode_config};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, Tag, construct_der};

/// An attribute of a subject.
#[derive(Clone, Debug)]
pub(super) enum Attribute {
    /// `CN`, as a UTF8String.
    CommonName(String),
    /// `O`, as a UTF8String.
    Organization(String),
    /// `OU`, as a UTF8String.
    Unit(String),
    /// `CN`, in UTF-16.
    WideCommonName(String),
}

/// A subject alternative name.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Dns(String),
    Ip(Vec<u8>),
    Email(String),
    Uri(String),
    /// Of a kind that nobody knows.
    Other,
}

/// A whole request, before it is signed.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Each is a relative name of its own, unless they are `joined`.
    pub(super) subject: Vec<Attribute>,
    pub(super) joined: bool,
    pub(super) names: Vec<Name>,
    /// Further extensions: object identifier, whether it is critical, and its value in DER.
    pub(super) extensions: Vec<(&'static [u64], bool, Vec<u8>)>,
    /// In how many attributes the extensions stand.
    pub(super) requests: usize,
    pub(super) version: u8,
}

impl Request {
    /// What worker-1's kubelet asks for.
    pub(super) fn of_a_kubelet() -> Self {
        Self {
            subject: vec![
                Attribute::Organization("system:nodes".to_owned()),
                Attribute::CommonName("system:node:worker-1".to_owned()),
            ],
            joined: false,
            names: vec![Name::Dns("worker-1".to_owned()), Name::Ip(vec![10, 0, 0, 11])],
            extensions: Vec::new(),
            requests: 1,
            version: 0,
        }
    }

    /// Signs it, in DER.
    pub(super) fn sign(&self, key: &KeyPair, signer: &KeyPair) -> anyhow::Result<Vec<u8>> {
        let info = construct_der(|writer| self.info(writer, key));
        let signature = signer.sign(&info)?;
        Ok(construct_der(|writer| {
            writer.write_sequence(|request| {
                request.next().write_der(&info);
                // ecdsa-with-SHA256
                request.next().write_sequence(|algorithm| {
                    algorithm.next().write_oid(&oid(&[1, 2, 840, 10045, 4, 3, 2]));
                });
                let bits = signature.len() * 8;
                request.next().write_bitvec_bytes(&signature, bits);
            });
        }))
    }

    fn info(&self, writer: DERWriter<'_>, key: &KeyPair) {
        writer.write_sequence(|info| {
            info.next().write_u8(self.version);
            info.next().write_sequence(|subject| {
                if self.joined {
                    subject.next().write_set_of(|relative| {
                        for attribute in &self.subject {
                            attribute.write(relative.next());
                        }
                    });
                } else {
                    for attribute in &self.subject {
                        subject.next().write_set_of(|relative| attribute.write(relative.next()));
                    }
                }
            });
            info.next().write_der(&key.subject_public_key_info());
            info.next().write_tagged_implicit(Tag::context(0), |writer| {
                writer.write_set_of(|attributes| {
                    for _ in 0..self.requests {
                        attributes.next().write_sequence(|attribute| {
                            // extensionRequest
                            attribute.next().write_oid(&oid(&[1, 2, 840, 113_549, 1, 9, 14]));
                            attribute.next().write_set_of(|values| {
                                values.next().write_sequence(|writer| {
                                    if !self.names.is_empty() {
                                        let names = alternative_names(&self.names);
                                        extension(writer.next(), SUBJECT_ALT_NAME, false, &names);
                                    }
                                    for (oid, critical, value) in &self.extensions {
                                        extension(writer.next(), oid, *critical, value);
                                    }
                                });
                            });
                        });
                    }
                });
            });
        });
    }
}

/// subjectAltName
pub(super) const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
/// basicConstraints
pub(super) const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];

impl Attribute {
    fn write(&self, writer: DERWriter<'_>) {
        let (last, value) = match self {
            Self::CommonName(value) | Self::WideCommonName(value) => (3, value),
            Self::Organization(value) => (10, value),
            Self::Unit(value) => (11, value),
        };
        writer.write_sequence(|attribute| {
            attribute.next().write_oid(&oid(&[2, 5, 4, last]));
            match self {
                Self::WideCommonName(_) => attribute.next().write_bmp_string(value),
                _ => attribute.next().write_utf8_string(value),
            }
        });
    }
}

/// The value of the extension.
pub(super) fn alternative_names(names: &[Name]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            for name in names {
                let (tag, bytes) = match name {
                    Name::Email(text) => (1, text.as_bytes()),
                    Name::Dns(text) => (2, text.as_bytes()),
                    Name::Uri(text) => (6, text.as_bytes()),
                    Name::Ip(bytes) => (7, bytes.as_slice()),
                    // registeredID 1.2.840.113549
                    Name::Other => (8, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d][..]),
                };
                writer.next().write_tagged_implicit(Tag::context(tag), |writer| {
                    writer.write_bytes(bytes);
                });
            }
        });
    })
}

/// Sequences in sequences, so many deep.
pub(super) fn nested(depth: usize) -> Vec<u8> {
    let mut der = vec![0x05, 0x00];
    for _ in 0..depth {
        let length = der.len();
        let mut outer = vec![0x30];
        match u8::try_from(length) {
            Ok(short @ 0..=0x7f) => outer.push(short),
            _ => {
                let bytes: Vec<u8> =
                    length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
                outer.push(0x80 | u8::try_from(bytes.len()).unwrap_or(0x7f));
                outer.extend(bytes);
            }
        }
        outer.extend(der);
        der = outer;
    }
    der
}

/// PEM with this label.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    encode_config(&Pem::new(label, der), config)
}

fn extension(writer: DERWriter<'_>, id: &[u64], critical: bool, value: &[u8]) {
    writer.write_sequence(|extension| {
        extension.next().write_oid(&oid(id));
        if critical {
            extension.next().write_bool(true);
        }
        extension.next().write_bytes(value);
    });
}

fn oid(components: &[u64]) -> ObjectIdentifier {
    ObjectIdentifier::from_slice(components)
}
