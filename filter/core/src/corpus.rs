//! The request corpus: requests as data, each with the decision it must get.
//!
//! One corpus drives the core, the filter's shell and real Envoy; the command counts instructions
//! with it. The files are in `tests/cases`, those of profile `http` in `tests/cases-http`.

mod logged;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    config::Written,
    decision::Reason,
    peer::{InvalidPeer, Peer, PeerProperties},
};
use logged::Logged;

/// A file of cases, and the policy they are for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// What the file shows, in a sentence.
    pub about: String,
    /// The data of the policy, whose rules are those of `rego/kubelet` or `rego/http`.
    #[serde(default)]
    pub data: Map<String, Value>,
    /// The filter's whole configuration instead, for answers that those rules never give.
    #[serde(default)]
    pub configuration: Option<Written>,
    /// Callers by the names that cases give them: RFC 2253 subjects, or the SPIFFE IDs of certificates
    /// without a subject; `null` has no certificate.
    pub peers: BTreeMap<String, Option<String>>,
    /// The cases.
    #[serde(default)]
    pub cases: Vec<Case>,
    /// Lines of a decision log, which become cases too: what was decided once has to be decided again.
    #[serde(default)]
    logged: Vec<Logged>,
}

/// A request and its decision.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is about.
    pub note: String,
    /// Who asks: a name from [`Corpus::peers`].
    pub peer: String,
    /// The method.
    pub method: String,
    /// The request target, path and query.
    pub target: String,
    /// Further header lines.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The reason that the decision must have.
    pub want: Reason,
    /// The rule that it must name.
    #[serde(default)]
    pub rule: Option<String>,
    /// The status with which Envoy answers by itself, before the filter sees the request.
    #[serde(default)]
    pub envoy: Option<u16>,
}

/// The certificate digest of callers in the corpus: real ones differ with every run.
const SHA256: &[u8] = &[b'0'; 64];

impl Corpus {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not of this form, a case names a caller that the file doesn't, or a line of a log
    /// doesn't have all of its request.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut corpus: Self = serde_json::from_str(text)?;
        for logged in std::mem::take(&mut corpus.logged) {
            let is_dry_run = corpus.configuration.as_ref().is_some_and(Written::is_dry_run);
            let (caller, case) = logged.case(is_dry_run).map_err(serde::de::Error::custom)?;
            corpus.peers.insert(case.peer.clone(), caller);
            corpus.cases.push(case);
        }
        let stranger = corpus.cases.iter().find(|case| !corpus.peers.contains_key(&case.peer));
        match stranger {
            Some(case) => Err(serde::de::Error::custom(format!(
                "`{}`: peer `{}` is not among the file's peers",
                case.note, case.peer
            ))),
            None => Ok(corpus),
        }
    }

    /// The caller of a case, as Envoy's properties would have it.
    ///
    /// # Errors
    /// When the subject can't be read.
    pub fn peer(&self, case: &Case) -> Result<Peer, InvalidPeer> {
        let subject = self.peers.get(&case.peer).and_then(Option::as_deref);
        let (id, subject) = match subject {
            Some(id) if id.starts_with("spiffe://") => (Some(id), None),
            subject => (None, subject),
        };
        let properties = PeerProperties {
            mtls: Some(if subject.or(id).is_some() { &[1] } else { &[0] }),
            subject: subject.map(str::as_bytes),
            uri_san: id.map(str::as_bytes),
            sha256: subject.or(id).map(|_| SHA256),
            ..PeerProperties::default()
        };
        Peer::from_properties(&properties, false)
    }
}

impl Case {
    /// The header lines that Envoy would hand over.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, Vec<u8>)> {
        let pseudo = [
            (":method", self.method.as_str()),
            (":path", &self.target),
            (":authority", "worker-1:10250"),
        ];
        let further = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        pseudo
            .into_iter()
            .chain(further)
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec()))
            .collect()
    }

    /// Whether the request ends with its headers; an upgrade goes on.
    #[must_use]
    pub fn ends(&self) -> bool {
        let goes_on = |name: &String| {
            ["upgrade", "transfer-encoding"].iter().any(|other| name.eq_ignore_ascii_case(other))
        };
        !self.headers.iter().any(|(name, _)| goes_on(name))
    }
}
