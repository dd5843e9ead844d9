//! The decision log: one JSON object a decision, in the shape of OPA's.

use std::{collections::BTreeMap, io, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Serializer, Value, ser::Formatter};

use crate::{config::LogConfig, decision::Reason, policy::RuleId};

/// What stands in place of a masked value.
pub const MASKED: &str = "**";

/// What a record says of one request alone.
#[derive(Debug, Serialize)]
pub(crate) struct Event<'a> {
    pub(crate) decision_id: &'a str,
    #[serde(serialize_with = "rfc3339")]
    pub(crate) timestamp: DateTime<Utc>,
    pub(crate) reason: Reason,
    /// The run of kubectl that the request belongs to, as it says: one run may make two requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kubectl_session: Option<&'a str>,
    pub(crate) metrics: Metrics,
}

/// What a record says of all equal requests. One that has no reading is logged without its input
/// document, with what arrived as `method` and `path`.
#[derive(Debug, Serialize)]
pub(crate) struct Ruled<'a> {
    /// The entry point, as OPA writes it: `kubelet/authz/decision`.
    pub(crate) path: &'a str,
    /// What the policy says; in a dry run the request went on all the same.
    pub(crate) result: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<&'a RuleId>,
    /// The policy's own sentence, or what is wrong with the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<&'a str>,
    pub(crate) policy_sha256: &'a str,
    pub(crate) labels: &'a BTreeMap<String, String>,
}

/// How long a decision took, in nanoseconds, and whether it was remembered. The names are OPA's.
#[derive(Debug, Serialize)]
pub(crate) struct Metrics {
    #[serde(skip_serializing_if = "Option::is_none")]
    counter_server_query_cache_hit: Option<u8>,
    timer_rego_query_eval_ns: u64,
    timer_server_handler_ns: u64,
}

/// The part of a record that all equal requests have: JSON text, masked, and written once.
#[derive(Debug)]
pub(crate) struct Written(String);

impl Metrics {
    pub(crate) fn new(is_remembered: bool, evaluation: Duration, whole: Duration) -> Self {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            counter_server_query_cache_hit: is_remembered.then_some(1),
            timer_rego_query_eval_ns: nanoseconds(evaluation),
            timer_server_handler_ns: nanoseconds(whole),
        }
    }
}

impl Written {
    /// Writes the part with an input document, in which it hides what the configuration names.
    ///
    /// # Errors
    /// When the document has no JSON form.
    pub(crate) fn masked(
        ruled: &Ruled<'_>,
        input: &impl Serialize,
        config: &LogConfig,
    ) -> Result<Self, serde_json::Error> {
        let mut input = serde_json::to_value(input)?;
        let erased = apply(&config.erase, |pointer| erase(&mut input, pointer));
        let masked = apply(&config.mask, |pointer| input.pointer_mut(pointer).is_some_and(hide));
        Self::new(ruled, &input, &masked, &erased)
    }

    /// Writes the part with an input document in which there is nothing to hide.
    ///
    /// # Errors
    /// When the document has no JSON form.
    pub(crate) fn unmasked(
        ruled: &Ruled<'_>,
        input: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        Self::new(ruled, input, &[], &[])
    }

    fn new(
        ruled: &Ruled<'_>,
        input: &impl Serialize,
        masked: &[String],
        erased: &[String],
    ) -> Result<Self, serde_json::Error> {
        /// The document, with OPA's pointers of what has another value in it than the policy saw, and of
        /// what isn't in it.
        #[derive(Serialize)]
        struct Asked<'a, I> {
            input: &'a I,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            masked: &'a [String],
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            erased: &'a [String],
        }

        Ok(Self(joined(line(ruled)?, &line(&Asked { input, masked, erased })?)))
    }

    /// The whole record of a request.
    ///
    /// # Errors
    /// When it has no JSON form.
    pub(crate) fn record(&self, event: &Event<'_>) -> Result<String, serde_json::Error> {
        Ok(joined(line(event)?, &self.0))
    }

    /// The bytes of its text.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// One object with the fields of two, neither of which is empty.
fn joined(mut object: String, more: &str) -> String {
    object.pop();
    object.reserve_exact(more.len());
    object.push(',');
    object.push_str(more.strip_prefix('{').unwrap_or(more));
    object
}

/// More than most parts of records have, in bytes: they needn't be moved while they grow.
const USUAL: usize = 1024;

/// JSON on one line, in printable ASCII. The rest is escaped: in the terminal of whoever reads the
/// log, a caller's control characters would be commands, and bidi overrides would hide what stands
/// there. JSON's own escapes leave DEL, C1 and all of Unicode as they are.
///
/// # Errors
/// When a value has no JSON form.
pub(crate) fn line(record: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut line = Vec::with_capacity(USUAL);
    record.serialize(&mut Serializer::with_formatter(&mut line, Ascii))?;
    String::from_utf8(line).map_err(serde::ser::Error::custom)
}

