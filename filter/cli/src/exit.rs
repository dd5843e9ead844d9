//! How a run ends, for scripts.

use std::{io, process::ExitCode};

/// What the exit code says, the same in every subcommand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Done,
    /// The answer is no: a policy doesn't compile, a test fails, a decision differs.
    No,
    /// The command line is wrong, as clap has it too.
    Usage,
    /// Something could not be judged.
    Unjudged,
}

/// The exit codes for `gatelet --help`.
pub(crate) const HELP: &str = "Exit codes:
  0  All is well
  1  The answer is no: a policy doesn't compile, a test fails, a decision differs
  2  The command line is wrong
  3  Something could not be judged: a file that can't be read, a masked line of a log";

/// An error that ends the run otherwise than with [`Exit::No`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Because {
    exit: Exit,
    message: String,
}

impl Exit {
    /// An error that ends the run this way. Every other one is a no.
    pub(crate) fn because(self, message: impl Into<String>) -> anyhow::Error {
        Because { exit: self, message: message.into() }.into()
    }

    /// How an error ends the run.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Because>() {
            Some(because) => because.exit,
            // What can't be read or written is no answer.
            None if error.chain().any(|source| source.is::<io::Error>()) => Self::Unjudged,
            None => Self::No,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unjudged => 3,
        })
    }
}
