//! What a policy says of a request: approve, deny, or leave it as it is.

use regorus::Value;
use serde::Serialize;

use super::printable;
use crate::policy::{Outcome, RuleId};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is approved, for good.
    Approve,
    /// It is denied, for good.
    Deny,
    /// It stays pending, for a person or for later.
    Leave,
}

/// Why a request became what it did, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The policy said approve.
    Approved,
    /// The policy said deny.
    Denied,
    /// The policy said leave.
    Left,
    /// The request can't be read, and the policy approved it all the same.
    Malformed,
    /// The policy said nothing.
    Undefined,
    /// The policy said something else.
    NotDecision,
    /// The policy said more than is understood.
    UnknownKey,
    /// The policy took too long.
    Budget,
    /// The evaluation failed.
    Failed,
}

/// A verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Ruling {
    /// What becomes of the request.
    pub verdict: Verdict,
    /// Why, as a word.
    pub reason: Reason,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// A sentence for people, for the condition and the event, in printable ASCII.
    pub message: String,
}

/// The longest message that is written down, in characters.
const LONGEST: usize = 1024;

impl Ruling {
    /// Reads the value of the entry point: exactly `{decision, rule?, reason}`. Whatever else it is
    /// leaves the request.
    pub(super) fn read(answer: Result<Value, Outcome>) -> Self {
        match answer {
            Ok(value) => Self::read_value(&value).unwrap_or_else(|reason| Self::left(reason, "")),
            Err(Outcome::Budget) => Self::left(Reason::Budget, ""),
            Err(Outcome::Undefined) => Self::left(Reason::Undefined, ""),
            Err(Outcome::Failed(why)) => Self::left(Reason::Failed, &why),
            Err(other) => Self::left(Reason::Failed, &format!("{other:?}")),
        }
    }

    fn read_value(value: &Value) -> Result<Self, Reason> {
        let object = match value {
            Value::Object(object) => object,
            Value::Undefined => return Err(Reason::Undefined),
            _ => return Err(Reason::NotDecision),
        };
        let (mut verdict, mut rule, mut message) = (None, None, None);
        for (key, field) in object.iter() {
            let (Value::String(key), Value::String(text)) = (key, field) else {
                return Err(Reason::NotDecision);
            };
            match (key.as_ref(), text.as_ref()) {
                ("decision", "approve") => verdict = Some((Verdict::Approve, Reason::Approved)),
                ("decision", "deny") => verdict = Some((Verdict::Deny, Reason::Denied)),
                ("decision", "leave") => verdict = Some((Verdict::Leave, Reason::Left)),
                ("rule", name) => match RuleId::parse(name) {
                    Some(id) => rule = Some(id),
                    None => return Err(Reason::NotDecision),
                },
                ("reason", text) => message = Some(printable(text, LONGEST)),
                ("decision", _) => return Err(Reason::NotDecision),
                _ => return Err(Reason::UnknownKey),
            }
        }
        match (verdict, message) {
            (Some((verdict, reason)), Some(message)) => Ok(Self { verdict, reason, rule, message }),
            _ => Err(Reason::NotDecision),
        }
    }

    /// What can't be read isn't approved, whatever a policy says.
    pub(super) fn unless_malformed(self, malformed: Option<&str>) -> Self {
        match (self.verdict, malformed) {
            (Verdict::Approve, Some(why)) => Self::left(Reason::Malformed, why),
            _ => self,
        }
    }

    fn left(reason: Reason, detail: &str) -> Self {
        let what = match reason {
            Reason::Malformed => "The request can't be read",
            Reason::Undefined => "The policy says nothing",
            Reason::NotDecision => "The policy says neither approve nor deny nor leave",
            Reason::UnknownKey => "The policy says more than is understood",
            Reason::Budget => "The policy takes too long",
            Reason::Approved | Reason::Denied | Reason::Left | Reason::Failed => "The policy fails",
        };
        let message = if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") };
        Self { verdict: Verdict::Leave, reason, rule: None, message: printable(&message, LONGEST) }
    }
}

impl Reason {
    /// All reasons, in the order of the enumeration.
    pub const ALL: [Self; 9] = [
        Self::Approved,
        Self::Denied,
        Self::Left,
        Self::Malformed,
        Self::Undefined,
        Self::NotDecision,
        Self::UnknownKey,
        Self::Budget,
        Self::Failed,
    ];
}
