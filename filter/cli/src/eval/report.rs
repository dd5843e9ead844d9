//! The answer, for a person and for a program.

use std::fmt;

use gatelet_core::{Answer, Decision, Gate, Reason, policy::Explanation};
use serde::Serialize;
use serde_json::Value;

use super::explanation;
use crate::{
    request::Question,
    style::{BAD, DOUBTFUL, GOOD, paint},
};

#[derive(Serialize)]
pub(super) struct Report {
    /// Whether the request goes on to the kubelet.
    allowed: bool,
    /// What the caller is told instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Told>,
    reason: &'static str,
    rule: Option<String>,
    message: Option<String>,
    /// The case of the corpus, or the decision of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    policy_sha256: String,
    /// The headers as asked; for what has a meaning, see the input document.
    headers: Vec<(String, String)>,
    /// Credentials that don't go on with it.
    removed_headers: Vec<String>,
    input: Value,
    /// Whether the evaluation came to no end, so that no rule decided.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Vec<Explanation>>,
}

#[derive(Serialize)]
struct Told {
    status: u32,
    body: String,
}

impl Report {
    pub(super) fn new(
        answer: Answer,
        gate: &Gate,
        question: &Question,
        about: Option<String>,
        hint: Option<String>,
        explanation: Option<Vec<Explanation>>,
    ) -> anyhow::Result<Self> {
        let mut record: Value = serde_json::from_str(&answer.record)?;
        let text = |key| record.get(key).and_then(Value::as_str).map(str::to_owned);
        let (rule, message) = (text("rule"), text("message"));
        let input = record.get_mut("input").map(Value::take).unwrap_or_default();
        let (told, removed_headers) = match answer.decision {
            Decision::Allow(permit) => (None, permit.into_removed_headers()),
            Decision::Deny(denial) => {
                (Some(Told { status: denial.status, body: denial.body }), Vec::new())
            }
        };
        let headers = question
            .lines
            .iter()
            .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned()));
        Ok(Self {
            allowed: told.is_none(),
            answer: told,
            reason: answer.reason.as_str(),
            rule,
            message,
            about,
            hint,
            policy_sha256: gate.digest().to_owned(),
            headers: headers.collect(),
            removed_headers,
            input,
            failed: answer.failed || answer.reason == Reason::Budget,
            explanation,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            None if self.reason == "would_deny" => {
                writeln!(
                    to,
                    "{}: a dry run forwards what the policy denies",
                    paint(DOUBTFUL, "forwarded")
                )?;
            }
            None => writeln!(to, "{}", paint(GOOD, "allowed"))?,
            Some(Told { status, body }) => {
                writeln!(to, "{}: the caller gets {status} and `{body}`", paint(BAD, "denied"))?;
            }
        }
        let field = |to: &mut fmt::Formatter<'_>, name: &str, value: Option<&str>| match value {
            Some(value) => writeln!(to, "{name:<9}{value}"),
            None => Ok(()),
        };
        field(to, "about", self.about.as_deref())?;
        field(to, "reason", Some(self.reason))?;
        field(to, "rule", self.rule.as_deref())?;
        field(to, "message", self.message.as_deref())?;
        field(to, "hint", self.hint.as_deref())?;
        field(to, "policy", Some(&self.policy_sha256))?;
        if !self.removed_headers.is_empty() {
            field(to, "removed", Some(&self.removed_headers.join(", ")))?;
        }
        let mut name = "asked";
        for line in asked(&self.headers) {
            field(to, name, Some(&line))?;
            name = "";
        }
        if let Some(explanations) = &self.explanation {
            writeln!(to, "\nwhy")?;
            if self.failed {
                writeln!(
                    to,
                    "  the evaluation failed, so no rule decided; without limits it would go on:"
                )?;
            }
            if explanations.is_empty() {
                writeln!(to, "  the policy was not asked")?;
            }
            for explanation in explanations {
                write!(to, "{}", explanation::Text(explanation))?;
            }
        }
        writeln!(to, "\ninput\n{:#}", self.input)
    }
}

/// The request as people write it.
fn asked(headers: &[(String, String)]) -> Vec<String> {
    let one = |wanted| {
        headers.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str())
    };
    let mut lines = vec![format!("{} {}", one(":method"), one(":path"))];
    let plain = headers.iter().filter(|(name, _)| !name.starts_with(':'));
    lines.extend(plain.map(|(name, value)| format!("{name}: {value}")));
    lines
}
