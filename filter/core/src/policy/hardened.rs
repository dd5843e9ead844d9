//! Rewrites a policy so that the register VM evaluates it as Rego says.
//!
//! regorus 0.14.1's register VM has four faults that no policy could avoid, so each is worked
//! around in the text. To Rego the text on the right is the same policy.
//!
//! **Undefined values.** In Rego, `x := input.exec` fails if there is no `exec`, and with it the
//! body it stands in; the register VM goes on, so that `allow if { x := input.exec }` allows. It
//! also keeps undefined elements in arrays and objects that it builds, and skips an `else` after a
//! body whose value is undefined. A comparison of a value with itself is true or undefined, and
//! does stop the register VM:
//!
//! ```text
//! x := input.exec                 x := input.exec; x == x
//! [c.name | some c in cs]         [n | some c in cs; n := c.name; n == n]
//! z := data.zone[i] if i else …   z := n if { i; n := data.zone[i]; n == n } else …
//! ```
//!
//! **Documents loaded too late.** `input` is loaded where it is used first. If that is within an
//! `every` or a comprehension that turns out empty, it is undefined ever after, so that in
//! `every c in cs { c == input.pod }; not input.exec.tty` the second statement holds. So it is
//! loaded at once; `data` likewise:
//!
//! ```text
//! if { every c in cs … }          if { input; not data.n; every c in cs … }
//! ```
//!
//! **Conditions of comprehensions.** A condition that fails ends the innermost loop, which for
//! `[1 | x == 7]` is one outside of the comprehension. So each gets a loop of its own:
//!
//! ```text
//! [1 | x == 7]                    [1 | some n in [0]; x == 7]
//! ```

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::Range;

use regorus::Source;
use regorus::unstable::{AssignOp, Expr, Lexer, Literal, Module, Query, Span, Token, TokenKind};
use serde_json::{Map, Value};

use super::bindings::{Solutions, Terms, bound, each_solutions};
use super::rules::{Definition, Root, Rules, each_reference};
use super::syntax::{comprehension, variable};

/// The modules by name, rewritten. The lines of a module may become longer, and more.
pub(super) fn texts<'a>(
    rules: &Rules<'a>,
    modules: impl IntoIterator<Item = &'a Module>,
    data: &Map<String, Value>,
) -> Vec<(String, String)> {
    let harden = |(index, module): (usize, &'a Module)| {
        let source = &module.package.span.source;
        let mut edits = Edits::new(source, data);
        for definition in rules.definitions().filter(|d| d.module == index) {
            edits.harden(rules, definition);
        }
        (source.file().clone(), edits.apply())
    };
    modules.into_iter().enumerate().map(harden).collect()
}

struct Edits<'t> {
    text: &'t str,
    quotes: Quotes,
    edits: Vec<Edit>,
    /// Occurs nowhere in the text, nor at the top of the data.
    prefix: String,
    names: usize,
}

struct Edit {
    range: Range<usize>,
    with: Vec<Piece>,
}

impl Edit {
    /// Whether it changes `part` from within; what is added at its ends stands beside it.
    fn is_within(&self, part: &Range<usize>) -> bool {
        let Range { start, end } = self.range;
        if start == end {
            part.start < start && end < part.end
        } else {
            part.start <= start && end <= part.end && self.range != *part
        }
    }
}

enum Piece {
    Text(String),
    /// A range of the text, with the edits within.
    Original(Range<usize>),
}

impl<'t> Edits<'t> {
    fn new(source: &'t Source, data: &Map<String, Value>) -> Self {
        let mut prefix = "defined".to_owned();
        while source.contents().contains(&prefix) || data.keys().any(|key| key.contains(&prefix)) {
            prefix.push('_');
        }
        Self {
            text: source.contents(),
            quotes: Quotes::of(source),
            edits: Vec::new(),
            prefix,
            names: 0,
        }
    }

    fn harden(&mut self, rules: &Rules<'_>, definition: &Definition<'_>) {
        let loads = self.loads(rules, definition);
        let is_object = definition.key().is_some();
        let mut bodies = definition.bodies().iter();
        each_solutions(definition, &mut |Solutions { outer, query, terms }| {
            let body = match terms {
                Terms::Body { .. } => bodies.next(),
                Terms::Comprehension(_) | Terms::Every => None,
            };
            let (first, values) = match terms {
                Terms::Every => (String::new(), None),
                Terms::Comprehension(_) => (format!("some {} in [0]; ", self.name()), Some(terms)),
                Terms::Body { .. } => {
                    (loads.clone(), (is_object || bodies.len() > 0).then_some(terms))
                }
            };
            let mut known = outer;
            known.extend(query.map(bound).unwrap_or_default());
            let mut checks = Vec::new();
            for term in values.into_iter().flat_map(Terms::expressions) {
                self.name_undefinable(term, &|name| known.contains(name), &mut checks);
            }
            match query {
                Some(query) if !query.stmts.is_empty() => self.statements(query, &first, checks),
                _ => {
                    let head = body.map_or(definition.head_span(), |body| &body.span);
                    self.body(head, &first, checks);
                }
            }
        });
    }

