//! The cases of a request corpus, as tests.

use std::{path::Path, time::Instant};

use chrono::DateTime;
use gatelet_core::{
    Call, Config, Gate, Headers, Reason,
    config::{PolicyConfig, Written},
    corpus::{Case, Corpus},
    policy::Policy,
    posture::Watch,
};
use serde_json::Value;

use super::{
    Ran,
    engines::{difference, limits},
    full_name,
};
use crate::{corpus, policy::PolicyArguments};

/// Decides the cases that are chosen by their full names, which begin with the file's.
pub(super) fn run(
    arguments: &PolicyArguments,
    path: &Path,
    is_chosen: impl Fn(&str) -> bool,
) -> anyhow::Result<Vec<Ran>> {
    let written = arguments.written()?;
    let mut ran = Vec::new();
    for (name, corpus) in corpus::read(path)? {
        let written = match &corpus.configuration {
            Some(configuration) => configuration.clone(),
            None => with_data_of(&corpus, written.clone()),
        };
        let gate = Gate::new(Config::try_from(written)?, arguments.builtins())?;
        let policy = match &gate.config().policy {
            PolicyConfig::Rego(source) => {
                let posture = gate.config().posture.as_ref().map(Watch::beginning);
                Some(Policy::compile_with(
                    source,
                    arguments.builtins(),
                    &limits(),
                    posture.as_ref(),
                )?)
            }
            PolicyConfig::KubeletTlsProxy(_) => None,
        };
        for case in &corpus.cases {
            if is_chosen(&full_name(&name, &case.note)) {
                ran.push(decide(&name, &corpus, case, &gate, policy.as_ref())?);
            }
        }
    }
    Ok(ran)
}

fn with_data_of(corpus: &Corpus, mut written: Written) -> Written {
    if written.policy.data.is_empty() {
        written.policy.data.clone_from(&corpus.data);
    }
    written
}

fn decide(
    file: &str,
    corpus: &Corpus,
    case: &Case,
    gate: &Gate,
    policy: Option<&Policy>,
) -> anyhow::Result<Ran> {
    let lines = case.lines();
    let peer = corpus.peer(case);
    let call = Call {
        headers: Headers::new(&lines),
        end_of_stream: case.ends(),
        peer: &peer,
        cluster: None,
        decision_id: "test",
    };
    let begin = Instant::now();
    let answer = gate.decide(&call, || DateTime::UNIX_EPOCH);
    let duration = begin.elapsed();
    let record: Value = serde_json::from_str(&answer.record)?;
    let rule = record.get("rule").and_then(Value::as_str);
    let mut failures = Vec::new();
    if answer.reason != case.want || rule != case.rule.as_deref() {
        let shown = |rule: Option<&str>| rule.map_or(String::new(), |rule| format!(" by `{rule}`"));
        failures.push(format!(
            "it is {}{}, not {}{}",
            word(answer.reason)?,
            shown(rule),
            word(case.want)?,
            shown(case.rule.as_deref())
        ));
    }
    let input = corpus::input(corpus, case, gate.config())?;
    let mut compared = 0;
    // Where the register VM is to give up, the interpreter, which has no such limit, may go on.
    if let (Some(policy), Some(input)) = (policy, input)
        && case.want != Reason::Budget
    {
        compared = 1;
        failures.extend(difference("the decision", policy.answers(input)));
    }
    let asked = match record.get("input") {
        Some(input) if !failures.is_empty() => {
            Some((format!("{} {}", case.method, case.target), input.clone().into()))
        }
        _ => None,
    };
    Ok(Ran {
        package: file.to_owned(),
        name: case.note.clone(),
        file: file.to_owned(),
        line: None,
        duration,
        failures,
        asked,
        compared,
    })
}

/// A reason as the decision log has it.
fn word(reason: Reason) -> serde_json::Result<String> {
    Ok(serde_json::to_value(reason)?.as_str().unwrap_or_default().to_owned())
}
