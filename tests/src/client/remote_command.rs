//! Exec and attach over a WebSocket, `v5.channel.k8s.io`.

use anyhow::{Context as _, ensure};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _, future};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::OpenError;
use super::dialer::Dialer;
use super::upgrade::{WebSocket, open_websocket};
use crate::channel::{
    CLOSE, ERROR, RESIZE, STDERR, STDIN, STDOUT, TerminalSize, V5, message, split,
};
use crate::deadline::within;

/// What Go's `url.QueryEscape` leaves alone; it writes a space as `+`.
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

const CHUNK: usize = 16 * 1024;

/// A command for a container, with stdout and stderr attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCommand {
    /// `namespace/pod/container`.
    pub container: String,
    /// The program and its arguments; empty to attach to what is running.
    pub command: Vec<String>,
    /// Attaches stdin.
    pub stdin: bool,
    /// Runs on a terminal; there is no stderr then.
    pub tty: bool,
}

impl RemoteCommand {
    /// An exec of a command without stdin and terminal.
    pub fn exec(container: &str, command: &[&str]) -> Self {
        Self {
            container: container.to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            stdin: false,
            tty: false,
        }
    }

    /// An attach to what is running, with stdin.
    pub fn attach(container: &str) -> Self {
        Self { stdin: true, ..Self::exec(container, &[]) }
    }

    /// With stdin attached.
    #[must_use]
    pub fn with_stdin(self) -> Self {
        Self { stdin: true, ..self }
    }

    /// With stdin and a terminal.
    #[must_use]
    pub fn with_tty(self) -> Self {
        Self { stdin: true, tty: true, ..self }
    }

    /// The request target, its query as the kube-apiserver encodes it: keys in alphabetical order.
    pub fn target(&self) -> String {
        let endpoint = if self.command.is_empty() { "attach" } else { "exec" };
        let mut pairs: Vec<String> =
            self.command.iter().map(|word| format!("command={}", escape(word))).collect();
        for (name, wanted) in
            [("error", !self.tty), ("input", self.stdin), ("output", true), ("tty", self.tty)]
        {
            if wanted {
                pairs.push(format!("{name}=1"));
            }
        }
        format!("/{endpoint}/{}?{}", self.container, pairs.join("&"))
    }

    /// Starts the command.
    ///
    /// # Errors
    /// As [`open_websocket`].
    pub async fn start(&self, dialer: &Dialer) -> Result<Session, OpenError> {
        Ok(Session::over(open_websocket(dialer, &self.target(), V5).await?))
    }

    /// Runs the command to its end; with stdin attached, it gets these bytes and then the end of input.
    ///
    /// # Errors
    /// As [`open_websocket`], and when the session ends without a status.
    pub async fn run(&self, dialer: &Dialer, stdin: &[u8]) -> Result<Finished, OpenError> {
        let session = self.start(dialer).await?;
        Ok(if self.stdin { session.feed(stdin).await? } else { session.finish().await? })
    }
}

/// How a command ended, and what it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Standard output, or all output of a terminal.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// The exit code, 0 for success; none for a command that didn't run.
    pub exit_code: Option<i32>,
    /// The `metav1.Status`.
    pub status: Value,
}

/// A running command.
#[derive(Debug)]
pub struct Session {
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    received: Received,
}

impl Session {
    /// The session of a command that was asked for when the WebSocket was opened.
    pub fn over(socket: WebSocket) -> Self {
        let (sink, stream) = socket.split();
        Self { sink, stream, received: Received::default() }
    }

    /// Sends input.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send(&mut self, stdin: &[u8]) -> anyhow::Result<()> {
        self.message(message(STDIN, stdin)).await
    }

    /// Ends the input; the command goes on.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn close_stdin(&mut self) -> anyhow::Result<()> {
        self.message(message(CLOSE, &[STDIN])).await
    }

    /// Tells the terminal its new size.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn resize(&mut self, size: TerminalSize) -> anyhow::Result<()> {
        let mut size = serde_json::to_vec(&size)?;
        size.push(b'\n');
        self.message(message(RESIZE, &size)).await
    }

    /// Reads until stdout contains `text`, and returns and forgets stdout up to its end.
    ///
    /// # Errors
    /// When the session ends before.
    pub async fn read_until(&mut self, text: &str) -> anyhow::Result<String> {
        loop {
            if let Some(read) = self.received.take_until(text.as_bytes()) {
                return Ok(String::from_utf8(read)?);
            }
            let what = format!("{text:?} from the command");
            let more = within(&what, self.received.more(&mut self.stream)).await??;
            ensure!(more, "the session ended without {text:?}: {:?}", self.received);
        }
    }

    /// Reads to the end of the session.
    ///
    /// # Errors
    /// When the session ends without a status.
    pub async fn finish(mut self) -> anyhow::Result<Finished> {
        within("the command to end", self.received.rest(&mut self.stream)).await??;
        self.received.finished()
    }

    /// Goes away without a word.
    pub fn disconnect(self) {}

    /// Sends all of the input and its end while reading: a command may write before it has read it all.
    async fn feed(mut self, stdin: &[u8]) -> anyhow::Result<Finished> {
        let send = async {
            for part in stdin.chunks(CHUNK) {
                self.sink.send(message(STDIN, part)).await?;
            }
            self.sink.send(message(CLOSE, &[STDIN])).await
        };
        let both = future::join(send, self.received.rest(&mut self.stream));
        // A command may end before it has taken its input; then sending fails, and that is no error.
        let (_, received) = within("the command to end", both).await?;
        received?;
        self.received.finished()
    }

    async fn message(&mut self, message: Message) -> anyhow::Result<()> {
        within("the server to take a message", self.sink.send(message)).await?.context("send")
    }
}

/// What a session has sent so far.
#[derive(Debug, Default)]
struct Received {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: Option<Value>,
}

impl Received {
    /// Takes one message; false at the end of the session.
    async fn more(&mut self, stream: &mut SplitStream<WebSocket>) -> anyhow::Result<bool> {
        let Some(message) = stream.next().await.transpose()? else { return Ok(false) };
        // After the close nothing comes; a proxy may take its time to end the connection.
        if message.is_close() {
            return Ok(false);
        }
        match split(message) {
            Some((STDOUT, data)) => self.stdout.extend(data),
            Some((STDERR, data)) => self.stderr.extend(data),
            Some((ERROR, data)) => self.status = Some(serde_json::from_slice(&data)?),
            _ => {}
        }
        Ok(true)
    }

    async fn rest(&mut self, stream: &mut SplitStream<WebSocket>) -> anyhow::Result<()> {
        while self.more(stream).await? {}
        Ok(())
    }

    fn take_until(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        let at = self.stdout.windows(text.len()).position(|window| window == text)?;
        Some(self.stdout.drain(..at + text.len()).collect())
    }

    fn finished(self) -> anyhow::Result<Finished> {
        let status = self.status.context("the session ended without a status")?;
        Ok(Finished {
            exit_code: exit_code(&status),
            stdout: self.stdout,
            stderr: self.stderr,
            status,
        })
    }
}

fn exit_code(status: &Value) -> Option<i32> {
    if status.get("status")? == "Success" {
        return Some(0);
    }
    let causes = status.pointer("/details/causes")?.as_array()?;
    let code = causes
        .iter()
        .find(|cause| cause.get("reason").is_some_and(|reason| reason == "ExitCode"))?;
    code.get("message")?.as_str()?.parse().ok()
}

fn escape(word: &str) -> String {
    utf8_percent_encode(word, QUERY).to_string().replace(' ', "+")
}
