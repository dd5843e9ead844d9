//! Requests as the decision log has them: enough to decide them again.

use std::{collections::BTreeMap, fmt::Write as _};

use regorus::Value;
use serde::Deserialize;
use thiserror::Error;

use crate::{
    Headers,
    config::{Profile, unique},
    http, kubelet,
    peer::{Certificate, InvalidSubject, Peer, PeerInput, Subject},
    question::{Question, Request},
};

/// A request that came once: the input document that a policy saw of it, and who sent it.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub(crate) profile: Profile,
    pub(crate) document: Value,
    pub(crate) peer: Peer,
    facts: Facts,
}

/// Why an input document is none.
#[derive(Debug, Error)]
pub enum InvalidRecord {
    /// No JSON, or a field is missing or has another type, as where it is masked or erased.
    #[error("the input document: {0}")]
    Json(#[from] serde_json::Error),
    /// Another document, perhaps of a newer version.
    #[error("schema `{0}` is not known")]
    Schema(String),
    /// The subject of the certificate.
    #[error("the caller's certificate: {0}")]
    Subject(#[from] InvalidSubject),
    /// The fields of the caller contradict each other.
    #[error("the caller's fields contradict each other")]
    Peer,
    /// The filter would have written another document of any such request.
    #[error("no request has such an input document: a field is missing or contradicts another")]
    NoRequest,
}

/// What a request is made of, in either profile.
#[derive(Clone, Debug, Deserialize)]
struct Facts {
    schema: String,
    method: String,
    path: String,
    endpoint: Option<String>,
    authority: Option<String>,
    #[serde(default)]
    query: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
    upgrade: Option<kubelet::UpgradeKind>,
    #[serde(default)]
    protocols: Vec<String>,
    user_agent: Option<String>,
    peer: PeerFacts,
    #[serde(default)]
    node: kubelet::Node,
}

/// [`PeerInput`], read back.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerFacts {
    authenticated: bool,
    common_name: Option<String>,
    organizations: Vec<String>,
    subject: Option<String>,
    uri_san: Option<String>,
    dns_san: Option<String>,
    certificate_sha256: Option<String>,
    address: Option<String>,
    bearer_token: bool,
}

impl Recorded {
    /// Reads the input document of a decision: its `input` in the log.
    ///
    /// # Errors
    /// When it is not whole. A request that no policy was asked about has no such document.
    pub fn parse(document: &str) -> Result<Self, InvalidRecord> {
        unique::check(document)?;
        let facts: Facts = serde_json::from_str(document)?;
        let profile = match facts.schema.as_str() {
            kubelet::SCHEMA => Profile::Kubelet,
            http::SCHEMA => Profile::Http,
            other => return Err(InvalidRecord::Schema(other.to_owned())),
        };
        let peer = facts.peer.peer()?;
        let document = Value::from_json_str(document)
            .map_err(<serde_json::Error as serde::de::Error>::custom)?;
        Ok(Self { profile, document, peer, facts })
    }

    /// Whether the document is what the filter makes of the request that it tells of. One that somebody
    /// has shortened or changed isn't; nor is one in which values are masked.
    ///
    /// # Errors
    /// When it isn't. In profile `http`, where a document is little more than the request itself, nothing
    /// is looked at.
    pub fn check(&self) -> Result<(), InvalidRecord> {
        if self.profile == Profile::Http {
            return Ok(());
        }
        let lines = self.lines();
        let request = kubelet::Request::parse(Headers::new(&lines), self.ends())
            .map_err(|_| InvalidRecord::NoRequest)?;
        let question = Question {
            request: Request::Kubelet(request),
            peer: self.peer.clone(),
            bearer_token: self.facts.peer.bearer_token,
        };
        let text = serde_json::to_string(&question.input(&self.facts.node))?;
        let again =
            Value::from_json_str(&text).map_err(<serde_json::Error as serde::de::Error>::custom)?;
        if again == self.document { Ok(()) } else { Err(InvalidRecord::NoRequest) }
    }

    /// The kubelet's endpoint, or the profile.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.facts.endpoint.as_deref().unwrap_or("http")
    }

    /// Who sent it.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Header lines that read as the document has it. What the log doesn't have, such as a token, is
    /// made up, and the parts of a query are in the order of their names.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, Vec<u8>)> {
        let Facts { method, authority, headers, upgrade, protocols, user_agent, peer, .. } =
            &self.facts;
        let mut lines: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |name: &str, value: &str| lines.push((name.to_owned(), value.into()));
        add(":method", method);
        add(":path", &self.target());
        add(":authority", authority.as_deref().unwrap_or("kubelet"));
        for (name, values) in headers {
            values.iter().for_each(|value| add(name, value));
        }
        if let Some(user_agent) = user_agent {
            add("user-agent", user_agent);
        }
        if peer.bearer_token && !headers.contains_key("authorization") {
            add("authorization", "Bearer token");
        }
        match upgrade {
            None => {}
            Some(kubelet::UpgradeKind::Spdy) => {
                add("connection", "Upgrade");
                add("upgrade", "SPDY/3.1");
                protocols.iter().for_each(|name| add("x-stream-protocol-version", name));
            }
            Some(kubelet::UpgradeKind::WebSocket) => {
                add("connection", "Upgrade");
                add("upgrade", "websocket");
                add("sec-websocket-version", "13");
                add("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
                if !protocols.is_empty() {
                    add("sec-websocket-protocol", &protocols.join(", "));
                }
            }
        }
        lines
    }

    /// Whether the request ended with its headers; an upgrade goes on.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.facts.upgrade.is_none()
    }

    fn target(&self) -> String {
        let mut target = self.facts.path.clone();
        let pairs = self.facts.query.iter();
        let pairs = pairs.flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        for (index, (key, value)) in pairs.enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            encode(key, &mut target);
            target.push('=');
            encode(value, &mut target);
        }
        target
    }
}

impl PeerFacts {
    fn peer(&self) -> Result<Peer, InvalidRecord> {
        let Self { authenticated, subject, uri_san, dns_san, certificate_sha256, address, .. } =
            self;
        let certificate = match (authenticated, subject, certificate_sha256) {
            (true, Some(subject), Some(sha256)) => Some(Certificate {
                subject: Subject::parse(subject.as_bytes())?,
                uri_san: uri_san.clone(),
                dns_san: dns_san.clone(),
                sha256: sha256.clone(),
            }),
            (false, None, None) => None,
            _ => return Err(InvalidRecord::Peer),
        };
        let peer = Peer { certificate, address: address.clone() };
        // The pins look at the certificate, the policy at these.
        let PeerInput { common_name, organizations, .. } = PeerInput::new(&peer, self.bearer_token);
        let is_same =
            common_name == self.common_name.as_deref() && organizations == self.organizations;
        if is_same { Ok(peer) } else { Err(InvalidRecord::Peer) }
    }
}

/// Writes RFC 3986's unreserved characters as they are, and all others as `%XX`.
fn encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            to.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(to, "%{byte:02X}");
        }
    }
}
