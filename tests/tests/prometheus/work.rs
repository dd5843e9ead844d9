//! A gate and an approver with something to do: what is usual, and once everything that goes wrong.

use std::time::{Duration, Instant};

use gatelet_certs::{Cluster, Persona};
use gatelet_tests::api_server::{self, StandInApiServer};
use gatelet_tests::approver::{self, Approver, roles};
use gatelet_tests::client::{Dialer, RemoteCommand, get, request};
use gatelet_tests::command::render;
use gatelet_tests::csr::Corpus;
use gatelet_tests::envoy::project;
use gatelet_tests::fixture::{Fixture, Setup};
use gatelet_tests::gate::Update;
use gatelet_tests::kubelet::Fault;
use gatelet_tests::policy;
use serde_json::json;

/// Both, and what they stand before.
pub(crate) struct Work {
    pub(crate) gate: Fixture,
    pub(crate) approver: Approver,
    server: StandInApiServer,
}

const LOG: &str = "/containerLogs/default/web-0/app?tailLines=1";

impl Work {
    pub(crate) async fn begin() -> anyhow::Result<Self> {
        let gate = Fixture::start_with(&demo_policy()?, Setup::default()).await?;
        let server = StandInApiServer::start(api_server::Options::new(&gate.cluster, &roles()?)?)?;
        for number in 1..=3 {
            let (name, address) = (format!("worker-{number}"), format!("10.0.0.{}", 10 + number));
            server.add_node(&name, &[("InternalIP", &address), ("Hostname", &name)], 10250);
        }
        let folder = tempfile::tempdir()?;
        let settings = folder.path().join("settings.json");
        // Nodes are not asked for what they serve: there are none.
        std::fs::write(&settings, json!({"live_certificates": false}).to_string())?;
        let csr = [project().join("rego/csr"), "--profile".into(), "csr".into()];
        let policy = render(&[&csr[..], &["--settings".into(), settings]].concat())?;
        let options = approver::Options::new(&gate.cluster, server.address(), &policy);
        let approver = Approver::start(options).await?;
        Ok(Self { gate, approver, server })
    }

    /// Goes on for so long.
    pub(crate) async fn go_on(&mut self, time: Duration) -> anyhow::Result<()> {
        let callers = Callers::new(&self.gate)?;
        let requests = Corpus::read()?.cases;
        let mut requests = requests.iter();
        let mut events = [3, 6, 9, 11, 13, 15, 17].into_iter().enumerate().peekable();
        let mut sessions = Vec::new();
        let begin = Instant::now();
        let mut beat = tokio::time::interval(Duration::from_millis(250));
        let mut count = 0_u32;
        while begin.elapsed() < time {
            beat.tick().await;
            count += 1;
            callers.call(count).await?;
            if count.is_multiple_of(4)
                && let Some(case) = requests.next()
            {
                self.server.add_request(&case.name(), &case.spec);
            }
            // Each of them at its twentieth of the time.
            let now = |(_, at): &(usize, u32)| begin.elapsed() >= time * *at / 20;
            match events.next_if(now).map(|(event, _)| event) {
                Some(0) => sessions = callers.open_sessions().await?,
                Some(1) => self.update(&demo_policy()?.replace("worker-1", "worker-9")).await?,
                Some(2) => {
                    self.update(&policy::rego("package kubelet.authz\n\ndecision := {")?).await?
                }
                Some(3) => self.break_certificate()?,
                Some(4) => sessions.clear(),
                Some(5) => self.kubelet(Some(Fault::RefuseConnections)).await?,
                Some(_) => self.kubelet(None).await?,
                None => {}
            }
        }
        Ok(())
    }

    async fn update(&self, policy: &str) -> anyhow::Result<()> {
        let _either: Update = self.gate.gate.update_policy(policy).await?;
        Ok(())
    }

    /// One that is cut off; the old one stays.
    fn break_certificate(&self) -> anyhow::Result<()> {
        self.gate.gate.install("certs/serving/tls.crt", "-----BEGIN CERTIFICATE-----\n")
    }

    async fn kubelet(&mut self, fault: Option<Fault>) -> anyhow::Result<()> {
        self.gate.replace_kubelet(|options| options.fault = fault).await
    }
}

struct Callers {
    apiserver: Dialer,
    prometheus: Dialer,
    scheduler: Dialer,
    nobody: Dialer,
    stranger: Dialer,
}

impl Callers {
    fn new(gate: &Fixture) -> anyhow::Result<Self> {
        let other: Cluster = gatelet_tests::gate::cluster()?;
        let stranger = other.issue(Persona::ApiserverKubeletClient)?.into();
        Ok(Self {
            apiserver: gate.apiserver()?,
            prometheus: gate.caller(Persona::Prometheus)?,
            scheduler: gate.caller(Persona::Scheduler)?,
            nobody: gate.gate.dialer(None)?,
            stranger: gate.gate.dialer(Some(&stranger))?,
        })
    }

    /// Whatever is due at this beat, of which there are four a second; answers don't matter here.
    async fn call(&self, beat: u32) -> anyhow::Result<()> {
        // More and less, in waves.
        for _ in 0..=(f64::from(beat) / 40.0).sin().mul_add(2.0, 2.0) as u32 {
            get(&self.apiserver, LOG).await?;
        }
        let every = |beats: u32| beat.is_multiple_of(beats);
        if every(2) {
            get(&self.prometheus, "/metrics").await?;
        }
        if every(3) {
            let hello = RemoteCommand::exec(
                "default/web-0/app",
                &["sh", "-c", "echo hello from $(basename $PWD)"],
            );
            let _answer = hello.run(&self.apiserver, b"").await;
        }
        if every(4) {
            let shell = RemoteCommand::exec("default/web-0/app", &["sh"]);
            let _denied = shell.run(&self.apiserver, b"").await;
        }
        if every(6) {
            request(&self.apiserver, "POST", "/run/default/web-0/app?cmd=id").await?;
        }
        if every(8) {
            get(&self.scheduler, LOG).await?;
        }
        if every(10) {
            get(&self.apiserver, "/pods/../exec/default/web-0/app?command=id&output=1").await?;
        }
        if every(12) {
            let _no_connection = get(&self.nobody, LOG).await;
        }
        if every(20) {
            let _no_connection = get(&self.stranger, LOG).await;
        }
        Ok(())
    }

    async fn open_sessions(&self) -> anyhow::Result<Vec<gatelet_tests::client::Session>> {
        let mut open = Vec::new();
        for _ in 0..3 {
            let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
            open.push(cat.start(&self.apiserver).await.map_err(|_| anyhow::anyhow!("denied"))?);
        }
        Ok(open)
    }
}

fn demo_policy() -> anyhow::Result<String> {
    let data = project().join("tests/demo/policy.yaml");
    render(&[project().join("rego"), "--data".into(), data, "--node".into(), "worker-1".into()])
}
