//! What one evaluation of a policy says.

use std::fmt;

use regorus::Value;

/// The result of one evaluation. Only [`Outcome::Allowed`] allows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The entry point is `true`, or an object whose `allow` is `true`.
    Allowed(Verdict),
    /// The entry point is `false`, or an object whose `allow` is `false`.
    Denied(Verdict),
    /// The entry point has no value for this input.
    Undefined,
    /// The entry point is neither a boolean nor an object of the agreed shape.
    NotBoolean,
    /// The entry point's object has a key that this version does not know.
    UnknownKey,
    /// The evaluation took more instructions or time than its limit.
    Budget,
    /// The evaluation failed; the text is for the log.
    Failed(String),
}

/// What the policy adds to its yes or no.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// A sentence for the log; never for the caller.
    pub reason: Option<String>,
}

/// The name of a rule in the decision log, in metrics and, where configured, in the answer:
/// `[A-Za-z0-9._/-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct RuleId(String);

impl RuleId {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The name, if it has the agreed form.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
        let fits = (1..=Self::MAX_LEN).contains(&name.len()) && name.bytes().all(plain);
        fits.then(|| Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Outcome {
    /// The rule that decided.
    #[must_use]
    pub fn rule(&self) -> Option<&RuleId> {
        self.verdict()?.rule.as_ref()
    }

    /// What the log says of it: the policy's own sentence, or why the evaluation failed.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => Some(error),
            _ => self.verdict()?.reason.as_deref(),
        }
    }

    fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Allowed(verdict) | Self::Denied(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// Reads the entry point's value: a boolean or exactly `{allow, rule?, reason?}`.
    pub(super) fn read(value: &Value) -> Self {
        let object = match value {
            Value::Bool(allow) => return Self::decided(*allow, Verdict::default()),
            Value::Undefined => return Self::Undefined,
            Value::Object(object) => object,
            _ => return Self::NotBoolean,
        };
        let mut allow = None;
        let mut verdict = Verdict::default();
        let mut well_typed = true;
        for (key, field) in object.iter() {
            let Value::String(key) = key else {
                return Self::UnknownKey;
            };
            match (key.as_ref(), field) {
                ("allow", Value::Bool(value)) => allow = Some(*value),
                ("rule", Value::String(name)) => match RuleId::parse(name) {
                    Some(id) => verdict.rule = Some(id),
                    None => well_typed = false,
                },
                ("reason", Value::String(text)) => verdict.reason = Some(text.to_string()),
                ("allow" | "rule" | "reason", _) => well_typed = false,
                _ => return Self::UnknownKey,
            }
        }
        match allow {
            Some(allow) if well_typed => Self::decided(allow, verdict),
            _ => Self::NotBoolean,
        }
    }

    fn decided(allow: bool, verdict: Verdict) -> Self {
        if allow { Self::Allowed(verdict) } else { Self::Denied(verdict) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(rule: &str, reason: &str) -> Verdict {
        Verdict {
            rule: RuleId::parse(rule),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
        }
    }

    #[test]
    fn only_true_allows() {
        let long = format!(r#"{{"allow": true, "rule": "{}"}}"#, "r".repeat(65));
        let longest = format!(r#"{{"allow": true, "rule": "{}"}}"#, "r".repeat(64));
        for (json, want) in [
            ("true", Outcome::Allowed(Verdict::default())),
            (r#"{"allow": true}"#, Outcome::Allowed(Verdict::default())),
            (
                r#"{"allow": true, "rule": "logs", "reason": "a: b"}"#,
                Outcome::Allowed(verdict("logs", "a: b")),
            ),
            (longest.as_str(), Outcome::Allowed(verdict(&"r".repeat(64), ""))),
            ("false", Outcome::Denied(Verdict::default())),
            (
                r#"{"allow": false, "rule": "no/exec-1.2_x"}"#,
                Outcome::Denied(verdict("no/exec-1.2_x", "")),
            ),
            (r#""true""#, Outcome::NotBoolean),
            ("1", Outcome::NotBoolean),
            ("null", Outcome::NotBoolean),
            ("[true]", Outcome::NotBoolean),
            ("{}", Outcome::NotBoolean),
            (r#"{"allow": "true"}"#, Outcome::NotBoolean),
            (r#"{"allow": null}"#, Outcome::NotBoolean),
            (r#"{"rule": "logs"}"#, Outcome::NotBoolean),
            (r#"{"allow": true, "rule": 1}"#, Outcome::NotBoolean),
            (r#"{"allow": true, "rule": ""}"#, Outcome::NotBoolean),
            (r#"{"allow": true, "rule": "a b"}"#, Outcome::NotBoolean),
            (r#"{"allow": true, "rule": "ü"}"#, Outcome::NotBoolean),
            (long.as_str(), Outcome::NotBoolean),
            (r#"{"allow": true, "reason": ["a"]}"#, Outcome::NotBoolean),
            (r#"{"allow": true, "Allow": true}"#, Outcome::UnknownKey),
            (r#"{"allow": true, "obligations": []}"#, Outcome::UnknownKey),
            (r#"{"allow": "true", "zzz": 1}"#, Outcome::UnknownKey),
        ] {
            let value = Value::from_json_str(json).unwrap();
            assert_eq!(Outcome::read(&value), want, "{json}");
        }
        assert_eq!(Outcome::read(&Value::Undefined), Outcome::Undefined);
    }

    #[test]
    fn a_key_that_is_no_string_is_unknown() {
        let object = std::collections::BTreeMap::from([
            (Value::from("allow"), Value::from(true)),
            (Value::from(true), Value::from(true)),
        ]);
        assert_eq!(Outcome::read(&Value::from(object)), Outcome::UnknownKey);
    }
}
