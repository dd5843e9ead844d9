//! Kubelets ask for serving certificates, the approver decides, and a node's gate serves what was issued.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gatelet_certs::{Ca, Cluster, Pair, Persona, Subject};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Policy, Row, Table};
use crate::api_server::{self, REQUESTS, StandInApiServer};
use crate::approver::{self, Approver, roles};
use crate::client::{Dialer, RawClient};
use crate::command::render;
use crate::csr::{Corpus, KUBELET_SERVING, Kubelet, Requested};
use crate::deadline::eventually;
use crate::envoy::project;
use crate::gate::{self, Gate, NODE, Profile, cluster};
use crate::kubelet::StandInKubelet;
use crate::pki;
use crate::tls::Identity;

/// The promise of a request that is what a kubelet sends.
const ISSUED: &str = "approved and issued";

/// Runs the demo, and leaves the decision log at `log`.
///
/// # Errors
/// When something can't be started. As with the gate's demo, a row that turns out otherwise than
/// promised is no error.
pub async fn run(log: &Path) -> anyhow::Result<Table> {
    let stage = Stage::build().await?;
    let mut rows = Vec::new();
    let broken_off = play(&stage, &mut rows).await.err();
    let decisions = stage.approver.decisions().path();
    fs::copy(decisions, log).with_context(|| log.display().to_string())?;
    stage.approver.stop();
    Ok(Table { rows, broken_off, longest: 400, columns: Some([32, 60]) })
}

/// An API server, an approver with the shipped rules, and the folder of worker-1's kubelet.
struct Stage {
    approver: Approver,
    server: StandInApiServer,
    cluster: Cluster,
    pki: TempDir,
}

async fn play(stage: &Stage, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let worker_1 = kubelet(NODE);
    let asked = worker_1.request()?;
    let own = "a certificate for worker-1 and 10.0.0.11";
    let (row, issued) = stage.ask(NODE, own, &asked, ISSUED).await?;
    rows.push(row);
    let first =
        stage.store(&asked, &issued.context("nothing was issued")?, "2026-01-31-12-00-00")?;

    refused(stage, rows).await?;
    rotated(stage, rows, &worker_1, &first).await
}

/// What kubelets, or others with their certificates, mustn't get.
async fn refused(stage: &Stage, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let corpus = Corpus::read()?;
    for (note, request) in [
        ("another organization", "a certificate of system:masters"),
        ("the API server's name", "a certificate for kubernetes as well"),
        ("the API server's service address", "a certificate for 10.96.0.1 as well"),
        ("two blocks", "two requests in one"),
    ] {
        let case = corpus.cases.iter().find(|case| case.note == note);
        let spec = case.with_context(|| format!("no case {note}"))?.spec.clone();
        let asked = Requested { spec, key: String::new() };
        rows.push(stage.ask(NODE, request, &asked, "denied").await?.0);
    }
    let impostor = Kubelet { node: "worker-2".to_owned(), ..kubelet(NODE) };
    let asked = impostor.request()?;
    let request = "a certificate for worker-1 and 10.0.0.11";
    rows.push(stage.ask("worker-2", request, &asked, "left").await?.0);
    let unknown = Kubelet { dns: vec!["worker-9".to_owned()], ..kubelet("worker-9") };
    let asked = unknown.request()?;
    let request = "a certificate for worker-9, which isn't there";
    rows.push(stage.ask("worker-9", request, &asked, "left").await?.0);
    Ok(())
}

/// The circle: a new key, a new request, a new file, and a gate that serves it.
async fn rotated(
    stage: &Stage,
    rows: &mut Vec<Row>,
    worker_1: &Kubelet,
    first: &Pair,
) -> anyhow::Result<()> {
    let pod = tempfile::tempdir()?;
    let kubelet = Profile::Hardened.kubelet(&stage.cluster, pod.path())?;
    let kubelet = StandInKubelet::start(kubelet)?;
    let policy = Policy::Demo.render()?;
    let options = gate::Options {
        profile: Profile::Hardened,
        pki: Some(stage.pki.path()),
        ..gate::Options::new(&stage.cluster, kubelet.address(), &policy)
    };
    let gate = Gate::start(options).await?;
    let callers = stage.cluster.issue(Persona::ApiserverKubeletClient)?;
    let dialer = gate.dialer(Some(&callers.into()))?;
    let begin = Instant::now();
    rows.push(served(&dialer, first, "the gate of worker-1 serves it", begin).await?);

    let asked = worker_1.request()?;
    let renewed = "another, for a new key: it rotates";
    let (row, issued) = stage.ask(NODE, renewed, &asked, ISSUED).await?;
    rows.push(row);
    let second =
        stage.store(&asked, &issued.context("nothing was issued")?, "2026-02-01-12-00-00")?;
    let begin = Instant::now();
    rows.push(served(&dialer, &second, "the gate serves the new one, not restarted", begin).await?);
    gate.stop();
    Ok(())
}

