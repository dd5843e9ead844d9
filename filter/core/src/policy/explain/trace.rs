//! One rule after the other, from the entry point to the expressions that failed.

use std::collections::BTreeSet;

use regorus::unstable::{Expr, Literal, LiteralStmt, Module, Query, Ref, Span};
use regorus::{Engine, Value};

use super::super::bindings::{Terms, bodies};
use super::super::hardened::Quotes;
use super::super::outcome::Outcome;
use super::super::rules::{Definition, Kind, Path, Rules, dotted};
use super::super::syntax::{children, constant, place};
use super::literal::literal;
use super::probe::{Prober, Question, bracketed};
use super::seen::{Parts, Use};
use super::{Attempt, Explanation, Seen, Tried};
use crate::diagnostic::Place;

pub(super) struct Tracer<'r, 'a> {
    rules: &'r Rules<'a>,
    modules: &'a [Ref<Module>],
    quotes: Vec<Quotes>,
    prober: Prober,
    /// What needs no second account: by rule, its arguments, and whether all attempts are in it.
    explained: BTreeSet<(Path, Option<Value>, bool)>,
}

/// A body with what stands before it.
struct Body<'r, 'a> {
    definition: &'r Definition<'a>,
    query: Option<&'a Query>,
    terms: Terms<'a>,
    place: Place,
    /// Statements that bind a function's parameters to the arguments of its calls.
    parameters: Vec<String>,
}

impl<'r, 'a> Tracer<'r, 'a> {
    pub(super) fn new(
        rules: &'r Rules<'a>,
        modules: &'a [Ref<Module>],
        engine: Engine,
        input: Value,
    ) -> Self {
        let quotes = modules.iter().map(|module| Quotes::of(&module.package.span.source)).collect();
        Self {
            rules,
            modules,
            quotes,
            prober: Prober::new(engine, input),
            explained: BTreeSet::new(),
        }
    }

    pub(super) fn entrypoint(&mut self, path: &[String]) -> Explanation {
        let mut explanation = self.rule(path, None, true);
        if let Some(group) = self.rules.get(path) {
            let bodies: Vec<_> = group
                .definitions
                .iter()
                .flat_map(|definition| self.bodies(definition, None))
                .map(|body| (body.place, only_denies(body.terms)))
                .collect();
            explanation.attempts.retain_mut(|Attempt { place, outcome }| {
                let only_denies = bodies.iter().any(|(other, denies)| other == place && *denies);
                match outcome {
                    // Why nothing was granted is the question, not why that is said.
                    Tried::Holds { uses } if only_denies => uses.clear(),
                    Tried::Holds { .. } => {}
                    _ if only_denies => return false,
                    _ => {}
                }
                true
            });
        }
        explanation
    }

    /// Explains a rule, or a function for the calls with these arguments: by all attempts, or by those
    /// that hold.
    fn rule(&mut self, path: &[String], calls: Option<&Value>, all: bool) -> Explanation {
        let name = dotted(path);
        let value = self.value(path, calls);
        let mut explanation = Explanation {
            rule: name,
            value: value.as_ref().map_or_else(Clone::clone, literal),
            default: None,
            attempts: Vec::new(),
            repeated: !self.explained.insert((path.to_vec(), calls.cloned(), all)),
        };
        let Some(group) = self.rules.get(path) else { return explanation };
        if explanation.repeated {
            return explanation;
        }
        for definition in &group.definitions {
            let mut is_decided = false;
            for body in self.bodies(definition, calls) {
                let outcome = if is_decided { Tried::NotTried } else { self.body(&body) };
                is_decided |= matches!(outcome, Tried::Holds { .. });
                explanation.attempts.push(Attempt { place: body.place, outcome });
            }
        }
        let holds = |attempt: &Attempt| matches!(attempt.outcome, Tried::Holds { .. });
        if !explanation.attempts.iter().any(holds) {
            explanation.default = group.default().map(place);
        }
        if !all {
            explanation.attempts.retain(holds);
        } else if group.kind == Kind::Set {
            // What the set lacks is the question.
            for Attempt { outcome, .. } in &mut explanation.attempts {
                if let Tried::Holds { uses } = outcome {
                    uses.clear();
                }
            }
        }
        explanation
    }

    fn value(&self, path: &[String], calls: Option<&Value>) -> Result<Value, String> {
        let absolute = bracketed(&[&["data".to_owned()], path].concat());
        let Some(calls) = calls else { return self.prober.rule(&absolute) };
        let group = self.rules.get(path).ok_or("there is no such function")?;
        let (Kind::Function(count), Some(definition)) = (group.kind, group.definitions.first())
        else {
            return Err("it is no function".to_owned());
        };
        let module = self.module(definition).ok_or("there is no such module")?;
        let call = self.prober.variable("call");
        let arguments: Vec<_> = (0..count).map(|index| format!("{call}[{index}]")).collect();
        let term = self.prober.variable("value");
        let body = vec![
            format!("some {call} in {}", literal(calls)),
            format!("{term} := {absolute}({})", arguments.join(", ")),
        ];
        let found = self.prober.ask(module, &[Question { term, body }])?;
        Ok(match found.into_iter().flatten().collect::<Vec<_>>().as_slice() {
            [] => Value::Undefined,
            [one] => one.clone(),
            several => Value::from(several.iter().cloned().collect::<BTreeSet<_>>()),
        })
    }

