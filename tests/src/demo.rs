//! What the gate does, as a table: each row a request through a live Envoy to a stand-in kubelet.

mod approval;
mod certificates;
mod script;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gatelet_certs::Persona;
use serde_json::Value;
use tokio::net::lookup_host;

use self::certificates::Callers;
use crate::{
    client::{Dialer, OpenError},
    echo,
    envoy::{DecisionLog, project},
    gate::{Access, Gate, Options, Profile, Update, cluster},
    kubelet::StandInKubelet,
};

pub use approval::run as run_approver;
pub use certificates::certificates;
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
    let directory = tempfile::Builder::new().prefix("gatelet-demo-").tempdir()?;
    let pod = directory.path().join("web-0");
    fs::create_dir(&pod)?;
    let cluster = cluster()?;
    let callers = Callers::new(&directory.path().join("callers"));
    callers.issue(&cluster)?;
    let mut options = Profile::Owned.kubelet(&cluster, &pod)?;
    options.ports.insert(script::ECHO_PORT, echo::start().await?);
    options.log_when_followed = Some(script::LINE.to_owned());
    let kubelet = StandInKubelet::start(options)?;
    let policy = Policy::Demo.render()?;
    let gate = Gate::start(Options::new(&cluster, kubelet.address(), &policy)).await?;
    let decisions = gate.decisions().clone();
    let stage = Stage { gate: gate.access().clone(), decisions, callers, seen: Vec::new() };
    let table = stage.play().await;
    fs::copy(gate.decisions().path(), log).with_context(|| log.display().to_string())?;
    gate.stop();
    Ok(table)
}

/// Plays the same before a gate and a kubelet that run already, as in `docker-compose.yaml`: the gate
/// is found at `gate`, a host and a port, and runs in `folder`; `callers` is a folder of
/// [`certificates`].
///
/// # Errors
/// When the gate has no address, or its log or a certificate can't be read. Rows are as in [`run`].
pub async fn requests(gate: &str, folder: &Path, callers: &Path) -> anyhow::Result<Table> {
    let mut addresses = lookup_host(gate).await.with_context(|| gate.to_owned())?;
    let address = addresses.next().with_context(|| format!("{gate} has no address"))?;
    let callers = Callers::new(callers);
    let gate = Access::new(address, callers.cluster_ca()?, folder.to_owned());
    let decisions = gate.decisions().from_now_on()?;
    Ok(Stage { gate, decisions, callers, seen: Vec::new() }.play().await)
}

/// Everything that the script needs.
struct Stage {
    gate: Access,
    decisions: DecisionLog,
    callers: Callers,
    /// The decisions that have their row.
    seen: Vec<String>,
}

impl Stage {
    async fn play(mut self) -> Table {
        let mut rows = Vec::new();
        let broken_off = script::play(&mut self, &mut rows).await.err();
        Table { rows, broken_off, longest: 46, columns: None }
    }

    fn dialer(&self, persona: Option<Persona>) -> anyhow::Result<Dialer> {
        let identity = persona.map(|persona| self.callers.identity(persona)).transpose()?;
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
        let record = self.decisions.wait_for("the decision in the log", is_new).await?;
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

/// What a caller was told instead of being served.
fn told(error: OpenError) -> anyhow::Result<String> {
    match error {
        OpenError::Refused(response) => Ok(format!("{} {}", response.status, response.text())),
        OpenError::Failed(error) => Err(error),
    }
}
