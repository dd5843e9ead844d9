//! A comparison, for a person and for a program.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    io::{self, Write as _},
};

use anstyle::Style;
use chrono::SecondsFormat;
use clap::ValueEnum;
use serde::Serialize;

use super::{Change, Comparison, Counts, Example, Group, Key, Place, Said};
use crate::{
    decision_log::time,
    diff::Changes,
    exit::Exit,
    style::{BAD, DOUBTFUL},
};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person.
    #[default]
    Text,
    /// For a program.
    Json,
}

/// A comparison, and what it is called.
pub(crate) struct Report {
    changes: Option<Changes>,
    /// `None` where nothing was to be compared.
    comparison: Option<Comparison>,
    /// Of the policies, in the order of the command line.
    policy_sha256: Vec<String>,
}

#[derive(Serialize)]
struct Json<'a> {
    policy_sha256: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a Changes>,
    #[serde(flatten)]
    decisions: Option<Decisions<'a>>,
}

#[derive(Serialize)]
struct Decisions<'a> {
    counts: &'a Counts,
    differences: Vec<Difference<'a>>,
    not_judged: Vec<NotJudged<'a>>,
}

#[derive(Serialize)]
struct Difference<'a> {
    #[serde(flatten)]
    key: &'a Key,
    #[serde(flatten)]
    group: &'a Group,
}

#[derive(Serialize)]
struct NotJudged<'a> {
    why: &'a str,
    places: &'a BTreeSet<Place>,
}

/// How many names and lines a person is shown.
const SHOWN: usize = 5;

const PLAIN: Style = Style::new();
const FAINT: Style = Style::new().dimmed();

impl Report {
    pub(crate) fn new(comparison: Option<Comparison>, policy_sha256: Vec<String>) -> Self {
        Self { changes: None, comparison, policy_sha256 }
    }

    /// Tells first what differs between the policies as they are written.
    pub(crate) fn with_changes(self, changes: Changes) -> Self {
        Self { changes: Some(changes), ..self }
    }

    /// Writes it to the standard output.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn print(&self, format: Format) -> io::Result<()> {
        let mut out = anstream::AutoStream::auto(io::stdout().lock());
        match format {
            Format::Text => {
                if let Some(changes) = &self.changes {
                    changes.print(&mut out)?;
                }
                if self.changes.is_some() && self.comparison.is_some() {
                    writeln!(out)?;
                }
                self.comparison.as_ref().map_or(Ok(()), |comparison| comparison.text(&mut out))
            }
            Format::Json => {
                serde_json::to_writer_pretty(&mut out, &self.json())?;
                writeln!(out)
            }
        }
    }

    fn json(&self) -> Json<'_> {
        Json {
            policy_sha256: &self.policy_sha256,
            changes: self.changes.as_ref(),
            decisions: self.comparison.as_ref().map(Comparison::json),
        }
    }

    /// [`Exit::Unjudged`] if something could not be judged, or else [`Exit::No`] if an answer differs.
    pub(crate) fn exit(&self, allow_masked: bool) -> Exit {
        match &self.comparison {
            Some(comparison) if comparison.counts.not_judged > 0 && !allow_masked => Exit::Unjudged,
            Some(comparison) if comparison.differs() => Exit::No,
            _ => Exit::Done,
        }
    }
}