    fn bodies<'d>(
        &self,
        definition: &'d Definition<'a>,
        calls: Option<&Value>,
    ) -> Vec<Body<'d, 'a>> {
        let parameters = calls.map_or_else(Vec::new, |calls| {
            let call = self.prober.variable("call");
            let bound = definition.parameters().enumerate().filter_map(|(index, parameter)| {
                let text = self.text(definition, parameter.span());
                let relation = if constant(parameter).is_some() { "==" } else { ":=" };
                (text != "_").then(|| format!("{text} {relation} {call}[{index}]"))
            });
            std::iter::once(format!("some {call} in {}", literal(calls))).chain(bound).collect()
        });
        let spans = definition
            .bodies()
            .iter()
            .enumerate()
            .map(|(index, body)| if index == 0 { definition.span } else { &body.span });
        let spans = spans.chain(std::iter::once(definition.span));
        bodies(definition)
            .into_iter()
            .zip(spans)
            .map(|((query, terms), span)| Body {
                definition,
                query,
                terms,
                place: place(span),
                parameters: parameters.clone(),
            })
            .collect()
    }

    fn body(&mut self, body: &Body<'_, 'a>) -> Tried {
        let Some(module) = self.module(body.definition) else {
            return Tried::Unknown { why: "there is no such module".to_owned() };
        };
        let statements = body.query.map_or(&[][..], |query| &query.stmts);
        let texts: Vec<_> = statements
            .iter()
            .map(|statement| self.text(body.definition, &statement.span))
            .collect();
        let term = self.prober.variable("value");
        let mut leaves = Vec::new();
        for expr in body.terms.expressions() {
            collect_leaves(expr, &mut leaves);
        }
        let value = |expr: &Expr| format!("{term} := {}", self.text(body.definition, expr.span()));
        let values: Vec<_> = leaves.into_iter().map(|expr| (expr, value(expr))).collect();
        let up_to = |count: usize| {
            body.parameters.iter().chain(texts.iter().take(count)).cloned().collect::<Vec<_>>()
        };
        let question = |body| Question { term: "true".to_owned(), body };
        let mut questions: Vec<_> = (0..=texts.len()).map(|count| question(up_to(count))).collect();
        for (_, value) in &values {
            let mut all = up_to(texts.len());
            all.push(value.clone());
            questions.push(question(all));
        }
        let answers = match self.prober.ask(module, &questions) {
            Ok(answers) => answers,
            Err(error) => return Tried::Unknown { why: one_by_one(&error) },
        };
        let Some(failed) = answers.iter().position(Vec::is_empty) else {
            return Tried::Holds { uses: self.holding(body, statements) };
        };
        let Some(index) = failed.checked_sub(1) else {
            return Tried::Fails {
                at: body.place.clone(),
                expression: self.text(body.definition, body.definition.head_span()),
                seen: Vec::new(),
                uses: Vec::new(),
            };
        };
        let given = up_to(index.min(texts.len()));
        match statements.get(index) {
            Some(statement) => self.failed_statement(body, module, statement, &given),
            None => {
                let Some((expr, _)) = values.get(index - texts.len()) else {
                    return Tried::Unknown { why: "it has no such value".to_owned() };
                };
                let parts = Parts::of_expression(self.rules, body.definition, expr);
                self.failed(body, module, expr.span(), &parts, &given, false)
            }
        }
    }

    fn failed_statement(
        &mut self,
        body: &Body<'_, 'a>,
        module: &Module,
        statement: &'a LiteralStmt,
        given: &[String],
    ) -> Tried {
        let parts = Parts::of_statement(self.rules, body.definition, statement);
        let is_negated = matches!(statement.literal, Literal::NotExpr { .. });
        let mut tried = self.failed(body, module, &statement.span, &parts, given, is_negated);
        if let Literal::Every { value, .. } = &statement.literal
            && let Tried::Fails { seen, .. } = &mut tried
            && let Some(values) = self.exceptions(body, module, &statement.literal, given)
        {
            seen.push(Seen { expression: value.text().to_owned(), values });
        }
        tried
    }

    fn failed(
        &mut self,
        body: &Body<'_, 'a>,
        module: &Module,
        span: &Span,
        parts: &Parts<'a>,
        given: &[String],
        is_negated: bool,
    ) -> Tried {
        let expression = self.text(body.definition, span);
        let term = self.prober.variable("value");
        let mut seen: Vec<Seen> = Vec::new();
        for part in &parts.shown {
            let text = self.text(body.definition, part.span());
            if text == expression || seen.iter().any(|other| other.expression == text) {
                continue;
            }
            let body = [given, &[format!("{term} := {text}")]].concat();
            // What can't stand alone is not shown; the expression itself is.
            if let Ok(found) = self.prober.ask(module, &[Question { term: term.clone(), body }]) {
                let values = found.iter().flatten().map(literal).collect();
                seen.push(Seen { expression: text, values });
            }
        }
        let mut uses = Vec::new();
        for used in &parts.uses {
            let Some(calls) = self.calls(body, module, used, given) else { continue };
            let is_set = self.rules.get(&used.path).is_some_and(|group| group.kind == Kind::Set);
            let value = self.value(&used.path, calls.as_ref());
            let is_behind = is_negated
                || is_set
                || value.is_ok_and(|value| is_nothing(&value) || value == Value::from(true));
            if is_behind {
                uses.push(self.rule(&used.path, calls.as_ref(), true));
            }
        }
        Tried::Fails { at: place(span), expression, seen, uses }
    }

    /// The rules behind a body that holds, with their definitions that hold.
    fn holding(&mut self, body: &Body<'_, 'a>, statements: &'a [LiteralStmt]) -> Vec<Explanation> {
        let Some(module) = self.module(body.definition) else { return Vec::new() };
        let given: Vec<_> = body
            .parameters
            .iter()
            .cloned()
            .chain(statements.iter().map(|statement| self.text(body.definition, &statement.span)))
            .collect();
        let mut uses = Vec::new();
        for statement in statements {
            for used in &Parts::of_statement(self.rules, body.definition, statement).uses {
                let Some(calls) = self.calls(body, module, used, &given) else { continue };
                let value = self.value(&used.path, calls.as_ref());
                if value.is_ok_and(|value| !is_nothing(&value)) {
                    let explanation = self.rule(&used.path, calls.as_ref(), false);
                    if !explanation.repeated {
                        uses.push(explanation);
                    }
                }
            }
        }
        uses
    }

    /// The arguments with which a function is called, a list for each solution of what is given;
    /// `Some(None)` for other rules, `None` if they can't be told.
    fn calls(
        &self,
        body: &Body<'_, 'a>,
        module: &Module,
        used: &Use<'a>,
        given: &[String],
    ) -> Option<Option<Value>> {
        let Some(arguments) = &used.arguments else { return Some(None) };
        let texts: Vec<_> =
            arguments.iter().map(|argument| self.text(body.definition, argument.span())).collect();
        let term = self.prober.variable("value");
        let body = [given, &[format!("{term} := [{}]", texts.join(", "))]].concat();
        let found = self.prober.ask(module, &[Question { term, body }]).ok()?;
        Some(Some(Value::from(found.into_iter().flatten().collect::<Vec<_>>())))
    }

    /// The elements for which the body of an `every` doesn't hold.
    fn exceptions(
        &self,
        body: &Body<'_, 'a>,
        module: &Module,
        every: &'a Literal,
        given: &[String],
    ) -> Option<Vec<String>> {
        let Literal::Every { key, value, domain, query, .. } = every else { return None };
        let key = key.as_ref().map(|key| format!("{}, ", key.text())).unwrap_or_default();
        let term = value.text().to_owned();
        let domain = self.text(body.definition, domain.span());
        let all = [given, &[format!("some {key}{term} in {domain}")]].concat();
        let inner = query.stmts.iter().map(|statement| self.text(body.definition, &statement.span));
        let good = all.iter().cloned().chain(inner).collect();
        let questions = [Question { term: term.clone(), body: all }, Question { term, body: good }];
        let answers = self.prober.ask(module, &questions).ok()?;
        let [all, good] = answers.as_slice() else { return None };
        Some(all.iter().filter(|value| !good.contains(value)).map(literal).collect())
    }

    fn module(&self, definition: &Definition<'a>) -> Option<&'a Module> {
        self.modules.get(definition.module).map(|module| &**module)
    }

    fn text(&self, definition: &Definition<'a>, span: &Span) -> String {
        let range = self.quotes.get(definition.module).map(|quotes| quotes.range(span));
        range.and_then(|range| span.source.contents().get(range)).unwrap_or_default().to_owned()
    }
}

/// The parts of a value that can be undefined. regorus' spans of objects leave out their beginnings.
fn collect_leaves<'a>(expr: &'a Expr, leaves: &mut Vec<&'a Expr>) {
    match expr {
        _ if constant(expr).is_some() => {}
        Expr::Array { .. } | Expr::Set { .. } | Expr::Object { .. } => {
            for child in children(expr) {
                collect_leaves(child, leaves);
            }
        }
        _ => leaves.push(expr),
    }
}

/// Whether a body can't grant, whatever its expressions say.
fn only_denies(terms: Terms<'_>) -> bool {
    let Terms::Body { value: Some(value), .. } = terms else { return false };
    let allows = |value| matches!(Outcome::read(&value), Outcome::Allowed(_));
    constant(value).is_some_and(|value| !allows(value))
}

/// Whether nothing follows from a value.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Undefined | Value::Bool(false) => true,
        Value::Set(items) => items.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn one_by_one(error: &str) -> String {
    let cause = error.trim().lines().rfind(|line| line.contains("error: "));
    let cause =
        cause.and_then(|line| line.rsplit_once("error: ")).map_or(error, |(_, cause)| cause);
    format!("its expressions can't be evaluated one by one: {}", cause.trim())
}
