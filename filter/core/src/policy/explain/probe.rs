//! Questions to the interpreter in the words of a module.

use regorus::{Engine, Value, unstable::Module};

use super::super::syntax::{import_name, package, static_path};

/// Asks what a body of a module would be, if it had other expressions.
pub(super) struct Prober {
    engine: Engine,
    /// Begins the names of the rules that ask. No text of the policy has it.
    prefix: String,
}

/// Solutions of a body: `term` for each of them.
pub(super) struct Question {
    pub(super) term: String,
    pub(super) body: Vec<String>,
}

impl Prober {
    /// Takes an engine that has the policy and its data.
    pub(super) fn new(mut engine: Engine, input: Value) -> Self {
        let mut prefix = "explained".to_owned();
        let texts: Vec<_> =
            engine.get_modules().iter().map(|m| m.package.span.source.clone()).collect();
        while texts.iter().any(|source| source.contents().contains(&prefix)) {
            prefix.push('_');
        }
        engine.set_input(input);
        Self { engine, prefix }
    }

    /// A variable that no text of the policy has.
    pub(super) fn variable(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }

    /// The value of a rule.
    ///
    /// # Errors
    /// regorus' words.
    pub(super) fn rule(&self, path: &str) -> Result<Value, String> {
        self.engine.clone().eval_rule(path.to_owned()).map_err(|error| error.to_string())
    }

    /// The terms of all solutions of each question.
    ///
    /// # Errors
    /// regorus' words, if one of the bodies can't stand alone.
    pub(super) fn ask(
        &self,
        module: &Module,
        questions: &[Question],
    ) -> Result<Vec<Vec<Value>>, String> {
        let package = package(module);
        let mut rego = format!("package {}\n", bracketed(&package));
        for import in &module.imports {
            if let (Some(name), Some(path)) = (import_name(import), static_path(&import.refr))
                && matches!(path.first(), Some(&("data" | "input")))
            {
                rego.push_str(&format!("import {} as {name}\n", bracketed(&path)));
            }
        }
        let name = |index: usize| format!("{}_{index}", self.prefix);
        for (index, Question { term, body }) in questions.iter().enumerate() {
            let body = if body.is_empty() { "true".to_owned() } else { body.join("; ") };
            rego.push_str(&format!("{} contains {term} if {{ {body} }}\n", name(index)));
        }
        let mut engine = self.engine.clone();
        engine.add_policy(name(questions.len()), rego).map_err(|error| error.to_string())?;
        let root = [&["data".to_owned()], package.as_slice()].concat();
        let solutions = |index: usize| {
            let path = format!("{}.{}", bracketed(&root), name(index));
            match engine.eval_rule(path).map_err(|error| error.to_string())? {
                Value::Set(terms) => Ok(terms.iter().cloned().collect()),
                Value::Undefined => Ok(Vec::new()),
                other => Err(format!("a set was expected, not {other}")),
            }
        };
        (0..questions.len()).map(solutions).collect()
    }
}

/// A path whose parts may be anything.
pub(super) fn bracketed<S: AsRef<str>>(path: &[S]) -> String {
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let mut text = String::new();
    for part in path.iter().map(AsRef::as_ref) {
        match (text.is_empty(), is_word(part)) {
            (true, _) => text.push_str(part),
            (false, true) => text.push_str(&format!(".{part}")),
            (false, false) => text.push_str(&format!("[{}]", serde_json::Value::from(part))),
        }
    }
    text
}
