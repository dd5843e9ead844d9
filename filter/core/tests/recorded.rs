//! What is on record is decided again as it was decided, and makes the same request again.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by panicking")]

mod shipped;

use chrono::DateTime;
use gatelet_core::{
    Call, Config, Gate, Headers, Reason, Recorded,
    config::Profile,
    corpus::{Case, Corpus},
    gate::NotForThisGate,
    policy::Builtins,
    recorded::InvalidRecord,
};
use gatelet_portable::test;
use serde_json::{Value, json};

/// The line of the log for a case of the corpus.
fn record(gate: &Gate, corpus: &Corpus, case: &Case) -> Value {
    ask(gate, &case.lines(), case.ends(), &corpus.peer(case))
}

fn ask(
    gate: &Gate,
    lines: &[(String, Vec<u8>)],
    end_of_stream: bool,
    peer: &Result<gatelet_core::Peer, gatelet_core::peer::InvalidPeer>,
) -> Value {
    let headers = Headers::new(lines);
    let call = Call { headers, end_of_stream, peer, cluster: None, decision_id: "1" };
    serde_json::from_str(&gate.decide(&call, || DateTime::UNIX_EPOCH).record).unwrap()
}

fn gate(config: Value) -> Gate {
    let config = Config::from_json(config.to_string().as_bytes()).unwrap();
    Gate::new(config, Builtins::Standard).unwrap()
}

/// A document of exec, as the log has it.
fn exec() -> Value {
    let (_, corpus, gate) =
        shipped::corpora().into_iter().find(|(name, ..)| name == "exec.json").unwrap();
    record(&gate, &corpus, corpus.cases.first().unwrap()).get_mut("input").unwrap().take()
}

#[test]
fn a_recorded_request_gets_the_decision_that_it_got() {
    let mut decided = 0;
    for (name, corpus, gate) in shipped::corpora() {
        for case in &corpus.cases {
            let about = format!("{name}: {}", case.note);
            let record = record(&gate, &corpus, case);
            if record["input"]["schema"].is_null() || record["masked"].is_array() {
                continue;
            }
            let recorded = Recorded::parse(&record["input"].to_string());
            let recorded = recorded.unwrap_or_else(|e| panic!("{about}: {e}"));
            let again = gate.decide_recorded(&recorded).unwrap_or_else(|e| panic!("{about}: {e}"));
            let want = match case.want {
                Reason::WouldDeny => Reason::Denied,
                want => want,
            };
            assert_eq!(again.reason, want, "{about}");
            let rule = again.rule.as_ref().map(|rule| rule.as_str());
            assert_eq!(rule, case.rule.as_deref(), "{about}");
            decided += 1;
        }
    }
    assert!(decided > 100, "{decided}");
}

#[test]
fn a_recorded_request_is_made_again() {
    for (name, corpus, gate) in shipped::corpora() {
        for case in &corpus.cases {
            let once = record(&gate, &corpus, case);
            if once["input"]["schema"].is_null() || once["masked"].is_array() {
                continue;
            }
            let recorded = Recorded::parse(&once["input"].to_string()).unwrap();
            let again =
                ask(&gate, &recorded.lines(), recorded.ends(), &Ok(recorded.peer().clone()));
            assert_eq!(once["input"], again["input"], "{name}: {}", case.note);
            assert_eq!(once["reason"], again["reason"], "{name}: {}", case.note);
        }
    }
}

#[test]
fn the_configuration_counts_as_well_as_the_policy() {
    let allow = json!({"modules": {"a.rego": "package kubelet.authz\n\ndecision := true"}});
    let recorded = Recorded::parse(&exec().to_string()).unwrap();
    let other = json!([{"common_name": "other", "organization": "other"}]);
    let denied = json!(["0".repeat(64)]);
    for (config, want) in [
        (json!({"policy": allow}), Reason::Allowed),
        (json!({"policy": allow, "peers": other}), Reason::Denied),
        (json!({"policy": allow, "denied_certificates": denied}), Reason::Denied),
    ] {
        assert_eq!(
            gate(config.clone()).decide_recorded(&recorded).unwrap().reason,
            want,
            "{config}"
        );
    }
}