/// Compact JSON whose strings are printable ASCII.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        to: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return to.write_all(fragment.as_bytes());
        }
        let is_odd = |character: char| !matches!(character, ' '..='~');
        for piece in fragment.split_inclusive(is_odd) {
            let plain = piece.trim_end_matches(is_odd);
            to.write_all(plain.as_bytes())?;
            for unit in piece.strip_prefix(plain).into_iter().flat_map(str::encode_utf16) {
                write!(to, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

/// Applies `change` to what each pointer names, and returns those that named something, as OPA writes
/// them.
fn apply(pointers: &[String], mut change: impl FnMut(&str) -> bool) -> Vec<String> {
    let changed = pointers.iter().filter(|pointer| change(pointer));
    changed.map(|pointer| format!("/input{pointer}")).collect()
}

/// Removes a field or an element; `false` if there was none.
fn erase(input: &mut Value, pointer: &str) -> bool {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return false };
    match input.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&name.replace("~1", "/").replace("~0", "~")).is_some()
        }
        Some(Value::Array(items)) => match name.parse() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// Puts a mask in place of a value; `false` if there was nothing to hide.
///
/// Below an object or array every value is hidden; keys and lengths stay to be seen.
fn hide(value: &mut Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(items) => items.iter_mut().map(hide).fold(false, |any, hid| any | hid),
        Value::Object(fields) => fields.values_mut().map(hide).fold(false, |any, hid| any | hid),
        scalar => {
            *scalar = Value::String(MASKED.to_owned());
            true
        }
    }
}

pub(crate) fn rfc3339<S: serde::Serializer>(
    time: &DateTime<Utc>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Nanos, true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the log has of a document, and what it says of that.
    fn hidden(input: &Value, mask: &[&str], erase: &[&str]) -> (Value, Value, Value) {
        let [mask, erase] =
            [mask, erase].map(|list| list.iter().map(|&pointer| pointer.to_owned()).collect());
        let config = LogConfig { mask, erase, ..LogConfig::default() };
        let ruled = Ruled {
            path: "a/b",
            result: true,
            rule: None,
            message: None,
            policy_sha256: "0",
            labels: &BTreeMap::new(),
        };
        let Written(text) = Written::masked(&ruled, input, &config).unwrap();
        let mut written: Value = serde_json::from_str(&text).unwrap();
        let [input, masked, erased] =
            ["input", "masked", "erased"].map(|name| written[name].take());
        (input, masked, erased)
    }

    #[test]
    fn masks_hide_values_and_say_so() {
        let input = json!({
            "exec": {"env": {"TOKEN": "secret"}, "command": ["id"]},
            "query": {"env": ["TOKEN=secret"]},
            "user_agent": "kubectl",
            "null": null,
        });
        let mask = ["/exec/env", "/query/env", "/user_agent", "/absent", "/null"];
        let (input, masked, erased) = hidden(&input, &mask, &[]);
        assert_eq!(masked, json!(["/input/exec/env", "/input/query/env", "/input/user_agent"]));
        assert!(erased.is_null());
        assert_eq!(
            input,
            json!({
                "exec": {"env": {"TOKEN": "**"}, "command": ["id"]},
                "query": {"env": ["**"]},
                "user_agent": "**",
                "null": null,
            })
        );
    }

    #[test]
    fn what_is_erased_is_gone_and_named() {
        let input = json!({"a": {"b": 1, "c/d": null}, "e": ["f", "g"], "h": 1});
        let (input, masked, erased) =
            hidden(&input, &["/a", "/h"], &["/a/b", "/a/c~1d", "/e/0", "/e/7", "/h", "/h/i"]);
        assert_eq!(input, json!({"a": {}, "e": ["g"]}));
        assert_eq!(erased, json!(["/input/a/b", "/input/a/c~1d", "/input/e/0", "/input/h"]));
        assert!(masked.is_null(), "nothing is left to mask: {masked}");
    }

    #[test]
    fn a_line_is_printable_ascii_and_says_the_same() {
        for text in [
            "kubectl/v1.36.2 (linux/amd64)",
            "\u{9b}31m",
            "a\u{85}b\u{7f}c",
            "\u{1b}[2J\r\n\t\0",
            "\u{202e}txt.exe\u{2066}",
            "\u{2028}\u{feff}\u{e0041}",
            "\u{1f600}\u{10ffff}",
            "ö\"\\é",
            "",
        ] {
            let record = json!({"a": [text, 1], text: text});
            let line = line(&record).unwrap();
            assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
            assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), record, "{line}");
        }
        assert_eq!(line(&json!("a\u{9b}b")).unwrap(), r#""a\u009bb""#);
    }

    #[test]
    fn what_is_empty_is_not_masked() {
        let (_, masked, _) = hidden(&json!({"exec": {"env": {}}}), &["/exec/env"], &[]);
        assert!(masked.is_null());
    }
}
