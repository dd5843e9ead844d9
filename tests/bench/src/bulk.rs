//! Streams as fast as they go, through TLS on both sides, and the first byte of an exec.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::requests::Kind;
use crate::schedstat::on_cpu;
use crate::site::Site;

/// What a stream came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throughput {
    /// Envoy's time on a CPU for a GiB, in seconds.
    pub(crate) on_cpu: f64,
    /// MiB a second.
    pub(crate) rate: f64,
}

/// A kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    Download,
    Follow,
    WebSocket,
}

impl Stream {
    pub(crate) const ALL: [Self; 3] = [Self::Download, Self::Follow, Self::WebSocket];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Follow => "`logs -f`",
            Self::WebSocket => "exec over a WebSocket",
        }
    }
}

/// Reads so many bytes.
///
/// # Errors
/// When the stream ends before.
pub(crate) async fn read(site: &Site, stream: Stream, bytes: u64) -> anyhow::Result<Throughput> {
    let mut connection = site.connect().await?;
    let (spent, began) = (on_cpu(site.process())?, Instant::now());
    match stream {
        Stream::Download => connection.send(Kind::download(bytes).as_bytes()).await?,
        Stream::Follow => connection.send(Kind::follow().as_bytes()).await?,
        Stream::WebSocket => {
            let answer = connection.exchange(Kind::websocket().as_bytes()).await?;
            ensure!(answer.status == 101, "{answer:?}");
            connection.send(b"go").await?;
        }
    }
    connection.skip(bytes).await?;
    let took = began.elapsed();
    let spent = on_cpu(site.process())? - spent;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = bytes as f64;
    Ok(Throughput {
        on_cpu: spent.as_secs_f64() * f64::from(1 << 30) / bytes,
        rate: bytes / f64::from(1 << 20) / took.as_secs_f64(),
    })
}

/// From nothing to the first byte that came through an exec: a connection, TLS twice, a decision.
///
/// # Errors
/// When it isn't allowed.
pub(crate) async fn first_byte(site: &Site, pod: usize) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut connection = site.connect().await?;
    let answer = connection.exchange(Kind::Exec.request(pod).as_bytes()).await?;
    ensure!(answer.status == 101, "{answer:?}");
    connection.send(b"x").await?;
    connection.skip(1).await?;
    Ok(began.elapsed())
}
