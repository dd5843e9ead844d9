//! A network namespace, gone with its guard.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::deadline::within;

/// A network namespace of its own, with nothing in it but `lo`.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one whose name ends in `role`.
    ///
    /// # Errors
    /// When this machine or user can't; the error is iproute2's.
    pub fn create(role: &str) -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gatelet-{}-{count}-{role}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Its name, for `ip netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these words in it.
    ///
    /// # Errors
    /// When iproute2 fails.
    pub fn ip(&self, words: &str) -> anyhow::Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split(' ')))
    }

    /// Runs `nft` with these words in it.
    ///
    /// # Errors
    /// When nftables fails.
    pub fn nft(&self, words: &str) -> anyhow::Result<String> {
        run(self.command("nft").arg(words))
    }

    /// A command that will run in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Works on a thread in it. Sockets that come of it stay in the namespace.
    ///
    /// # Errors
    /// When the thread can't get there, and what the work returns.
    pub async fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let path = format!("/run/netns/{}", self.name);
        let (done, result) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let worked = File::open(&path).map_err(anyhow::Error::from).and_then(|file| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            // Nobody waits any more when the test is over.
            let _unheard = done.send(worked);
        });
        result.await?.with_context(|| format!("in namespace {}", self.name))
    }

    /// Opens a connection from here.
    ///
    /// # Errors
    /// When it is refused, or nobody answers.
    pub async fn dial(&self, to: SocketAddr) -> anyhow::Result<TcpStream> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let stream = self
            .within(move || {
                let stream = std::net::TcpStream::connect_timeout(&to, PATIENCE)?;
                stream.set_nonblocking(true)?;
                Ok(stream)
            })
            .await
            .with_context(|| format!("dial {to}"))?;
        Ok(TcpStream::from_std(stream)?)
    }

    /// Dials, says something, says no more (half-close), and returns the answer to its end.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(&self, to: SocketAddr, what: &[u8]) -> anyhow::Result<String> {
        let mut stream = self.dial(to).await?;
        let answer = async {
            stream.write_all(what).await?;
            stream.shutdown().await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        match within("an answer", answer).await? {
            Ok(answer) if answer.is_empty() => bail!("{to} closed without an answer"),
            answer => answer,
        }
    }
}

impl Namespace {
    /// Gets a page by HTTP/1.1, head and body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, to: SocketAddr, target: &str) -> anyhow::Result<String> {
        let mut stream = self.dial(to).await?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        within("an answer", stream.read_to_string(&mut answer)).await??;
        ensure!(!answer.is_empty(), "{to} closed without an answer");
        Ok(answer)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("ip").args(["netns", "del", &self.name])) {
            eprintln!("{error:#}");
        }
    }
}

/// Runs a command to its end.
///
/// # Errors
/// When it fails; the error has what it printed.
pub(super) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
