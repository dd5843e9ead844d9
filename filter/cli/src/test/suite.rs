//! The tests of a folder, and what they come to.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use gatelet_core::policy::Limits;
use regorus::{
    Engine, Value,
    unstable::{Module, Rule, RuleHead},
};

use super::{
    Ran, Results,
    coverage::Coverage,
    engines::{Compared, Engines},
    full_name,
    question::{Asked, Instrumented, Questions, RECORDER, static_path},
};
use crate::{
    folder::Folder,
    interpreter::{add, interpreter},
};

/// The test files of a policy.
pub(super) struct Suite<'a> {
    folder: &'a Folder,
    path: &'a Path,
    files: Vec<File<'a>>,
    /// The rules of the policy that have a value, by their paths.
    rules: BTreeSet<String>,
}

/// A file with tests.
struct File<'a> {
    name: &'a str,
    rego: &'a str,
    package: String,
    /// The name of each test, and the line where it is first.
    tests: BTreeMap<String, u32>,
}

impl<'a> Suite<'a> {
    /// Finds the tests.
    pub(super) fn new(folder: &'a Folder, path: &'a Path) -> anyhow::Result<Self> {
        let mut suite = Self { folder, path, files: Vec::new(), rules: BTreeSet::new() };
        for (name, rego) in &folder.modules {
            let mut engine = interpreter(&Limits::default());
            let package = add(&mut engine, name, rego)?;
            for module in engine.get_modules() {
                if name.ends_with("_test.rego") {
                    let tests = tests(module);
                    suite.files.push(File { name, rego, package: package.clone(), tests });
                } else {
                    suite.rules.extend(rules(module, &package));
                }
            }
        }
        suite.files.retain(|file| !file.tests.is_empty());
        Ok(suite)
    }

    /// Runs those of the tests that are chosen by their full names.
    pub(super) fn run(
        &self,
        is_chosen: impl Fn(&str) -> bool,
        with_coverage: bool,
    ) -> anyhow::Result<Results> {
        let recorder = Recorder::default();
        let mut questions = Questions::new(self.path, &self.rules);
        let mut shared = interpreter(&Limits::default());
        let mut listening = interpreter(&Limits::default());
        recorder.listen(&mut listening)?;
        for (name, rego) in &self.folder.modules {
            if !self.files.iter().any(|file| file.name == name) {
                add(&mut shared, name, rego)?;
                let is_test = name.ends_with("_test.rego");
                let text =
                    if is_test { questions.instrument(name, rego)?.rego } else { rego.clone() };
                add(&mut listening, name, &text)?;
            }
        }
        let data = Value::from(serde_json::Value::Object(self.folder.data.clone()));
        shared.add_data(data.clone())?;
        listening.add_data(data)?;
        shared.set_enable_coverage(with_coverage);

        let mut engines = Engines::new(self.folder);
        let mut coverage = with_coverage.then(|| Coverage::new(self.folder));
        let mut ran = Vec::new();
        for file in &self.files {
            let mut engine = shared.clone();
            add(&mut engine, file.name, file.rego)?;
            let Instrumented { rego, plain } = questions.instrument(file.name, file.rego)?;
            let mut listening = listening.clone();
            let listens = add(&mut listening, file.name, &rego).is_ok();
            for (name, &line) in &file.tests {
                let test = full_name(&file.package, name);
                if !is_chosen(&test) {
                    continue;
                }
                let begin = Instant::now();
                let result = engine.eval_rule(test.clone());
                let duration = begin.elapsed();
                if listens {
                    // What it comes to is known; what it asks is of interest.
                    drop(listening.eval_rule(test));
                }
                let asked = recorder.take(&questions, plain.get(name).map_or(&[], Vec::as_slice));
                let mut failures = failure(result);
                let last = asked.last().filter(|_| !failures.is_empty());
                let last = last.map(|last| (questions.place(last.statement), last.input.clone()));
                let mut compared = 0;
                for question in &asked {
                    match engines.compare(&questions, question) {
                        Compared::Same => compared += 1,
                        Compared::Different(what) => failures.push(what),
                        Compared::Not => {}
                    }
                }
                ran.push(Ran {
                    package: file.package.clone(),
                    name: name.clone(),
                    file: self.path.join(file.name).display().to_string(),
                    line: Some(line),
                    duration,
                    failures,
                    asked: last,
                    compared,
                });
            }
            if let Some(coverage) = &mut coverage {
                coverage.add(&engine.get_coverage_report()?);
            }
        }
        Ok(Results { ran, coverage })
    }
}

/// Why a test failed, if it did.
fn failure(result: anyhow::Result<Value>) -> Vec<String> {
    match result {
        Ok(Value::Bool(true)) => Vec::new(),
        Ok(Value::Undefined) => vec!["it is undefined: a statement in it is not true".to_owned()],
        Ok(value) => vec![format!("its value is {value}")],
        Err(error) => vec![error.to_string().trim().to_owned()],
    }
}

/// The names of the tests in a module, each with its first line.
fn tests(module: &Module) -> BTreeMap<String, u32> {
    let mut tests = BTreeMap::new();
    for rule in &module.policy {
        if let Rule::Spec { span, head: RuleHead::Compr { refr, .. }, .. } = rule.as_ref()
            && refr.span().text().starts_with("test_")
        {
            tests.entry(refr.span().text().to_owned()).or_insert(span.line);
        }
    }
    tests
}

/// The paths of the rules in a module that are no functions.
fn rules<'a>(module: &'a Module, package: &'a str) -> impl Iterator<Item = String> + use<'a> {
    module.policy.iter().filter_map(move |rule| match rule.as_ref() {
        Rule::Spec { head: RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. }, .. }
        | Rule::Default { refr, .. } => {
            let path = static_path(refr);
            (!path.is_empty()).then(|| format!("{package}.{}", path.join(".")))
        }
        Rule::Spec { .. } => None,
    })
}

/// Hears what instrumented tests ask.
#[derive(Clone, Default)]
struct Recorder {
    heard: Arc<Mutex<Vec<Vec<Value>>>>,
}

impl Recorder {
    fn listen(&self, engine: &mut Engine) -> anyhow::Result<()> {
        let heard = Arc::clone(&self.heard);
        let listen = move |mut arguments: Vec<Value>| {
            let value = arguments.last().cloned().unwrap_or(Value::Undefined);
            heard
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(std::mem::take(&mut arguments));
            Ok(value)
        };
        engine.add_extension(RECORDER.to_owned(), 3, Box::new(listen))
    }

    /// What was asked since the last time, and the statements that ask without a `with`.
    fn take(&self, questions: &Questions<'_>, plain: &[usize]) -> Vec<Asked> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        questions.read(plain, std::mem::take(&mut *heard))
    }
}
