//! Subjects and subject alternative names, as they stand in requests and certificates.

use std::net::IpAddr;

use der::{
    Decode, Tag, Tagged,
    asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef},
};
use serde::Serialize;
use x509_cert::{
    ext::pkix::{SubjectAltName, name::GeneralName},
    name::Name,
};

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
    /// The kinds of all others: `otherName directoryName ediPartyName registeredID`.
    pub other: Vec<&'static str>,
}

impl Subject {
    pub(super) fn read(name: &Name) -> Result<Self, Malformed> {
        let mut attributes = Vec::new();
        for attribute in name.0.iter().flat_map(|relative| relative.0.iter()) {
            let oid = attribute.oid.to_string();
            let value = text(&attribute.value)
                .ok_or(Malformed::Field("an attribute of the subject is not text"))?;
            attributes.push(SubjectAttribute { r#type: short(&oid).map_or(oid, str::to_owned), value });
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
        let names = SubjectAltName::from_der(der)
            .map_err(|_| Malformed::Field("subject alternative names that can't be read"))?;
        let mut read = Self::default();
        for name in names.0 {
            match name {
                GeneralName::DnsName(name) => read.dns.push(name.to_string()),
                GeneralName::IpAddress(octets) => read.ip.push(
                    address(octets.as_bytes())
                        .ok_or(Malformed::Field("an IP address of neither 4 nor 16 bytes"))?,
                ),
                GeneralName::Rfc822Name(name) => read.email.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(uri) => read.uri.push(uri.to_string()),
                GeneralName::OtherName(_) => read.other.push("otherName"),
                GeneralName::DirectoryName(_) => read.other.push("directoryName"),
                GeneralName::EdiPartyName(_) => read.other.push("ediPartyName"),
                GeneralName::RegisteredId(_) => read.other.push("registeredID"),
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
fn text(value: &der::asn1::Any) -> Option<String> {
    match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok().map(|s| s.as_str().to_owned()),
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
