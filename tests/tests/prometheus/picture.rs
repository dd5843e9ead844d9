//! A dashboard as a picture: where its panels are, what they are called, and the values that Prometheus
//! gave. It is not Grafana's drawing.

use anyhow::Context as _;
use serde_json::Value;
use svg::Document;
use svg::node::element::{Polyline, Rectangle, Text};

use crate::server::Points;

/// A panel with what it shows.
pub(crate) struct Drawn {
    pub(crate) panel: Value,
    pub(crate) lines: Vec<Line>,
}

/// A line of a panel.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Points,
}

/// A cell of Grafana's grid, which has 24 columns.
const COLUMN: f64 = 50.0;
const ROW: f64 = 28.0;
const COLORS: [&str; 10] = [
    "#1f78c1", "#e24d42", "#56a64b", "#e5ac0e", "#8f3bb8", "#ef843c", "#0a8f8f", "#705da0",
    "#bf1b00", "#64b0c8",
];

pub(crate) fn draw(panels: &[Drawn], from: f64, to: f64) -> anyhow::Result<String> {
    let mut document = Document::new();
    let mut bottom = 0.0_f64;
    for Drawn { panel, lines } in panels {
        let cell = |key: &str| panel["gridPos"][key].as_f64().context("a position");
        let (x, y) = (cell("x")? * COLUMN, cell("y")? * ROW);
        let (width, height) = (cell("w")? * COLUMN, cell("h")? * ROW);
        bottom = bottom.max(y + height);
        let place = Place { x: x + 3.0, y: y + 3.0, width: width - 6.0, height: height - 6.0 };
        let title = panel["title"].as_str().context("a title")?;
        document = match panel["type"].as_str() {
            Some("row") => {
                document.add(text(x + 6.0, y + 20.0, 14, title).set("font-weight", "bold"))
            }
            Some("stat") => stat(document, &place, panel, lines),
            _ => chart(document, &place, panel, lines, (from, to)),
        };
    }
    let size = (0.0, 0.0, 24.0 * COLUMN, bottom);
    let background =
        Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "#f4f5f5");
    let mut picture =
        Document::new().set("viewBox", size).set("font-family", "sans-serif").add(background);
    for node in document.get_children() {
        picture = picture.add(node.clone());
    }
    Ok(format!("{picture}\n"))
}

struct Place {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// A number, in the color of the threshold that it has reached.
fn stat(document: Document, place: &Place, panel: &Value, lines: &[Line]) -> Document {
    let value = lines.first().and_then(|line| line.points.last()).map_or(0.0, |(_, value)| *value);
    let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
    let reached = |step: &&Value| step["value"].as_f64().is_none_or(|least| value >= least);
    let color = steps.and_then(|steps| steps.iter().rfind(reached)).map(|step| &step["color"]);
    let color = match color.and_then(Value::as_str) {
        Some("red") => "#e24d42",
        Some("green") => "#56a64b",
        _ => "#1f78c1",
    };
    let Place { x, y, width, height } = *place;
    let number = text(x + width / 2.0, y + height * 0.7, 34, &format!("{value:.0}"));
    document
        .add(area(place, color))
        .add(
            text(x + 8.0, y + 18.0, 12, panel["title"].as_str().unwrap_or_default())
                .set("fill", "#fff"),
        )
        .add(number.set("fill", "#fff").set("text-anchor", "middle"))
}

fn chart(
    document: Document,
    place: &Place,
    panel: &Value,
    lines: &[Line],
    (from, to): (f64, f64),
) -> Document {
    let Place { x, y, width, height } = *place;
    let (left, top) = (x + 52.0, y + 28.0);
    let (right, bottom) = (x + width - 10.0, y + height - 46.0);
    let unit = panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
    let values = || lines.iter().flat_map(|line| &line.points).map(|(_, value)| *value);
    let most = round_up(values().filter(|value| value.is_finite()).fold(0.0, f64::max));
    let at = |time: f64, value: f64| {
        (
            left + (time - from) / (to - from) * (right - left),
            bottom - value / most * (bottom - top),
        )
    };
    let title = panel["title"].as_str().unwrap_or_default();
    let mut document = document
        .add(area(place, "#fff"))
        .add(text(x + 8.0, y + 18.0, 12, title).set("font-weight", "bold"));
    for part in [0.0, 0.5, 1.0] {
        let (_, height) = at(from, most * part);
        document = document.add(line(&[(left, height), (right, height)], "#e0e0e0")).add(
            text(left - 5.0, height + 4.0, 10, &label(most * part, unit)).set("text-anchor", "end"),
        );
        let (time, _) = at(from + (to - from) * part, 0.0);
        let seconds = (to - from) * part;
        let clock = format!("{:.0}:{:02.0}", (seconds / 60.0).floor(), seconds % 60.0);
        let anchor = if part < 1.0 { "middle" } else { "end" };
        document = document.add(text(time, bottom + 14.0, 10, &clock).set("text-anchor", anchor));
    }
    let mut legend = (left - 44.0, y + height - 18.0);
    for (shown, color) in lines.iter().zip(COLORS.iter().cycle()) {
        let points: Vec<_> = shown
            .points
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|(time, value)| at(*time, *value))
            .collect();
        document = document.add(line(&points, color).set("stroke-width", 1.6));
        let name = if shown.name.is_empty() { title } else { &shown.name };
        let length = 22.0 + 6.3 * name.chars().count() as f64;
        if legend.0 + length > x + width {
            legend = (left - 44.0, legend.1 + 12.0);
        }
        document = document
            .add(
                line(&[(legend.0, legend.1 - 3.0), (legend.0 + 12.0, legend.1 - 3.0)], color)
                    .set("stroke-width", 3),
            )
            .add(text(legend.0 + 16.0, legend.1, 10, name));
        legend.0 += length;
    }
    document
}

fn area(place: &Place, color: &str) -> Rectangle {
    let Place { x, y, width, height } = *place;
    Rectangle::new()
        .set("x", x)
        .set("y", y)
        .set("width", width)
        .set("height", height)
        .set("rx", 2)
        .set("fill", color)
        .set("stroke", "#dcdcdc")
}

fn line(points: &[(f64, f64)], color: &str) -> Polyline {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    Polyline::new().set("points", points.join(" ")).set("fill", "none").set("stroke", color)
}

fn text(x: f64, y: f64, size: u32, text: &str) -> Text {
    Text::new(text).set("x", x).set("y", y).set("font-size", size).set("fill", "#24292e")
}

/// The next of 1, 2 and 5, and their multiples by ten; of nothing, 1.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= value * 0.999).unwrap_or(value)
}

fn label(value: f64, unit: &str) -> String {
    let number =
        |value: f64| format!("{:.2}", value).trim_end_matches('0').trim_end_matches('.').to_owned();
    match unit {
        "bytes" => format!("{} MB", number(value / 1e6)),
        "µs" if value >= 1000.0 => format!("{} ms", number(value / 1000.0)),
        "µs" | "s" => format!("{} {unit}", number(value)),
        "reqps" | "cps" | "wps" => format!("{}/s", number(value)),
        "cpm" => format!("{}/min", number(value)),
        _ => number(value),
    }
}
