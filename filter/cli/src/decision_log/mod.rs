//! The decision log, one JSON object a line: what the filter writes (`filter/core/src/log.rs`), with
//! what Envoy's configuration puts beside it.
//!
//! ```text
//! Lines ── Record::parse ──> Decision, with Envoy's facts ── question() ──> Recorded, for a policy
//!                        ├──> Refused: Envoy answered, or the handshake failed
//!                        └──> Failed: what came to nothing after its decision
//! ```

mod about;
mod lines;

use std::{borrow::Cow, collections::BTreeMap};

use chrono::{DateTime, Utc};
use gatelet_core::{Reason, Recorded, http, kubelet, recorded::InvalidRecord};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{error::Category, value::RawValue};
use thiserror::Error;

pub(crate) use about::About;
pub(crate) use lines::{Batch, Lines};

/// What a line is about.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// A decision of the filter's. One that lasts is written again and again under one `decision_id`.
    Decision(Box<Decision<'a>>, Envoy<'a>),
    /// What never came to a decision.
    Refused(Refused<'a>),
    /// What came to nothing after its decision, which has the same `connection_id`.
    Failed(Failed<'a>, Envoy<'a>),
}

/// A decision, in the shape of OPA's.
#[derive(Debug, Deserialize)]
pub(crate) struct Decision<'a> {
    #[serde(borrow)]
    pub(crate) decision_id: Cow<'a, str>,
    /// RFC 3339.
    #[serde(borrow)]
    pub(crate) timestamp: Cow<'a, str>,
    /// The input document, masked; of a request without a reading, what arrived.
    #[serde(borrow)]
    pub(crate) input: &'a RawValue,
    /// What the policy says; in a dry run the request went on all the same.
    pub(crate) result: bool,
    pub(crate) reason: Reason,
    #[serde(default, borrow)]
    pub(crate) rule: Option<Cow<'a, str>>,
    /// The policy's own sentence, or what is wrong with the request.
    #[serde(default, borrow)]
    pub(crate) message: Option<Cow<'a, str>>,
    /// The run of kubectl, as it says.
    #[serde(default, borrow)]
    pub(crate) kubectl_session: Option<Cow<'a, str>>,
    /// Pointers of what has another value in the log.
    #[serde(default, borrow)]
    pub(crate) masked: Vec<Cow<'a, str>>,
    /// Pointers of what isn't in the log.
    #[serde(default, borrow)]
    pub(crate) erased: Vec<Cow<'a, str>>,
}

/// What Envoy knows of a request. All of it depends on the format of its access log.
#[derive(Debug, Default)]
pub(crate) struct Envoy<'a> {
    /// `DownstreamEnd`, `DownstreamPeriodic` or `DownstreamTunnelSuccessfullyEstablished`.
    pub(crate) log_type: Option<Cow<'a, str>>,
    pub(crate) response_code: Option<u16>,
    pub(crate) response_flags: Option<Cow<'a, str>>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) bytes_received: Option<u64>,
    pub(crate) bytes_sent: Option<u64>,
    pub(crate) connection_id: Option<u64>,
}

/// A request, or a handshake, that Envoy refused.
#[derive(Debug, Deserialize)]
pub(crate) struct Refused<'a> {
    #[serde(borrow)]
    pub(crate) timestamp: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(crate) reason: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(crate) address: Option<Cow<'a, str>>,
    /// The certificate's subject, or the SPIFFE ID; of a failed handshake nobody has verified it.
    #[serde(default, borrow, alias = "unverified_subject", alias = "id", alias = "unverified_id")]
    pub(crate) subject: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(crate) method: Option<Cow<'a, str>>,
    /// Without the query.
    #[serde(default, borrow)]
    pub(crate) path: Option<Cow<'a, str>>,
}

/// Why something came to nothing.
#[derive(Debug, Deserialize)]
pub(crate) struct Failed<'a> {
    #[serde(borrow)]
    pub(crate) timestamp: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(crate) reason: Option<Cow<'a, str>>,
}

/// Why a line says nothing.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum Unreadable {
    /// Its end is missing, or it never was JSON.
    #[error("the line is cut off, or no JSON")]
    Cut,
    /// JSON of another form.
    #[error("no record of the decision log: {0}")]
    NotARecord(String),
    /// A record of the approver's.
    #[error("a decision of the approver's, which has a log of its own")]
    Approver,
    /// An input document that this version knows nothing of.
    #[error("schema `{0}` is not known: this gatelet reads {known}", known = KNOWN.join(" and "))]
    Schema(String),
}

/// The schemas of input documents.
const KNOWN: [&str; 2] = [kubelet::SCHEMA, http::SCHEMA];

