//! What a policy says of its own data.

use std::time::SystemTime;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use gatelet_core::{
    Config,
    config::{Mode, PolicyConfig},
    policy::{Limits, Source},
};
use regorus::{
    Value,
    unstable::{Rule, RuleHead},
};

use crate::{
    interpreter::{add, interpreter},
    report,
};

/// Prints what is probably not meant: a dry run that is over, a policy that allows nobody, rights for
/// tokens that the filter doesn't let in, and the sentences in `lint.findings`, if the policy has such
/// a rule beside its entry point.
pub(crate) fn warn(config: &Config) -> anyhow::Result<()> {
    if let Mode::DryRun { until } = config.mode
        && until <= DateTime::<Utc>::from(SystemTime::now())
    {
        let until = until.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        report::warning(&format!("`dry_run_until` was {until}: the filter enforces the policy"));
    }
    if config.peers.as_ref().is_some_and(Vec::is_empty) {
        report::warning("`peers` is empty, so the filter denies everybody");
    }
    let PolicyConfig::Rego(source) = &config.policy else { return Ok(()) };
    let scrape = source.data.get("kubelet").and_then(|kubelet| kubelet.get("scrape"));
    if scrape.is_some() && config.token_cluster.is_none() {
        report::warning(
            "`data.kubelet.scrape` grants nothing without `--tokens`: the filter turns callers \
             without a certificate away",
        );
    }
    warn_of(source, &config.limits)
}

/// The same for a policy alone.
pub(crate) fn warn_of(source: &Source, limits: &Limits) -> anyhow::Result<()> {
    if has_only_a_default(source, limits)? {
        let rule = &source.entrypoint;
        report::warning(&format!(
            "`{rule}` has a default and no rule, so all requests get the same"
        ));
    }
    for finding in findings(source, limits)? {
        report::warning(&finding);
    }
    Ok(())
}

/// Whether the entry point says one thing, whatever the input is.
fn has_only_a_default(source: &Source, limits: &Limits) -> anyhow::Result<bool> {
    let mut rules = 0;
    for (name, rego) in source.policy_modules() {
        let mut engine = interpreter(limits);
        let package = add(&mut engine, name, rego)?;
        let modules = engine.get_modules();
        for rule in modules.iter().flat_map(|module| &module.policy) {
            if let Rule::Spec { head: RuleHead::Compr { refr, .. }, .. } = rule.as_ref()
                && format!("{package}.{}", refr.span().text()) == source.entrypoint
            {
                rules += 1;
            }
        }
    }
    Ok(rules == 0)
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
