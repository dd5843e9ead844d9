//! What was learned, for a person, for a review and for a program.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use anstyle::Style;
use clap::ValueEnum;
use serde::Serialize;

use super::{
    grants::{Generalisation, Grants},
    seen::{Evidence, LeftOut, Seen, Span},
    verify::Verified,
    written::seconds,
};
use crate::style::{DOUBTFUL, GOOD};

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Markdown,
    Json,
}

/// Everything that there is to say.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    decisions: u64,
    #[serde(flatten)]
    span: &'a Span,
    folder: &'a Path,
    policy_sha256: &'a str,
    allows: Vec<Allowed<'a>>,
    left_out: &'a BTreeMap<String, LeftOut>,
    turned_away: &'a BTreeMap<String, Evidence>,
    generalised: &'a BTreeSet<Generalisation>,
    proposed: &'a BTreeSet<Generalisation>,
    verified: &'a Verified,
    next: Vec<String>,
}

#[derive(Serialize)]
struct Allowed<'a> {
    caller: String,
    what: String,
    #[serde(flatten)]
    evidence: &'a Evidence,
}

/// How many places of one reason a person is shown.
const SHOWN: usize = 5;

const HEADING: Style = Style::new().bold();
const PLAIN: Style = Style::new();

impl<'a> Report<'a> {
    pub(super) fn new(
        seen: &'a Seen,
        grants: &'a Grants,
        verified: &'a Verified,
        folder: &'a Path,
        log: &Path,
        policy_sha256: &'a str,
    ) -> Self {
        let allows = grants.grants.iter().map(|grant| Allowed {
            caller: grant.caller.to_string(),
            what: grant.what(),
            evidence: &grant.evidence,
        });
        let (shown, log) = (folder.display(), log.display());
        let next = vec![
            format!("gatelet test {shown}"),
            format!("gatelet matrix {shown}"),
            format!("gatelet replay {log} --policy {shown}"),
            format!("gatelet render {shown} -o gatelet.json"),
        ];
        Self {
            decisions: seen.decisions,
            span: &seen.span,
            folder,
            policy_sha256,
            allows: allows.collect(),
            left_out: &seen.left_out,
            turned_away: &seen.turned_away,
            generalised: &grants.made,
            proposed: &grants.proposed,
            verified,
            next,
        }
    }

    /// Writes it to the standard output.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn print(&self, format: Format) -> io::Result<()> {
        let mut out = anstream::AutoStream::auto(io::stdout().lock());
        match format {
            Format::Text => self.text(&mut out, ["", ":"], ""),
            Format::Markdown => self.text(&mut out, ["## ", ""], "- "),
            Format::Json => {
                serde_json::to_writer_pretty(&mut out, self)?;
                io::Write::write_all(&mut out, b"\n")
            }
        }
    }

    fn text(&self, out: &mut impl io::Write, heading: [&str; 2], item: &str) -> io::Result<()> {
        let [before, after] = heading;
        let is_markdown = !item.is_empty();
        let code = if is_markdown { "`" } else { "" };
        let indent = if is_markdown { "- " } else { "  " };
        let title = |out: &mut dyn io::Write, style: Style, text: &str| {
            writeln!(out, "\n{before}{style}{text}{style:#}{after}")?;
            if is_markdown { writeln!(out) } else { Ok(()) }
        };
        let Span { first, last } = self.span;
        let (first, last) = (seconds(first), seconds(last));
        writeln!(out, "{} decisions, {first} to {last}", self.decisions)?;
        let mut caller = "";
        for allowed in &self.allows {
            if allowed.caller != caller {
                caller = &allowed.caller;
                title(out, HEADING, &format!("{caller} may now"))?;
            }
            writeln!(out, "{indent}{}x {code}{}{code}", allowed.evidence.count, allowed.what)?;
        }
        if !self.left_out.is_empty() {
            title(out, HEADING, "Left out")?;
        }
        for (why, left) in self.left_out {
            writeln!(out, "{indent}{}x {why} ({})", left.count, left.shown(SHOWN))?;
        }
        if !self.turned_away.is_empty() {
            title(
                out,
                DOUBTFUL,
                "Turned away, and so not learned from; `--peer CN=...,O=...` does",
            )?;
        }
        for (who, evidence) in self.turned_away {
            let Evidence { count, example, .. } = evidence;
            writeln!(out, "{indent}{count}x {code}{who}{code}, e.g. {example}")?;
        }
        let name = "Allowed, though nobody has seen it";
        self.generalisations(out, self.generalised, DOUBTFUL, name, &title, indent)?;
        let name = "Not allowed, as it wasn't seen; `--generalize pods` or `log-lines` would";
        self.generalisations(out, self.proposed, HEADING, name, &title, indent)?;
        let Verified { seen, kept_out, neighbours } = self.verified;
        title(out, GOOD, "Verified on the filter's own core")?;
        writeln!(out, "{indent}{seen} different requests of the log are allowed")?;
        writeln!(
            out,
            "{indent}{kept_out} others of the log are denied, but for what is named above"
        )?;
        writeln!(out, "{indent}{neighbours} beside them are denied, but for what is named above")?;
        title(
            out,
            PLAIN,
            &format!(
                "{} is written (SHA-256 {}). Go on with",
                self.folder.display(),
                self.policy_sha256
            ),
        )?;
        for step in &self.next {
            writeln!(out, "{indent}{code}{step}{code}")?;
        }
        Ok(())
    }

    fn generalisations(
        &self,
        out: &mut impl io::Write,
        all: &BTreeSet<Generalisation>,
        style: Style,
        name: &str,
        title: &dyn Fn(&mut dyn io::Write, Style, &str) -> io::Result<()>,
        indent: &str,
    ) -> io::Result<()> {
        if !all.is_empty() {
            title(out, style, name)?;
        }
        for Generalisation { what, why, also_allows } in all {
            writeln!(out, "{indent}{what}")?;
            writeln!(out, "    why: {why}")?;
            writeln!(out, "    allows: {also_allows}")?;
        }
        Ok(())
    }
}