impl Stage {
    async fn build() -> anyhow::Result<Self> {
        let cluster = cluster()?;
        let server = StandInApiServer::start(api_server::Options::new(&cluster, &roles()?)?)?;
        for (name, address) in [(NODE, "10.0.0.11"), ("worker-2", "10.0.0.12")] {
            server.add_node(name, &[("InternalIP", address), ("Hostname", name)], 10250);
        }
        let rego = project().join("rego");
        let data = tempfile::NamedTempFile::with_suffix(".json")?;
        let reserved = json!({"csr": {"api_server": {"cidrs": ["10.96.0.0/12"]}}});
        fs::write(data.path(), reserved.to_string())?;
        let policy = render(&[
            rego.as_os_str(),
            "--profile".as_ref(),
            "csr".as_ref(),
            "--data".as_ref(),
            data.path().as_os_str(),
        ])?;
        let options = approver::Options::new(&cluster, server.address(), &policy);
        let approver = Approver::start(options).await?;
        let pki = tempfile::Builder::new().prefix("gatelet-pki-").tempdir()?;
        Ok(Self { approver, server, cluster, pki })
    }

    /// Asks as the kubelet of `node`; returns what was issued.
    async fn ask(
        &self,
        node: &str,
        request: &str,
        asked: &Requested,
        promise: &str,
    ) -> anyhow::Result<(Row, Option<Value>)> {
        let begin = Instant::now();
        let name = self.create(node, &asked.spec).await?;
        let record = self
            .approver
            .decisions()
            .wait_for("the decision", |record| record.pointer("/input/name") == Some(&json!(name)))
            .await?;
        let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
        let (answer, object) = match text("result") {
            "leave" => ("left as it is".to_owned(), None),
            _ => self.outcome(&name).await?,
        };
        let row = Row {
            who: format!("{node}'s kubelet"),
            request: request.to_owned(),
            as_promised: answer.starts_with(promise),
            answer,
            rule: format!("{}: {}", text("rule"), text("message")),
            time: begin.elapsed(),
        };
        Ok((row, object))
    }

    /// Creates the request at the API server, with the kubelet's client certificate.
    async fn create(&self, node: &str, spec: &Value) -> anyhow::Result<String> {
        let subject = Subject {
            common_name: format!("system:node:{node}"),
            organizations: vec!["system:nodes".to_owned()],
        };
        let identity = Identity::from(self.cluster.client(subject)?);
        let ca = self.cluster.authority(Ca::Cluster).certificate().as_bytes();
        let dialer = Dialer::new(self.server.address(), "kubernetes", ca, Some(&identity))?;
        let mut client = RawClient::connect(&dialer).await?;
        let body = json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"generateName": "csr-"},
            "spec": {
                "request": spec.get("request"), "usages": spec.get("usages"),
                "signerName": KUBELET_SERVING,
            },
        })
        .to_string();
        let head = format!(
            "POST /apis/certificates.k8s.io/v1/certificatesigningrequests HTTP/1.1\r\n\
             Host: kubernetes\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.send(format!("{head}{body}").as_bytes()).await?;
        let response = client.response().await?;
        ensure!(response.status == 201, "{}", response.text());
        let created: Value = serde_json::from_slice(&response.body)?;
        let name = created.pointer("/metadata/name").and_then(Value::as_str);
        Ok(name.context("a request without a name")?.to_owned())
    }

    /// What a request has become, once it is decided and, if approved, signed.
    async fn outcome(&self, name: &str) -> anyhow::Result<(String, Option<Value>)> {
        let has = |object: &Value, kind: &str| {
            let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
            conditions.into_iter().flatten().any(|one| one.get("type") == Some(&json!(kind)))
        };
        let object = self
            .server
            .wait_for(&format!("{name} to be decided"), REQUESTS, |object| {
                object.pointer("/metadata/name") == Some(&json!(name))
                    && (has(object, "Denied") || object.pointer("/status/certificate").is_some())
            })
            .await?;
        Ok(if has(&object, "Denied") {
            ("denied".to_owned(), None)
        } else {
            (ISSUED.to_owned(), Some(object))
        })
    }

    /// Puts what was issued where the kubelet keeps it.
    fn store(&self, asked: &Requested, issued: &Value, time: &str) -> anyhow::Result<Pair> {
        let pair = asked.issued(issued, self.cluster.authority(Ca::Cluster).certificate())?;
        pki::store(self.pki.path(), &pair, time)?;
        Ok(pair)
    }
}

/// What the two nodes' kubelets ask for, if they are honest.
fn kubelet(node: &str) -> Kubelet {
    Kubelet { node: node.to_owned(), dns: vec![NODE.to_owned()], ip: vec![[10, 0, 0, 11].into()] }
}

/// Waits until the gate serves this certificate.
async fn served(
    dialer: &Dialer,
    pair: &Pair,
    request: &str,
    begin: Instant,
) -> anyhow::Result<Row> {
    let want = CertificateDer::from_pem_slice(pair.certificate.as_bytes())?;
    eventually("the gate to serve the certificate", async || {
        let client = RawClient::connect(dialer).await?;
        let chain = client.tls().peer_certificates();
        Ok(chain.and_then(<[_]>::first).filter(|served| **served == want).map(drop))
    })
    .await?;
    let time: Duration = begin.elapsed();
    Ok(Row {
        who: "kube-apiserver".to_owned(),
        request: request.to_owned(),
        answer: "the issued certificate".to_owned(),
        rule: String::new(),
        time,
        as_promised: true,
    })
}
