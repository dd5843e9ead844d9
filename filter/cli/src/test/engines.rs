//! The same questions for both of regorus' machines: the interpreter, and the register VM that the
//! filter decides with.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    time::Duration,
};

use gatelet_core::policy::{Builtins, Limits, Outcome, Policy, PolicyError, Source};
use regorus::Value;
use serde_json::Map;

use super::question::{Asked, Questions};
use crate::folder::Folder;

/// A policy on both machines, for any of its rules and any data.
pub(super) struct Engines<'a> {
    folder: &'a Folder,
    /// By rule and data; `None` where the register VM can't have it.
    compiled: BTreeMap<(String, String), Option<Policy>>,
    same: BTreeSet<(String, String, String)>,
}

/// What a comparison came to.
pub(super) enum Compared {
    Same,
    /// Which machine said what.
    Different(String),
    /// The language doesn't allow it, or it is about no rule.
    Not,
}

impl<'a> Engines<'a> {
    pub(super) fn new(folder: &'a Folder) -> Self {
        Self { folder, compiled: BTreeMap::new(), same: BTreeSet::new() }
    }

    /// Puts a question to both, for each rule that it is about.
    pub(super) fn compare(&mut self, questions: &Questions<'_>, question: &Asked) -> Compared {
        let Some(data) = self.data(question) else { return Compared::Not };
        let mut compared = Compared::Not;
        for rule in questions.rules_of(question) {
            match self.compare_rule(rule, &question.input, &data) {
                Compared::Same => compared = Compared::Same,
                Compared::Different(what) => {
                    let place = questions.place(question.statement);
                    return Compared::Different(format!("{what}\n{place}"));
                }
                Compared::Not => {}
            }
        }
        compared
    }

    fn compare_rule(
        &mut self,
        rule: &str,
        input: &Value,
        data: &Map<String, serde_json::Value>,
    ) -> Compared {
        let key = (rule.to_owned(), serde_json::Value::Object(data.clone()).to_string());
        let asked = (key.0.clone(), key.1.clone(), input.to_string());
        if self.same.contains(&asked) {
            return Compared::Same;
        }
        let policy = match self.compiled.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(compile(self.folder, rule, data)),
        };
        let Some(policy) = policy else { return Compared::Not };
        match difference(rule, policy.answers(input.clone())) {
            Some(what) => Compared::Different(what),
            None => {
                self.same.insert(asked);
                Compared::Same
            }
        }
    }

    /// The data with what a question replaces; `None` for what has no JSON.
    fn data(&self, question: &Asked) -> Option<Map<String, serde_json::Value>> {
        let mut data = self.folder.data.clone();
        for (path, value) in &question.data {
            let (last, above) = path.split_last()?;
            let mut place = &mut data;
            for step in above {
                let next = place.entry(step).or_insert_with(|| Map::new().into());
                place = next.as_object_mut()?;
            }
            place.insert(last.clone(), json(value)?);
        }
        Some(data)
    }
}

/// What to say if two answers differ.
pub(super) fn difference(
    rule: &str,
    [machine, interpreter]: [Result<Value, Outcome>; 2],
) -> Option<String> {
    let same = match (&machine, &interpreter) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => true,
        _ => false,
    };
    let says = |answer: Result<Value, Outcome>| match answer {
        Ok(value) => value.to_string(),
        Err(outcome) => format!("{outcome:?}"),
    };
    (!same).then(|| {
        let (machine, interpreter) = (says(machine), says(interpreter));
        format!(
            "{rule} differs: the register VM says {machine}, the interpreter says {interpreter}"
        )
    })
}

/// The filter's limits, but for the time: a machine that runs tests may be slow.
pub(super) fn limits() -> Limits {
    Limits { time: Duration::from_secs(60), ..Limits::default() }
}

fn compile(folder: &Folder, rule: &str, data: &Map<String, serde_json::Value>) -> Option<Policy> {
    let mut source =
        Source { modules: modules(folder, rule), data: data.clone(), entrypoint: rule.to_owned() };
    // A test that replaces the verdict on the kubelet asks what the policy makes of it.
    let posture = source.data.remove("posture");
    let compile =
        |source: &Source| Policy::compile_with(source, Builtins::Full, &limits(), posture.as_ref());
    let mut compiled = compile(&source);
    if matches!(compiled, Err(PolicyError::Entrypoint(_))) {
        // A set or an object can't decide, but it can be the value of what does.
        let asking = format!("package gatelet.asking\n\nvalue := {rule}\n");
        source.modules.insert("gatelet/asking.rego".to_owned(), asking);
        source.entrypoint = "data.gatelet.asking.value".to_owned();
        compiled = compile(&source);
    }
    compiled.ok()
}

/// The modules that a rule can depend on: those whose package another one of them names in full or in
/// part. Compiling the whole policy for each rule and data would take most of the time.
fn modules(folder: &Folder, rule: &str) -> BTreeMap<String, String> {
    let mut named = BTreeSet::from([rule.to_owned()]);
    let mut modules = BTreeMap::new();
    loop {
        let before = modules.len();
        for (name, rego) in &folder.modules {
            let package = rego.lines().find_map(|line| line.strip_prefix("package "));
            let package = package.map_or("data".to_owned(), |it| format!("data.{}", it.trim()));
            let is_named =
                named.iter().any(|path| is_above(path, &package) || is_above(&package, path));
            if is_named && !name.ends_with("_test.rego") && !modules.contains_key(name) {
                named.extend(paths(rego));
                named.insert(package);
                modules.insert(name.clone(), rego.clone());
            }
        }
        if modules.len() == before {
            return modules;
        }
    }
}

fn is_above(path: &str, other: &str) -> bool {
    other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whatever begins with `data` in a text and goes on with names, but for comments.
fn paths(rego: &str) -> impl Iterator<Item = String> {
    let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '.';
    rego.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(move |line| line.split(move |letter| !is_path(letter)))
        .filter(|word| *word == "data" || word.starts_with("data."))
        .map(str::to_owned)
}

/// A value as data; sets have no JSON.
fn json(value: &Value) -> Option<serde_json::Value> {
    let has_sets = |value: &Value| match value {
        Value::Array(items) => items.iter().map(json).collect::<Option<Vec<_>>>().is_none(),
        Value::Object(fields) => fields.values().map(json).collect::<Option<Vec<_>>>().is_none(),
        Value::Set(_) | Value::Undefined => true,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if has_sets(value) { None } else { serde_json::to_value(value).ok() }
}
