//! What the sidecar costs: one client in a pod, one server in another, by several ways between them.
//!
//! All of it runs on the same cores, so that the ratios say more than the numbers. The ways take turns, and
//! the best of all rounds counts: whatever else runs on the machine makes figures worse, never better.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::command::render;
use crate::deadline::within;
use crate::envoy::project;
use crate::machine::machine;
use crate::net::{HELLO, Issuer, Namespace, Network, Sidecar, WebServer, mesh};

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const DB: &str = "spiffe://cluster.local/ns/shop/sa/db";
/// Returns each message.
const ECHO: u16 = 8080;
/// Reads everything, and then says how much.
const SINK: u16 = 8081;
/// Speaks HTTP.
const PAGES: u16 = 8082;

const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_millis(500);
const DURATION: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 32;
/// About a small request or answer.
const MESSAGE: [u8; 256] = [b'x'; 256];

/// How the pods are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Plain,
    MutualTls,
    Resumed,
    Decided,
}

/// What is sent again and again.
#[derive(Clone, Copy, Debug)]
enum Question {
    /// To [`ECHO`].
    Message,
    /// To [`PAGES`], always the same.
    Page,
    /// To [`PAGES`], never the same, so that no decision is remembered.
    Pages,
}

/// Two pods, and a server of each kind in one of them.
struct Site {
    sidecars: Vec<Sidecar>,
    _servers: JoinSet<()>,
    _pages: WebServer,
    /// Last: everything else is in it.
    network: Network,
}

/// Measures everything, and returns it as Markdown.
///
/// # Errors
/// When this is not root, something can't be started, or a connection fails.
pub async fn run() -> anyhow::Result<String> {
    ensure!(rustix::process::geteuid().is_root(), "needs root: it makes network namespaces");
    let connections = connections_by(&[Way::Direct, Way::Plain, Way::MutualTls, Way::Resumed]);
    let requests = requests_by(&[Way::Direct, Way::Plain, Way::MutualTls, Way::Decided]);
    Ok(format!(
        "# Results between pods\n\n`make bench-pods` writes this file.\n\n## TCP\n\n{}\n## HTTP/1.1\n\n{}\n## Machine\n\n{}",
        connections.await?,
        requests.await?,
        machine()?,
    ))
}

async fn connections_by(ways: &[Way; 4]) -> anyhow::Result<String> {
    let mut rows = [
        Row::most("one stream, Gb/s", 2),
        Row::most("requests/s, 32 connections", 0),
        Row::least("p50 µs, one connection", 0),
        Row::least("p99 µs, one connection", 0),
        Row::most("new connections/s, 8 at a time", 0),
    ];
    for (column, way) in turns(ways) {
        eprintln!("TCP, {way:?}");
        let site = Site::start(way).await?;
        let (web, echo) = (&site.network.web.namespace, site.network.db.v4(ECHO));
        let stream = throughput(web, site.network.db.v4(SINK)).await?;
        let rate = rate(web, echo, Question::Message).await?;
        let (median, p99) = latency(web, echo, Question::Message).await?;
        let opened = connections(web, echo).await?;
        site.is_as_meant(way).await?;
        site.stop();
        for (row, figure) in rows.iter_mut().zip([stream, rate, median, p99, opened]) {
            row.take(column, figure);
        }
    }
    let names = ["direct", "pair without TLS", "pair with mTLS", "mTLS, resumed"];
    Ok(table(&names, &rows, ["mTLS / no TLS", "resumed / no TLS"], [(2, 1), (3, 1)]))
}

async fn requests_by(ways: &[Way; 4]) -> anyhow::Result<String> {
    let mut rows = [
        Row::most("requests/s, 32 connections", 0),
        Row::most("requests/s, never the same", 0),
        Row::least("p50 µs, one connection", 0),
        Row::least("p99 µs, one connection", 0),
    ];
    for (column, way) in turns(ways) {
        eprintln!("HTTP, {way:?}");
        let site = Site::start(way).await?;
        let (web, pages) = (&site.network.web.namespace, site.network.db.v4(PAGES));
        let same = rate(web, pages, Question::Page).await?;
        let other = rate(web, pages, Question::Pages).await?;
        let (median, p99) = latency(web, pages, Question::Page).await?;
        site.stop();
        for (row, figure) in rows.iter_mut().zip([same, other, median, p99]) {
            row.take(column, figure);
        }
    }
    let names = ["direct", "pair without TLS", "pair with mTLS", "mTLS and the filter"];
    Ok(table(&names, &rows, ["mTLS / no TLS", "filter / mTLS"], [(2, 1), (3, 2)]))
}

