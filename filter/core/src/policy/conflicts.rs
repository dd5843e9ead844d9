//! Refuses policies in which one rule, one call or one key can have two values.
//!
//! OPA stops such an evaluation with an error. The register VM does not: two definitions that
//! disagree are *undefined*, so that `not` of them holds, and where one definition, one key of an
//! object or one comprehension has several values, the **last one wins**. Neither may decide
//! about a request, and whether it happens is up to the input; so what could happen is refused.
//!
//! Accepted are definitions of a rule that are all the same constant, definitions of a function
//! that no call can match both, `else` chains, and values that follow from a single solution.

use regorus::Value;
use regorus::unstable::{Expr, Query};

use super::bindings::{Determined, Solutions, Terms, bodies, each_solutions, told_by_key};
use super::error::PolicyError;
use super::rules::{Definition, Group, Kind, Path, Rules, dotted};
use super::syntax::{Comprehension, constant, place};
use crate::diagnostic::Diagnostic;

/// Refuses what can have two values.
pub(super) fn check(rules: &Rules<'_>) -> Result<(), PolicyError> {
    for (path, group) in rules.iter() {
        match group.kind {
            Kind::Complete | Kind::Function(_) | Kind::Object => {
                between_definitions(path, group)?;
                within_definitions(rules, path, group)?;
            }
            Kind::Set => {}
        }
    }
    for definition in rules.definitions() {
        in_comprehensions(rules, definition)?;
    }
    Ok(())
}

fn between_definitions(path: &Path, group: &Group<'_>) -> Result<(), PolicyError> {
    let values: Vec<_> = group.definitions.iter().map(constant_value).collect();
    let same = |a: &Option<Value>, b: &Option<Value>| a.is_some() && a == b;
    if values.windows(2).all(|pair| matches!(pair, [a, b] if same(a, b))) {
        return Ok(());
    }
    for (index, (second, value)) in group.definitions.iter().zip(&values).enumerate() {
        for (first, other) in group.definitions.iter().zip(&values).take(index) {
            if same(other, value) || are_exclusive(first, second) {
                continue;
            }
            let help = match group.kind {
                Kind::Object => {
                    "give them one value, or build the object with `object.union` or a comprehension"
                }
                _ => "chain them with `else`, so that the first one that holds decides",
            };
            return Err(PolicyError::Conflict(
                Diagnostic::new(format!(
                    "two definitions of `{}` can give different values",
                    dotted(path)
                ))
                .at(place(first.span))
                .at(place(second.span))
                .help(help),
            ));
        }
    }
    Ok(())
}

/// The value of a definition, if it is the same constant in all its bodies.
fn constant_value(definition: &Definition<'_>) -> Option<Value> {
    let mut values = bodies(definition).into_iter().map(|(_, terms)| match terms {
        Terms::Body { value: None, .. } => Some(Value::from(true)),
        Terms::Body { value: Some(value), .. } => constant(value),
        Terms::Comprehension(_) | Terms::Every => None,
    });
    let first = values.next()??;
    values.all(|value| value.as_ref() == Some(&first)).then_some(first)
}

/// Whether no call matches both: some parameter is a different constant in each.
fn are_exclusive(first: &Definition<'_>, second: &Definition<'_>) -> bool {
    let constants = |d: &Definition<'_>| d.parameters().map(constant).collect::<Vec<_>>();
    constants(first)
        .iter()
        .zip(&constants(second))
        .any(|pair| matches!(pair, (Some(a), Some(b)) if a != b))
}

fn within_definitions(
    rules: &Rules<'_>,
    path: &Path,
    group: &Group<'_>,
) -> Result<(), PolicyError> {
    for definition in &group.definitions {
        let mut parameters = std::collections::BTreeSet::new();
        for parameter in definition.parameters() {
            parameters.extend(told_by_key(parameter));
        }
        for (query, terms) in bodies(definition) {
            let Terms::Body { key, value: Some(value) } = terms else {
                continue;
            };
            let mut fixed = parameters.clone();
            fixed.extend(key.map(told_by_key).into_iter().flatten());
            let determined = Determined::by(rules, definition, fixed, query);
            let Some(open) = determined.undetermined(value) else {
                continue;
            };
            let (message, help) = match group.kind {
                Kind::Object => (
                    format!("`{}` can have several values for one key", dotted(path)),
                    "the key has to tell which one is meant, as in `x[k] := v if some k, v in y`",
                ),
                _ => (
                    format!("`{}` can have several values at once", dotted(path)),
                    "make it a set (`x contains y if …`), or use `some` in what asks for it",
                ),
            };
            return Err(several(message, open, help));
        }
    }
    Ok(())
}

fn in_comprehensions<'a>(
    rules: &Rules<'a>,
    definition: &Definition<'a>,
) -> Result<(), PolicyError> {
    let mut refused = None;
    each_solutions(definition, &mut |Solutions { outer, query, terms }| {
        if let Terms::Comprehension(Comprehension { key: Some(key), term, .. }) = terms
            && let Some(open) = two_values(rules, definition, outer, query, key, term)
        {
            refused.get_or_insert(open);
        }
    });
    match refused {
        None => Ok(()),
        Some(open) => Err(several(
            "an object comprehension can have several values for one key".to_owned(),
            open,
            "the key has to tell which one is meant, as in `{k: v | some k, v in y}`",
        )),
    }
}

fn two_values<'a>(
    rules: &Rules<'a>,
    definition: &Definition<'a>,
    mut fixed: std::collections::BTreeSet<&'a str>,
    query: Option<&'a Query>,
    key: &'a Expr,
    term: &'a Expr,
) -> Option<&'a Expr> {
    fixed.extend(told_by_key(key));
    Determined::by(rules, definition, fixed, query).undetermined(term)
}

fn several(message: String, open: &Expr, help: &str) -> PolicyError {
    PolicyError::Conflict(
        Diagnostic::new(format!("{message}: `{}` differs between solutions", open.span().text()))
            .at(place(open.span()))
            .help(help),
    )
}
