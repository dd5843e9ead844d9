//! Lines of the decision log as cases.

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::Case;
use crate::{
    decision::Reason,
    peer::Peer,
    recorded::{InvalidRecord, Recorded},
};

/// A line of the decision log, as it is there. What Envoy says beside the decision is no matter.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Logged {
    decision: Decision,
}

#[derive(Clone, Debug, Deserialize)]
struct Decision {
    decision_id: String,
    input: Box<RawValue>,
    reason: Reason,
    rule: Option<String>,
    #[serde(default)]
    masked: Vec<String>,
    #[serde(default)]
    erased: Vec<String>,
}

/// Why a line is no case.
#[derive(Debug, Error)]
pub(super) enum NoCase {
    /// The log doesn't have what the policy saw.
    #[error("decision `{id}`: {what} is hidden in the log; write a case that has it")]
    Hidden { id: String, what: String },
    /// The log has no request.
    #[error("decision `{id}` has no reading: {why}; write a case with the request")]
    Unread { id: String, why: InvalidRecord },
    /// A caller that the corpus can't write down.
    #[error("decision `{id}`: a caller with an address, or with several names")]
    Caller { id: String },
}

impl Logged {
    /// The case, and its caller as [`Corpus::peers`](super::Corpus::peers) has it. Without a dry run,
    /// what one let through has to be denied.
    pub(super) fn case(self, is_dry_run: bool) -> Result<(Option<String>, Case), NoCase> {
        let Decision { decision_id: id, input, reason, rule, masked, erased } = self.decision;
        if let Some(what) = masked.into_iter().chain(erased).next() {
            return Err(NoCase::Hidden { id, what });
        }
        let recorded = match Recorded::parse(input.get()) {
            Ok(recorded) => recorded,
            Err(why) => return Err(NoCase::Unread { id, why }),
        };
        let Some(caller) = caller(recorded.peer()) else { return Err(NoCase::Caller { id }) };
        let want = if reason == Reason::WouldDeny && !is_dry_run { Reason::Denied } else { reason };
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        let (mut method, mut target, mut headers) = (String::new(), String::new(), Vec::new());
        for (name, value) in recorded.lines() {
            match name.as_str() {
                ":method" => method = text(value),
                ":path" => target = text(value),
                ":authority" => {}
                _ => headers.push((name, text(value))),
            }
        }
        let peer = caller.clone().unwrap_or_else(|| "nobody".to_owned());
        let case = Case { note: id, peer, method, target, headers, want, rule, envoy: None };
        Ok((caller, case))
    }
}

/// The one name by which the corpus knows a caller; `None` inside is nobody.
fn caller(peer: &Peer) -> Option<Option<String>> {
    let Peer { certificate, address } = peer;
    if address.is_some() {
        return None;
    }
    let Some(certificate) = certificate else { return Some(None) };
    match (certificate.subject.as_str(), &certificate.uri_san, &certificate.dns_san) {
        (subject, None, None) if !subject.is_empty() => Some(Some(subject.to_owned())),
        ("", Some(id), None) if id.starts_with("spiffe://") => Some(Some(id.clone())),
        _ => None,
    }
}
