//! What `opa check --strict` and `opa fmt` mind in a module, as far as it shows without OPA.

use std::{collections::BTreeSet, sync::LazyLock};

use gatelet_core::{
    diagnostic::{Diagnostic, Place},
    policy::Limits,
};
use regex::Regex;
use regorus::unstable::{Expr, Module, Rule, RuleHead};

use crate::interpreter::{add, interpreter};

/// Builtin functions that OPA has for old policies only.
const DEPRECATED: &[&str] = &[
    "all",
    "any",
    "cast_array",
    "cast_boolean",
    "cast_null",
    "cast_object",
    "cast_set",
    "cast_string",
    "net.cidr_overlap",
    "re_match",
    "set_diff",
];

/// Texts and comments, in which nothing is a name.
static NO_CODE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#""(?:[^"\\\n]|\\.)*"|`[^`]*`|#[^\n]*"#).ok());
/// A name, and the dot before it if it is a key.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\.?\b[A-Za-z_]\w*").ok());
/// What a body declares: `x :=`, `some x in`, `some k, x in`.
static DECLARED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(\w+)\s*:=|\bsome\s+(?:(\w+)\s*,\s*)?(\w+)\s+in\b").ok());

/// Everything that is minded in a module, in the order of its lines.
///
/// # Errors
/// When it isn't Rego.
pub(crate) fn findings(name: &str, rego: &str) -> anyhow::Result<Vec<Diagnostic>> {
    let mut engine = interpreter(&Limits::default());
    add(&mut engine, name, rego)?;
    let code = blanked(rego);
    let mut found = format(rego);
    for module in engine.get_modules() {
        imports(module, &code, &mut found);
        for rule in &module.policy {
            names(rule, &code, &mut found);
        }
    }
    for (at, word) in words(&code) {
        if DEPRECATED.contains(&word)
            && code.get(at + word.len()..).is_some_and(|rest| rest.starts_with('('))
        {
            found.insert((at, format!("`{word}` is deprecated")));
        }
    }
    Ok(found
        .into_iter()
        .map(|(at, message)| Diagnostic::new(message).at(Place::at_offset(name, rego, at)))
        .collect())
}

/// What is minded, by its place.
type Found = BTreeSet<(usize, String)>;

/// Tabs at the beginning of a line, nothing at its end, one blank line at most, and a newline last.
fn format(rego: &str) -> Found {
    let mut found = Found::new();
    let (mut at, mut blank) = (0, 0);
    for line in rego.split_inclusive('\n') {
        let text = line.trim_end_matches('\n');
        if text.trim_start_matches('\t').starts_with(' ') {
            found.insert((at, "a line begins with blanks, not with tabs".to_owned()));
        }
        if text.ends_with([' ', '\t', '\r']) {
            found.insert((at + text.trim_end().len(), "a line ends with blanks".to_owned()));
        }
        blank = if text.is_empty() { blank + 1 } else { 0 };
        if blank == 2 {
            found.insert((at, "there is more than one blank line".to_owned()));
        }
        at += line.len();
    }
    if !rego.ends_with('\n') || blank > 0 {
        found.insert((rego.len(), "a file ends with one newline".to_owned()));
    }
    found
}

/// Imports that nothing uses, and a second one of a name.
fn imports(module: &Module, code: &str, found: &mut Found) {
    let mut seen = BTreeSet::new();
    for import in &module.imports {
        let path = import.refr.span().text();
        // It changes the language, and names nothing.
        if path.starts_with("rego.") || path.starts_with("future.") {
            continue;
        }
        let name = match &import.r#as {
            Some(name) => name.text(),
            None => path.rsplit('.').next().unwrap_or(path),
        };
        let at = offset(import.span.start);
        if !seen.insert(name) {
            found.insert((at, format!("`{name}` is imported twice")));
        }
        let is_import = |at: &usize| {
            module
                .imports
                .iter()
                .any(|import| (offset(import.span.start)..offset(import.span.end)).contains(at))
        };
        if !words(code).any(|(at, word)| word == name && !is_import(&at)) {
            found.insert((at, format!("the import `{name}` is not used")));
        }
    }
}

/// Parameters and variables that nothing uses. Those that hide `input` or `data` don't compile.
fn names(rule: &Rule, code: &str, found: &mut Found) {
    let Rule::Spec { span, head, .. } = rule else { return };
    let (start, end) = (offset(span.start), offset(span.end));
    let Some(text) = code.get(start..end) else { return };
    let mut declared: Vec<(usize, &str)> = Vec::new();
    if let RuleHead::Func { args, .. } = head {
        for argument in args {
            if let Expr::Var { span, .. } = argument.as_ref() {
                declared.push((offset(span.start), span.text()));
            }
        }
    }
    let body = head_end(head).saturating_sub(start);
    for captures in DECLARED.iter().flat_map(|declared| declared.captures_iter(text)) {
        for name in captures.iter().skip(1).flatten().filter(|name| name.start() >= body) {
            if name.as_str() != "else" {
                declared.push((start + name.start(), name.as_str()));
            }
        }
    }
    for (at, name) in declared {
        let uses = words(text).filter(|(_, word)| *word == name).count();
        if !name.starts_with('_') && uses < 2 {
            found.insert((at, format!("`{name}` is not used; write `_`")));
        }
    }
}

/// Where the name of a rule and its parameters end: what follows may declare.
fn head_end(head: &RuleHead) -> usize {
    match head {
        RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } => offset(refr.span().end) + 1,
        RuleHead::Func { refr, args, .. } => {
            let last = args.last().map_or(refr, |argument| argument);
            offset(last.span().end)
        }
    }
}

/// The names in a text that are no keys.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let names = NAME.iter().flat_map(move |name| name.find_iter(code));
    names.map(|name| (name.start(), name.as_str())).filter(|(_, word)| !word.starts_with('.'))
}

/// The text with blanks in the place of texts and comments.
fn blanked(rego: &str) -> String {
    let blanks = |found: &regex::Captures<'_>| {
        let text = found.get(0).map_or("", |text| text.as_str());
        " ".repeat(text.len())
    };
    match &*NO_CODE {
        Some(no_code) => no_code.replace_all(rego, blanks).into_owned(),
        None => rego.to_owned(),
    }
}

/// regorus counts bytes in 32 bits.
fn offset(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
