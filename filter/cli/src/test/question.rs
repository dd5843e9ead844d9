//! What tests ask of a policy: rules, each with an input and data in its place.
//!
//! The interpreter evaluates tests. So that others can be asked the same, `with input as X` is
//! written anew as `with input as gatelet_asked(STATEMENT, TARGET, X)`, which is X, and heard.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use gatelet_core::policy::Limits;
use regorus::{
    Value,
    unstable::{Expr, Literal, LiteralStmt, Module, Query, Rule, RuleHead, WithModifier},
};

use crate::interpreter::{add, interpreter};

/// The function that hears what is asked.
pub(super) const RECORDER: &str = "gatelet_asked";

/// The statements of all tests that ask something.
pub(super) struct Questions<'a> {
    folder: &'a Path,
    /// The rules that can be asked for.
    rules: &'a BTreeSet<String>,
    statements: Vec<Statement>,
}

/// A statement that asks.
struct Statement {
    file: String,
    line: u32,
    text: String,
    /// What it replaces: `input`, `data.kubelet.peers`.
    targets: Vec<String>,
    /// The rules that it names.
    rules: BTreeSet<String>,
}

/// A file of tests in which one can hear what is asked.
pub(super) struct Instrumented {
    pub(super) rego: String,
    /// By rule, the statements that ask without replacing anything.
    pub(super) plain: BTreeMap<String, Vec<usize>>,
}

/// What a statement asked.
pub(super) struct Asked {
    pub(super) statement: usize,
    pub(super) input: Value,
    /// What the data has in other places, by their paths.
    pub(super) data: Vec<(Vec<String>, Value)>,
}

impl<'a> Questions<'a> {
    pub(super) fn new(folder: &'a Path, rules: &'a BTreeSet<String>) -> Self {
        Self { folder, rules, statements: Vec::new() }
    }

    /// Writes a file of tests anew.
    pub(super) fn instrument(&mut self, name: &str, rego: &str) -> anyhow::Result<Instrumented> {
        let mut engine = interpreter(&Limits::default());
        let package = add(&mut engine, name, rego)?;
        let mut file = File {
            names: Names { package, imports: BTreeMap::new() },
            name,
            questions: self,
            insertions: Vec::new(),
            plain: BTreeMap::new(),
        };
        for module in engine.get_modules() {
            file.read(module);
        }
        let File { mut insertions, plain, .. } = file;
        insertions.sort();
        let mut text = rego.to_owned();
        for (at, insertion) in insertions.iter().rev() {
            if text.is_char_boundary(*at) {
                text.insert_str(*at, insertion);
            }
        }
        Ok(Instrumented { rego: text, plain })
    }

    /// What was asked: first what is plain, then what was heard.
    pub(super) fn read(&self, plain: &[usize], heard: Vec<Vec<Value>>) -> Vec<Asked> {
        let plain = plain.iter();
        let mut asked: Vec<Asked> = plain
            .map(|&statement| Asked { statement, input: Value::Undefined, data: Vec::new() })
            .collect();
        let mut values = Vec::new();
        for arguments in heard {
            let Ok([statement, target, value]) = <[Value; 3]>::try_from(arguments) else {
                continue;
            };
            let number =
                |value: &Value| value.as_u64().ok().and_then(|it| usize::try_from(it).ok());
            let (Some(statement), Some(target)) = (number(&statement), number(&target)) else {
                continue;
            };
            if target == 0 {
                values.clear();
            }
            values.push(value);
            if let Some(Statement { targets, .. }) = self.statements.get(statement)
                && target + 1 == targets.len()
                && values.len() == targets.len()
            {
                asked.extend(question(statement, targets, std::mem::take(&mut values)));
            }
        }
        asked
    }

    /// The rules that a question is about.
    pub(super) fn rules_of(&self, question: &Asked) -> impl Iterator<Item = &str> {
        let statement = self.statements.get(question.statement);
        statement.into_iter().flat_map(|statement| &statement.rules).map(String::as_str)
    }

