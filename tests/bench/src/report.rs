//! The results: Markdown for people, an SVG of the part that most want to see.

use std::fmt::Write as _;
use std::time::Duration;

use svg::Document;
use svg::node::element::{Rectangle, Text};

/// Microseconds of a duration.
pub(crate) fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The least and the middle one of some durations, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
}

impl Spread {
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort();
        let at = |index: usize| all.get(index).copied().map(microseconds).unwrap_or_default();
        Self { least: at(0), median: at(all.len() / 2) }
    }
}

/// A table of Markdown.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

/// A bar of the plot.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    /// Whether it is this project's.
    pub(crate) is_ours: bool,
}

/// Horizontal bars, from nothing on.
pub(crate) fn plot(title: &str, bars: &[Bar]) -> String {
    const LEFT: f64 = 190.0;
    const WIDTH: f64 = 420.0;
    const STEP: f64 = 26.0;
    let most = bars.iter().map(|bar| bar.value).fold(1.0, f64::max);
    let length = |value: f64| WIDTH * value.max(0.0) / most;
    let label = |x: f64, y: f64, text: &str| {
        Text::new(text)
            .set("x", x)
            .set("y", y)
            .set("font-family", "sans-serif")
            .set("font-size", 13)
    };
    let height = |row: usize| 20.0 + STEP * f64::from(u32::try_from(row).unwrap_or(u32::MAX));
    let background =
        Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "white");
    let whole = height(bars.len()) + 16.0;
    let title = label(8.0, height(0), title).set("font-weight", "bold");
    let mut document =
        Document::new().set("viewBox", (0, 0, 720, whole)).add(background).add(title);
    for (row, bar) in bars.iter().enumerate() {
        let y = height(row + 1);
        let fill = if bar.is_ours { "#2563eb" } else { "#9ca3af" };
        let rectangle = Rectangle::new()
            .set("x", LEFT)
            .set("y", y - 13.0)
            .set("width", length(bar.value))
            .set("height", 17)
            .set("fill", fill);
        let value = format!("{:.1} µs", bar.value);
        document = document.add(label(8.0, y, &bar.name)).add(rectangle).add(label(
            LEFT + length(bar.value) + 6.0,
            y,
            &value,
        ));
    }
    document.to_string() + "\n"
}
