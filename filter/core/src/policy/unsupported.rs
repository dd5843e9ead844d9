//! Refuses Rego that the register VM does not evaluate as Rego says.
//!
//! Each refusal here is a difference between regorus 0.14.1's register VM and OPA, shown by a
//! test; the ways out give the same result in both.

use std::collections::BTreeSet;

use regorus::unstable::{AssignOp, Expr, Literal, LiteralStmt, Span};

use super::bindings::{Determined, Solutions, bodies, bound, each_solutions, unbound_index};
use super::error::PolicyError;
use super::rules::{Definition, Root, Rules};
use super::syntax::{self, Scope, place, statement_expressions, variable};
use crate::diagnostic::Diagnostic;

/// Refuses the first use of an unsupported feature.
pub(super) fn check(rules: &Rules<'_>) -> Result<(), PolicyError> {
    for definition in rules.definitions() {
        check_bodies(rules, definition)?;
        let mut refused = None;
        each_solutions(definition, &mut |solutions| {
            if refused.is_none() {
                refused = check_solutions(rules, definition, &solutions);
            }
        });
        syntax::each_expression(definition.rule, &mut |expr, _| {
            if refused.is_none() {
                refused = check_expression(expr);
            }
        });
        if let Some(diagnostic) = refused {
            return Err(PolicyError::Unsupported(diagnostic));
        }
    }
    Ok(())
}

fn refuse(message: &str, span: &Span, help: &str) -> Diagnostic {
    Diagnostic::new(message).at(place(span)).help(help)
}

fn check_bodies<'a>(rules: &Rules<'a>, definition: &Definition<'a>) -> Result<(), PolicyError> {
    let parameters: Vec<_> = definition.parameters().collect();
    if let Some(parameter) = parameters.get(MAX_PARAMETERS) {
        return Err(PolicyError::Unsupported(refuse(
            "the register VM passes no more than 8 arguments",
            parameter.span(),
            "pass an object",
        )));
    }
    // Without an `else`, a second body is a second definition whose value would be `true`.
    if let Some(body) = definition.bodies().iter().skip(1).find(|b| !b.is_else) {
        return Err(PolicyError::Unsupported(refuse(
            "a rule has one body",
            &body.span,
            "write the rule's head again before the second one",
        )));
    }
    if definition.key().is_some()
        && let Some(body) = definition.bodies().get(1)
    {
        return Err(PolicyError::Unsupported(refuse(
            "an object's definition can't have an `else`",
            &body.span,
            "write a definition for each case",
        )));
    }
    let mut fixed = BTreeSet::new();
    for parameter in &parameters {
        syntax::pattern_variables(parameter, &mut fixed);
    }
    if let Some(parameter) = parameters.first()
        && is_reserved(&fixed)
    {
        return Err(PolicyError::Unsupported(reserved(parameter.span())));
    }
    let all = bodies(definition);
    let before_else = all.len().saturating_sub(1);
    for (query, _) in all.iter().take(before_else) {
        let Some(query) = query else { continue };
        let determined = Determined::by(rules, definition, fixed.clone(), Some(query));
        // No solution of a loop is no failure to the register VM: it would skip the `else`.
        if let Some(open) = determined.iterates(query) {
            return Err(PolicyError::Unsupported(refuse(
                "a body that iterates can't be followed by `else`",
                open.span(),
                "move the iteration into a rule or a function of its own",
            )));
        }
    }
    Ok(())
}

/// The register VM has room for so many; it leaves out the rest.
const MAX_PARAMETERS: usize = 8;

fn check_solutions<'a>(
    rules: &Rules<'a>,
    definition: &Definition<'a>,
    solutions: &Solutions<'a>,
) -> Option<Diagnostic> {
    for term in solutions.terms.expressions() {
        if let Some(open) = unbound_index(rules, definition, solutions, term) {
            return Some(refuse(
                "a value can't iterate",
                open.span(),
                "iterate in the body: `some x in y`, and use `x`",
            ));
        }
    }
    let query = solutions.query?;
    let mut known = solutions.outer.clone();
    known.extend(bound(query));
    for statement in &query.stmts {
        if let Some(with) = statement.with_mods.first() {
            return Some(refuse(
                "the register VM has no `with`",
                &with.span,
                "use `with` in `*_test.rego` only; pass what differs to a function",
            ));
        }
        if let Some(diagnostic) = check_statement(rules, definition, &known, statement) {
            return Some(diagnostic);
        }
    }
    None
}

fn check_statement<'a>(
    rules: &Rules<'a>,
    definition: &Definition<'a>,
    known: &BTreeSet<&'a str>,
    statement: &'a LiteralStmt,
) -> Option<Diagnostic> {
    let mut bindings: Vec<&Expr> = Vec::new();
    match &statement.literal {
        // regorus iterates outside of the `not`: it would hold if it holds for any element.
        Literal::NotExpr { expr, .. } => {
            if let Some(open) = unbound(rules, definition, known, expr) {
                return Some(refuse(
                    "`not` can't iterate",
                    open.span(),
                    "say `not x in y`, or put the iteration into a rule and negate that",
                ));
            }
        }
        Literal::Expr { expr, .. } => {
            if let Expr::AssignExpr { op, lhs, .. } = &**expr {
                if *op == AssignOp::ColEq && variable(lhs) == Some("_") {
                    return Some(refuse(
                        "`_ :=` assigns nothing",
                        lhs.span(),
                        "write the right side alone",
                    ));
                }
                bindings.push(lhs);
            }
        }
        Literal::SomeIn { .. } => {
            bindings.extend(statement_expressions(statement).into_iter().rev().skip(1));
        }
        Literal::SomeVars { .. } | Literal::Every { .. } => {}
    }
    let mut names = BTreeSet::new();
    for pattern in bindings {
        syntax::pattern_variables(pattern, &mut names);
    }
    // `=` may compare with them, but nothing may be called so.
    let is_assignment = !matches!(
        &statement.literal,
        Literal::Expr { expr, .. } if matches!(&**expr, Expr::AssignExpr { op: AssignOp::Eq, .. })
    );
    (is_assignment && is_reserved(&names)).then(|| reserved(&statement.span))
}

fn is_reserved(names: &BTreeSet<&str>) -> bool {
    names.contains("input") || names.contains("data")
}

fn reserved(span: &Span) -> Diagnostic {
    refuse("a variable can't be called `input` or `data`", span, "give it another name")
}

/// A variable that is bound nowhere else, so that all its values are tried.
fn unbound<'a>(
    rules: &Rules<'a>,
    definition: &Definition<'a>,
    known: &BTreeSet<&'a str>,
    expr: &'a Expr,
) -> Option<&'a Expr> {
    if let Some(name) = variable(expr) {
        let is_open = !known.contains(name)
            && matches!(rules.root(name, definition, &Scope::default()), Root::Local);
        return is_open.then_some(expr);
    }
    syntax::children(expr).into_iter().find_map(|child| unbound(rules, definition, known, child))
}

fn check_expression(expr: &Expr) -> Option<Diagnostic> {
    match expr {
        // regorus compares neither.
        Expr::Membership { key: Some(key), .. } => Some(refuse(
            "the register VM does not compare both the key and the value of `k, v in x`",
            key.span(),
            "use `x[k] == v`, or `some k, v in x`",
        )),
        _ => None,
    }
}
