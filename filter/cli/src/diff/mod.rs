//! `gatelet diff`: what another policy changes.

mod changes;
mod corpus;

use std::path::PathBuf;

use gatelet_core::{Config, Gate};

use crate::{
    comparison::{Comparison, Format, Go, Report, go_through},
    exit::Exit,
    policy::PolicyArguments,
    report,
};

pub(crate) use changes::Changes;

/// Tells what differs between two policies, and which decisions that changes
///
/// OLD and NEW are folders, or files that `gatelet render` made; the options about the policy are for
/// both. Without `--log` and `--corpus`, no decisions are compared. The exit code is 1 if an answer
/// differs, and 3 if a decision can't be judged, as for `gatelet replay`.
#[derive(clap::Args)]
#[command(mut_arg("folder", |policy| policy.value_name("OLD").index(1)))]
pub(crate) struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// The policy that is compared with it
    #[arg(value_name = "NEW", index = 2)]
    new: PathBuf,
    /// Data for NEW, in place of `--data`; repeat it for more
    #[arg(long, value_name = "FILE")]
    new_data: Vec<PathBuf>,
    /// Compare the decisions on the requests of this decision log; `-` is the standard input
    #[arg(long, value_name = "LOG")]
    log: Option<PathBuf>,
    /// Compare the decisions on the requests in this folder. The data is that of the requests if a policy
    /// has none
    #[arg(long, value_name = "FOLDER")]
    corpus: Option<PathBuf>,
    /// Take masked values as they stand in the log, though a policy saw others, and go by the rest where
    /// lines are cut off
    #[arg(long)]
    allow_masked: bool,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Compares, and prints what differs.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { policy, new, new_data, log, corpus, allow_masked, format } = arguments;
    let mut new_policy = policy.clone();
    new_policy.files.folder.clone_from(new);
    if !new_data.is_empty() {
        new_policy.files.data.clone_from(new_data);
    }
    let builtins = policy.builtins();
    let configs = [policy.config()?, new_policy.config()?];
    let [old, new] = &configs;
    let gates = [compile(old, policy)?, compile(new, policy)?];
    let changes = Changes::between(old, new)?;
    let mut comparison = None;
    if let Some(folder) = corpus {
        comparison = Some(corpus::compare(old, new, builtins, folder)?);
    }
    if let Some(log) = log {
        let allow_masked = *allow_masked;
        let of_log = go_through(&Go { log, policies: &configs, builtins, allow_masked })?;
        comparison.get_or_insert_with(Comparison::default).merge(of_log);
    }
    let digests = gates.iter().map(|gate| gate.digest().to_owned()).collect();
    let report = Report::new(comparison, digests).with_changes(changes);
    report.print(*format)?;
    Ok(report.exit(*allow_masked))
}

fn compile(config: &Config, policy: &PolicyArguments) -> anyhow::Result<Gate> {
    let gate = Gate::new(config.clone(), policy.builtins())?;
    if !gate.is_pure() {
        report::warning("a policy asks for the time or for chance, and gets those of now");
    }
    Ok(gate)
}
