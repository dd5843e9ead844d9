//! `gatelet test`: the policy's own tests.

use std::collections::BTreeMap;

use anyhow::ensure;
use gatelet_core::policy::Limits;
use regorus::{
    Value,
    unstable::{Rule, RuleHead},
};

use crate::{
    exit::Exit,
    folder::Folder,
    interpreter::{add, interpreter},
    policy::Files,
    style::{BAD, GOOD, paint},
};

/// Runs the rules `test_*` in `*_test.rego`, each of which has to be true
///
/// They run on regorus' interpreter, as the filter's machine has no `with`. A file of tests sees the
/// policy and the test files without tests, but no other tests.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
}

/// Prints every failure, and how many tests there were.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let path = arguments.files.folder.display();
    let Folder { modules, data } = arguments.files.read()?;
    let data = Value::from(serde_json::Value::Object(data));
    let mut shared = interpreter(&Limits::default());
    let mut tests = Vec::new();
    for (name, rego) in &modules {
        let found = if name.ends_with("_test.rego") { Tests::find(name, rego)? } else { None };
        match found {
            Some(found) => tests.push(found),
            None => drop(add(&mut shared, name, rego)?),
        }
    }
    ensure!(
        !tests.is_empty(),
        "{path} has no tests\nhelp: add rules `test_*` to files `*_test.rego`"
    );
    shared.add_data(data)?;

    let (mut passed, mut failed) = (0_usize, 0_usize);
    for file in &tests {
        let mut engine = shared.clone();
        add(&mut engine, file.name, file.rego)?;
        for (test, line) in &file.rules {
            let result = engine.eval_rule(test.clone());
            if matches!(result, Ok(Value::Bool(true))) {
                passed += 1;
                continue;
            }
            failed += 1;
            anstream::println!("{} {test} ({path}/{}:{line})", paint(BAD, "FAIL"), file.name);
            match result {
                Ok(Value::Undefined) => {}
                Ok(value) => println!("  its value is {value}"),
                Err(error) => println!("  {}", error.to_string().trim().replace('\n', "\n  ")),
            }
        }
    }
    let style = if failed == 0 { GOOD } else { BAD };
    anstream::println!("{}", paint(style, format!("{passed} passed, {failed} failed")));
    Ok(if failed == 0 { Exit::Done } else { Exit::No })
}

/// The tests of a file.
struct Tests<'a> {
    name: &'a str,
    rego: &'a str,
    /// The path of each rule, and the line where it is first.
    rules: BTreeMap<String, u32>,
}

impl<'a> Tests<'a> {
    /// `None` for a file without tests.
    fn find(name: &'a str, rego: &'a str) -> anyhow::Result<Option<Self>> {
        let mut engine = interpreter(&Limits::default());
        let package = add(&mut engine, name, rego)?;
        let mut rules = BTreeMap::new();
        for rule in engine.get_modules().iter().flat_map(|module| &module.policy) {
            if let Rule::Spec { span, head: RuleHead::Compr { refr, .. }, .. } = rule.as_ref()
                && refr.span().text().starts_with("test_")
            {
                let path = format!("{package}.{}", refr.span().text());
                rules.entry(path).or_insert(span.line);
            }
        }
        Ok((!rules.is_empty()).then_some(Self { name, rego, rules }))
    }
}
