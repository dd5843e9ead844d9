//! The matrix as a page to print: no scripts, nothing to load.

use maud::{DOCTYPE, Markup, html};

use super::{
    answers::{Cell, Matrix, Section, Table},
    text::{about, sentence, word},
};

const STYLE: &str = "
body { font: 10pt sans-serif; margin: 2em; }
section { break-inside: avoid-page; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { border: 1px solid #999; padding: .2em .6em; text-align: left; }
.allowed { background: #d7f0d7; } .some { background: #fbeec2; } .denied { color: #777; }
";

/// The page.
pub(super) fn page(matrix: &Matrix) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Who may do what" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "Who may do what" }
                @for line in about(matrix) { p { (line) } }
                @for section in &matrix.sections { (self::section(section)) }
            }
        }
    }
}

fn section(Section { callers, tables, notes }: &Section) -> Markup {
    html! {
        section {
            h2 { @for caller in callers { (caller) br; } }
            @for table in tables { (self::table(table)) }
            @for note in notes { p { "[" (note.number) "] " (sentence(note)) } }
        }
    }
}

fn table(Table { title, columns, rows }: &Table) -> Markup {
    if rows.is_empty() {
        return html! { p { (title) ": nothing" } };
    }
    html! {
        table {
            caption { (title) }
            thead { tr { th {} @for column in columns { th { (column) } } } }
            tbody {
                @for row in rows {
                    tr {
                        th { (row.endpoint) }
                        @for cell in &row.cells { td class=(class(cell)) { (word(cell)) } }
                    }
                }
            }
        }
    }
}

fn class(cell: &Cell) -> &'static str {
    match cell {
        Cell::Allowed { .. } => "allowed",
        Cell::Denied => "denied",
        Cell::Some { .. } => "some",
    }
}
