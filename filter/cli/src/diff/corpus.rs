//! The decisions of two policies on the request corpus.

use std::path::Path;

use anyhow::{Context as _, ensure};
use chrono::DateTime;
use gatelet_core::{
    Call, Config, Gate, Headers,
    config::PolicyConfig,
    corpus::{Case, Corpus},
    policy::Builtins,
};

use crate::{
    comparison::{Compared, Comparison, Said},
    corpus,
    decision_log::{About, Record},
};

/// Compares the decisions on every case of a folder.
///
/// # Errors
/// When a file can't be read, or there are no cases.
pub(crate) fn compare(
    old: &Config,
    new: &Config,
    builtins: Builtins,
    folder: &Path,
) -> anyhow::Result<Comparison> {
    let mut comparison = Comparison::default();
    for (name, corpus) in corpus::read(folder)? {
        if corpus.configuration.is_some() {
            // Its cases are about another policy.
            continue;
        }
        let gates = [gate(old, &corpus, builtins)?, gate(new, &corpus, builtins)?];
        for case in &corpus.cases {
            let about = || format!("{name}: {}", case.note);
            add(&mut comparison, &gates, &corpus, case, &name).with_context(about)?;
        }
    }
    ensure!(comparison.counts.decisions > 0, "{} has no requests", folder.display());
    Ok(comparison)
}

/// A policy, with the file's data if it has none.
fn gate(config: &Config, corpus: &Corpus, builtins: Builtins) -> anyhow::Result<Gate> {
    let mut config = config.clone();
    if let PolicyConfig::Rego(source) = &mut config.policy
        && source.data.is_empty()
    {
        source.data.clone_from(&corpus.data);
    }
    Ok(Gate::new(config, builtins)?)
}

fn add(
    comparison: &mut Comparison,
    gates: &[Gate; 2],
    corpus: &Corpus,
    case: &Case,
    file: &str,
) -> anyhow::Result<()> {
    let lines = case.lines();
    let call = Call {
        headers: Headers::new(&lines),
        end_of_stream: case.ends(),
        peer: &corpus.peer(case),
        cluster: None,
        decision_id: "",
    };
    let [old, new] =
        gates.each_ref().map(|gate| gate.decide(&call, || DateTime::UNIX_EPOCH).record);
    let (Record::Decision(old, _), Record::Decision(new, _)) =
        (Record::parse(old.as_bytes())?, Record::parse(new.as_bytes())?)
    else {
        return Ok(());
    };
    if old.has_no_reading() && new.has_no_reading() {
        comparison.not_asked();
        return Ok(());
    }
    comparison.add(&Compared {
        before: &Said::on_record(&old),
        after: &Said::on_record(&new),
        message: new.message.as_deref(),
        about: &About::read(new.input.get())?,
        at: file,
        id: &case.note,
    });
    Ok(())
}
