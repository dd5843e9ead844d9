//! Refuses calls that have nothing to call: the register VM makes them undefined, and `not` of
//! them true.

use regorus::unstable::{BUILTINS, Expr, Span};

use super::Builtins;
use super::error::PolicyError;
use super::rules::{Definition, Kind, Rules, dotted};
use super::syntax::{self, place, static_path};
use crate::diagnostic::Diagnostic;

/// Names of builtins that only `gatelet-full.wasm` has begin with one of these.
const FULL_ONLY: [&str; 4] = ["base64.", "glob.", "regex.", "semver."];

/// Refuses calls of unknown functions, of ones that the target lacks, and with the wrong number
/// of arguments.
pub(super) fn check(rules: &Rules<'_>, target: Builtins) -> Result<(), PolicyError> {
    for definition in rules.definitions() {
        let mut refused = None;
        syntax::each_expression(definition.rule, &mut |expr, _| {
            if let Expr::Call { fcn, params, span, .. } = expr
                && refused.is_none()
            {
                let call = Call { name: fcn, arguments: params.len(), span };
                refused = check_call(rules, definition, &call, target).err();
            }
        });
        if let Some(error) = refused {
            return Err(error);
        }
    }
    Ok(())
}

struct Call<'a> {
    name: &'a Expr,
    arguments: usize,
    span: &'a Span,
}

fn check_call(
    rules: &Rules<'_>,
    definition: &Definition<'_>,
    call: &Call<'_>,
    target: Builtins,
) -> Result<(), PolicyError> {
    let path = static_path(call.name).unwrap_or_default();
    let name = path.join(".");
    if let Some(callee) = rules.callee(&path, definition) {
        return match rules.get(callee).map(|group| group.kind) {
            Some(Kind::Function(parameters)) => check_arity(call, &dotted(callee), parameters),
            _ => Err(PolicyError::Function(
                Diagnostic::new(format!("`{}` is not a function", dotted(callee)))
                    .at(place(call.span))
                    .help("remove the parentheses"),
            )),
        };
    }
    if FULL_ONLY.iter().any(|prefix| name.starts_with(prefix)) && target == Builtins::Standard {
        return Err(PolicyError::Builtin(
            Diagnostic::new(format!("`{name}` is not in gatelet.wasm"))
                .at(place(call.span))
                .help("use gatelet-full.wasm, or `startswith`, `endswith`, `contains`, `split` and sets of exact values"),
        ));
    }
    match BUILTINS.get(name.as_str()) {
        Some((_, parameters)) => check_arity(call, &name, usize::from(*parameters)),
        None => Err(unknown(rules, call, &name)),
    }
}

fn check_arity(call: &Call<'_>, name: &str, parameters: usize) -> Result<(), PolicyError> {
    let Call { arguments, span, .. } = *call;
    if arguments == parameters {
        return Ok(());
    }
    let help = if arguments == parameters + 1 {
        format!("for its result write `x := {name}(…)`")
    } else {
        "give one argument for each parameter".to_owned()
    };
    Err(PolicyError::Function(
        Diagnostic::new(format!("`{name}` takes {parameters} arguments, not {arguments}"))
            .at(place(span))
            .help(help),
    ))
}

fn unknown(rules: &Rules<'_>, call: &Call<'_>, name: &str) -> PolicyError {
    let help = if name == "print" {
        "remove it; the decision log has the input and the rule".to_owned()
    } else {
        let functions = rules
            .iter()
            .filter(|(_, group)| matches!(group.kind, Kind::Function(_)))
            .filter_map(|(path, _)| path.last().map(String::as_str));
        match nearest(name, BUILTINS.keys().copied().chain(functions)) {
            Some(similar) => format!("is `{similar}` meant?"),
            None => "define it, or import the package that does".to_owned(),
        }
    };
    PolicyError::Function(
        Diagnostic::new(format!("unknown function `{name}`")).at(place(call.span)).help(help),
    )
}

/// The candidate that a typing error would turn into `name`.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Builtins whose result is not given by their arguments.
pub(super) const IMPURE: [&str; 4] = ["opa.runtime", "rand.intn", "time.now_ns", "uuid.rfc4122"];
