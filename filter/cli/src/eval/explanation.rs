//! Explanations as an indented list.

use std::fmt;

use gatelet_core::{
    diagnostic::Place,
    policy::{Attempt, Explanation, Seen, Tried},
};

use crate::style::{BAD, DOUBTFUL, GOOD, paint};

/// Characters of a value that are shown.
const LONGEST: usize = 120;
/// Values of an expression that are shown.
const MOST: usize = 5;

pub(super) struct Text<'a>(pub(super) &'a Explanation);

impl fmt::Display for Text<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        rule(to, self.0, 1)
    }
}

fn rule(to: &mut fmt::Formatter<'_>, explanation: &Explanation, depth: usize) -> fmt::Result {
    let Explanation { rule: name, value, default, attempts, repeated } = explanation;
    let indent = Indent(depth);
    let again = if *repeated { ", as explained above" } else { "" };
    writeln!(to, "{indent}{name} is {}{again}", short(value))?;
    if let Some(place) = default {
        writeln!(to, "{indent}  by default: {}", Line(place))?;
    }
    attempts.iter().try_for_each(|attempt| tried(to, attempt, depth + 1))
}

fn tried(to: &mut fmt::Formatter<'_>, attempt: &Attempt, depth: usize) -> fmt::Result {
    let indent = Indent(depth);
    let place = Line(&attempt.place);
    match &attempt.outcome {
        Tried::Holds { uses } => {
            writeln!(to, "{indent}{} {place}", paint(GOOD, "holds"))?;
            uses.iter().try_for_each(|used| rule(to, used, depth + 1))
        }
        Tried::NotTried => writeln!(to, "{indent}not tried {place}"),
        Tried::Unknown { why } => {
            writeln!(to, "{indent}{} {place}", paint(DOUBTFUL, "unknown"))?;
            writeln!(to, "{indent}  {why}")
        }
        Tried::Fails { at, expression, seen, uses } => {
            writeln!(to, "{indent}{} {place}", paint(BAD, "fails"))?;
            if at.line != attempt.place.line || at.file != attempt.place.file {
                writeln!(to, "{indent}  at {}:{}: {}", at.file, at.line, one_line(expression))?;
            } else {
                writeln!(to, "{indent}  at {}", one_line(expression))?;
            }
            for Seen { expression, values } in seen {
                writeln!(to, "{indent}    {} = {}", one_line(expression), list(values))?;
            }
            uses.iter().try_for_each(|used| rule(to, used, depth + 1))
        }
    }
}

/// A place with its line of the policy.
struct Line<'a>(&'a Place);

impl fmt::Display for Line<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, text, .. } = self.0;
        write!(to, "{file}:{line}: {}", text.trim())
    }
}

struct Indent(usize);

impl fmt::Display for Indent {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:width$}", "", width = 2 * self.0)
    }
}

fn list(values: &[String]) -> String {
    let mut shown: Vec<_> = values.iter().take(MOST).map(|value| short(value)).collect();
    if let Some(more) = values.len().checked_sub(MOST).filter(|more| *more > 0) {
        shown.push(format!("{more} more"));
    }
    if shown.is_empty() { "undefined".to_owned() } else { shown.join(" | ") }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// An expression over several lines, on one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
