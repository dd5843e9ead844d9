//! SARIF 2.1.0, as far as GitHub's code scanning reads it.
//!
//! Only gaps are results: code scanning shows every result as an alert. A place is demanded of each; a
//! setting that isn't there has none, so it is the beginning of the file.

use gatelet_core::posture::{Check, Status};
use serde_json::{Value, json};

use super::{
    report::{Report, word},
    texts::Text,
};

/// The whole log.
pub(super) fn log(report: &Report<'_>) -> Value {
    let results: Vec<_> =
        report.checks.iter().filter_map(|(check, text)| result(report, check, text)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "gatelet",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": report.checks.iter().map(rule).collect::<Vec<_>>(),
            }},
            // Runs on other profiles and files don't close each other's alerts.
            "automationDetails": {"id": format!("posture/{}/", report.verdict.profile.as_str())},
            "results": results,
        }],
    })
}

fn rule((check, text): &(&Check, &Text)) -> Value {
    json!({
        "id": check.id,
        "name": text.title,
        "shortDescription": {"text": text.title},
        "fullDescription": {"text": format!("Wanted is {}.", text.wanted)},
        "help": {"text": text.fix},
        "properties": {"tags": ["security"]},
    })
}

fn result(report: &Report<'_>, check: &Check, text: &Text) -> Option<Value> {
    let level = match check.status {
        Status::Fail | Status::Unknown => "error",
        Status::Warn => "warning",
        Status::Pass | Status::Manual => return None,
    };
    let found: Vec<_> = report
        .looked(check)
        .map(|looked| format!("{} is {}", looked.setting, looked.value()))
        .collect();
    let message =
        format!("{}: {}; wanted is {}", word(check.status), found.join(", "), text.wanted);
    Some(json!({
        "ruleId": check.id,
        "level": level,
        "message": {"text": message},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": report.source},
            "region": {"startLine": 1},
        }}],
        "partialFingerprints": {"requirement/v1": check.id},
    }))
}
