//! The matrix for a terminal, and the sentences that all forms share.

use std::{collections::BTreeSet, fmt};

use comfy_table::{
    Cell as Field, Color, ContentArrangement, Table as Grid, presets::UTF8_FULL_CONDENSED,
};

use super::answers::{Allowed, Cell, Matrix, Note, Section, Table};

pub(super) struct Text<'a>(pub(super) &'a Matrix);

impl fmt::Display for Text<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in about(self.0) {
            writeln!(to, "{line}")?;
        }
        for section in &self.0.sections {
            let Section { callers, tables, notes } = section;
            writeln!(to)?;
            for caller in callers {
                writeln!(to, "{caller}")?;
            }
            for table in tables {
                match table.rows.as_slice() {
                    [] => writeln!(to, "{}: nothing", table.title)?,
                    _ => writeln!(to, "{}:\n{}", table.title, grid(table))?,
                }
            }
            for note in notes {
                writeln!(to, "[{}] {}", note.number, sentence(note))?;
            }
        }
        Ok(())
    }
}

fn grid(table: &Table) -> Grid {
    let mut grid = Grid::new();
    grid.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    // What prints it knows whether there is a terminal.
    grid.enforce_styling();
    grid.set_header(std::iter::once("").chain(table.columns.iter().map(String::as_str)));
    for row in &table.rows {
        let cells = row.cells.iter().map(|cell| match cell {
            Cell::Allowed { .. } => Field::new(word(cell)).fg(Color::Green),
            Cell::Some { .. } => Field::new(word(cell)).fg(Color::Yellow),
            Cell::Denied => Field::new(word(cell)),
        });
        grid.add_row(std::iter::once(Field::new(row.endpoint)).chain(cells));
    }
    grid
}

/// What was asked, and what that is worth.
pub(super) fn about(matrix: &Matrix) -> Vec<String> {
    let Matrix { policy, policy_sha256, requests, callers, .. } = matrix;
    let list = |names: &[String]| names.join(", ");
    let mut lines = vec![
        format!("Policy {policy}, SHA-256 {policy_sha256}"),
        format!("Asked: {requests} requests of {callers} callers."),
        format!("Namespaces: {}.", list(&matrix.namespaces)),
        format!("Pods: {}.", list(&matrix.pods)),
        format!("Containers: {}.", list(&matrix.containers)),
        format!("Commands: {}.", list(&matrix.commands)),
        "This is a sample: a policy may depend on what was not asked.".to_owned(),
    ];
    if let Some(until) = matrix.dry_run_until {
        lines.push(format!(
            "A dry run forwards what the policy denies to its peers until {}; this is what it denies.",
            until.to_rfc3339()
        ));
    }
    lines
}

/// A cell in a word.
pub(super) fn word(cell: &Cell) -> String {
    match cell {
        Cell::Allowed { rules } => format!("allowed{}", by(rules)),
        Cell::Denied => "denied".to_owned(),
        Cell::Some { note } => format!("some [{note}]"),
    }
}

/// A note, without its number.
pub(super) fn sentence(note: &Note) -> String {
    let all: BTreeSet<&BTreeSet<String>> =
        note.allowed.iter().map(|allowed| &allowed.rules).collect();
    // One rule for all of it is said once.
    let shared = if let [rules] = all.into_iter().collect::<Vec<_>>().as_slice() {
        by(rules)
    } else {
        String::new()
    };
    let one = |Allowed { what, rules }: &Allowed| {
        if shared.is_empty() { format!("{what}{}", by(rules)) } else { what.clone() }
    };
    let allowed: Vec<_> = note.allowed.iter().map(one).collect();
    format!("{}{shared}; the rest of {} requests is denied", allowed.join("; "), note.requests)
}

fn by(rules: &BTreeSet<String>) -> String {
    if rules.is_empty() {
        return String::new();
    }
    format!(" ({})", rules.iter().cloned().collect::<Vec<_>>().join(", "))
}
