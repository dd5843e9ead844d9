//! What the sidecar costs: one client in a pod, one server in another, by three ways between them.
//!
//! All of it runs on the same cores, so that the ratios say more than the numbers.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::net::{Issuer, Namespace, Network, Sidecar, mesh};

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const DB: &str = "spiffe://cluster.local/ns/shop/sa/db";
/// Returns each message.
const ECHO: u16 = 8080;
/// Reads everything, and then says how much.
const SINK: u16 = 8081;

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
}

/// One way's figures.
#[derive(Clone, Copy, Debug)]
struct Figures {
    gigabits: f64,
    requests: f64,
    median: f64,
    p99: f64,
    connections: f64,
}

/// All figures. Its text is Markdown.
#[derive(Debug)]
pub struct Report([Figures; 3]);

/// Measures everything.
///
/// # Errors
/// When something can't be started, or a connection fails.
pub async fn run() -> anyhow::Result<Report> {
    Ok(Report([
        measure(Way::Direct).await?,
        measure(Way::Plain).await?,
        measure(Way::MutualTls).await?,
    ]))
}

async fn measure(way: Way) -> anyhow::Result<Figures> {
    let network = Network::create()?;
    for host in [&network.web, &network.db] {
        // A closed connection keeps its port for a minute, and here are thousands a second.
        for setting in ["net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1"] {
            let status = host.namespace.command("sysctl").args(["-q", "-w", setting]).status()?;
            ensure!(status.success(), "{setting}");
        }
    }
    let issuer = Issuer::create()?;
    let mut servers = JoinSet::new();
    servers.spawn(echo(crate::net::listen(&network.db.namespace, ECHO).await?));
    servers.spawn(sink(crate::net::listen(&network.db.namespace, SINK).await?));
    let _sidecars = match way {
        Way::Direct => Vec::new(),
        _ => {
            let mode = if way == Way::Plain { "audit" } else { "strict" };
            let conf = |peer: &str, destination: &str| {
                mesh(&[
                    &format!("mode {mode}"),
                    &format!("peer {peer}"),
                    &format!("destination {destination} {peer}"),
                ])
            };
            let web = issuer.issue(WEB, &[])?;
            let db = issuer.issue(DB, &[])?;
            vec![
                Sidecar::start(&network.web.namespace, &conf(DB, "10.9.0.3/32"), &web).await?,
                Sidecar::start(&network.db.namespace, &conf(WEB, "10.9.0.2/32"), &db).await?,
            ]
        }
    };
    let web = &network.web.namespace;
    let (echo, sink) = (network.db.v4(ECHO), network.db.v4(SINK));
    let figures = Figures {
        gigabits: throughput(web, sink).await?,
        requests: requests(web, echo).await?,
        median: 0.0,
        p99: 0.0,
        connections: connections(web, echo).await?,
    };
    let (median, p99) = latency(web, echo).await?;
    Ok(Figures { median, p99, ..figures })
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

/// Messages and answers over many connections at once, each second.
async fn requests(from: &Namespace, to: SocketAddr) -> anyhow::Result<f64> {
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let stream = from.dial(to).await?;
        stream.set_nodelay(true)?;
        clients.spawn(exchanges(stream));
    }
    let mut count = 0;
    while let Some(times) = clients.join_next().await {
        count += times??.len();
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Ok(count as f64 / DURATION.as_secs_f64())
}

/// The median and the 99th percentile of one connection's exchanges, in microseconds.
async fn latency(from: &Namespace, to: SocketAddr) -> anyhow::Result<(f64, f64)> {
    let stream = from.dial(to).await?;
    stream.set_nodelay(true)?;
    let mut times = exchanges(stream).await?;
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times.get(times.len() * percent / 100).copied().unwrap_or_default();
        time.as_secs_f64() * 1e6
    };
    Ok((at(50), at(99)))
}

/// Sends a message when the last one's answer is there, and tells how long each took.
async fn exchanges(mut stream: TcpStream) -> anyhow::Result<Vec<Duration>> {
    let mut answer = MESSAGE;
    let mut times = Vec::new();
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP + DURATION {
        let sent = Instant::now();
        stream.write_all(&MESSAGE).await?;
        stream.read_exact(&mut answer).await?;
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

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([direct, plain, tls]) = self;
        writeln!(to, "| | direct | pair without TLS | pair with mTLS | mTLS / no TLS |")?;
        writeln!(to, "|---|---|---|---|---|")?;
        let mut row = |what: &str, digits: usize, figure: fn(&Figures) -> f64| {
            let [direct, plain, tls] = [direct, plain, tls].map(figure);
            let ratio = tls / plain;
            writeln!(
                to,
                "| {what} | {direct:.digits$} | {plain:.digits$} | {tls:.digits$} | {ratio:.2} |"
            )
        };
        row("one stream, Gb/s", 2, |figures| figures.gigabits)?;
        row("requests/s, 32 connections", 0, |figures| figures.requests)?;
        row("p50 µs, one connection", 0, |figures| figures.median)?;
        row("p99 µs, one connection", 0, |figures| figures.p99)?;
        row("new connections/s, 8 at a time", 0, |figures| figures.connections)
    }
}