    /// Where a statement is, and what it says.
    pub(super) fn place(&self, statement: usize) -> String {
        match self.statements.get(statement) {
            Some(Statement { file, line, text, .. }) => format!("{file}:{line}: {text}"),
            None => String::new(),
        }
    }
}

/// A question, unless it replaces something that is neither input nor data.
fn question(statement: usize, targets: &[String], values: Vec<Value>) -> Option<Asked> {
    let mut asked = Asked { statement, input: Value::Undefined, data: Vec::new() };
    for (target, value) in targets.iter().zip(values) {
        let mut steps = target.split('.').map(str::to_owned);
        match (steps.next().as_deref(), steps.collect::<Vec<_>>()) {
            (Some("input"), below) => asked.input = replaced(asked.input, &below, value)?,
            (Some("data"), below) if !below.is_empty() => asked.data.push((below, value)),
            _ => return None,
        }
    }
    Some(asked)
}

/// A document with another value at a path; `None` if there is no object on the way.
fn replaced(document: Value, path: &[String], value: Value) -> Option<Value> {
    let Some((first, rest)) = path.split_first() else { return Some(value) };
    let mut object = match document {
        Value::Undefined => Value::new_object(),
        other => other,
    };
    let key = Value::from(first.as_str());
    let below = object.as_object().ok()?.get(&key).cloned().unwrap_or(Value::Undefined);
    let below = replaced(below, rest, value)?;
    object.as_object_mut().ok()?.insert(key, below);
    Some(object)
}

/// A file that is written anew.
struct File<'a, 'b> {
    names: Names,
    name: &'a str,
    questions: &'a mut Questions<'b>,
    /// What to insert, and the byte before which it belongs.
    insertions: Vec<(usize, String)>,
    plain: BTreeMap<String, Vec<usize>>,
}

/// What names stand for in a module.
struct Names {
    package: String,
    imports: BTreeMap<String, String>,
}

impl File<'_, '_> {
    fn read(&mut self, module: &Module) {
        for import in &module.imports {
            let path = static_path(&import.refr);
            let name = import.r#as.as_ref().map(|name| name.text().to_owned());
            if let Some(name) = name.or_else(|| path.last().cloned()) {
                self.names.imports.insert(name, path.join("."));
            }
        }
        for rule in &module.policy {
            if let Rule::Spec { head, bodies, .. } = rule.as_ref() {
                for body in bodies {
                    self.query(&body.query, &test_name(head));
                }
            }
        }
    }

    /// Reads the statements of the body of a rule, which may be a test.
    fn query(&mut self, query: &Query, test: &Option<String>) {
        for statement in &query.stmts {
            self.statement(statement, test);
            if let Literal::Every { query, .. } = &statement.literal {
                // What is around it may replace something for all that is in it.
                self.query(query, &None);
            }
        }
    }

    fn statement(&mut self, statement: &LiteralStmt, test: &Option<String>) {
        let LiteralStmt { span, literal, with_mods, .. } = statement;
        let expressions: Vec<&Expr> = match literal {
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => vec![expr],
            Literal::SomeIn { value, collection, .. } => vec![value, collection],
            Literal::SomeVars { .. } | Literal::Every { .. } => Vec::new(),
        };
        let mut rules = BTreeSet::new();
        for expression in expressions {
            self.names.rules_in(expression, self.questions.rules, &mut rules);
        }
        let id = self.questions.statements.len();
        let mut targets = Vec::new();
        for (number, with) in with_mods.iter().enumerate() {
            if let Some((start, end)) = value_of(with) {
                self.insertions.push((start, format!("{RECORDER}({id}, {number}, ")));
                self.insertions.push((end, ")".to_owned()));
            }
            targets.push(static_path(&with.refr).join("."));
        }
        if let (true, false, Some(test)) = (targets.is_empty(), rules.is_empty(), test) {
            self.plain.entry(test.clone()).or_default().push(id);
        }
        let text = span.text().lines().map(str::trim).collect::<Vec<_>>().join(" ");
        let file = self.questions.folder.join(self.name).display().to_string();
        self.questions.statements.push(Statement { file, line: span.line, text, targets, rules });
    }
}

