//! Which lines of a policy its tests reach.

use std::collections::{BTreeMap, BTreeSet};

use gatelet_core::policy::Limits;
use regorus::{coverage::Report, unstable::Rule};
use serde::Serialize;

use crate::{
    folder::Folder,
    interpreter::{add, interpreter},
};

/// The lines of each file of the policy; tests are no part of it.
pub(super) struct Coverage {
    files: BTreeMap<String, Lines>,
}

/// The lines of a file that have something to evaluate.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) covered: BTreeSet<u32>,
    pub(super) not_covered: BTreeSet<u32>,
}

/// Coverage as `opa test --coverage` prints it.
#[derive(Serialize)]
struct Written {
    files: BTreeMap<String, WrittenLines>,
    covered_lines: usize,
    not_covered_lines: usize,
    coverage: f64,
}

#[derive(Serialize)]
struct WrittenLines {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    covered: Vec<Range>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_covered: Vec<Range>,
    covered_lines: usize,
    not_covered_lines: usize,
    coverage: f64,
}

#[derive(Serialize)]
struct Range {
    start: Row,
    end: Row,
}

#[derive(Serialize)]
struct Row {
    row: u32,
}

impl Coverage {
    /// Nothing of the policy is covered yet.
    pub(super) fn new(folder: &Folder) -> Self {
        let policy = folder.modules.iter().filter(|(name, _)| !name.ends_with("_test.rego"));
        let files = policy.map(|(name, rego)| (name.clone(), lines(name, rego))).collect();
        Self { files }
    }

    /// Adds what an engine has evaluated.
    pub(super) fn add(&mut self, report: &Report) {
        for file in &report.files {
            if let Some(lines) = self.files.get_mut(&file.path) {
                lines.covered.extend(&file.covered);
                lines.not_covered.extend(&file.not_covered);
                lines.not_covered.retain(|line| !lines.covered.contains(line));
            }
        }
    }

    pub(super) fn percent(&self) -> f64 {
        let sum = |count: fn(&Lines) -> usize| self.files.values().map(count).sum();
        percent(sum(|lines| lines.covered.len()), sum(|lines| lines.not_covered.len()))
    }

    /// Each file with its share and the ranges of lines that no test reaches.
    pub(super) fn by_file(&self) -> impl Iterator<Item = (&str, f64, String)> {
        self.files.iter().map(|(name, lines)| {
            let missing = ranges(&lines.not_covered).into_iter().map(|Range { start, end }| {
                if start.row == end.row {
                    start.row.to_string()
                } else {
                    format!("{}-{}", start.row, end.row)
                }
            });
            let missing = missing.collect::<Vec<_>>().join(", ");
            (name.as_str(), lines.percent(), missing)
        })
    }

    /// The report in OPA's form.
    pub(super) fn json(&self) -> serde_json::Result<serde_json::Value> {
        let sum = |count: fn(&Lines) -> usize| self.files.values().map(count).sum();
        serde_json::to_value(Written {
            files: self.files.iter().map(|(name, lines)| (name.clone(), lines.written())).collect(),
            covered_lines: sum(|lines| lines.covered.len()),
            not_covered_lines: sum(|lines| lines.not_covered.len()),
            coverage: rounded(self.percent()),
        })
    }
}

impl Lines {
    fn percent(&self) -> f64 {
        percent(self.covered.len(), self.not_covered.len())
    }

    fn written(&self) -> WrittenLines {
        WrittenLines {
            covered: ranges(&self.covered),
            not_covered: ranges(&self.not_covered),
            covered_lines: self.covered.len(),
            not_covered_lines: self.not_covered.len(),
            coverage: rounded(self.percent()),
        }
    }
}

/// All lines of a file that regorus would have in its report; it reports no file that no test reaches.
fn lines(name: &str, rego: &str) -> Lines {
    let mut engine = interpreter(&Limits::default());
    let mut not_covered = BTreeSet::new();
    if add(&mut engine, name, rego).is_ok() {
        for rule in engine.get_modules().iter().flat_map(|module| &module.policy) {
            match rule.as_ref() {
                Rule::Spec { span, bodies, .. } => {
                    let statements = bodies.iter().flat_map(|body| &body.query.stmts);
                    not_covered.extend(statements.map(|statement| statement.span.line));
                    if bodies.is_empty() {
                        not_covered.insert(span.line);
                    }
                }
                Rule::Default { span, .. } => {
                    not_covered.insert(span.line);
                }
            }
        }
    }
    Lines { covered: BTreeSet::new(), not_covered }
}

/// Lines in a row as one.
fn ranges(lines: &BTreeSet<u32>) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for &row in lines {
        match ranges.last_mut() {
            Some(Range { end, .. }) if end.row + 1 == row => end.row = row,
            _ => ranges.push(Range { start: Row { row }, end: Row { row } }),
        }
    }
    ranges
}

#[expect(clippy::cast_precision_loss, reason = "no policy has 2^52 lines")]
fn percent(covered: usize, not_covered: usize) -> f64 {
    match covered + not_covered {
        0 => 100.0,
        all => 100.0 * covered as f64 / all as f64,
    }
}

fn rounded(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}
