//! `gatelet eval`: what the gate says of one request, and why.

mod explanation;
mod hint;
mod report;
mod subject;

use std::path::PathBuf;

use anyhow::bail;
use gatelet_core::{Config, Decision, Gate};

use self::{report::Report, subject::Subject};
use crate::{exit::Exit, policy::PolicyArguments, request::CallerArguments};

/// Decides one request, and says why
///
/// POLICY is a folder, or a file that `gatelet render` made. The decision is that of the filter in front of
/// the kubelet; nothing is sent anywhere. It exits with 0 if the request is forwarded, with 1 if it isn't.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// The request: method and target, such as 'GET /containerLogs/default/web-0/app?follow=true'
    #[arg(required_unless_present_any = ["case", "log"], conflicts_with_all = ["case", "log"])]
    request: Option<String>,
    #[command(flatten)]
    caller: CallerArguments,
    /// A header of the request, 'Name: value'; repeat it for more
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Ask exec, attach and portForward without the upgrade that API servers ask for
    #[arg(long)]
    as_is: bool,
    /// A case of the request corpus instead, by its note or its number
    #[arg(long, value_name = "FILE#CASE", conflicts_with_all = ["headers", "as_is", "peer"])]
    case: Option<String>,
    /// A line of the decision log instead, `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["case", "headers", "as_is", "peer"])]
    log: Option<PathBuf>,
    /// Show which rules were tried, and where each of them failed
    #[arg(long)]
    explain: bool,
    /// How to write it down
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Asks, and prints the answer.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut config = arguments.policy.config()?;
    let Subject { question, request, note, hidden } = Subject::new(arguments, &mut config)?;
    // This is for the author's own eyes, and what is hidden can't be explained.
    config.log.mask.clear();
    config.log.erase.clear();
    let gate = gate(config, arguments)?;
    let answer = question.put_to(&gate);
    let explanations = match arguments.explain {
        true => Some(gate.explain(&question.call(&gate))?),
        false => None,
    };
    let hint = hint::hint(&gate, &answer, &question, request.as_ref());
    let is_forwarded = matches!(answer.decision, Decision::Allow(_));
    let report = Report::new(answer, &gate, &question, note, hint, explanations)?;
    match arguments.format {
        Format::Text => anstream::print!("{report}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    if !hidden.is_empty() {
        bail!(Exit::Unjudged.because(format!(
            "the log has something else in place of {}: another value may have another decision",
            hidden.join(" and ")
        )));
    }
    Ok(if is_forwarded { Exit::Done } else { Exit::No })
}

fn gate(config: Config, arguments: &Arguments) -> anyhow::Result<Gate> {
    Ok(Gate::new(config, arguments.policy.builtins())?)
}
