//! The commands of exec, attach and run: real processes on this machine, in the scratch directory.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use anyhow::Context as _;
use futures_util::future;
use pty_process::{OwnedWritePty, Size};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};

use super::query::Query;
use crate::channel::{STDERR, STDOUT, TerminalSize};

/// What to run, and which of its streams are attached.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) argv: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) directory: PathBuf,
    pub(super) streams: Streams,
}

/// The streams that a client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Streams {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
}

impl Streams {
    /// # Errors
    /// The text of the 400 that a kubelet answers when nothing would be attached.
    pub(super) fn parse(query: &Query) -> Result<Self, &'static str> {
        let tty = query.is_one("tty");
        let streams = Self {
            stdin: query.is_one("input"),
            stdout: query.is_one("output"),
            stderr: query.is_one("error") && !tty,
            tty,
        };
        if streams.stdin || streams.stdout || streams.stderr {
            Ok(streams)
        } else {
            Err("you must specify at least 1 of stdin, stdout, stderr")
        }
    }
}

impl Command {
    /// # Errors
    /// When the program can't be started.
    pub(super) fn spawn(&self) -> anyhow::Result<Process> {
        let (program, arguments) = self.argv.split_first().context("no command")?;
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.env.iter().cloned())
            .kill_on_drop(true);
        if self.streams.tty {
            spawn_on_terminal(command)
        } else {
            spawn_on_pipes(command, self.streams)
        }
    }

    /// Runs it to its end; its standard error comes after its standard output.
    ///
    /// # Errors
    /// When the program can't be started, or its output can't be read.
    pub(super) async fn output(&self) -> anyhow::Result<(ExitStatus, Vec<u8>)> {
        let mut process = self.spawn()?;
        let read = process.outputs.iter_mut().map(|(_, output)| async move {
            let mut bytes = Vec::new();
            output.read_to_end(&mut bytes).await.map(|_| bytes)
        });
        let outputs = future::try_join_all(read).await?;
        Ok((process.child.wait().await?, outputs.concat()))
    }
}

fn spawn_on_terminal(mut command: tokio::process::Command) -> anyhow::Result<Process> {
    command.env("TERM", "xterm");
    let (pty, pts) = pty_process::open()?;
    let child = pty_process::Command::from(command).spawn(pts)?;
    let (output, input) = pty.into_split();
    Ok(Process {
        input: Input::Terminal(input),
        outputs: vec![(STDOUT, Box::new(output))],
        _group: Group::of(&child),
        child,
    })
}

fn spawn_on_pipes(
    mut command: tokio::process::Command,
    streams: Streams,
) -> anyhow::Result<Process> {
    let pipe_if = |wanted| if wanted { Stdio::piped() } else { Stdio::null() };
    let mut child = command
        .stdin(pipe_if(streams.stdin))
        .stdout(pipe_if(streams.stdout))
        .stderr(pipe_if(streams.stderr))
        .process_group(0)
        .spawn()?;
    let mut outputs: Vec<(u8, Output)> = Vec::new();
    outputs.extend(child.stdout.take().map(|stdout| (STDOUT, Box::new(stdout) as Output)));
    outputs.extend(child.stderr.take().map(|stderr| (STDERR, Box::new(stderr) as Output)));
    let input = child.stdin.take().map_or(Input::Closed, Input::Pipe);
    Ok(Process { input, outputs, _group: Group::of(&child), child })
}

/// One of a command's output streams.
pub(super) type Output = Box<dyn AsyncRead + Send + Unpin>;

/// A running command; dropping it kills its whole process group.
pub(super) struct Process {
    pub(super) input: Input,
    /// Each with its channel.
    pub(super) outputs: Vec<(u8, Output)>,
    pub(super) child: Child,
    _group: Group,
}

/// Where a command's input goes.
pub(super) enum Input {
    Closed,
    Pipe(ChildStdin),
    Terminal(OwnedWritePty),
}

impl Input {
    /// A command that doesn't read its input any more is no error of the client's.
    pub(super) async fn write(&mut self, data: &[u8]) {
        let written = match self {
            Self::Closed => return,
            Self::Pipe(pipe) => pipe.write_all(data).await,
            Self::Terminal(terminal) => terminal.write_all(data).await,
        };
        if written.is_err() {
            *self = Self::Closed;
        }
    }

    /// Ends the input of a pipe. A terminal has no end of input: its user types one.
    pub(super) fn close(&mut self) {
        if matches!(self, Self::Pipe(_)) {
            *self = Self::Closed;
        }
    }

    pub(super) fn resize(&self, size: TerminalSize) {
        if let Self::Terminal(terminal) = self
            && let Err(error) = terminal.resize(Size::new(size.height, size.width))
        {
            eprintln!("stand-in kubelet: can't resize the terminal: {error}");
        }
    }
}

/// The process group of a command, which ends with its session: a container would outlive it, but
/// a test must leave nothing behind.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It fails when the whole group has already ended, which is as well.
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}

/// The `metav1.Status` that ends a session.
pub(super) fn status(exit: ExitStatus) -> Value {
    if exit.success() {
        return json!({"metadata": {}, "status": "Success"});
    }
    let code = exit_code(exit);
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

/// The `metav1.Status` of a command that never ran.
pub(super) fn not_started(error: &anyhow::Error) -> Value {
    let message = format!("error executing command in container: {error:#}");
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("Internal error occurred: {message}"),
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    })
}

/// The code as container runtimes report it: 128 and the signal's number for a killed command.
pub(super) fn exit_code(exit: ExitStatus) -> i32 {
    exit.code().unwrap_or_else(|| 128 + exit.signal().unwrap_or_default())
}
