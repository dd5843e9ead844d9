//! The command `gatelet`: policies of the gate, rendered, checked and tested on the filter's own core.

mod check;
#[expect(dead_code, reason = "for the subcommands that read logs")]
mod decision_log;
mod document;
mod findings;
mod folder;
mod instructions;
mod interpreter;
mod policy;
mod render;
mod test;
mod wasm_plugin;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Policies for the gate in front of a kubelet.
///
/// Exit codes: 0 all is well; 1 a policy, its data or its tests are not; 2 the command line is not.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Render(render::Arguments),
    Check(check::Arguments),
    Test(test::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Render(arguments) => render::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
    };
    done.unwrap_or_else(|error| {
        // The sources of an error, each once, in one line.
        eprintln!("gatelet: {error:#}");
        ExitCode::FAILURE
    })
}