    /// Statements that load the documents which a definition uses, if it could load them too late.
    fn loads(&mut self, rules: &Rules<'_>, definition: &Definition<'_>) -> String {
        let mut skips = false;
        each_solutions(definition, &mut |Solutions { terms, .. }| {
            skips |= !matches!(terms, Terms::Body { .. });
        });
        if !skips {
            return String::new();
        }
        let (mut input, mut data) = (false, false);
        each_reference(definition.rule, &mut |reference, scope| match rules.root(
            reference.root,
            definition,
            scope,
        ) {
            Root::Input => input = true,
            Root::Data(_) => data = true,
            Root::Local => {}
        });
        let mut loads = String::new();
        if input {
            loads.push_str("input; ");
        }
        if data {
            loads.push_str(&format!("not data.{}; ", self.name()));
        }
        loads
    }

    /// Replaces the parts of a term that can be undefined by names, and collects the statements
    /// that define them.
    fn name_undefinable(
        &mut self,
        term: &Expr,
        is_bound: &dyn Fn(&str) -> bool,
        checks: &mut Vec<Piece>,
    ) {
        match term {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
            Expr::Var { .. } if variable(term).is_some_and(is_bound) => {}
            Expr::Array { items, .. } | Expr::Set { items, .. } => {
                for item in items {
                    self.name_undefinable(item, is_bound, checks);
                }
            }
            Expr::Object { fields, .. } => {
                for (_, key, value) in fields {
                    self.name_undefinable(key, is_bound, checks);
                    self.name_undefinable(value, is_bound, checks);
                }
            }
            _ if comprehension(term).is_some() => {}
            _ => {
                let name = self.name();
                let range = self.quotes.range(term.span());
                self.edit(range.clone(), text(&name));
                checks.extend(text(&format!("; {name} := ")));
                checks.push(Piece::Original(range));
                checks.extend(text(&format!("; {name} == {name}")));
            }
        }
    }

    /// Adds statements to a query: `first` before all others, one after each assignment, and
    /// `checks` at the end.
    fn statements(&mut self, query: &Query, first: &str, checks: Vec<Piece>) {
        let (Some(from), Some(to)) = (query.stmts.first(), query.stmts.last()) else {
            return;
        };
        let start = self.quotes.range(&from.span).start;
        let end = self.quotes.range(&to.span).end;
        // A body without braces is a single statement.
        let is_braced = self.quotes.range(&query.span).start != start;
        let (open, close) = if is_braced { ("", "") } else { ("{ ", " }") };
        self.edit(start..start, text(&format!("{open}{first}")));
        for statement in &query.stmts {
            if let Literal::Expr { expr, .. } = &statement.literal
                && let Expr::AssignExpr { op: AssignOp::ColEq, lhs, .. } = &**expr
                && let Some(name) = variable(lhs)
            {
                let end = self.quotes.range(&statement.span).end;
                self.edit(end..end, text(&format!("; {name} == {name}")));
            }
        }
        self.edit(end..end, checks);
        self.edit(end..end, text(close));
    }

    /// Gives a head or an `else` that has no body one.
    fn body(&mut self, head: &Span, first: &str, checks: Vec<Piece>) {
        if first.is_empty() && checks.is_empty() {
            return;
        }
        let end = self.quotes.range(head).end;
        let body = [text(&format!(" if {{ {first}true")), checks, text(" }")];
        self.edit(end..end, body.into_iter().flatten().collect());
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("{}{}", self.prefix, self.names)
    }

    fn edit(&mut self, range: Range<usize>, with: Vec<Piece>) {
        self.edits.push(Edit { range, with });
    }

    fn apply(mut self) -> String {
        // Stable: what was added first at one place stays first.
        self.edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        let mut hardened = String::with_capacity(2 * self.text.len());
        let all = 0..self.text.len();
        self.render(&all, self.edits.iter().collect(), &mut hardened);
        hardened
    }

    /// Writes a range of the text with `edits`, those within it.
    fn render(&self, range: &Range<usize>, edits: Vec<&Edit>, out: &mut String) {
        let mut at = range.start;
        for edit in edits {
            if edit.range.start < at {
                continue;
            }
            out.push_str(self.text.get(at..edit.range.start).unwrap_or_default());
            at = edit.range.end;
            for piece in &edit.with {
                match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Original(part) => {
                        let within = |edit: &&Edit| edit.is_within(part);
                        self.render(part, self.edits.iter().filter(within).collect(), out);
                    }
                }
            }
        }
        out.push_str(self.text.get(at..range.end).unwrap_or_default());
    }
}

fn text(text: &str) -> Vec<Piece> {
    vec![Piece::Text(text.to_owned())]
}

/// The strings of a text. regorus' spans leave out the quotes, also where an expression begins or
/// ends with a string.
#[derive(Default)]
pub(super) struct Quotes {
    starts: BTreeSet<usize>,
    ends: BTreeSet<usize>,
}

impl Quotes {
    pub(super) fn of(source: &Source) -> Self {
        let mut quotes = Self::default();
        let mut lexer = Lexer::new(source);
        lexer.set_max_col(NonZeroU32::MAX);
        // The text has been parsed: this ends at its end.
        while let Ok(Token(kind, span)) = lexer.next_token() {
            match kind {
                TokenKind::Eof => break,
                TokenKind::String | TokenKind::RawString => {
                    quotes.starts.insert(offset(span.start));
                    quotes.ends.insert(offset(span.end));
                }
                TokenKind::Symbol | TokenKind::Number | TokenKind::Ident => {}
            }
        }
        quotes
    }

    /// The whole range of a span.
    pub(super) fn range(&self, span: &Span) -> Range<usize> {
        let (start, end) = (offset(span.start), offset(span.end));
        let opened = usize::from(self.starts.contains(&start));
        let closed = usize::from(self.ends.contains(&end));
        start - opened..end + closed
    }
}

fn offset(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