/// A line as it may be: Envoy's access log, or a decision alone.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    decision: Option<Decision<'a>>,
    #[serde(borrow)]
    refused: Option<Refused<'a>>,
    #[serde(borrow)]
    failed: Option<Failed<'a>>,
    // Not flattened: serde would keep the whole line in memory a second time.
    #[serde(borrow)]
    log_type: Option<Cow<'a, str>>,
    response_code: Option<u16>,
    #[serde(borrow)]
    response_flags: Option<Cow<'a, str>>,
    duration_ms: Option<u64>,
    bytes_received: Option<u64>,
    bytes_sent: Option<u64>,
    connection_id: Option<u64>,
    path: Option<IgnoredAny>,
}

impl<'a> Record<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is nothing that the filter or its Envoy writes, or has a schema of another version.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, Unreadable> {
        if !line.trim_ascii_start().starts_with(b"{") {
            return Err(Unreadable::Cut);
        }
        let written: Written =
            serde_json::from_slice(line).map_err(|error| Unreadable::of(&error))?;
        let Written {
            decision,
            refused,
            failed,
            log_type,
            response_code,
            response_flags,
            duration_ms,
            bytes_received,
            bytes_sent,
            connection_id,
            path,
        } = written;
        let envoy = Envoy {
            log_type,
            response_code,
            response_flags,
            duration_ms,
            bytes_received,
            bytes_sent,
            connection_id,
        };
        let decision = match (decision, refused, failed) {
            (Some(decision), None, None) => decision,
            (None, Some(refused), None) => return Ok(Self::Refused(refused)),
            (None, None, Some(failed)) => return Ok(Self::Failed(failed, envoy)),
            // The entry point is in every decision: this is one alone, as `jq .decision` leaves it.
            (None, None, None) if path.is_some() => alone(line)?,
            _ => {
                let text = "not one of `decision`, `refused` and `failed`";
                return Err(Unreadable::NotARecord(text.to_owned()));
            }
        };
        decision.schema()?;
        Ok(Self::Decision(Box::new(decision), envoy))
    }
}

fn alone(line: &[u8]) -> Result<Decision<'_>, Unreadable> {
    #[derive(Deserialize)]
    struct Path<'a> {
        #[serde(borrow)]
        path: Cow<'a, str>,
    }

    let Path { path } = serde_json::from_slice(line).map_err(|error| Unreadable::of(&error))?;
    if path.starts_with("csr/") {
        return Err(Unreadable::Approver);
    }
    serde_json::from_slice(line).map_err(|error| Unreadable::of(&error))
}

impl Unreadable {
    fn of(error: &serde_json::Error) -> Self {
        match error.classify() {
            Category::Data => {
                // serde appends a place, which is in the line.
                let text = error.to_string();
                Self::NotARecord(text.split(" at line ").next().unwrap_or(&text).to_owned())
            }
            Category::Io | Category::Syntax | Category::Eof => Self::Cut,
        }
    }
}

impl Envoy<'_> {
    /// Whether there will be another record of the same decision.
    pub(crate) fn goes_on(&self) -> bool {
        self.log_type.as_deref().is_some_and(|log_type| log_type != "DownstreamEnd")
    }
}

impl Decision<'_> {
    /// The schema of the input document; a request without a reading has none.
    ///
    /// # Errors
    /// When it is none that this version knows.
    fn schema(&self) -> Result<Option<Cow<'_, str>>, Unreadable> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            schema: Option<Cow<'a, str>>,
        }

        let document: Document =
            serde_json::from_str(self.input.get()).map_err(|error| Unreadable::of(&error))?;
        match document.schema {
            Some(schema) if !KNOWN.contains(&schema.as_ref()) => {
                Err(Unreadable::Schema(schema.into_owned()))
            }
            schema => Ok(schema),
        }
    }

    /// Whether the request had no reading, so that no policy was asked.
    pub(crate) fn has_no_reading(&self) -> bool {
        matches!(self.reason, Reason::Malformed | Reason::UnknownEndpoint | Reason::Method)
    }

    /// Pointers of what isn't in the log as the policy saw it.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = &str> {
        self.masked.iter().chain(&self.erased).map(AsRef::as_ref)
    }
}

/// What the log has of a request that no policy was asked about.
const UNREAD: [&str; 3] = ["method", "path", "peer"];

/// Why a decision can't be made again.
#[derive(Debug, Error)]
pub(crate) enum NoQuestion {
    /// No policy was asked: the request had no reading, or the caller no certificate.
    #[error("no policy was asked")]
    NotAsked,
    /// The policy saw other values than the log has.
    #[error("{} {} hidden", .0.join(", "), if .0.len() == 1 { "is" } else { "are" })]
    Hidden(Vec<String>),
    /// The document is not whole.
    #[error(transparent)]
    Document(#[from] InvalidRecord),
}

impl Decision<'_> {
    /// What a policy was asked.
    ///
    /// # Errors
    /// When none was, or the log doesn't have it all. With `allow_masked`, masked values are taken as
    /// the policy's input, which they weren't.
    pub(crate) fn question(&self, allow_masked: bool) -> Result<Recorded, NoQuestion> {
        // A document that has lost its schema still has more than that, and isn't taken for such a request.
        let keys = serde_json::from_str::<BTreeMap<Cow<'_, str>, IgnoredAny>>(self.input.get());
        if keys.is_ok_and(|keys| keys.keys().all(|key| UNREAD.contains(&&**key))) {
            return Err(NoQuestion::NotAsked);
        }
        if !allow_masked && self.hidden().next().is_some() {
            return Err(NoQuestion::Hidden(self.hidden().map(str::to_owned).collect()));
        }
        let recorded = Recorded::parse(self.input.get())?;
        if self.hidden().next().is_none() {
            recorded.check()?;
        }
        Ok(recorded)
    }
}

