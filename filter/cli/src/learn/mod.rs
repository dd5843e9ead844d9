//! `gatelet learn`: a policy made of what was seen.
//!
//! ```text
//! log ── Seen ── Asked, each with its evidence ── Grants ──> files, verified on a Gate ──> folder
//! ```

mod asked;
mod grants;
mod neighbours;
mod output;
mod report;
mod seen;
mod verify;
mod written;

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{ValueEnum, builder::PossibleValuesParser};
use gatelet_core::{
    Config, Gate,
    config::{Written, WrittenPolicy},
    policy::Builtins,
};

use self::{
    asked::Caller,
    grants::Grants,
    report::{Format, Report},
    seen::Seen,
};
use crate::{exit::Exit, folder::Folder, report as on_stderr};

const EXAMPLES: &str = "Examples:
  gatelet learn decisions.log -o policy
  gatelet learn decisions.log -o policy --generalize pods       # for the next pods of a Deployment, too
  gatelet learn decisions.log -o policy --without run           # seen, and not to go on
  gatelet learn decisions.log -o policy --peer CN=prometheus    # what it was denied, too";

/// Makes a policy of what was seen: all that was let in, in a dry run or by a policy, and no more
///
/// The folder gets data with one entry for each kind of request, the Rego that reads it, and tests. All of it
/// is put to the filter's core before it is written. The report says what is allowed now, what was left out,
/// and what is allowed without having been seen. The exit code is 3 if something in the log could not be
/// judged, as its values are masked or its line is cut off.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Decision logs of a node's gate; `-` is the standard input
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// The folder for the policy
    #[arg(short, long, value_name = "FOLDER")]
    output: PathBuf,
    /// Also allow what was not seen: the other pods of a workload by the beginning of their names, or any
    /// lines of a container's log; repeat it for more
    #[arg(long, value_name = "pods|log-lines", hide_possible_values = true)]
    generalize: Vec<Generalize>,
    /// Don't allow this endpoint, such as `run` or `pods`, though it was seen; repeat it for more
    #[arg(long, value_name = "ENDPOINT", value_parser = PossibleValuesParser::new(asked::ENDPOINTS),
          hide_possible_values = true)]
    without: Vec<String>,
    /// Also learn what this caller was denied: its subject (`CN=a,O=b`, RFC 2253); repeat it for more
    #[arg(long = "peer", value_name = "SUBJECT")]
    peers: Vec<String>,
    /// Also learn what was denied to callers who were let in otherwise
    #[arg(long)]
    denied: bool,
    /// Learn from lines with masked values, where no policy needs them; leave the others out, and those
    /// that are cut off
    #[arg(long)]
    allow_masked: bool,
    /// Overwrite files that were edited
    #[arg(long)]
    force: bool,
    /// How to write the report
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What may be allowed without having been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Generalize {
    Pods,
    LogLines,
}

/// What counts as seen.
struct Learning {
    /// Callers whose denials count.
    peers: Vec<Caller>,
    denied: bool,
    allow_masked: bool,
    generalize: Vec<Generalize>,
    /// Endpoints that are not to be allowed.
    without: Vec<String>,
}

impl Learning {
    fn any_lines(&self) -> bool {
        self.generalize.contains(&Generalize::LogLines)
    }
}

/// Learns, and writes everything or nothing.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments {
        logs, output, generalize, without, denied, allow_masked, force, format, ..
    } = arguments;
    let peers = arguments.peers.iter().map(|peer| seen::caller(peer));
    let learning = Learning {
        peers: peers.collect::<anyhow::Result<_>>()?,
        denied: *denied,
        allow_masked: *allow_masked,
        generalize: generalize.clone(),
        without: without.clone(),
    };
    let seen = Seen::read(logs, &learning)?;
    if seen.learned.is_empty() {
        return nothing(&seen);
    }
    let grants = Grants::new(&seen, generalize.contains(&Generalize::Pods));
    let files = written::files(&seen, &grants, learning.any_lines())?;
    output::check(output, &files, *force)?;

    let trial = tempfile::tempdir()?;
    output::write(trial.path(), &files)?;
    let gate = gate(Folder::read(trial.path(), &[] as &[PathBuf])?)?;
    let verified = verify::verify(&gate, &seen, &grants, learning.any_lines())?;

    fs::create_dir_all(output).with_context(|| format!("cannot write {}", output.display()))?;
    output::write(output, &files)?;
    Report::new(&seen, &grants, &verified, output, seen::first(logs), gate.digest())
        .print(*format)?;
    Ok(if seen.unjudged > 0 && !allow_masked { Exit::Unjudged } else { Exit::Done })
}

/// The gate that enforces the policy.
fn gate(folder: Folder) -> anyhow::Result<Gate> {
    let modules = folder.modules.into_iter().filter(|(name, _)| !name.ends_with("_test.rego"));
    let policy =
        WrittenPolicy { modules: modules.collect(), data: folder.data, ..WrittenPolicy::default() };
    let config = Config::try_from(Written { policy, ..Written::default() })?;
    Ok(Gate::new(config, Builtins::Standard)?)
}

/// There is nothing to make a policy of.
fn nothing(seen: &Seen) -> anyhow::Result<Exit> {
    for (why, left) in &seen.left_out {
        on_stderr::warning(&format!("{}x {why} ({})", left.count, left.shown(5)));
    }
    for (who, evidence) in &seen.turned_away {
        on_stderr::warning(&format!("{}x {who} was turned away", evidence.count));
    }
    let exit = if seen.unjudged > 0 { Exit::Unjudged } else { Exit::No };
    Err(exit.because(format!(
        "nothing of {} decisions can be learned from, so nothing is written\n\
         help: let the gate run with `--dry-run-until`, and the callers in `data.kubelet.peers`; \
         `--peer CN=...,O=...` learns what a caller was denied",
        seen.decisions
    )))
}
