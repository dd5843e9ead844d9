//! Messages about a text: what, where with the line and a caret, and the way out.

use std::fmt;

use serde::Serialize;

/// A message with the places it is about and a way out.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostic {
    /// One sentence.
    pub message: String,
    /// Where, in order.
    pub places: Vec<Place>,
    /// What the author can do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A message without a place.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// Adds a place.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.places.push(place);
        self
    }

    /// Says what the author can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for place in &self.places {
            write!(f, "\n{place}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// A place in a text, shown with its line and a caret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line itself.
    pub text: String,
}

impl Place {
    /// The most characters of a line that are shown on each side of the caret.
    const CONTEXT: usize = 80;

    /// The place of the byte `offset` in `contents`.
    #[must_use]
    pub fn at_offset(file: &str, contents: &str, offset: usize) -> Self {
        let offset = contents.floor_char_boundary(offset);
        let before = contents.get(..offset).unwrap_or(contents);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = contents.get(start..).unwrap_or("");
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(start..).unwrap_or("").chars().count() + 1,
            text: rest.lines().next().unwrap_or("").to_owned(),
        }
    }

    /// The place of a line and a column, both from 1; the column counts bytes, as serde does.
    #[must_use]
    pub fn at_line(file: &str, contents: &str, line: usize, column: usize) -> Self {
        let start = match line.checked_sub(2) {
            None => 0,
            Some(skip) => contents
                .match_indices('\n')
                .nth(skip)
                .map_or(contents.len(), |(newline, _)| newline + 1),
        };
        let length = contents
            .get(start..)
            .and_then(|rest| rest.find('\n'))
            .unwrap_or(contents.len() - start);
        Self::at_offset(file, contents, start + column.saturating_sub(1).min(length))
    }

    /// The same, with a column that counts characters.
    #[must_use]
    pub fn at_character(file: &str, contents: &str, line: usize, column: usize) -> Self {
        let text = contents.lines().nth(line.saturating_sub(1)).unwrap_or("");
        let before = text.chars().take(column.saturating_sub(1)).map(char::len_utf8);
        Self::at_line(file, contents, line, before.sum::<usize>() + 1)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, text } = self;
        let skip = column.saturating_sub(1 + Self::CONTEXT);
        let shown: String = text.chars().skip(skip).take(2 * Self::CONTEXT).collect();
        // Tabs stay tabs, so that the caret is under its character in every terminal.
        let indent: String = shown
            .chars()
            .take(column - 1 - skip)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let margin = " ".repeat(line.to_string().len());
        writeln!(f, "{margin}--> {file}:{line}:{column}")?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {shown}")?;
        write!(f, "{margin} | {indent}^")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_the_line_with_a_caret_and_the_way_out() {
        let diagnostic = Diagnostic::new("no such rule")
            .at(Place::at_offset("a.rego", "package a\n\tx := yü + z\r\n", 18))
            .help("define it");
        assert_eq!(
            diagnostic.to_string(),
            "no such rule\n --> a.rego:2:8\n  |\n2 | \tx := yü + z\n  | \t      ^\nhelp: define it"
        );
    }

    #[test]
    fn places_outside_of_the_text_are_its_end() {
        for (contents, offset, want) in [
            ("", 0, (1, 1)),
            ("", 9, (1, 1)),
            ("ab", 1, (1, 2)),
            ("ab", 9, (1, 3)),
            ("a\n", 9, (2, 1)),
            ("aü", 2, (1, 2)),
        ] {
            let place = Place::at_offset("f", contents, offset);
            assert_eq!((place.line, place.column), want, "{contents:?} {offset}");
        }
        for (contents, line, column, want) in [
            ("", 1, 1, (1, 1)),
            ("ab\ncd", 1, 2, (1, 2)),
            ("ab\ncd", 2, 1, (2, 1)),
            ("ab\ncd", 2, 0, (2, 1)),
            ("ab\ncd", 1, 99, (1, 3)),
            ("ab\ncd", 99, 1, (2, 3)),
            ("üü\ncd", 1, 3, (1, 2)),
        ] {
            let place = Place::at_line("f", contents, line, column);
            assert_eq!((place.line, place.column), want, "{contents:?} {line}:{column}");
        }
    }

    #[test]
    fn of_a_long_line_only_the_surroundings_of_the_caret_are_shown() {
        let line = "x".repeat(100_000);
        let shown = Place::at_offset("f", &line, 50_000).to_string();
        assert!(shown.contains("f:1:50001"), "{shown}");
        assert!(shown.len() < 500, "{}", shown.len());
    }
}
