//! What differs between two policies as they are written: rules, data, settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use gatelet_core::{
    Config,
    config::PolicyConfig,
    policy::{Limits, Source},
};
use regorus::unstable::{Rule, RuleHead};
use serde::Serialize;
use serde_json::Value;

use crate::{
    interpreter::{add, interpreter},
    style::{BAD, DOUBTFUL, GOOD, paint},
};

/// What differs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Changes {
    rules: Vec<Change>,
    data: Vec<Change>,
    /// Settings of the filter, by their names.
    settings: Vec<&'static str>,
}

/// Something that is there, or says another thing.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    /// A rule, or a place in the data.
    path: String,
    /// `null` for what is new. Of rules, the number of definitions.
    old: Option<Value>,
    /// `null` for what is gone.
    new: Option<Value>,
}

/// The definitions of each rule, without white space that means nothing.
type Rules = BTreeMap<String, BTreeSet<String>>;

impl Changes {
    /// What differs between two configurations.
    ///
    /// # Errors
    /// When a policy isn't Rego.
    pub(crate) fn between(old: &Config, new: &Config) -> anyhow::Result<Self> {
        let mut changes = Self { settings: settings(old, new), ..Self::default() };
        let (before, after) = (source(old), source(new));
        let (old_rules, new_rules) = (rules(before, &old.limits)?, rules(after, &new.limits)?);
        for path in old_rules.keys().chain(new_rules.keys()).collect::<BTreeSet<_>>() {
            let (old, new) = (old_rules.get(path), new_rules.get(path));
            if old != new {
                let count = |definitions: &BTreeSet<_>| Value::from(definitions.len());
                let (old, new) = (old.map(count), new.map(count));
                changes.rules.push(Change { path: path.clone(), old, new });
            }
        }
        let [old_data, new_data] = [before, after].map(|source| Value::Object(source.data.clone()));
        compare("data", Some(&old_data), Some(&new_data), &mut changes.data);
        Ok(changes)
    }

    /// Writes it for a person.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn print(&self, out: &mut impl io::Write) -> io::Result<()> {
        if self.rules.is_empty() && self.data.is_empty() && self.settings.is_empty() {
            return writeln!(out, "the policies are the same");
        }
        for Change { path, old, new } in &self.rules {
            match (old, new) {
                (None, _) => writeln!(out, "{} rule {path}", paint(GOOD, "+"))?,
                (_, None) => writeln!(out, "{} rule {path}", paint(BAD, "-"))?,
                _ => writeln!(out, "{} rule {path}", paint(DOUBTFUL, "~"))?,
            }
        }
        for Change { path, old, new } in &self.data {
            match (old, new) {
                (Some(old), Some(new)) => {
                    writeln!(out, "{} {path}: {old}, now {new}", paint(DOUBTFUL, "~"))?;
                }
                (None, Some(new)) => writeln!(out, "{} {path}: {new}", paint(GOOD, "+"))?,
                (Some(old), None) => writeln!(out, "{} {path}: {old}", paint(BAD, "-"))?,
                (None, None) => {}
            }
        }
        for name in &self.settings {
            writeln!(out, "{} setting {name}", paint(DOUBTFUL, "~"))?;
        }
        Ok(())
    }
}

fn source(config: &Config) -> &Source {
    match &config.policy {
        PolicyConfig::Rego(source) | PolicyConfig::KubeletTlsProxy(source) => source,
    }
}

/// The settings that differ, the policy aside.
fn settings(old: &Config, new: &Config) -> Vec<&'static str> {
    let Config {
        profile,
        policy: _,
        mode,
        peers,
        denied_certificates,
        limits,
        node,
        source_address,
        token_cluster,
        posture,
        http,
        denial,
        log,
    } = old;
    let is_adapted = |config: &Config| matches!(config.policy, PolicyConfig::KubeletTlsProxy(_));
    let differ = [
        ("profile", *profile != new.profile),
        ("policy.entrypoint", source(old).entrypoint != source(new).entrypoint),
        ("policy.adapter", is_adapted(old) != is_adapted(new)),
        ("mode", *mode != new.mode),
        ("peers", *peers != new.peers),
        ("denied_certificates", *denied_certificates != new.denied_certificates),
        ("limits", *limits != new.limits),
        ("node", *node != new.node),
        ("source_address", *source_address != new.source_address),
        ("token_cluster", *token_cluster != new.token_cluster),
        ("posture", *posture != new.posture),
        ("http", *http != new.http),
        ("denial", *denial != new.denial),
        ("log", *log != new.log),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn rules(source: &Source, limits: &Limits) -> anyhow::Result<Rules> {
    let mut rules = Rules::new();
    for (name, rego) in source.policy_modules() {
        let mut engine = interpreter(limits);
        let package = add(&mut engine, name, rego)?;
        for rule in engine.get_modules().iter().flat_map(|module| &module.policy) {
            let name = match rule.as_ref() {
                Rule::Default { refr, .. } => refr,
                Rule::Spec { head, .. } => match head {
                    RuleHead::Compr { refr, .. }
                    | RuleHead::Set { refr, .. }
                    | RuleHead::Func { refr, .. } => refr,
                },
            };
            let text = rule.span().text().split_whitespace().collect::<Vec<_>>().join(" ");
            let path = format!("{package}.{}", name.span().text());
            rules.entry(path).or_default().insert(text);
        }
    }
    Ok(rules)
}

/// Finds what differs between two values. The elements of arrays are told apart by what they are, not
/// by where they stand.
fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Change>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
                compare(&format!("{path}.{key}"), old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            let only = |these: &[Value], those: &[Value]| -> Vec<Value> {
                these.iter().filter(|value| !those.contains(value)).cloned().collect()
            };
            let (gone, come) = (only(old, new), only(new, old));
            if gone.is_empty() && come.is_empty() {
                // The same elements, in another order or another number.
                let path = path.to_owned();
                let [old, new] = [old, new].map(|values| Some(Value::from(values.clone())));
                found.push(Change { path, old, new });
                return;
            }
            let path = format!("{path}[]");
            found.extend(gone.into_iter().map(|old| Change {
                path: path.clone(),
                old: Some(old),
                new: None,
            }));
            found.extend(come.into_iter().map(|new| Change {
                path: path.clone(),
                old: None,
                new: Some(new),
            }));
        }
        (old, new) => {
            let path = path.to_owned();
            found.push(Change { path, old: old.cloned(), new: new.cloned() });
        }
    }
}
