//! What the gate does, as a table: each row a request through a live Envoy to a stand-in kubelet.

mod approval;
mod script;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gatelet_certs::{Cluster, Persona};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    client::{Dialer, OpenError},
    envoy::project,
    gate::{Gate, Options, Profile, Update, cluster},
    kubelet::StandInKubelet,
    tls::Identity,
};

pub use approval::run as run_approver;
pub use table::Table;

/// One request, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whose certificate it came with.
    pub who: String,
    /// What was asked for.
    pub request: String,
    /// What the caller got.
    pub answer: String,
    /// The rule that the decision log names; without one what it says instead.
    pub rule: String,
    /// From the first byte sent to the answer.
    pub time: Duration,
    /// Whether the caller got what this demo promises.
    pub as_promised: bool,
}

/// Runs the whole demo, and leaves the decision log at `log`.
///
/// # Errors
/// When something can't be started. A row that turns out otherwise than promised is no error: it says
/// so itself; and so does the table if the script could not be played to its end.
pub async fn run(log: &Path) -> anyhow::Result<Table> {
    let mut stage = Stage::build().await?;
    let mut rows = Vec::new();
    let broken_off = script::play(&mut stage, &mut rows).await.err();
    fs::copy(stage.gate.decisions().path(), log).with_context(|| log.display().to_string())?;
    stage.gate.stop();
    Ok(Table { rows, broken_off, longest: 46, columns: None })
}

/// Everything that the script needs: the cluster's certificates, a kubelet, the gate before it.
struct Stage {
    gate: Gate,
    kubelet: StandInKubelet,
    cluster: Cluster,
    /// A server in the pod: it returns what it gets.
    echo_port: u16,
    seen: Vec<String>,
    /// Last: it is used by the others.
    _directory: TempDir,
}

impl Stage {
    async fn build() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("gatelet-demo-").tempdir()?;
        let pod = directory.path().join("web-0");
        fs::create_dir(&pod)?;
        let cluster = cluster()?;
        let local = echo_server().await?;
        let echo_port = 5432;
        let mut options = Profile::Owned.kubelet(&cluster, &pod)?;
        options.ports.insert(echo_port, local);
        let kubelet = StandInKubelet::start(options)?;
        let policy = Policy::Demo.render()?;
        let gate = Gate::start(Options::new(&cluster, kubelet.address(), &policy)).await?;
        Ok(Self { gate, kubelet, cluster, echo_port, seen: Vec::new(), _directory: directory })
    }

    fn dialer(&self, persona: Option<Persona>) -> anyhow::Result<Dialer> {
        let identity =
            persona.map(|persona| self.cluster.issue(persona).map(Identity::from)).transpose()?;
        self.gate.dialer(identity.as_ref())
    }

    async fn switch(&self, policy: Policy) -> anyhow::Result<Duration> {
        let begin = Instant::now();
        let update = self.gate.update_policy(&policy.render()?).await?;
        anyhow::ensure!(update == Update::Applied, "Envoy refused {policy:?}");
        Ok(begin.elapsed())
    }

    /// The rule of the newest decision; where no rule decided, the log's message or reason.
    async fn rule(&mut self) -> anyhow::Result<String> {
        let seen = &self.seen;
        let is_new = |record: &Value| {
            let id = record.pointer("/decision/decision_id").and_then(Value::as_str);
            id.is_some_and(|id| !seen.iter().any(|seen| seen == id))
        };
        let record = self.gate.decisions().wait_for("the decision in the log", is_new).await?;
        let text = |key: &str| {
            record.pointer(&format!("/decision/{key}")).and_then(Value::as_str).map(str::to_owned)
        };
        self.seen.extend(text("decision_id"));
        let rule = text("rule").or_else(|| text("message")).or_else(|| text("reason"));
        rule.context("a decision without a reason")
    }
}

/// The policies of the demo.
#[derive(Clone, Copy, Debug)]
enum Policy {
    Demo,
    KubeletTlsProxy,
    Closed,
}

impl Policy {
    /// Makes the extension-config file with the command, as an operator would.
    fn render(self) -> anyhow::Result<String> {
        let demo = project().join("tests/demo");
        let arguments: Vec<PathBuf> = match self {
            Self::Demo => vec![project().join("rego"), "--data".into(), demo.join("policy.yaml")],
            Self::Closed => vec![project().join("rego"), "--data".into(), demo.join("closed.yaml")],
            Self::KubeletTlsProxy => vec![
                demo.join("kubelet-tls-proxy"),
                "--adapter".into(),
                "kubelet-tls-proxy".into(),
                "--data".into(),
                demo.join("kubelet-tls-proxy/peers.yaml"),
            ],
        };
        crate::command::render(&arguments)
    }
}

/// Returns what it gets, for as long as the demo lasts; the port is the system's choice.
async fn echo_server() -> anyhow::Result<u16> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                // Whoever goes away in the middle has seen enough.
                let _ended = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    Ok(port)
}

/// What a caller was told instead of being served.
fn told(error: OpenError) -> anyhow::Result<String> {
    match error {
        OpenError::Refused(response) => Ok(format!("{} {}", response.status, response.text())),
        OpenError::Failed(error) => Err(error),
    }
}
