//! Keeps regorus' parser and compiler within their stack.
//!
//! Both recurse. The parser counts only some of its recursion, backtracks at every bracket (each
//! further level doubles the time), and turns a chain of operators into a tree as deep as the
//! chain is long. So depth is measured on the tokens, before anything else reads them.

use regorus::Source;
use regorus::unstable::{Lexer, TokenKind};

use super::error::PolicyError;
use super::limits::Limits;
use crate::diagnostic::{Diagnostic, Place};

/// Brackets in brackets. At 16 the parser takes a tenth of a second; every level doubles it.
const MAX_BRACKETS: usize = 16;
/// Operators in one expression.
const MAX_OPERATORS: usize = 128;

/// Refuses a module that is nested too deeply.
pub(super) fn check(name: &str, text: &str, limits: &Limits) -> Result<(), PolicyError> {
    // The lexer takes a NUL for the end of the module.
    if let Some(nul) = text.find('\0') {
        return Err(PolicyError::Syntax(
            Diagnostic::new("a policy can't contain a NUL character")
                .at(Place::at_offset(name, text, nul)),
        ));
    }
    if let Some(set) = nested_sets(text) {
        return Err(too_nested(Place::at_offset(name, text, set)));
    }
    let lengths = limits.lengths();
    // What is too long for this, the parser refuses as well.
    let Ok(source) = Source::from_contents_with_limits(
        name.to_owned(),
        text.to_owned(),
        lengths.max_file_bytes,
        lengths.max_lines,
    ) else {
        return Ok(());
    };
    let mut lexer = Lexer::new(&source);
    lexer.set_max_col(lengths.max_col);

    let place =
        |offset: u32| Place::at_offset(name, text, usize::try_from(offset).unwrap_or(usize::MAX));
    let mut operators = vec![0];
    let mut last_line = 0;
    let mut after_operator = false;
    // What the lexer refuses, the parser refuses with the better message.
    while let Ok(token) = lexer.next_token() {
        let span = token.1;
        let kind = match token.0 {
            TokenKind::Eof => break,
            TokenKind::String | TokenKind::RawString | TokenKind::Number => Token::Other,
            TokenKind::Symbol | TokenKind::Ident => Token::of(span.text()),
        };
        if span.line != last_line && !after_operator && kind != Token::Operator {
            restart(&mut operators);
        }
        last_line = span.line;
        after_operator = matches!(kind, Token::Operator | Token::Open);
        match kind {
            Token::Open => {
                operators.push(0);
                if operators.len() > MAX_BRACKETS + 1 {
                    return Err(too_nested(place(span.start)));
                }
            }
            // An indexed or called expression is one level deeper than what it indexes or calls.
            Token::Close => {
                operators.pop();
                if operators.is_empty() {
                    operators.push(0);
                }
                count(&mut operators);
            }
            Token::Operator => count(&mut operators),
            Token::Separator => restart(&mut operators),
            Token::Other => {}
        }
        if operators.last().is_some_and(|n| *n > MAX_OPERATORS) {
            let message = format!("an expression has more than {MAX_OPERATORS} operators");
            return Err(PolicyError::Syntax(
                Diagnostic::new(message)
                    .at(place(span.start))
                    .help("put long lists into data, and use a set or a comprehension"),
            ));
        }
    }
    Ok(())
}

fn too_nested(place: Place) -> PolicyError {
    PolicyError::Syntax(
        Diagnostic::new(format!("brackets are nested more than {MAX_BRACKETS} deep"))
            .at(place)
            .help("give the inner part a rule or a function of its own"),
    )
}

/// Where `set(` stands in too many `set(`: there the lexer itself recurses.
fn nested_sets(text: &str) -> Option<usize> {
    const SET: &str = "set(";

    let mut nested = 0;
    let mut inner = usize::MAX;
    for (at, _) in text.match_indices(SET) {
        nested = if at == inner { nested + 1 } else { 0 };
        if nested > MAX_BRACKETS {
            return Some(at);
        }
        let after = text.get(at + SET.len()..)?;
        inner = text.len() - skip_blank(after).len();
    }
    None
}

/// A text without the white space and comments that it begins with.
fn skip_blank(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        match text.strip_prefix('#') {
            Some(comment) => {
                text = comment.find('\n').map_or("", |end| comment.get(end..).unwrap_or(""))
            }
            None => return text,
        }
    }
}

#[derive(PartialEq)]
enum Token {
    Open,
    Close,
    Operator,
    Separator,
    Other,
}

impl Token {
    fn of(text: &str) -> Self {
        match text {
            "[" | "{" | "(" | "set(" => Self::Open,
            "]" | "}" | ")" => Self::Close,
            "," | ";" | ":" => Self::Separator,
            "in" => Self::Operator,
            text if text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') => {
                Self::Other
            }
            _ => Self::Operator,
        }
    }
}

fn count(operators: &mut [usize]) {
    if let Some(last) = operators.last_mut() {
        *last += 1;
    }
}

fn restart(operators: &mut [usize]) {
    if let Some(last) = operators.last_mut() {
        *last = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rego: &str) -> Option<String> {
        check("p.rego", rego, &Limits::default()).err().map(|error| error.to_string())
    }

    #[test]
    fn ordinary_policies_are_not_deep() {
        let list = "\t\"a\": [{\"b\": \"c.d.e\"}, {1, 2}],\n".repeat(500);
        let statements = "\tinput.a.b[0] == 1 + 2 * f(input.c)\n".repeat(500);
        let rego = format!("package p\nx := {{\n{list}}}\ny if {{\n{statements}}}\n");
        assert_eq!(refused(&rego), None);
        let deepest = format!("x := {}1{}", "[".repeat(16), "]".repeat(16));
        assert_eq!(refused(&deepest), None);
        assert_eq!(refused(&format!("x := 1{}", " + 1".repeat(120))), None);
        assert_eq!(refused(&format!("x := [{}]", "1 + 2, ".repeat(200))), None);
    }

    #[test]
    fn depth_is_refused_before_the_parser_sees_it() {
        let times = |text: &str| text.repeat(10_000);
        for (note, rego, want) in [
            ("arrays", format!("x := {}", times("[\n")), "nested"),
            ("objects", format!("x := {}", times("{\"a\":\n")), "nested"),
            ("parentheses", format!("x := {}", times("(\n")), "nested"),
            ("calls", format!("x := {}", times("f(\n")), "nested"),
            ("sets", format!("x := {}", times("set(\n")), "nested"),
            ("sets and comments", format!("x := {}", times("set( # ü\n\t#\n")), "nested"),
            ("every", times("every x in y {\n"), "nested"),
            ("sums", format!("x := 1{}", times("+\n1")), "operators"),
            ("minus", format!("x := {}1", times("-\n")), "operators"),
            ("unions", format!("x := y{}", times(" |\n y")), "operators"),
            ("fields", format!("x := y{}", ".a".repeat(4_000)), "operators"),
            ("indices", format!("x := y{}", "[0]".repeat(4_000)), "operators"),
            ("memberships", format!("x := y{}", " in z".repeat(2_000)), "operators"),
        ] {
            let message = refused(&rego).unwrap_or_default();
            assert!(message.contains(want), "{note}: {message}");
        }
    }

    #[test]
    fn a_nul_does_not_hide_the_rest_of_a_module() {
        let message = refused("package p\nx := 1 #\0\ny := 2\n").unwrap();
        assert!(message.contains("NUL"), "{message}");
        assert!(message.contains("p.rego:2:9"), "{message}");
    }
}
