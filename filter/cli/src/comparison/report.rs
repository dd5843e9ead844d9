//! A comparison, for a person and for a program.

use std::{cmp::Reverse, collections::BTreeSet, io};

use anstyle::Style;
use clap::ValueEnum;
use serde::Serialize;

use super::{Change, Comparison, Counts, Group, Key, Place, Said};
use crate::{
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
    comparison: Comparison,
    /// Of the policies, in the order of the command line.
    pub(crate) policy_sha256: Vec<String>,
}

#[derive(Serialize)]
struct Json<'a> {
    policy_sha256: &'a [String],
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
    pub(crate) fn new(comparison: Comparison, policy_sha256: Vec<String>) -> Self {
        Self { comparison, policy_sha256 }
    }

    /// Writes it to the standard output.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn print(&self, format: Format) -> io::Result<()> {
        let mut out = anstream::AutoStream::auto(io::stdout().lock());
        match format {
            Format::Text => self.text(&mut out),
            Format::Json => {
                serde_json::to_writer_pretty(&mut out, &self.json())?;
                io::Write::write_all(&mut out, b"\n")
            }
        }
    }

    /// 3 if something could not be judged, or else 1 if an answer differs.
    pub(crate) fn exit(&self, allow_masked: bool) -> Exit {
        if self.comparison.counts.not_judged > 0 && !allow_masked {
            Exit::Unjudged
        } else if self.comparison.differs() {
            Exit::No
        } else {
            Exit::Done
        }
    }

    /// The differences: what is newly allowed first, and the frequent before the rare.
    fn differences(&self) -> Vec<Difference<'_>> {
        let mut differences: Vec<_> =
            self.comparison.groups.iter().map(|(key, group)| Difference { key, group }).collect();
        differences
            .sort_by_key(|difference| (difference.key.change, Reverse(difference.group.count)));
        differences
    }

    fn json(&self) -> Json<'_> {
        let not_judged = self.comparison.not_judged.iter();
        Json {
            policy_sha256: &self.policy_sha256,
            counts: &self.comparison.counts,
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
        } = self.comparison.counts;
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
        for (why, places) in &self.comparison.not_judged {
            let lines: Vec<_> =
                places.iter().take(SHOWN).map(|place| place.line.to_string()).collect();
            let more = more(places.len());
            writeln!(out, "\n{DOUBTFUL}not judged{DOUBTFUL:#} {}x: {why}", places.len())?;
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
            write!(out, " {path}")?;
        }
        if let Some(command) = command {
            write!(out, " {}", serde_json::to_string(command)?)?;
        }
        if let Some(namespace) = namespace {
            write!(out, " in {namespace}")?;
        }
        writeln!(out, ", by {caller}")?;
        writeln!(out, "  was {}, is {}", before.words(), after.words())?;
        if let Some(message) = &example.message {
            writeln!(out, "  {FAINT}says{FAINT:#} {}", printable(message))?;
        }
        if !pods.is_empty() {
            let shown: Vec<_> = pods.iter().take(SHOWN).map(String::as_str).collect();
            writeln!(out, "  {FAINT}pods{FAINT:#} {}{}", shown.join(", "), more(pods.len()))?;
        }
        let method = &example.method;
        let path = printable(&example.path);
        writeln!(out, "  {FAINT}e.g.{FAINT:#} {} {} {method} {path}", example.at, example.id)
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
