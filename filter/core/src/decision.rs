//! The answer to one request, and why.

use serde::{Deserialize, Serialize};

use crate::policy::RuleId;

/// The answer to one request. There is no third case.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Forward the request.
    Allow(Permit),
    /// Answer it here.
    Deny(Denial),
}

/// Proof that a request was allowed: only [`Gate`](crate::Gate) makes one, and nothing is forwarded
/// without it.
#[derive(Debug)]
pub struct Permit {
    remove: Vec<String>,
}

/// What the caller is told instead of an answer of the service.
#[derive(Debug, PartialEq, Eq)]
pub struct Denial {
    /// The HTTP status: 400 or 403.
    pub status: u32,
    /// The body, `text/plain`. Never with `": "` in it: clients of Kubernetes up to 1.35 read it
    /// as YAML, and would take that for a map.
    pub body: String,
}

/// Why a request was answered as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The policy said yes.
    Allowed,
    /// The request, or its sender, can't be read in one way.
    Malformed,
    /// The kubelet has no such endpoint.
    UnknownEndpoint,
    /// The endpoint doesn't have the method.
    Method,
    /// The policy said nothing, or failed.
    Undefined,
    /// The policy said something else than yes or no.
    NotBoolean,
    /// The policy said more than is understood.
    UnknownKey,
    /// The policy took too long.
    Budget,
    /// The policy said no, or the caller isn't one of the configured peers.
    Denied,
    /// The policy said no, and the filter only watches.
    WouldDeny,
}

impl Permit {
    pub(crate) fn new(remove: Vec<String>) -> Self {
        Self { remove }
    }

    /// Gives the proof up for the names of the header lines to remove: credentials that must not
    /// ride along with the gate's own certificate.
    #[must_use]
    pub fn into_removed_headers(self) -> Vec<String> {
        self.remove
    }
}

impl Denial {
    /// The body of what is not permitted.
    pub const DENIED: &str = "Denied by policy";
    /// The body of what can't be read.
    pub const MALFORMED: &str = "Malformed request";

    pub(crate) fn new(reason: Reason, shown: Option<&RuleId>) -> Self {
        match (reason, shown) {
            (Reason::Malformed, _) => Self { status: 400, body: Self::MALFORMED.to_owned() },
            (_, Some(rule)) => {
                Self { status: 403, body: format!("{} (rule={rule})", Self::DENIED) }
            }
            (_, None) => Self { status: 403, body: Self::DENIED.to_owned() },
        }
    }
}

impl Reason {
    /// All reasons, in the order of the enumeration.
    pub const ALL: [Self; 10] = [
        Self::Allowed,
        Self::Malformed,
        Self::UnknownEndpoint,
        Self::Method,
        Self::Undefined,
        Self::NotBoolean,
        Self::UnknownKey,
        Self::Budget,
        Self::Denied,
        Self::WouldDeny,
    ];

    /// The reason's name in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Malformed => "malformed",
            Self::UnknownEndpoint => "unknown_endpoint",
            Self::Method => "method",
            Self::Undefined => "undefined",
            Self::NotBoolean => "not_boolean",
            Self::UnknownKey => "unknown_key",
            Self::Budget => "budget",
            Self::Denied => "denied",
            Self::WouldDeny => "would_deny",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_is_a_sentence_that_yaml_reads_as_text() {
        let rule = RuleId::parse("logs/default").unwrap();
        for reason in Reason::ALL {
            for shown in [None, Some(&rule)] {
                let Denial { status, body } = Denial::new(reason, shown);
                assert!([400, 403].contains(&status), "{reason:?}");
                assert!(!body.contains(": ") && !body.ends_with('\n'), "{body}");
            }
        }
        assert_eq!(
            Denial::new(Reason::Denied, Some(&rule)).body,
            "Denied by policy (rule=logs/default)"
        );
        assert_eq!(Denial::new(Reason::Malformed, Some(&rule)).body, "Malformed request");
    }

    #[test]
    fn names_are_those_of_the_log() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
