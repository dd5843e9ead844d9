//! The request corpus through real Envoy, by the policy that `gatelet render` makes of the shipped
//! rules, or by a file's own: each case gets the answer and the reason that it gets natively, and the
//! kubelet sees the bytes of what was allowed, and nothing of the rest.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum as _;
use gatelet_certs::{Cluster, Persona};
use gatelet_core::config::Written;
use gatelet_core::corpus::{Case, Corpus};
use gatelet_tests::client::{Dialer, RawClient};
use gatelet_tests::command::render;
use gatelet_tests::envoy::project;
use gatelet_tests::gate::{Gate, Options, Profile, cluster};
use gatelet_tests::kubelet::StandInKubelet;
use gatelet_tests::policy::extension_config;
use serde_json::Value;
use tempfile::TempDir;

#[tokio::test]
async fn every_case_gets_its_answer_and_only_the_allowed_ones_arrive() -> anyhow::Result<()> {
    let mut ran = 0;
    for Group { policy, files } in groups()? {
        let mut driver = Driver::start(&policy.render()?).await?;
        for (name, corpus) in files {
            for case in &corpus.cases {
                let about = || format!("{name}: {}", case.note);
                driver.run(&corpus, case).await.with_context(about)?;
                ran += 1;
            }
        }
    }
    assert!(ran > 0, "no cases found");
    Ok(())
}

/// Files of the corpus with the same policy, which share a gate.
struct Group {
    policy: Policy,
    files: Vec<(String, Corpus)>,
}

/// What the cases of a file are decided by.
#[derive(PartialEq)]
enum Policy {
    /// The shipped rules, with this data.
    Shipped(Value),
    /// A configuration of its own.
    Own(Box<Written>),
}

impl Policy {
    fn of(corpus: &Corpus) -> Self {
        match &corpus.configuration {
            Some(configuration) => Self::Own(Box::new(configuration.clone())),
            None => Self::Shipped(Value::Object(corpus.data.clone())),
        }
    }

    /// The extension-config file.
    fn render(&self) -> anyhow::Result<String> {
        match self {
            Self::Own(configuration) => extension_config(configuration),
            Self::Shipped(data) => {
                let file = tempfile::Builder::new().suffix(".json").tempfile()?;
                fs::write(file.path(), data.to_string())?;
                let shipped: PathBuf = project().join("rego/kubelet");
                render(&[shipped.as_path(), Path::new("--data"), file.path()])
            }
        }
    }
}

fn groups() -> anyhow::Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    for entry in fs::read_dir(project().join("tests/cases"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let corpus = Corpus::parse(&fs::read_to_string(&path)?).with_context(|| name.clone())?;
        let policy = Policy::of(&corpus);
        match groups.iter_mut().find(|group| group.policy == policy) {
            Some(group) => group.files.push((name, corpus)),
            None => groups.push(Group { policy, files: vec![(name, corpus)] }),
        }
    }
    Ok(groups)
}

struct Driver {
    gate: Gate,
    kubelet: StandInKubelet,
    cluster: Cluster,
    callers: HashMap<String, Dialer>,
    seen: Vec<String>,
    _scratch: TempDir,
}

impl Driver {
    async fn start(policy: &str) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let cluster = cluster()?;
        let kubelet = StandInKubelet::start(Profile::Owned.kubelet(&cluster, scratch.path())?)?;
        let gate = Gate::start(Options::new(&cluster, kubelet.address(), policy)).await?;
        let (callers, seen) = (HashMap::new(), Vec::new());
        Ok(Self { gate, kubelet, cluster, callers, seen, _scratch: scratch })
    }

    async fn run(&mut self, corpus: &Corpus, case: &Case) -> anyhow::Result<()> {
        let before = self.reached().len();
        if corpus.peers.get(&case.peer).is_some_and(Option::is_none) {
            let answer = send(&self.gate.dialer(None)?, case).await;
            ensure!(answer.is_err(), "without a certificate there was an answer: {answer:?}");
        } else {
            let status = send(self.caller(&case.peer)?, case).await?;
            match (case.envoy, case.want.as_str()) {
                (Some(want), _) => ensure!(status == want, "Envoy answered {status}, not {want}"),
                // What the kubelet answers is its own affair; below, it has seen the request.
                (None, "allowed" | "would_deny") => self.is_on_record(case).await?,
                (None, reason) => {
                    let want = if reason == "malformed" { 400 } else { 403 };
                    ensure!(status == want, "the answer is {status}, not {want}");
                    self.is_on_record(case).await?;
                }
            }
        }
        let reached = self.reached().split_off(before);
        let arrives = matches!(case.want.as_str(), "allowed" | "would_deny");
        let want = if arrives { vec![case.target.clone()] } else { vec![] };
        ensure!(reached == want, "the kubelet saw {reached:?}, not {want:?}");
        Ok(())
    }

    fn caller(&mut self, persona: &str) -> anyhow::Result<&Dialer> {
        match self.callers.entry(persona.to_owned()) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let persona = Persona::from_str(persona, false).map_err(anyhow::Error::msg)?;
                let identity = self.cluster.issue(persona)?.into();
                Ok(new.insert(self.gate.dialer(Some(&identity))?))
            }
        }
    }

    /// The targets of the requests that reached the kubelet.
    fn reached(&self) -> Vec<String> {
        self.kubelet.requests().iter().map(|request| request.target().into_owned()).collect()
    }

    /// The newest decision has the case's reason, rule and caller.
    async fn is_on_record(&mut self, case: &Case) -> anyhow::Result<()> {
        let seen = &self.seen;
        let is_new = |record: &Value| {
            let id = record.pointer("/decision/decision_id").and_then(Value::as_str);
            id.is_some_and(|id| !seen.iter().any(|seen| seen == id))
        };
        let log = self.gate.decisions();
        let record = log.wait_for("the decision in the log", is_new).await?;
        let text = |key: &str| record.pointer(&format!("/decision/{key}")).and_then(Value::as_str);
        self.seen.extend(text("decision_id").map(str::to_owned));
        let got = (text("reason"), text("rule"));
        let want = (Some(case.want.as_str()), case.rule.as_deref());
        ensure!(got == want, "the log has {got:?}, not {want:?}: {record}");
        Ok(())
    }
}

/// Sends the case's bytes on a connection of its own, and returns the status of the answer.
async fn send(caller: &Dialer, case: &Case) -> anyhow::Result<u16> {
    let headers: String =
        case.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "{} {} HTTP/1.1\r\nHost: worker-1:10250\r\n{headers}\r\n",
        case.method, case.target
    );
    let mut client = RawClient::connect(caller).await?;
    client.send(request.as_bytes()).await?;
    Ok(client.head().await?.status)
}
