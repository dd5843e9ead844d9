//! The command `gatelet`: policies of the gate, rendered, checked and tested on the filter's own core.

mod check;
mod comparison;
mod completions;
mod corpus;
mod decision_log;
mod diff;
mod digest;
mod document;
mod eval;
mod exit;
mod findings;
mod folder;
mod instructions;
mod interpreter;
mod learn;
mod log;
mod matrix;
mod policy;
mod posture;
mod render;
mod rendered;
mod replay;
mod report;
mod request;
mod strict;
mod style;
mod test;
mod wasm_plugin;

use std::process::ExitCode;

use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::exit::Exit;

/// Policies for the gate in front of a kubelet: write, check, test and render them.
#[derive(Parser)]
#[command(name = "gatelet", version, max_term_width = 100, after_help = exit::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    Completions(completions::Arguments),
    Diff(diff::Arguments),
    Digest(digest::Arguments),
    Eval(Box<eval::Arguments>),
    Learn(learn::Arguments),
    Log(log::Arguments),
    Man(completions::ManArguments),
    Matrix(Box<matrix::Arguments>),
    Posture(posture::Arguments),
    Render(render::Arguments),
    Replay(replay::Arguments),
    Test(test::Arguments),
}

/// The command line. `-h` and `--help` are one, and short: a screen is what a person reads once.
fn command_line() -> clap::Command {
    let compact = |command: clap::Command| {
        let about = command.get_long_about().or(command.get_about()).cloned().unwrap_or_default();
        let help = Arg::new("help").short('h').long("help").action(ArgAction::HelpShort);
        command
            .before_help(about)
            .help_template("{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}\n")
            .disable_help_flag(true)
            .arg(help.help("Print this"))
    };
    compact(Arguments::command().disable_help_subcommand(true)).mut_subcommands(compact)
}

fn main() -> ExitCode {
    // As every tool in a pipe: `gatelet … | head` ends with its reader.
    sigpipe::reset();
    let arguments = command_line().get_matches();
    let arguments = Arguments::from_arg_matches(&arguments).unwrap_or_else(|error| error.exit());
    let done = match arguments.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, command_line()),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Digest(arguments) => digest::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Learn(arguments) => learn::run(&arguments),
        Command::Log(arguments) => log::run(&arguments),
        Command::Man(arguments) => completions::man(&arguments, command_line()),
        Command::Matrix(arguments) => matrix::run(&arguments),
        Command::Posture(arguments) => posture::run(&arguments),
        Command::Render(arguments) => render::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
    };
    let exit = done.unwrap_or_else(|error| {
        report::error(&error);
        Exit::of(&error)
    });
    exit.into()
}
