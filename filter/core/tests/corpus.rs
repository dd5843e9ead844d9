//! The request corpus, decided by the core.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod shipped;

use chrono::DateTime;
use gatelet_core::{Call, Headers};
use gatelet_portable::test;

#[test]
fn every_case_gets_its_decision() {
    let mut wrong = Vec::new();
    for (name, corpus, gate) in shipped::corpora() {
        for case in &corpus.cases {
            let lines = case.lines();
            let call = Call {
                headers: Headers::new(&lines),
                end_of_stream: case.ends(),
                peer: &corpus.peer(case),
                cluster: None,
                decision_id: "1",
            };
            let answer = gate.decide(&call, || DateTime::UNIX_EPOCH);
            let record: serde_json::Value = serde_json::from_str(&answer.record).unwrap();
            let rule = record["rule"].as_str();
            if answer.reason != case.want || rule != case.rule.as_deref() {
                wrong.push(format!(
                    "{name}: {}: wanted {:?} by {:?}, got {:?} by {rule:?} ({})",
                    case.note, case.want, case.rule, answer.reason, record["message"]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
