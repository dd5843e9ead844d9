//! The decision log: one JSON object a decision, in the shape of the gate's.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Input, Mode, Reason, Ruling, Verdict};
use crate::{
    log::{self, rfc3339},
    policy::RuleId,
};

#[derive(Serialize)]
pub(super) struct Record<'a> {
    decision_id: &'a str,
    #[serde(serialize_with = "rfc3339")]
    timestamp: DateTime<Utc>,
    path: &'a str,
    input: Document<'a>,
    result: Verdict,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a RuleId>,
    message: &'a str,
    dry_run: bool,
    policy_sha256: &'a str,
    labels: &'a BTreeMap<String, String>,
    metrics: Metrics,
}

/// The input document, or as much of it as there is room for.
#[derive(Serialize)]
#[serde(untagged)]
enum Document<'a> {
    Whole(&'a Input<'a>),
    Short { name: &'a str, signer: &'a str, username: String },
}

/// How long it took to find the facts and to decide, in nanoseconds.
#[derive(Serialize)]
struct Metrics {
    timer_server_handler_ns: u64,
}

/// The longest line. It travels to Envoy's access log in a header.
const LONGEST: usize = 48 * 1024;
/// The longest name of who asks in a line that would be longer, in characters.
const LONGEST_USERNAME: usize = 1024;

/// What a decision was made of.
pub(super) struct Decision<'a> {
    pub(super) id: &'a str,
    pub(super) path: &'a str,
    pub(super) input: &'a Input<'a>,
    pub(super) ruling: &'a Ruling,
    pub(super) mode: Mode,
    pub(super) policy_sha256: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) time: Duration,
}

impl Decision<'_> {
    /// The line, in ASCII, as headers want it; if that is too long, of its input only what the request is
    /// called, who is to sign it, and who asks.
    ///
    /// # Errors
    /// Never in practice: every part has a JSON form.
    pub(super) fn line(&self, now: DateTime<Utc>) -> Result<String, serde_json::Error> {
        let mut record = Record {
            decision_id: self.id,
            timestamp: now,
            path: self.path,
            input: Document::Whole(self.input),
            result: self.ruling.verdict,
            reason: self.ruling.reason,
            rule: self.ruling.rule.as_ref(),
            message: &self.ruling.message,
            dry_run: self.mode == Mode::DryRun,
            policy_sha256: self.policy_sha256,
            labels: self.labels,
            metrics: Metrics {
                timer_server_handler_ns: u64::try_from(self.time.as_nanos()).unwrap_or(u64::MAX),
            },
        };
        let line = log::line(&record)?;
        if line.len() <= LONGEST {
            return Ok(line);
        }
        let Input { name, signer, username, .. } = self.input;
        let username = username.chars().take(LONGEST_USERNAME).collect();
        record.input = Document::Short { name, signer, username };
        log::line(&record)
    }
}
