//! What a policy says of its own data.

use anyhow::Context as _;
use gatelet_core::{
    Config,
    config::PolicyConfig,
    policy::{Limits, Source},
};
use regorus::Value;

use crate::interpreter::{add, interpreter};

/// Prints what is probably not meant: an empty list of peers, rights for tokens that the filter
/// doesn't let in, and the sentences in `lint.findings`, if
/// the policy has such a rule beside its entry point.
pub(crate) fn warn(config: &Config) -> anyhow::Result<()> {
    let PolicyConfig::Rego(source) = &config.policy else {
        if config.peers.as_ref().is_some_and(Vec::is_empty) {
            eprintln!("warning: `peers` is empty, so the filter denies everybody");
        }
        return Ok(());
    };
    let scrape = source.data.get("kubelet").and_then(|kubelet| kubelet.get("scrape"));
    if scrape.is_some() && config.token_cluster.is_none() {
        eprintln!(
            "warning: `data.kubelet.scrape` grants nothing without `--tokens`: the filter turns callers \
             without a certificate away"
        );
    }
    warn_of(source, &config.limits)
}

/// The same for a policy alone.
pub(crate) fn warn_of(source: &Source, limits: &Limits) -> anyhow::Result<()> {
    for finding in findings(source, limits)? {
        eprintln!("warning: {finding}");
    }
    Ok(())
}

fn findings(source: &Source, limits: &Limits) -> anyhow::Result<Vec<String>> {
    let Some((package, _)) = source.entrypoint.rsplit_once('.') else {
        return Ok(Vec::new());
    };
    let package = format!("{package}.lint");
    let rule = format!("{package}.findings");
    let mut engine = interpreter(limits);
    for (name, rego) in source.policy_modules() {
        add(&mut engine, name, rego)?;
    }
    if !engine.get_packages()?.contains(&package) {
        return Ok(Vec::new());
    }
    let data = Value::from(serde_json::Value::Object(source.data.clone()));
    // As `data`, it can't be searched for unknown keys: packages are among them.
    engine.set_input(data.clone());
    engine.add_data(data)?;
    let findings = engine.eval_rule(rule.clone()).with_context(|| rule.clone())?;
    let findings = findings.as_set().with_context(|| rule.clone())?;
    findings
        .iter()
        .map(|finding| Ok(finding.as_string().with_context(|| rule.clone())?.to_string()))
        .collect()
}