/// A time of the log.
pub(crate) fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: &str = r#"{"schema":"gatelet/v1","method":"GET","path":"/pods","endpoint":"pods","authorization":{"verb":"get","resource":"nodes","subresources":["pods","proxy"]},"query":{},"protocols":[],"upgrade":null,"peer":{"authenticated":true,"common_name":"a","organizations":["b"],"subject":"CN=a,O=b","uri_san":null,"dns_san":null,"certificate_sha256":"0","address":null,"bearer_token":false},"user_agent":null,"node":{"name":null}}"#;

    fn decision(input: &str, further: &str) -> String {
        format!(
            r#"{{"decision_id":"1","timestamp":"2026-11-20T15:20:17.808030000Z","path":"kubelet/authz/decision","input":{input},"result":true,"reason":"allowed","policy_sha256":"0","labels":{{}},"metrics":{{"timer_rego_query_eval_ns":1}}{further}}}"#
        )
    }

    fn unreadable(line: &str) -> Unreadable {
        Record::parse(line.as_bytes()).map(|record| format!("{record:?}")).unwrap_err()
    }

    #[test]
    fn a_decision_is_read_with_or_without_what_envoy_knows() {
        let decision = decision(INPUT, "");
        let line = format!(
            r#"{{"decision":{decision},"log_type":"DownstreamEnd","response_code":200,"duration_ms":12,"more":[1]}}"#
        );
        for (line, want) in [(decision, (None, None)), (line, (Some(200), Some(12)))] {
            let Ok(Record::Decision(decision, envoy)) = Record::parse(line.as_bytes()) else {
                panic!("{line}")
            };
            assert_eq!((envoy.response_code, envoy.duration_ms), want, "{line}");
            assert_eq!(time(&decision.timestamp).unwrap().timestamp_millis(), 1_795_188_017_808);
            assert_eq!(decision.question(false).unwrap().endpoint(), "pods");
        }
    }

    #[test]
    fn what_envoy_refused_and_what_failed_are_read() {
        let refused = r#"{"connection_id":7,"refused":{"address":"127.0.0.1:36620","reason":"TLS_error","timestamp":"2026-11-20T15:20:17.677Z","unverified_sha256":null,"unverified_subject":"CN=x"}}"#;
        let Ok(Record::Refused(refused)) = Record::parse(refused.as_bytes()) else {
            panic!("{refused}")
        };
        assert_eq!(refused.subject.as_deref(), Some("CN=x"));
        let failed = r#"{"connection_id":7,"failed":{"reason":"connection_failure","timestamp":"2026-11-20T15:20:17.677Z"},"response_code":503}"#;
        assert!(matches!(Record::parse(failed.as_bytes()), Ok(Record::Failed(..))));
    }

    #[test]
    fn a_line_that_says_nothing_says_why() {
        let whole = decision(INPUT, "");
        let (half, _) = whole.split_at(whole.len() / 2);
        assert_eq!(unreadable(half), Unreadable::Cut);
        assert_eq!(unreadable("[2026-11-20 15:20:17.677][1][info] text"), Unreadable::Cut);
        assert!(matches!(unreadable("{}"), Unreadable::NotARecord(_)));
        assert!(matches!(
            unreadable(&whole.replace("\"allowed\"", "\"new\"")),
            Unreadable::NotARecord(_)
        ));
        let newer = whole.replace("gatelet/v1", "gatelet/v2");
        assert_eq!(unreadable(&newer), Unreadable::Schema("gatelet/v2".to_owned()));
        assert_eq!(
            unreadable(r#"{"path":"csr/approval/decision","input":{},"result":"approve"}"#),
            Unreadable::Approver
        );
    }

    #[test]
    fn what_is_hidden_is_no_question_unless_it_is_allowed() {
        for list in ["masked", "erased"] {
            let line = decision(INPUT, &format!(r#","{list}":["/exec/env"]"#));
            let Ok(Record::Decision(decision, _)) = Record::parse(line.as_bytes()) else {
                panic!("{line}")
            };
            let hidden = decision.question(false);
            assert_eq!(hidden.unwrap_err().to_string(), "/exec/env is hidden");
            assert!(decision.question(true).is_ok());
        }
        let unread = decision(r#"{"method":"GET","path":"//pods","peer":null}"#, "");
        let Ok(Record::Decision(decision, _)) = Record::parse(unread.as_bytes()) else {
            panic!("{unread}")
        };
        assert!(matches!(decision.question(true), Err(NoQuestion::NotAsked)));
    }
}
