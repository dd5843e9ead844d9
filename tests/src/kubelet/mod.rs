//! A stand-in for the kubelet behind the gate: real TLS, real processes, a record of every request.
//!
//! It speaks the kubelet's API (Kubernetes 1.36) well enough for real clients. What it doesn't do is
//! understand SPDY: those tunnels send back what they are sent.
//!
//! ```text
//! server      listener, TLS, one task a connection; hyper on top of
//! wire        the record's tap, below the HTTP parser
//! mux, query  a target as Go reads it        -> routes -> documents, logs, process
//! webhook     who sent it, and may they      -> routes
//! upgrade     the 101s                       -> remote_command, port_forward
//! ```

mod answer;
mod documents;
mod logs;
mod mux;
mod options;
mod port_forward;
mod process;
mod query;
mod record;
mod remote_command;
mod routes;
mod server;
mod upgrade;
mod webhook;
mod wire;

use std::fs::File;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use tokio::sync::oneshot;

use self::logs::Logs;
pub use self::options::{Fault, Options};
use self::record::Recorder;
pub use self::record::{Peer, Recorded};
use self::server::Listener;
pub use self::webhook::{Account, User, Webhook};

/// A running stand-in kubelet, with a thread and a runtime of its own.
///
/// Dropping it stops it: connections are cut and commands killed. A panic inside it is passed on
/// then, so that it fails the test.
#[derive(Debug)]
pub struct StandInKubelet {
    address: SocketAddr,
    logs: Logs,
    recorder: Recorder,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StandInKubelet {
    /// Listens, and serves from then on.
    ///
    /// # Errors
    /// When a certificate is unreadable, the address is taken, or the record can't be created.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let record = options.record.as_ref().map(|path| {
            File::create(path).with_context(|| format!("can't create {}", path.display()))
        });
        let webhook = options.webhook.clone().unwrap_or_default();
        let recorder = Recorder::new(record.transpose()?, webhook);
        let logs = Logs::new();
        let kubelet = Kubelet { options, logs: logs.clone(), recorder: recorder.clone() };
        let (bound, listening) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("stand-in-kubelet".to_owned())
            .spawn(move || run(kubelet, &bound, stopped))?;
        let address = listening.recv().context("the kubelet's thread has ended")??;
        Ok(Self { address, logs, recorder, stop: Some(stop), thread: Some(thread) })
    }

    /// Stops it, and starts another at its address, with a record of its own.
    ///
    /// # Errors
    /// As [`StandInKubelet::start`].
    pub fn replace(&mut self, options: Options) -> anyhow::Result<()> {
        self.stop();
        *self = Self::start(Options { listen: self.address, ..options })?;
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request that has reached it, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.recorder.requests()
    }

    /// Waits until a request satisfies `wanted`, and returns the first that does.
    ///
    /// # Errors
    /// When none came within [`DEADLINE`](crate::deadline::DEADLINE); the error names `what`.
    pub async fn wait_for_request(
        &self,
        what: &str,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> anyhow::Result<Recorded> {
        self.recorder.wait_for(what, wanted).await
    }

    /// Appends a line to the log of its containers.
    pub fn log(&self, line: &str) {
        self.logs.push(line);
    }
}

impl StandInKubelet {
    fn stop(&mut self) {
        // Sending fails only when the thread has already ended, by a panic.
        self.stop.take().map(|stop| stop.send(()));
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl Drop for StandInKubelet {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The kubelet's thread: tells where it listens, or why it doesn't, and serves.
fn run(
    kubelet: Kubelet,
    bound: &mpsc::SyncSender<anyhow::Result<SocketAddr>>,
    stop: oneshot::Receiver<()>,
) {
    let bind = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async { Listener::bind(&kubelet.options) })?;
        anyhow::Ok((listener.address()?, listener, runtime))
    };
    // Nobody receives only if the starting thread has died.
    let (listener, runtime) = match bind() {
        Ok((address, listener, runtime)) => {
            bound.send(Ok(address)).ok();
            (listener, runtime)
        }
        Err(error) => {
            bound.send(Err(error)).ok();
            return;
        }
    };
    runtime.block_on(listener.serve(kubelet, stop));
}

/// What every connection shares.
#[derive(Debug)]
struct Kubelet {
    options: Options,
    logs: Logs,
    recorder: Recorder,
}
