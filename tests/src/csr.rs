//! Certificate signing requests, good, bad and hostile, each with what has to become of it.
//!
//! They are made here once and kept in `tests/csrs.json`, where every driver reads them: natively, and
//! through real Envoy against the stand-in API server.

mod cases;
mod der;

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gatelet_certs::Pair;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::cases::corpus;
use crate::envoy::project;

/// The signer of what kubelets serve with.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// The signer of what kubelets call the API server with.
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// Everything in `tests/csrs.json`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// The addresses of each node, by type.
    pub nodes: BTreeMap<String, Vec<(String, String)>>,
    /// What an inventory has of each node.
    pub inventory: Value,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One request.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What is special about it.
    pub note: String,
    /// The object's `spec`.
    pub spec: Value,
    /// What each preset makes of it.
    pub want: Want,
}

/// A verdict for each preset: `approve`, `deny` or `leave`, and the rule that says so after a blank.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Want {
    /// Preset `rubber-stamp`.
    pub rubber_stamp: String,
    /// Preset `strict`.
    pub strict: String,
    /// Preset `inventory`.
    pub inventory: String,
}

impl Corpus {
    /// Where it is kept.
    pub const PATH: &str = "tests/csrs.json";

    /// Reads it.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read() -> anyhow::Result<Self> {
        let text = fs::read_to_string(project().join(Self::PATH)).context(Self::PATH)?;
        serde_json::from_str(&text).context(Self::PATH)
    }
}

impl Case {
    /// A name for its object.
    pub fn name(&self) -> String {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let name: String = self.note.to_ascii_lowercase().chars().map(plain).collect();
        format!("csr-{}", name.trim_matches('-'))
    }
}

/// A kubelet that asks for certificates: it has a node, and a key for each request.
#[derive(Clone, Debug)]
pub struct Kubelet {
    /// Its node.
    pub node: String,
    /// The DNS names that it asks for.
    pub dns: Vec<String>,
    /// The addresses that it asks for.
    pub ip: Vec<std::net::IpAddr>,
}

/// A request and its key.
#[derive(Clone)]
pub struct Requested {
    /// The object's `spec`, as a client sends it.
    pub spec: Value,
    /// The private key, PEM.
    pub key: String,
}

impl Kubelet {
    /// Asks for a serving certificate, as a kubelet with `serverTLSBootstrap: true` does.
    ///
    /// # Errors
    /// When a name is none.
    pub fn request(&self) -> anyhow::Result<Requested> {
        let key = KeyPair::generate()?;
        let request = self.params()?.serialize_request(&key)?.pem()?;
        let spec = json!({
            "request": BASE64_STANDARD.encode(request),
            "signerName": KUBELET_SERVING,
            "username": self.user(),
            "groups": ["system:nodes", "system:authenticated"],
            "usages": ["digital signature", "server auth"],
        });
        Ok(Requested { spec, key: key.serialize_pem() })
    }

    fn params(&self) -> anyhow::Result<CertificateParams> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        params.distinguished_name.push(DnType::CommonName, self.user());
        for name in &self.dns {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.subject_alt_names.extend(self.ip.iter().copied().map(SanType::IpAddress));
        Ok(params)
    }

    /// The name that its client certificate has.
    pub fn user(&self) -> String {
        format!("system:node:{}", self.node)
    }
}

impl Requested {
    /// What a kubelet writes when it got its certificate: `kubelet-server-current.pem`.
    ///
    /// # Errors
    /// When the object has no certificate.
    pub fn issued(&self, object: &Value, ca: &str) -> anyhow::Result<Pair> {
        let certificate = object.pointer("/status/certificate").and_then(Value::as_str);
        let certificate = BASE64_STANDARD.decode(certificate.context("no certificate")?)?;
        Ok(Pair {
            certificate: String::from_utf8(certificate)?,
            key: self.key.clone(),
            ca: ca.to_owned(),
        })
    }
}
