//! `gatelet log`: the decision log, for a person.

mod entry;
mod filter;
mod follow;
mod journal;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::ValueEnum;

use crate::{
    decision_log::{Lines, Record, Unreadable},
    exit::Exit,
    report,
};
use filter::{Filter, Wanted};
use follow::Followed;
use journal::Journal;

/// Shows a decision log, one line a decision
///
/// A session that lasts is one line, with its duration and bytes when it has ended. A `+` marks a
/// decision about the same run of kubectl as the one above it, or as the one that is named at its end.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The log; `-` is the standard input
    #[arg(value_name = "LOG", default_value = "decisions.log")]
    log: PathBuf,
    #[command(flatten)]
    filter: Wanted,
    /// Go on as the log grows, also when it is rotated; a session is shown when it opens, and again
    /// when it ends
    #[arg(short, long)]
    follow: bool,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a decision, for a person.
    Text,
    /// The records as they are in the log.
    Json,
}

/// Prints what the filter wants of the log.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { log, filter, follow, format } = arguments;
    let mut reader = Reader {
        log,
        filter: Filter::new(filter)?,
        format: *format,
        journal: Journal::new(*follow),
        out: anstream::AutoStream::auto(io::stdout().lock()),
        unread: 0,
    };
    if *follow {
        let mut followed = Followed::open(log)?;
        let mut number = 0;
        while let Some(line) = followed.line().with_context(|| cannot_read(log))? {
            number += 1;
            reader.line(number, line)?;
            reader.out.flush()?;
        }
    } else {
        for batch in Lines::open(log)? {
            for (number, line) in batch.with_context(|| cannot_read(log))?.lines() {
                reader.line(number, line)?;
            }
        }
    }
    reader.journal.print(&mut reader.out)?;
    Ok(if reader.unread == 0 { Exit::Done } else { Exit::Unjudged })
}

fn cannot_read(log: &Path) -> String {
    format!("cannot read {}", log.display())
}

/// A log on its way to a person.
struct Reader<'a, W: Write> {
    log: &'a Path,
    filter: Filter,
    format: Format,
    journal: Journal,
    out: W,
    /// Lines that are no records.
    unread: u64,
}

impl<W: Write> Reader<'_, W> {
    fn line(&mut self, number: u64, line: &[u8]) -> anyhow::Result<()> {
        let record = match Record::parse(line) {
            Ok(record) => record,
            Err(why) => {
                let text = format!("{}:{number}: {why}", self.log.display());
                if let Unreadable::Schema(_) = why {
                    return Err(Exit::Unjudged.because(text));
                }
                report::warning(&text);
                self.unread += 1;
                return Ok(());
            }
        };
        match (self.format, self.filter.wants(&record)) {
            (Format::Json, true) => {
                self.out.write_all(line)?;
                self.out.write_all(b"\n")?;
            }
            (Format::Text, wanted) => self.journal.add(&record, wanted, &mut self.out)?,
            (Format::Json, false) => {}
        }
        Ok(())
    }
}