/// Where the value of `with TARGET as VALUE` begins and ends. The parser's own place of an object begins
/// at its last key, and that of a text is without its quotes.
fn value_of(with: &WithModifier) -> Option<(usize, usize)> {
    let contents = with.span.source.contents();
    let after_target = usize::try_from(with.refr.span().end).ok()?;
    let value = contents.get(after_target..)?.trim_start().strip_prefix("as")?.trim_start();
    let mut end = usize::try_from(with.span.end).ok()?;
    if contents.get(end..)?.starts_with(['"', '`']) {
        end += 1;
    }
    Some((contents.len() - value.len(), end))
}

fn test_name(head: &RuleHead) -> Option<String> {
    match head {
        RuleHead::Compr { refr, .. } => Some(refr.span().text().to_owned()),
        RuleHead::Set { .. } | RuleHead::Func { .. } => None,
    }
}

impl Names {
    /// Adds the rules that an expression names.
    fn rules_in(&self, expression: &Expr, known: &BTreeSet<String>, rules: &mut BTreeSet<String>) {
        let path = self.absolute(static_path(expression));
        for end in (1..=path.len()).rev() {
            let rule = path.get(..end).unwrap_or_default().join(".");
            if known.contains(&rule) {
                rules.insert(rule);
                break;
            }
        }
        for child in children(expression) {
            self.rules_in(child, known, rules);
        }
    }

    /// A path from `data`.
    fn absolute(&self, path: Vec<String>) -> Vec<String> {
        let Some((first, rest)) = path.split_first() else { return path };
        let root = match self.imports.get(first) {
            Some(import) => import.clone(),
            None if first == "data" => first.clone(),
            None => format!("{}.{first}", self.package),
        };
        root.split('.').map(str::to_owned).chain(rest.iter().cloned()).collect()
    }
}

/// The names and constant keys that a reference begins with.
pub(super) fn static_path(expression: &Expr) -> Vec<String> {
    match expression {
        Expr::Var { span, .. } => vec![span.text().to_owned()],
        Expr::RefDot { refr, field: (_, Value::String(name)), .. } => extended(refr, name),
        Expr::RefBrack { refr, index, .. } => match index.as_ref() {
            Expr::String { value: Value::String(name), .. } => extended(refr, name),
            _ => static_path(refr),
        },
        _ => Vec::new(),
    }
}

/// A key below a reference, which has to be constant up to there.
fn extended(reference: &Expr, name: &str) -> Vec<String> {
    let mut path = static_path(reference);
    if !path.is_empty() && path.len() == depth(reference) {
        path.push(name.to_owned());
    }
    path
}

fn depth(expression: &Expr) -> usize {
    match expression {
        Expr::RefDot { refr, .. } | Expr::RefBrack { refr, .. } => depth(refr) + 1,
        _ => 1,
    }
}

/// The expressions in an expression, but those in the body of a comprehension.
fn children(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().map(AsRef::as_ref).collect()
        }
        Expr::Object { fields, .. } => {
            fields.iter().flat_map(|(_, key, value)| [key.as_ref(), value.as_ref()]).collect()
        }
        Expr::Call { params, .. } => params.iter().map(AsRef::as_ref).collect(),
        Expr::UnaryExpr { expr, .. } => vec![expr],
        Expr::RefBrack { index, .. } => vec![index],
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => vec![lhs, rhs],
        Expr::Membership { key, value, collection, .. } => {
            key.iter().map(AsRef::as_ref).chain([value.as_ref(), collection.as_ref()]).collect()
        }
        _ => Vec::new(),
    }
}
