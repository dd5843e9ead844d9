//! The program in `go/`, which reads requests as a kubelet does.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What becomes of a request at the kubelet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// Its own refusal or redirect; 0 if a handler gets the request.
    #[serde(skip_serializing_if = "is_zero")]
    pub status: u16,
    /// More of that, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// What the handler understands, as an input document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Value>,
    /// The header lines that it would take for credentials.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<String>,
    /// Whether a bearer token is among them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bearer_token: bool,
}

fn is_zero(status: &u16) -> bool {
    *status == 0
}

/// How a kubelet's `ServeMux` matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mux {
    /// As since Go 1.22, by escaped segments.
    Today,
    /// As before, by the decoded path: `GODEBUG=httpmuxgo121=1`.
    Go121,
}

/// A running reader.
#[derive(Debug)]
pub struct Kubelet {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Kubelet {
    /// Starts a reader.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn start(program: &Path, mux: Mux) -> anyhow::Result<Self> {
        let debug = if mux == Mux::Go121 { "httpmuxgo121=1" } else { "" };
        let mut child = Command::new(program)
            .env("GODEBUG", debug)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{} has no pipes", program.display());
        };
        Ok(Self { child, requests, answers: BufReader::with_capacity(1 << 16, answers) })
    }

    /// Asks about some requests, given as their bytes.
    ///
    /// # Errors
    /// When the program ends, or says something else than answers.
    pub fn ask(&mut self, requests: &[Vec<u8>]) -> anyhow::Result<Vec<Answer>> {
        let Self { child: _, requests: pipe, answers } = self;
        thread::scope(|scope| {
            let writer = scope.spawn(move || {
                let mut frames = Vec::with_capacity(1 << 16);
                for bytes in requests {
                    let length = u32::try_from(bytes.len())?;
                    frames.extend_from_slice(&length.to_be_bytes());
                    frames.extend_from_slice(bytes);
                }
                pipe.write_all(&frames)?;
                anyhow::Ok(pipe.flush()?)
            });
            let mut line = String::new();
            let read = requests.iter().map(|_| {
                line.clear();
                answers.read_line(&mut line)?;
                serde_json::from_str(&line).with_context(|| format!("no answer: `{line}`"))
            });
            let read = read.collect();
            match writer.join() {
                Ok(written) => written.and(read),
                Err(_) => bail!("the requests could not be written"),
            }
        })
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        // It has nothing to lose, and ends with its input anyway.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
