//! `gatelet completions` and `gatelet man`: the command line, told to a shell and as manual pages.

use std::{fs, io::Write as _, path::PathBuf};

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

use crate::exit::Exit;

const EXAMPLES: &str = "Examples:
  gatelet completions bash > /etc/bash_completion.d/gatelet
  gatelet completions zsh > \"${fpath[1]}/_gatelet\"
  gatelet completions fish > ~/.config/fish/completions/gatelet.fish";

/// Prints what a shell needs to complete this command line
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    shell: Shell,
}

/// Prints a script.
pub(crate) fn run(arguments: &Arguments, mut command: Command) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "gatelet", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

/// Writes the manual pages: gatelet.1, and one for each subcommand
#[derive(clap::Args)]
#[command(after_help = "Example:\n  gatelet man /usr/local/share/man/man1")]
pub(crate) struct ManArguments {
    /// The folder to write them to
    folder: PathBuf,
}

/// Writes the pages.
pub(crate) fn man(arguments: &ManArguments, command: Command) -> anyhow::Result<Exit> {
    let folder = &arguments.folder;
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    Ok(Exit::Done)
}
