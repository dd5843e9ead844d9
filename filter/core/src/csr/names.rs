//! Subjects and subject alternative names, as they stand in requests and certificates.

use std::net::IpAddr;

use der::{
    Decode, Encode, Tag, Tagged,
    asn1::{Any, Ia5StringRef, PrintableStringRef, Utf8StringRef},
};
use serde::Serialize;
use x509_cert::{ext::pkix::name::GeneralName, name::Name};

use super::request::Malformed;

/// A subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Subject {
    /// All attributes, in their order.
    pub attributes: Vec<SubjectAttribute>,
    /// The common name; `null` if there is none, or more than one.
    pub common_name: Option<String>,
    /// The organizations, in their order.
    pub organizations: Vec<String>,
}

/// One attribute of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SubjectAttribute {
    /// Its short name, such as `CN`, or its object identifier if it has no usual one.
    pub r#type: String,
    /// Its value.
    pub value: String,
}

/// Subject alternative names, by kind and in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlternativeNames {
    /// DNS names, as they are written.
    pub dns: Vec<String>,
    /// IP addresses in their canonical spelling (RFC 5952).
    pub ip: Vec<IpAddr>,
    /// Addresses of electronic mail.
    pub email: Vec<String>,
    /// URIs.
    pub uri: Vec<String>,
    /// The kinds of all others: `otherName x400Address directoryName ediPartyName registeredID`.
    pub other: Vec<&'static str>,
}

/// By the number of their tag (RFC 5280).
const OTHER_KINDS: [(u8, &str); 5] = [
    (0, "otherName"),
    (3, "x400Address"),
    (4, "directoryName"),
    (5, "ediPartyName"),
    (8, "registeredID"),
];

/// A node has a dozen at most, and a policy looks at each of them.
const MOST_NAMES: usize = 100;

impl Subject {
    pub(super) fn read(name: &Name) -> Result<Self, Malformed> {
        let mut attributes = Vec::new();
        for attribute in name.0.iter().flat_map(|relative| relative.0.iter()) {
            let oid = attribute.oid.to_string();
            let value = text(&attribute.value)
                .ok_or(Malformed::Field("an attribute of the subject is not text"))?;
            attributes
                .push(SubjectAttribute { r#type: short(&oid).map_or(oid, str::to_owned), value });
        }
        let values = |wanted: &'static str| {
            attributes.iter().filter(move |a| a.r#type == wanted).map(|a| a.value.clone())
        };
        let mut common_names = values("CN");
        let common_name = common_names.next().filter(|_| common_names.next().is_none());
        let organizations = values("O").collect();
        Ok(Self { common_name, organizations, attributes })
    }
}

impl AlternativeNames {
    /// Reads the extension's value.
    pub(super) fn read(der: &[u8]) -> Result<Self, Malformed> {
        const UNREADABLE: Malformed =
            Malformed::Field("subject alternative names that can't be read");

        let names = Vec::<Any>::from_der(der).map_err(|_| UNREADABLE)?;
        if names.len() > MOST_NAMES {
            return Err(Malformed::Field("more than 100 subject alternative names"));
        }
        let mut read = Self::default();
        for name in names {
            let Tag::ContextSpecific { number, .. } = name.tag() else { return Err(UNREADABLE) };
            // The kinds that no node has needn't be read.
            if let Some(kind) = OTHER_KINDS.iter().find(|(tag, _)| *tag == number.value()) {
                read.other.push(kind.1);
                continue;
            }
            let name = name.to_der().and_then(|der| GeneralName::from_der(&der));
            match name.map_err(|_| UNREADABLE)? {
                GeneralName::DnsName(name) => read.dns.push(name.to_string()),
                GeneralName::IpAddress(octets) => read.ip.push(
                    address(octets.as_bytes())
                        .ok_or(Malformed::Field("an IP address of neither 4 nor 16 bytes"))?,
                ),
                GeneralName::Rfc822Name(name) => read.email.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(uri) => read.uri.push(uri.to_string()),
                _ => return Err(UNREADABLE),
            }
        }
        Ok(read)
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match <[u8; 4]>::try_from(octets) {
        Ok(octets) => Some(IpAddr::from(octets)),
        Err(_) => <[u8; 16]>::try_from(octets).map(IpAddr::from).ok(),
    }
}

/// Text of the three kinds whose bytes mean the same to every reader.
fn text(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::Utf8String => {
            value.decode_as::<Utf8StringRef<'_>>().ok().map(|s| s.as_str().to_owned())
        }
        Tag::PrintableString => {
            value.decode_as::<PrintableStringRef<'_>>().ok().map(|s| s.as_str().to_owned())
        }
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok().map(|s| s.as_str().to_owned()),
        _ => None,
    }
}

/// The short names of RFC 4519.
fn short(oid: &str) -> Option<&'static str> {
    match oid {
        "2.5.4.3" => Some("CN"),
        "2.5.4.5" => Some("serialNumber"),
        "2.5.4.6" => Some("C"),
        "2.5.4.7" => Some("L"),
        "2.5.4.8" => Some("ST"),
        "2.5.4.9" => Some("street"),
        "2.5.4.10" => Some("O"),
        "2.5.4.11" => Some("OU"),
        "0.9.2342.19200300.100.1.1" => Some("UID"),
        "0.9.2342.19200300.100.1.25" => Some("DC"),
        _ => None,
    }
}