#[test]
fn a_policy_for_other_requests_says_nothing() {
    let gate = gate(json!({
        "profile": "http",
        "policy": {"modules": {"a.rego": "package http.authz\n\ndecision := true"}},
    }));
    assert_eq!(
        gate.decide_recorded(&Recorded::parse(&exec().to_string()).unwrap()),
        Err(NotForThisGate::Profile(Profile::Kubelet, Profile::Http))
    );
}

#[test]
fn a_document_that_is_not_whole_is_none() {
    let change = |pointer: &str, value: Value| {
        let mut document = exec();
        *document.pointer_mut(pointer).unwrap() = value;
        Recorded::parse(&document.to_string())
    };
    assert!(change("/pod", json!("other")).is_ok());
    let error = change("/schema", json!("gatelet/v2"));
    assert!(matches!(error, Err(InvalidRecord::Schema(name)) if name == "gatelet/v2"));
    // Masked or forged: the pins would look at another caller than the policy.
    for (pointer, value) in [
        ("/peer/common_name", json!("**")),
        ("/peer/organizations", json!([])),
        ("/peer/authenticated", json!(false)),
        ("/peer/certificate_sha256", Value::Null),
        ("/peer/subject", Value::Null),
    ] {
        let error = change(pointer, value);
        assert!(
            matches!(error, Err(InvalidRecord::Peer | InvalidRecord::Json(_))),
            "{pointer}: {error:?}"
        );
    }
    for pointer in ["/peer/bearer_token", "/method", "/query"] {
        assert!(matches!(change(pointer, json!(1)), Err(InvalidRecord::Json(_))), "{pointer}");
    }
}

/// A file of the corpus that has nothing but a line of a log.
fn pasted(record: &Value, further: &Value) -> Result<Corpus, serde_json::Error> {
    let line = json!({"decision": record, "log_type": "DownstreamEnd", "response_code": 403});
    let mut file = json!({"about": "Pasted", "peers": {}, "logged": [line]});
    file.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
    Corpus::parse(&file.to_string())
}

#[test]
fn a_line_of_the_log_is_a_case_of_the_corpus() {
    let mut cases = 0;
    for (name, corpus, gate) in shipped::corpora() {
        for case in &corpus.cases {
            let once = record(&gate, &corpus, case);
            if once["input"]["schema"].is_null() || once["masked"].is_array() {
                continue;
            }
            let further = json!({"configuration": corpus.configuration});
            let pasted = pasted(&once, &further).unwrap();
            let again = record(&gate, &pasted, pasted.cases.first().unwrap());
            assert_eq!(once["input"], again["input"], "{name}: {}", case.note);
            let pasted = pasted.cases.first().unwrap();
            assert_eq!(
                (pasted.want, &pasted.rule),
                (case.want, &case.rule),
                "{name}: {}",
                case.note
            );
            cases += 1;
        }
    }
    assert!(cases > 100, "{cases}");
}

#[test]
fn what_a_dry_run_lets_through_is_a_denial_elsewhere() {
    let logged = json!({"decision_id": "1", "input": exec(), "reason": "would_deny"});
    let corpus = pasted(&logged, &json!({})).unwrap();
    assert_eq!(corpus.cases.first().unwrap().want, Reason::Denied);
}

#[test]
fn a_line_that_does_not_have_its_request_is_no_case() {
    let whole = json!({"decision_id": "1", "input": exec(), "reason": "denied"});
    assert!(pasted(&whole, &json!({})).is_ok());
    let with = |name: &str, value: Value| {
        let mut line = whole.clone();
        line.as_object_mut().unwrap().insert(name.to_owned(), value);
        pasted(&line, &json!({})).unwrap_err().to_string()
    };
    let hidden = "decision `1`: /input/exec/env is hidden in the log";
    assert!(with("masked", json!(["/input/exec/env"])).starts_with(hidden));
    assert!(with("erased", json!(["/input/exec/env"])).starts_with(hidden));
    let unread = json!({"method": "GET", "path": "//pods", "peer": null});
    assert!(with("input", unread).starts_with("decision `1` has no reading"));
    let mut addressed = exec();
    *addressed.pointer_mut("/peer/address").unwrap() = json!("10.0.0.1");
    assert!(with("input", addressed).starts_with("decision `1`: a caller with an address"));
}
