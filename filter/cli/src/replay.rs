//! `gatelet replay`: what another policy would have said.

use std::{path::PathBuf, slice};

use gatelet_core::Gate;

use crate::{
    comparison::{Format, Go, Report, go_through},
    exit::Exit,
    policy::PolicyArguments,
    report,
};

/// Decides every request of a decision log again, by another policy
///
/// Each decision counts once, however often it is written. Differences are printed with what is newly
/// allowed first; equal ones are one entry. The exit code is 1 if an answer differs, and 3 if a decision
/// can't be judged, as its values are masked or its line is cut off, or if the log is of a newer version.
#[derive(clap::Args)]
#[command(mut_arg("folder", |policy| policy.long("policy").value_name("POLICY").display_order(0)))]
pub(crate) struct Arguments {
    /// The decision log; `-` is the standard input
    #[arg(value_name = "LOG")]
    log: PathBuf,
    #[command(flatten)]
    policy: PolicyArguments,
    /// Take masked values as they stand in the log, though a policy saw others, and go by the rest where
    /// lines are cut off
    #[arg(long)]
    allow_masked: bool,
    /// How to print the result
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

/// Replays, and prints the differences.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { log, policy, allow_masked, format } = arguments;
    let config = policy.config()?;
    let gate = Gate::new(config.clone(), policy.builtins())?;
    if !gate.is_pure() {
        report::warning("the policy asks for the time or for chance, and gets those of now");
    }
    let comparison = go_through(&Go {
        log,
        policies: slice::from_ref(&config),
        builtins: policy.builtins(),
        allow_masked: *allow_masked,
    })?;
    let report = Report::new(Some(comparison), vec![gate.digest().to_owned()]);
    report.print(*format)?;
    Ok(report.exit(*allow_masked))
}
