//! Which rules a rule depends on.

use std::collections::{BTreeMap, BTreeSet};

use regorus::unstable::{Expr, Span};

use super::error::PolicyError;
use super::rules::{Definition, Path, Root, Rules, dotted, each_reference};
use super::syntax::{self, place, static_path};
use crate::diagnostic::Diagnostic;

/// Rules that call rules. Each costs stack, of which a Wasm module has one megabyte.
const MAX_CALLS: usize = 32;

/// A rule that another one uses, and where.
type Uses<'a> = BTreeMap<Path, &'a Span>;

/// Refuses dependencies that the register VM can't follow: rules that need their own value
/// (regorus finds few of them and overflows the stack on others), chains that are too long, and
/// packages read as documents.
pub(super) fn check(rules: &Rules<'_>) -> Result<(), PolicyError> {
    let mut uses = BTreeMap::new();
    for (path, group) in rules.iter() {
        let mut used = Uses::new();
        for definition in &group.definitions {
            used.extend(uses_of(rules, definition)?);
        }
        uses.insert(path, used);
    }
    let mut search = Search { uses: &uses, done: BTreeMap::new(), stack: Vec::new() };
    for path in uses.keys() {
        search.visit(path)?;
    }
    Ok(())
}

fn uses_of<'a>(rules: &Rules<'a>, definition: &Definition<'a>) -> Result<Uses<'a>, PolicyError> {
    let mut used = Uses::new();
    let mut refused = None;
    each_reference(definition.rule, &mut |reference, scope| {
        let Root::Data(mut path) = rules.root(reference.root, definition, scope) else {
            return;
        };
        let names = reference.steps.iter().map_while(|step| step.name());
        path.extend(names.map(str::to_owned));
        if let Some(rule) = rules.rule_on(&path) {
            used.entry(rule.clone()).or_insert(reference.span);
        } else if let Some(below) = rules.rule_below(&path) {
            refused.get_or_insert((reference.span, dotted(&path), dotted(below)));
        }
    });
    if let Some((span, path, below)) = refused {
        return Err(PolicyError::Unsupported(
            Diagnostic::new(format!("`{path}` contains rules and can't be read as a document"))
                .at(place(span))
                .help(format!("name the rule, such as `{below}`")),
        ));
    }
    syntax::each_expression(definition.rule, &mut |expr, _| {
        if let Expr::Call { fcn, span, .. } = expr
            && let Some(callee) = static_path(fcn).and_then(|name| rules.callee(&name, definition))
        {
            used.entry(callee.clone()).or_insert(span);
        }
    });
    Ok(used)
}

struct Search<'s, 'a> {
    uses: &'s BTreeMap<&'s Path, Uses<'a>>,
    /// The longest chain below each rule that was visited.
    done: BTreeMap<&'s Path, usize>,
    stack: Vec<(&'s Path, &'a Span)>,
}

impl<'s, 'a> Search<'s, 'a> {
    fn visit(&mut self, path: &'s Path) -> Result<usize, PolicyError> {
        if let Some(depth) = self.done.get(path) {
            return Ok(*depth);
        }
        let mut depth = 0;
        for (used, span) in self.uses.get(path).into_iter().flatten() {
            self.stack.push((path, span));
            if let Some(start) = self.stack.iter().position(|(on_stack, _)| *on_stack == used) {
                return Err(self.cycle(start));
            }
            if self.stack.len() > MAX_CALLS {
                return Err(too_long(path, span));
            }
            let below = self.visit(used)?;
            if self.stack.len() + below > MAX_CALLS {
                return Err(too_long(path, span));
            }
            depth = depth.max(below + 1);
            self.stack.pop();
        }
        self.done.insert(path, depth);
        Ok(depth)
    }

    fn cycle(&self, start: usize) -> PolicyError {
        let chain = self.stack.get(start..).unwrap_or_default();
        let names: Vec<_> = chain
            .iter()
            .chain(chain.first())
            .map(|(path, _)| format!("`{}`", dotted(path)))
            .collect();
        let mut diagnostic =
            Diagnostic::new(format!("a rule needs its own value: {}", names.join(" → ")));
        diagnostic.places = chain.iter().map(|(_, span)| place(span)).collect();
        PolicyError::Recursion(
            diagnostic.help("Rego has no recursion; use a comprehension or `every`"),
        )
    }
}

fn too_long(path: &Path, span: &Span) -> PolicyError {
    PolicyError::Recursion(
        Diagnostic::new(format!(
            "`{}` is in a chain of more than {MAX_CALLS} rules that use each other",
            dotted(path)
        ))
        .at(place(span))
        .help("shorten the chain"),
    )
}

/// The builtin functions that a policy calls.
pub(super) fn builtin_calls(rules: &Rules<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for definition in rules.definitions() {
        syntax::each_expression(definition.rule, &mut |expr, _| {
            if let Expr::Call { fcn, .. } = expr
                && let Some(name) = static_path(fcn)
                && rules.callee(&name, definition).is_none()
            {
                names.insert(name.join("."));
            }
        });
    }
    names
}
