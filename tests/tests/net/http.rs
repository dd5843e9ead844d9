//! The filter in the sidecar: requests to the pod, decided by who calls.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use gatelet_core::corpus::{Case, Corpus};
use gatelet_tests::command::render;
use gatelet_tests::deadline::within;
use gatelet_tests::envoy::project;
use gatelet_tests::net::{Asked, Host, Issuer, Network, Sidecar, WebServer};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{PORT, WEB, rotate, svids, web_mesh};

/// web, and db with a policy for its port.
struct Shop {
    web: Sidecar,
    db: Sidecar,
    server: WebServer,
    issuer: Issuer,
    network: Network,
}

impl Shop {
    async fn start(mode: &str, data: &serde_json::Value) -> anyhow::Result<Self> {
        Self::with(mode, "", data).await
    }

    /// With this line in both files.
    async fn with(mode: &str, also: &str, data: &serde_json::Value) -> anyhow::Result<Self> {
        let file = tempfile::Builder::new().suffix(".json").tempfile()?;
        fs::write(file.path(), data.to_string())?;
        let rules = project().join("rego/http");
        let policy = render(&[
            rules.as_path(),
            "--profile".as_ref(),
            "http".as_ref(),
            Path::new("--data"),
            file.path(),
        ])?;
        let network = Network::create()?;
        let issuer = Issuer::create()?;
        let (web, db) = svids(&issuer, &network)?;
        // Everybody of the namespace may connect: what they may do, the policy says.
        let mesh = format!(
            "mode {mode}\npeer spiffe://cluster.local/ns/shop/\nnode 10.9.0.1\nhttp {PORT}\n{also}\n"
        );
        let web_mesh = web_mesh() + also;
        let db = Sidecar::deciding(&network.db.namespace, &mesh, &db, Some(&policy)).await?;
        db.admin().wait_for_stat("wasmcustom.gatelet_policy_loaded", |loaded| loaded == 1).await?;
        Ok(Self {
            server: WebServer::start(&network.db.namespace, PORT).await?,
            web: Sidecar::start(&network.web.namespace, &web_mesh, &web).await?,
            db,
            issuer,
            network,
        })
    }

    async fn run(&self, corpus: &Corpus, case: &Case, version: Version) -> anyhow::Result<()> {
        let before = self.server.requests().len();
        if let Some(id) = corpus.peers.get(&case.peer).and_then(Option::as_deref) {
            ensure!(id.starts_with("spiffe://"), "{id}");
            let status = self.send(&self.network.web, case, version).await?;
            let want = match (case.envoy, case.want.as_str()) {
                (Some(status), _) => status,
                (None, "allowed") => 200,
                (None, "malformed") => 400,
                (None, _) => 403,
            };
            ensure!(status == want, "the answer is {status}, not {want}");
        } else {
            let answer = self.send(&self.network.outsider, case, version).await;
            ensure!(answer.is_err(), "without an identity there was an answer: {answer:?}");
        }
        let reached: Vec<_> = self
            .server
            .requests()
            .split_off(before)
            .into_iter()
            .map(|asked| asked.target)
            .collect();
        let want = if case.want.as_str() == "allowed" { vec![case.target.clone()] } else { vec![] };
        ensure!(reached == want, "the application saw {reached:?}, not {want:?}");
        Ok(())
    }

    /// Sends the case's request, and returns the status of the answer.
    async fn send(&self, from: &Host, case: &Case, version: Version) -> anyhow::Result<u16> {
        let mut stream = from.namespace.dial(self.network.db.v4(PORT)).await?;
        if version == Version::HTTP_2 {
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            let request = by_http2(case).context("nothing to say in HTTP/2")?;
            let answer = async { Ok(sender.send_request(request).await?.status().as_u16()) };
            return within("an answer", async {
                tokio::select! {
                    answer = answer => answer,
                    Err(error) = connection => Err(error.into()),
                }
            })
            .await?;
        }
        let headers: String =
            case.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request =
            format!("{} {} HTTP/1.1\r\nHost: db\r\n{headers}\r\n", case.method, case.target);
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12];
        within("an answer", stream.read_exact(&mut head)).await??;
        let status = std::str::from_utf8(&head)?.split(' ').nth(1).context("no status")?;
        Ok(status.parse()?)
    }
}

#[tokio::test]
async fn every_case_gets_its_answer_and_only_the_allowed_ones_arrive() -> anyhow::Result<()> {
    let (mut ran, mut by_both) = (0, 0);
    for entry in fs::read_dir(project().join("tests/cases-http"))? {
        let corpus = Corpus::parse(&fs::read_to_string(entry?.path())?)?;
        let shop = Shop::start("strict", &corpus.data.clone().into()).await?;
        // By caller: each of them is another identity of web's.
        let mut callers: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
        for case in &corpus.cases {
            callers.entry(&case.peer).or_default().push(case);
        }
        for (peer, cases) in callers {
            if let Some(Some(id)) = corpus.peers.get(peer) {
                rotate(&shop.web, &shop.issuer.issue(id, &[])?).await?;
            }
            for case in cases {
                let about = || format!("{peer}: {}", case.note);
                shop.run(&corpus, case, Version::HTTP_11).await.with_context(about)?;
                if by_http2(case).is_some() {
                    shop.run(&corpus, case, Version::HTTP_2).await.with_context(about)?;
                    by_both += 1;
                }
                ran += 1;
            }
        }
    }
    assert!(ran > 0, "no cases found");
    assert!(by_both > ran / 2, "only {by_both} of {ran} cases were sent by HTTP/2");
    Ok(())
}