/// Each way in each round, with its column.
fn turns(ways: &[Way; 4]) -> impl Iterator<Item = (usize, Way)> {
    (0..ROUNDS).flat_map(|_| ways.iter().copied().enumerate())
}

impl Site {
    async fn start(way: Way) -> anyhow::Result<Self> {
        let network = Network::create()?;
        for host in [&network.web, &network.db] {
            // A closed connection keeps its port for a minute, and here are thousands a second.
            for setting in ["net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1"] {
                let status =
                    host.namespace.command("sysctl").args(["-q", "-w", setting]).status()?;
                ensure!(status.success(), "{setting}");
            }
        }
        let mut servers = JoinSet::new();
        servers.spawn(echo(crate::net::listen(&network.db.namespace, ECHO).await?));
        servers.spawn(sink(crate::net::listen(&network.db.namespace, SINK).await?));
        let pages = WebServer::start(&network.db.namespace, PAGES).await?;
        let sidecars = if way == Way::Direct { vec![] } else { sidecars(&network, way).await? };
        Ok(Self { sidecars, _servers: servers, _pages: pages, network })
    }

    /// So that a full handshake is not taken for a resumed session, or the other way round.
    async fn is_as_meant(&self, way: Way) -> anyhow::Result<()> {
        let mut resumed = 0;
        for sidecar in &self.sidecars {
            resumed += sidecar.admin().stat("listener.127.0.0.1_15006.ssl.session_reused").await?;
        }
        ensure!((resumed > 0) == (way == Way::Resumed), "{way:?}: {resumed} sessions resumed");
        Ok(())
    }

    /// Without the log of all decisions on the screen.
    fn stop(self) {
        for sidecar in self.sidecars {
            drop(sidecar.crash());
        }
    }
}

async fn sidecars(network: &Network, way: Way) -> anyhow::Result<Vec<Sidecar>> {
    let mode = if way == Way::Plain { "mode audit" } else { "mode strict" };
    let resumption = if way == Way::Resumed { "resumption" } else { "" };
    let conf = |peer: &str, destination: &str, also: &str| {
        let (peer, destination) =
            (format!("peer {peer}"), format!("destination {destination} {peer}"));
        mesh(&[mode, resumption, &peer, &destination, also])
    };
    let issuer = Issuer::create()?;
    let (web, db) = (issuer.issue(WEB, &[])?, issuer.issue(DB, &[])?);
    let (policy, http) = if way == Way::Decided {
        let (rules, data) =
            (project().join("rego/http"), project().join("rego/examples/http.yaml"));
        let arguments = [rules.as_os_str(), "--profile".as_ref(), "http".as_ref()];
        let data = ["--data".as_ref(), data.as_os_str()];
        (Some(render(&[&arguments[..], &data].concat())?), format!("http {PAGES}"))
    } else {
        (None, String::new())
    };
    let web_conf = conf(DB, "10.9.0.3/32", "");
    let db_conf = conf(WEB, "10.9.0.2/32", &http);
    let web = Sidecar::start(&network.web.namespace, &web_conf, &web).await?;
    let db = Sidecar::deciding(&network.db.namespace, &db_conf, &db, policy.as_deref()).await?;
    if policy.is_some() {
        db.admin().wait_for_stat("wasmcustom.gatelet_policy_loaded", |loaded| loaded == 1).await?;
    }
    Ok(vec![web, db])
}

impl Question {
    fn text(self, number: usize) -> Vec<u8> {
        let path = match self {
            Self::Message => return MESSAGE.to_vec(),
            Self::Page => "/api/catalogue/7".to_owned(),
            Self::Pages => format!("/api/catalogue/{number}"),
        };
        format!("GET {path} HTTP/1.1\r\nHost: catalogue\r\n\r\n").into_bytes()
    }

    /// What the answer ends with.
    fn end(self) -> &'static [u8] {
        match self {
            Self::Message => &MESSAGE,
            Self::Page | Self::Pages => HELLO.as_bytes(),
        }
    }
}

/// One connection, as fast as it takes bytes.
async fn throughput(from: &Namespace, to: SocketAddr) -> anyhow::Result<f64> {
    let chunk = vec![0; 128 * 1024];
    let mut stream = from.dial(to).await?;
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP + DURATION {
        stream.write_all(&chunk).await?;
    }
    stream.shutdown().await?;
    let total = stream.read_u64().await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok(total as f64 * 8.0 / begin.elapsed().as_secs_f64() / 1e9)
}

