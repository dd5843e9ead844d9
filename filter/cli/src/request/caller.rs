//! Who asks, as a person names callers.

use gatelet_core::{
    Config, Peer,
    config::PolicyConfig,
    peer::{InvalidPeer, PeerProperties},
};
use serde_json::Value;

use crate::exit::Exit;

/// Who asks.
#[derive(clap::Args)]
pub(crate) struct CallerArguments {
    /// Who asks: the subject of a certificate (`CN=a,O=b`, RFC 2253), a SPIFFE ID, the common name of a peer
    /// in the data, or `none` for a caller without a certificate
    #[arg(long, value_name = "PEER", default_value = "none")]
    peer: String,
    /// The first URI among the certificate's names
    #[arg(long, value_name = "URI")]
    uri_san: Option<String>,
    /// The first DNS name among the certificate's names
    #[arg(long, value_name = "NAME")]
    dns_san: Option<String>,
    /// The certificate's SHA-256, as `openssl x509 -noout -fingerprint -sha256` prints it
    #[arg(long, value_name = "DIGEST")]
    certificate_sha256: Option<String>,
    /// The address that the connection comes from; policies see it with `--source-address`
    #[arg(long, value_name = "IP")]
    address: Option<std::net::IpAddr>,
}

/// A caller, as its certificate describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Caller {
    /// RFC 2253; `None` is a caller without a certificate, unless there is a URI.
    pub(crate) subject: Option<String>,
    pub(crate) uri_san: Option<String>,
    pub(crate) dns_san: Option<String>,
    /// 64 hexadecimal digits.
    pub(crate) certificate_sha256: Option<String>,
    pub(crate) address: Option<std::net::IpAddr>,
}

/// The digest of a certificate that nobody pinned.
const ANY_SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl CallerArguments {
    /// The caller, who may be one that the configuration names.
    pub(crate) fn caller(&self, config: &Config) -> anyhow::Result<Caller> {
        let Self { peer, uri_san, dns_san, certificate_sha256, address } = self;
        let mut caller = Caller::named(peer, config)?;
        if caller == Caller::default()
            && (uri_san.is_some() || dns_san.is_some() || certificate_sha256.is_some())
        {
            return Err(Exit::Usage.because(
                "a certificate's names without a certificate\nhelp: give `--peer` a subject, such as `CN=a`",
            ));
        }
        if let Some(digest) = certificate_sha256 {
            let plain = digest.replace(':', "").to_ascii_lowercase();
            if plain.len() != 64 || !plain.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(Exit::Usage
                    .because(format!("`{digest}` is not a SHA-256 in 64 hexadecimal digits")));
            }
            caller.certificate_sha256 = Some(plain);
        }
        caller.uri_san = uri_san.clone().or(caller.uri_san);
        caller.dns_san.clone_from(dns_san);
        caller.address = *address;
        if let Err(error) = caller.peer(config) {
            return Err(Exit::Usage.because(format!(
                "--peer {peer}: {error}\nhelp: write the subject as \
                 `openssl x509 -noout -subject -nameopt RFC2253` does, such as `CN=a,O=b`"
            )));
        }
        Ok(caller)
    }
}

impl Caller {
    /// A caller by its subject, SPIFFE ID or name.
    ///
    /// # Errors
    /// When it is none of these.
    pub(crate) fn named(text: &str, config: &Config) -> anyhow::Result<Self> {
        if text == "none" {
            return Ok(Self::default());
        }
        if text.starts_with("spiffe://") {
            return Ok(Self { uri_san: Some(text.to_owned()), ..Self::default() });
        }
        if text.contains('=') {
            return Ok(Self { subject: Some(text.to_owned()), ..Self::default() });
        }
        let all = pinned(config);
        let found: Vec<_> = all.iter().filter(|(name, _)| name == text).collect();
        match found.as_slice() {
            [(_, caller)] => Ok(caller.clone()),
            [] => {
                let names = all.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>();
                let known = match names.as_slice() {
                    [] => "the data names no peers".to_owned(),
                    names => format!("the data names {}", names.join(", ")),
                };
                Err(Exit::Usage.because(format!(
                    "there is no peer `{text}`: {known}\nhelp: write a subject, such as `CN={text}`, or `none`"
                )))
            }
            several => {
                let subjects: Vec<_> =
                    several.iter().map(|(_, caller)| caller.to_string()).collect();
                Err(Exit::Usage.because(format!(
                    "there are several peers `{text}`\nhelp: write which of them: {}",
                    subjects.join(" or ")
                )))
            }
        }
    }

    /// The caller by the parts of its name.
    pub(crate) fn new(common_name: &str, organization: Option<&str>) -> Self {
        let organization = organization.map(|name| format!(",O={}", escaped(name)));
        let subject = format!("CN={}{}", escaped(common_name), organization.unwrap_or_default());
        Self { subject: Some(subject), ..Self::default() }
    }

    pub(crate) fn has_certificate(&self) -> bool {
        self.subject.is_some() || self.uri_san.is_some()
    }

    /// The caller, as the filter reads Envoy's properties.
    pub(crate) fn peer(&self, config: &Config) -> Result<Peer, InvalidPeer> {
        let Self { subject, uri_san, dns_san, certificate_sha256, address } = self;
        let address = address.map(|ip| std::net::SocketAddr::from((ip, 4711)).to_string());
        let sha256 = certificate_sha256.as_deref().unwrap_or(ANY_SHA256);
        let properties = PeerProperties {
            mtls: Some(if self.has_certificate() { &[1] } else { &[0] }),
            subject: subject.as_deref().map(str::as_bytes),
            uri_san: uri_san.as_deref().map(str::as_bytes),
            dns_san: dns_san.as_deref().map(str::as_bytes),
            sha256: self.has_certificate().then_some(sha256.as_bytes()),
            address: address.as_deref().map(str::as_bytes),
        };
        Peer::from_properties(&properties, config.vouches_for_source_address())
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.subject, &self.uri_san) {
            (Some(name), _) | (None, Some(name)) => to.write_str(name)?,
            (None, None) => to.write_str("no certificate")?,
        }
        match &self.certificate_sha256 {
            Some(digest) => write!(to, " ({}…)", digest.get(..8).unwrap_or(digest)),
            None => Ok(()),
        }
    }
}

/// The callers that the data and the configuration pin, by their common names.
pub(crate) fn pinned(config: &Config) -> Vec<(String, Caller)> {
    let (PolicyConfig::Rego(source) | PolicyConfig::KubeletTlsProxy(source)) = &config.policy;
    let data = source.data.get("kubelet").and_then(|kubelet| kubelet.get("peers")?.as_array());
    let pins = config.peers.iter().flatten().filter_map(|pin| serde_json::to_value(pin).ok());
    let mut found: Vec<(String, Caller)> = Vec::new();
    for entry in data.into_iter().flatten().cloned().chain(pins) {
        let text = |key| entry.get(key).and_then(Value::as_str);
        let Some(name) = text("common_name").filter(|name| !name.is_empty()) else { continue };
        let digest =
            text("certificate_sha256").map(|digest| digest.replace(':', "").to_ascii_lowercase());
        let caller =
            Caller { certificate_sha256: digest, ..Caller::new(name, text("organization")) };
        if found.iter().all(|(_, other)| *other != caller) {
            found.push((name.to_owned(), caller));
        }
    }
    found
}

/// A value of a subject, RFC 2253.
fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::new();
    for (index, character) in text.chars().enumerate() {
        let is_special = ",+\"\\<>;=".contains(character)
            || (character == '#' && index == 0)
            || (character == ' ' && (index == 0 || index == last));
        if is_special {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