#[tokio::test]
async fn http2_is_decided_request_by_request() -> anyhow::Result<()> {
    let shop = Shop::start("strict", &policy()).await?;
    let stream = shop.network.web.namespace.dial(shop.network.db.v6(PORT)).await?;
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    for (path, status, body) in [
        ("/api/catalogue", 200, gatelet_tests::net::HELLO),
        ("/admin", 403, "Denied by policy"),
        ("/api/%2e%2e/admin", 400, "Malformed request"),
        ("/api/orders", 200, gatelet_tests::net::HELLO),
    ] {
        let request = Request::get(format!("http://db{path}")).body(Empty::<Bytes>::new())?;
        let response = within(path, sender.send_request(request)).await??;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.into_body().collect().await?.to_bytes(), body, "{path}");
    }
    let peer = shop.network.web.ipv6();
    let asked = |target: &str| Asked { peer, version: Version::HTTP_2, target: target.to_owned() };
    assert_eq!(shop.server.requests(), [asked("/api/catalogue"), asked("/api/orders")]);
    connection.abort();
    Ok(())
}

#[tokio::test]
async fn the_caller_of_a_resumed_session_is_known() -> anyhow::Result<()> {
    let shop = Shop::with("strict", "resumption", &policy()).await?;
    let db = shop.network.db.v4(PORT);
    for (path, status) in [("/api/catalogue", 200), ("/api/catalogue", 200), ("/admin", 403)] {
        let answer = shop.network.web.namespace.get(db, path).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
    }
    let resumed = shop.db.admin().stat("listener.127.0.0.1_15006.ssl.session_reused").await?;
    assert_eq!(resumed, 2);
    Ok(())
}

#[tokio::test]
async fn decisions_are_on_record_with_the_callers_identity() -> anyhow::Result<()> {
    let mut shop = Shop::start("strict", &policy()).await?;
    let answer = shop.network.web.namespace.get(shop.network.db.v4(PORT), "/admin").await?;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let record = gatelet_tests::deadline::eventually("the decision in the log", async || {
        let log = shop.db.envoy().log()?;
        Ok(log.lines().find(|line| line.starts_with("{\"decision\"")).map(str::to_owned))
    })
    .await?;
    let record: serde_json::Value = serde_json::from_str(&record)?;
    assert_eq!(record["decision"]["reason"], "denied");
    assert_eq!(record["decision"]["input"]["peer"]["uri_san"], WEB);
    assert_eq!(record["response_code"], 403);
    Ok(())
}

#[tokio::test]
async fn plaintext_to_a_decided_port_has_no_identity_in_any_mode() -> anyhow::Result<()> {
    let shop = Shop::start("permissive", &policy()).await?;
    let Network { web, db, outsider, .. } = &shop.network;
    let answer = outsider.namespace.get(db.v4(PORT), "/api/catalogue").await?;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert_eq!(shop.server.requests(), []);
    let answer = web.namespace.get(db.v4(PORT), "/api/catalogue").await?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn readiness_waits_for_the_policy() -> anyhow::Result<()> {
    let shop = Shop::start("strict", &policy()).await?;
    let Network { db, node, .. } = &shop.network;
    gatelet_tests::deadline::eventually("readiness", async || {
        let answer = node.namespace.get(db.v4(15021), "/ready").await?;
        Ok(answer.starts_with("HTTP/1.1 200").then_some(()))
    })
    .await
}

/// The case in HTTP/2, where it can be said there: this client sends no odd targets, and HTTP/2 has no
/// upgrades. What Envoy refuses by itself is about HTTP/1.1.
fn by_http2(case: &Case) -> Option<Request<Empty<Bytes>>> {
    let says_it = case.envoy.is_none()
        && case.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("connection"));
    let mut request = Request::builder()
        .method(case.method.as_str())
        .uri(format!("http://db{}", case.target))
        .version(Version::HTTP_2);
    for (name, value) in &case.headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::new()).ok().filter(|_| says_it)?;
    let sent = request.uri().path_and_query().map(ToString::to_string);
    (sent.as_ref() == Some(&case.target)).then_some(request)
}

/// web may read all below /api.
fn policy() -> serde_json::Value {
    serde_json::json!({"http": {"peers": [
        {"name": "web", "uri_san": WEB, "methods": ["GET"], "under": ["api"]},
    ]}})
}
