//! The matrix as Markdown, with GitHub's tables.

use std::fmt;

use super::{
    answers::{Matrix, Section},
    text::{about, sentence, word},
};

pub(super) struct Markdown<'a>(pub(super) &'a Matrix);

impl fmt::Display for Markdown<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "# Who may do what\n")?;
        for line in about(self.0) {
            writeln!(to, "{}  ", escaped(&line))?;
        }
        for Section { callers, tables, notes } in &self.0.sections {
            writeln!(
                to,
                "\n## {}\n",
                callers.iter().map(|name| escaped(name)).collect::<Vec<_>>().join("; ")
            )?;
            for table in tables {
                if table.rows.is_empty() {
                    writeln!(to, "{}: nothing.\n", table.title)?;
                    continue;
                }
                writeln!(to, "{}:\n", table.title)?;
                row(to, std::iter::once(String::new()).chain(table.columns.iter().cloned()))?;
                row(to, std::iter::repeat_n("---".to_owned(), table.columns.len() + 1))?;
                for line in &table.rows {
                    row(
                        to,
                        std::iter::once(line.endpoint.to_owned())
                            .chain(line.cells.iter().map(word)),
                    )?;
                }
                writeln!(to)?;
            }
            for note in notes {
                writeln!(to, "- \\[{}\\] {}", note.number, escaped(&sentence(note)))?;
            }
        }
        Ok(())
    }
}

fn row(to: &mut fmt::Formatter<'_>, cells: impl Iterator<Item = String>) -> fmt::Result {
    for cell in cells {
        write!(to, "| {} ", escaped(&cell))?;
    }
    writeln!(to, "|")
}

/// Text without a meaning to Markdown: names are the policy's.
fn escaped(text: &str) -> String {
    let is_special = |character: char| "\\`*_[]<>|#&~".contains(character);
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            character if is_special(character) => escaped.extend(['\\', character]),
            character => escaped.push(character),
        }
    }
    escaped
}