impl Comparison {
    /// The differences: what is newly allowed first, and the frequent before the rare.
    fn differences(&self) -> Vec<Difference<'_>> {
        let mut differences: Vec<_> =
            self.groups.iter().map(|(key, group)| Difference { key, group }).collect();
        differences
            .sort_by_key(|difference| (difference.key.change, Reverse(difference.group.count)));
        differences
    }

    fn json(&self) -> Decisions<'_> {
        let not_judged = self.not_judged.iter();
        Decisions {
            counts: &self.counts,
            differences: self.differences(),
            not_judged: not_judged.map(|(why, places)| NotJudged { why, places }).collect(),
        }
    }

    fn text(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Counts {
            decisions,
            same,
            newly_allowed,
            newly_denied,
            otherwise,
            not_asked,
            with_masks,
            not_judged,
            other_records: _,
        } = self.counts;
        let width = decisions.max(not_judged).to_string().len();
        for (count, what, style, always) in [
            (decisions, "decisions", PLAIN, true),
            (newly_allowed, "newly allowed", BAD, true),
            (newly_denied, "newly denied", DOUBTFUL, true),
            (otherwise, "by another rule or for another reason", PLAIN, false),
            (same, "the same", PLAIN, true),
            (not_asked, "without a reading, so no policy is asked", PLAIN, false),
            (with_masks, "with masks for values, so perhaps wrong", DOUBTFUL, false),
            (not_judged, "not judged", DOUBTFUL, false),
        ] {
            if always || count > 0 {
                let style = if count > 0 { style } else { PLAIN };
                writeln!(out, "{style}{count:>width$} {what}{style:#}")?;
            }
        }
        for difference in self.differences() {
            writeln!(out)?;
            difference.text(out)?;
        }
        for (why, places) in &self.not_judged {
            let lines: Vec<_> =
                places.iter().take(SHOWN).map(|place| place.line.to_string()).collect();
            let more = more(places.len());
            writeln!(
                out,
                "\n{DOUBTFUL}not judged{DOUBTFUL:#} {}x: {}",
                places.len(),
                printable(why)
            )?;
            writeln!(out, "  in line {}{more}", lines.join(", "))?;
        }
        Ok(())
    }
}

impl Difference<'_> {
    fn text(&self, out: &mut impl io::Write) -> io::Result<()> {
        let Key { change, before, after, caller, target, namespace, command, path } = self.key;
        let (style, name) = match change {
            Change::NewlyAllowed => (BAD, "newly allowed"),
            Change::NewlyDenied => (DOUBTFUL, "newly denied"),
            Change::Otherwise => (PLAIN, "otherwise"),
        };
        let Group { count, pods, example } = self.group;
        write!(out, "{style}{name}{style:#} {count}x: {target}")?;
        if let Some(path) = path {
            write!(out, " {}", printable(path))?;
        }
        if let Some(command) = command {
            write!(out, " {}", printable(&serde_json::to_string(command)?))?;
        }
        if let Some(namespace) = namespace {
            write!(out, " in {}", printable(namespace))?;
        }
        writeln!(out, ", by {}", printable(caller))?;
        writeln!(out, "  was {}, is {}", before.words(), after.words())?;
        if let Some(message) = &example.message {
            writeln!(out, "  {FAINT}says{FAINT:#} {}", printable(message))?;
        }
        if !pods.is_empty() {
            let shown: Vec<_> = pods.iter().take(SHOWN).map(|pod| printable(pod)).collect();
            writeln!(out, "  {FAINT}pods{FAINT:#} {}{}", shown.join(", "), more(pods.len()))?;
        }
        let Example { at, id, method, path, .. } = example;
        let time = time(at).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
        let at = time.as_ref().unwrap_or(at);
        let told = printable(&format!("{at} {id} {method} {path}"));
        writeln!(out, "  {FAINT}e.g.{FAINT:#} {told}")
    }
}

impl Said {
    fn words(&self) -> String {
        match &self.rule {
            Some(rule) => format!("{} by {rule}", self.reason),
            None => self.reason.to_owned(),
        }
    }
}

fn more(all: usize) -> String {
    match all.saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

/// Text of a caller's or of the policy's, which must not command the terminal.
pub(crate) fn printable(text: &str) -> String {
    let is_plain = |character: char| matches!(character, ' '..='~');
    text.chars()
        .flat_map(|character| {
            let escaped = (!is_plain(character)).then(|| character.escape_default());
            let plain = is_plain(character).then_some(character);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}