/// Questions and answers over many connections at once, each second.
async fn rate(from: &Namespace, to: SocketAddr, question: Question) -> anyhow::Result<f64> {
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        let stream = from.dial(to).await?;
        stream.set_nodelay(true)?;
        clients.spawn(exchanges(stream, question, number * 10_000_000));
    }
    let mut count = 0;
    while let Some(times) = clients.join_next().await {
        count += times??.len();
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok(count as f64 / DURATION.as_secs_f64())
}

/// The median and the 99th percentile of one connection's exchanges, in microseconds.
async fn latency(
    from: &Namespace,
    to: SocketAddr,
    question: Question,
) -> anyhow::Result<(f64, f64)> {
    let stream = from.dial(to).await?;
    stream.set_nodelay(true)?;
    let mut times = exchanges(stream, question, 0).await?;
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times.get(times.len() * percent / 100).copied().unwrap_or_default();
        time.as_secs_f64() * 1e6
    };
    Ok((at(50), at(99)))
}

/// Asks when the last one's answer is there, and tells how long each took.
async fn exchanges(
    mut stream: TcpStream,
    question: Question,
    first: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut answer = Vec::with_capacity(1024);
    let mut times = Vec::new();
    let begin = Instant::now();
    for number in first.. {
        if begin.elapsed() > WARM_UP + DURATION {
            break;
        }
        let text = question.text(number);
        answer.clear();
        let sent = Instant::now();
        stream.write_all(&text).await?;
        while !answer.ends_with(question.end()) {
            let length = within("an answer", stream.read_buf(&mut answer)).await??;
            ensure!(length > 0, "the connection ended: {}", answer.escape_ascii());
        }
        if begin.elapsed() > WARM_UP {
            times.push(sent.elapsed());
        }
    }
    Ok(times)
}

/// New connections with one exchange each, eight at a time, each second.
async fn connections(from: &Namespace, to: SocketAddr) -> anyhow::Result<f64> {
    const AT_ONCE: usize = 8;
    let count = from
        .within(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async move {
                let mut clients = JoinSet::new();
                for _ in 0..AT_ONCE {
                    clients.spawn(async move {
                        let mut count = 0_u32;
                        let begin = Instant::now();
                        while begin.elapsed() < DURATION {
                            let mut stream = TcpStream::connect(to).await?;
                            stream.set_nodelay(true)?;
                            let mut answer = MESSAGE;
                            stream.write_all(&MESSAGE).await?;
                            stream.read_exact(&mut answer).await?;
                            count += 1;
                        }
                        anyhow::Ok(count)
                    });
                }
                let mut count = 0;
                while let Some(client) = clients.join_next().await {
                    count += client??;
                }
                Ok(count)
            })
        })
        .await?;
    Ok(f64::from(count) / DURATION.as_secs_f64())
}

async fn echo(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.spawn(async move {
            // Clients go when they have measured.
            let _gone = stream.set_nodelay(true);
            let (mut read, mut write) = stream.split();
            let _gone = tokio::io::copy(&mut read, &mut write).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn sink(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut buffer = vec![0; 256 * 1024];
        let mut total = 0_u64;
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            total += u64::try_from(length).unwrap_or(u64::MAX);
        }
        let _gone = stream.write_u64(total).await;
    }
}

/// One figure by all ways.
struct Row {
    name: &'static str,
    digits: usize,
    best: fn(f64, f64) -> f64,
    /// Not a number until it is measured.
    figures: [f64; 4],
}

impl Row {
    const fn most(name: &'static str, digits: usize) -> Self {
        Self { name, digits, best: f64::max, figures: [f64::NAN; 4] }
    }

    const fn least(name: &'static str, digits: usize) -> Self {
        Self { best: f64::min, ..Self::most(name, digits) }
    }

    fn take(&mut self, column: usize, figure: f64) {
        if let Some(best) = self.figures.get_mut(column) {
            *best = (self.best)(*best, figure);
        }
    }
}

/// Markdown: the figures, and two ratios of columns.
fn table(
    names: &[&str],
    rows: &[Row],
    ratio_names: [&str; 2],
    ratios: [(usize, usize); 2],
) -> String {
    let head: Vec<_> = [""].iter().chain(names).chain(&ratio_names).copied().collect();
    let mut lines =
        vec![format!("| {} |", head.join(" | ")), format!("|{}", "---|".repeat(head.len()))];
    for Row { name, digits, figures, .. } in rows {
        let mut cells = vec![(*name).to_owned()];
        cells.extend(figures.iter().map(|figure| format!("{figure:.digits$}")));
        let at = |column: usize| figures.get(column).copied().unwrap_or(f64::NAN);
        cells.extend(ratios.map(|(this, that)| format!("{:.2}", at(this) / at(that))));
        lines.push(format!("| {} |", cells.join(" | ")));
    }
    lines.join("\n") + "\n"
}
