//! Port-forward over a WebSocket: two channels a port, the even one for data, the odd one for an error.
//!
//! The first message of each channel is the port in two bytes, little-endian.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _, future};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;

use super::query::Query;
use super::upgrade::{Socket, close};
use crate::channel::{V4, message, split};

/// The sub-protocol that carries ports in the query.
pub(super) const PROTOCOL: &str = V4;

const BUFFER: usize = 16 * 1024;

type Sink = Mutex<SplitSink<Socket, Message>>;

/// The ports of a query: `port` repeated, or lists with commas.
///
/// # Errors
/// The text of the 400 that a kubelet answers.
pub(super) fn ports(query: &Query) -> Result<Vec<u16>, String> {
    let ports: Vec<&str> = query.all("port").flat_map(|list| list.split(',')).collect();
    if ports.is_empty() {
        return Err("query parameter \"port\" is required".to_owned());
    }
    // More would not fit the one byte of a channel.
    if ports.len() > 128 {
        return Err("too many ports".to_owned());
    }
    ports
        .into_iter()
        .map(|port| match port.parse() {
            Ok(0) | Err(_) => Err(format!("unable to parse {port:?} as a port")),
            Ok(port) => Ok(port),
        })
        .collect()
}

/// Connects the ports to where `targets` maps them on 127.0.0.1, until all have ended or the client is gone.
pub(super) async fn serve(socket: Socket, ports: Vec<u16>, targets: &BTreeMap<u16, u16>) {
    let (sink, mut stream) = socket.split();
    let sink = Mutex::new(sink);
    let mut readers = Vec::new();
    let mut writers = BTreeMap::new();
    for (channel, port) in (0..=u8::MAX).step_by(2).zip(ports) {
        send(&sink, channel, &port.to_le_bytes()).await;
        send(&sink, channel + 1, &port.to_le_bytes()).await;
        match connect(port, targets).await {
            Ok((reader, writer)) => {
                readers.push((channel, reader));
                writers.insert(channel, writer);
            }
            Err(error) => send(&sink, channel + 1, error.as_bytes()).await,
        }
    }
    let carry =
        future::join_all(readers.into_iter().map(|(channel, reader)| copy(channel, reader, &sink)));
    tokio::select! {
        _ = carry => {}
        () = feed(&mut stream, &mut writers) => return,
    }
    close(sink.into_inner(), stream).await;
}

async fn connect(
    port: u16,
    targets: &BTreeMap<u16, u16>,
) -> Result<(OwnedReadHalf, OwnedWriteHalf), String> {
    let refused = |reason: &str| format!("error forwarding port {port} to pod: {reason}");
    let target = targets.get(&port).ok_or_else(|| refused("connection refused"))?;
    match TcpStream::connect((Ipv4Addr::LOCALHOST, *target)).await {
        Ok(stream) => Ok(stream.into_split()),
        Err(error) => Err(refused(&error.to_string())),
    }
}

async fn copy(channel: u8, mut reader: OwnedReadHalf, sink: &Sink) {
    let mut buffer = vec![0; BUFFER];
    while let Ok(length @ 1..) = reader.read(&mut buffer).await {
        send(sink, channel, buffer.get(..length).unwrap_or_default()).await;
    }
}

async fn feed(stream: &mut SplitStream<Socket>, writers: &mut BTreeMap<u8, OwnedWriteHalf>) {
    while let Some(Ok(message)) = stream.next().await {
        if let Some((channel, data)) = split(message)
            && let Some(writer) = writers.get_mut(&channel)
            && writer.write_all(&data).await.is_err()
        {
            writers.remove(&channel);
        }
    }
}

/// A client that is gone is noticed by `feed`.
async fn send(sink: &Sink, channel: u8, data: &[u8]) {
    sink.lock().await.send(message(channel, data)).await.ok();
}
