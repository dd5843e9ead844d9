//! What every requirement came to, for people and for programs.

use anstream::println;
use comfy_table::{Table, presets::NOTHING};
use gatelet_core::posture::{Check, Found, Reading, Settings, Status, Verdict};
use serde_json::{Value, json};

use super::texts::Text;
use crate::style::{BAD, DOUBTFUL, GOOD, paint};

/// All that is shown.
pub(super) struct Report<'a> {
    /// What the settings are of.
    pub(super) source: String,
    pub(super) verdict: &'a Verdict,
    pub(super) checks: Vec<(&'a Check, &'a Text)>,
    pub(super) settings: &'a Settings,
}

/// What one requirement looked at.
pub(super) struct Looked<'a> {
    pub(super) setting: &'a str,
    pub(super) found: Option<&'a Found>,
}

impl Report<'_> {
    /// What a requirement looked at.
    pub(super) fn looked<'a>(&'a self, check: &'a Check) -> impl Iterator<Item = Looked<'a>> {
        let looked = |setting: &'a String| Looked { setting, found: self.settings.get(setting) };
        check.settings.iter().map(looked)
    }

    /// A table, the fix of each gap, and the numbers.
    pub(super) fn print_text(&self) {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_header(["", "ID", "", "FOUND", "FROM"]);
        for (check, text) in &self.checks {
            let lines = |of: &dyn Fn(&Looked<'_>) -> String| {
                self.looked(check).map(|looked| of(&looked)).collect::<Vec<_>>().join("\n")
            };
            table.add_row([
                word(check.status).to_owned(),
                check.id.clone(),
                text.title.clone(),
                lines(&|looked| format!("{} {}", looked.setting, looked.value())),
                lines(&|looked| looked.from()),
            ]);
        }
        for line in table.lines() {
            println!("{}", coloured(line.trim_end()));
        }
        let gaps = self.checks.iter().filter(|(check, _)| check.status != Status::Pass);
        for (index, (check, text)) in gaps.enumerate() {
            if index == 0 {
                println!();
            }
            println!("{}: wanted is {}; {}", check.id, text.wanted, text.fix);
        }
        let count = |status| self.checks.iter().filter(|(check, _)| check.status == status).count();
        println!(
            "\n{} pass, {} fail, {} warn, {} manual, {} unknown",
            count(Status::Pass),
            count(Status::Fail),
            count(Status::Warn),
            count(Status::Manual),
            count(Status::Unknown)
        );
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let check = |(check, text): &(&Check, &Text)| {
            let found: Vec<_> = self
                .looked(check)
                .map(|looked| {
                    let reading = looked.found.map(|found| &found.reading);
                    let (value, unreadable) = match reading {
                        Some(Reading::Value(value)) => (Some(value), None),
                        Some(Reading::Unreadable(what)) => (None, Some(what)),
                        None => (None, None),
                    };
                    json!({
                        "setting": looked.setting,
                        "value": value,
                        "unreadable": unreadable,
                        "from": looked.found.map(|found| &found.from),
                    })
                })
                .collect();
            json!({
                "id": check.id,
                "title": text.title,
                "status": check.status,
                "found": found,
                "wanted": text.wanted,
                "fix": text.fix,
            })
        };
        json!({
            "source": self.source,
            "profile": self.verdict.profile,
            "status": self.verdict.status,
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
        })
    }
}

impl Looked<'_> {
    /// The value as a person reads it.
    pub(super) fn value(&self) -> String {
        match self.found.map(|found| &found.reading) {
            Some(Reading::Value(Value::String(text))) if text.is_empty() => "not set".to_owned(),
            Some(Reading::Value(Value::Array(items))) if items.is_empty() => "not set".to_owned(),
            Some(Reading::Value(Value::String(text))) => text.clone(),
            Some(Reading::Value(Value::Array(items))) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            Some(Reading::Value(value)) => value.to_string(),
            Some(Reading::Unreadable(what)) => format!("unreadable: {what}"),
            None => "?".to_owned(),
        }
    }

    fn from(&self) -> String {
        self.found.map_or_else(|| "not shown".to_owned(), |found| found.from.clone())
    }
}

/// The word for a status.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Pass => "PASS",
        Status::Fail => "FAIL",
        Status::Warn => "WARN",
        Status::Manual => "MANUAL",
        Status::Unknown => "UNKNOWN",
    }
}

/// A line of the table with its first word in colour.
fn coloured(line: &str) -> String {
    let style = match line.split_whitespace().next() {
        Some("PASS") => GOOD,
        Some("FAIL" | "UNKNOWN") => BAD,
        Some("WARN" | "MANUAL") => DOUBTFUL,
        _ => return line.to_owned(),
    };
    let (before, rest) = line.split_at(line.len() - line.trim_start().len());
    let (first, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    format!("{before}{} {rest}", paint(style, first))
}
