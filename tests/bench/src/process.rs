//! Processes of this very program that play a part: an authorizer, a kubelet.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use gatelet_certs::{Ca, Cluster, Persona};

use crate::upstream::Serving;

/// A running process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// An authorizer.
    ///
    /// # Errors
    /// When it doesn't start.
    pub(crate) fn authorizer(with_regorus: bool) -> anyhow::Result<Self> {
        let regorus = ["--regorus"];
        let arguments: &[&str] = if with_regorus { &regorus } else { &[] };
        Self::start("authorizer", arguments, "")
    }

    /// A kubelet of profile owned.
    ///
    /// # Errors
    /// When it doesn't start.
    pub(crate) fn kubelet(cluster: &Cluster) -> anyhow::Result<Self> {
        let pair = cluster.issue(Persona::KubeletServingOwned)?;
        let client_ca = cluster.authority(Ca::Gate).certificate().to_owned();
        let serving = Serving { certificate: pair.certificate, key: pair.key, client_ca };
        Self::start("upstream", &[], &serde_json::to_string(&serving)?)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn start(part: &str, arguments: &[&str], input: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(part).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| part.to_owned())?;
        child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let address = line.trim().parse().with_context(|| format!("{part} said {line:?}"));
        let mut process = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        process.address = address?;
        Ok(process)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}
