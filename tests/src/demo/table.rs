//! The demo's table, for a person.

use std::fmt;

use comfy_table::{
    Attribute, Cell, Color, ColumnConstraint::UpperBoundary, ContentArrangement, Width::Fixed,
    presets::UTF8_FULL_CONDENSED,
};

use super::Row;

/// What became of each request. Its text is a table.
#[derive(Debug)]
pub struct Table {
    /// One for each request.
    pub rows: Vec<Row>,
    /// Why there are no more.
    pub broken_off: Option<anyhow::Error>,
    /// The most characters of a cell: an answer may be a whole page of metrics.
    pub longest: usize,
    /// The most columns that requests and reasons have; what is longer goes on below. `None` widens them.
    pub columns: Option<[u16; 2]>,
}

impl Table {
    /// Whether everything came out as this demo promises.
    #[must_use]
    pub fn is_as_promised(&self) -> bool {
        self.broken_off.is_none() && self.rows.iter().all(|row| row.as_promised)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table
            .load_preset(UTF8_FULL_CONDENSED)
            .set_content_arrangement(ContentArrangement::Disabled);
        let bold = |title: &str| Cell::new(title).add_attribute(Attribute::Bold);
        table.set_header(["who", "request", "answer", "rule or reason", "ms"].map(bold));
        for Row { who, request, answer, rule, time, as_promised } in &self.rows {
            let shorten = |text: &str| shorten(text, self.longest);
            let color = match (as_promised, answer.as_bytes()) {
                (false, _) => Color::Magenta,
                (true, [b'4', ..]) => Color::Red,
                (true, _) if answer.starts_with("denied") => Color::Red,
                (true, _) if answer.starts_with("left") => Color::Yellow,
                (true, _) => Color::Green,
            };
            let answer = shorten(answer);
            let answer = if *as_promised { answer } else { format!("UNEXPECTED {answer}") };
            let time = format!("{:.1}", time.as_secs_f64() * 1000.0);
            table.add_row([
                Cell::new(who),
                Cell::new(shorten(request)),
                Cell::new(answer).fg(color),
                Cell::new(shorten(rule)),
                Cell::new(time),
            ]);
        }
        for (column, width) in [1, 3].into_iter().zip(self.columns.into_iter().flatten()) {
            if let Some(column) = table.column_mut(column) {
                column.set_constraint(UpperBoundary(Fixed(width)));
            }
        }
        table.fmt(to)?;
        match &self.broken_off {
            Some(error) => write!(to, "\nbroken off: {error:#}"),
            None => Ok(()),
        }
    }
}

/// The beginning tells enough.
fn shorten(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}
