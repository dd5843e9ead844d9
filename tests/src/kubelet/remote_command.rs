//! Exec and attach over a WebSocket: a command's streams on channels.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _, future};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;

use super::process::{self, Command, Input, Output};
use super::upgrade::{Socket, close};
use crate::channel::{CLOSE, ERROR, RESIZE, STDIN, STDOUT, V4, V5, message, split};

/// The sub-protocols in the kubelet's order of preference.
pub(super) const PROTOCOLS: &[&str] = &[V5, V4, "channel.k8s.io"];

const BUFFER: usize = 16 * 1024;

type Sink = Mutex<SplitSink<Socket, Message>>;

/// Runs the command until it ends or the client goes away, which kills it.
pub(super) async fn serve(socket: Socket, protocol: &str, command: Command) {
    let (sink, mut stream) = socket.split();
    let sink = Mutex::new(sink);
    if protocol != V5 {
        // The container runtime, which serves these, says first that the streams are there.
        send(&sink, STDOUT, b"").await;
    }
    let status = match command.spawn() {
        Ok(mut process) => tokio::select! {
            status = run(&mut process.outputs, &mut process.child, &sink) => status,
            () = feed(&mut stream, command.streams.stdin, &mut process.input) => return,
        },
        Err(error) => process::not_started(&error),
    };
    send(&sink, ERROR, status.to_string().as_bytes()).await;
    close(sink.into_inner(), stream).await;
}

/// Carries the outputs to their ends, and returns how the command ended.
async fn run(outputs: &mut [(u8, Output)], child: &mut Child, sink: &Sink) -> Value {
    future::join_all(outputs.iter_mut().map(|(channel, output)| copy(*channel, output, sink)))
        .await;
    match child.wait().await {
        Ok(exit) => process::status(exit),
        Err(error) => process::not_started(&error.into()),
    }
}

async fn copy(channel: u8, output: &mut Output, sink: &Sink) {
    let mut buffer = vec![0; BUFFER];
    // A terminal whose last process has gone fails to be read: that is its end.
    while let Ok(length @ 1..) = output.read(&mut buffer).await {
        send(sink, channel, buffer.get(..length).unwrap_or_default()).await;
    }
}

/// Passes on what the client sends; returns when the client is gone.
async fn feed(stream: &mut SplitStream<Socket>, takes_input: bool, input: &mut Input) {
    while let Some(Ok(message)) = stream.next().await {
        match split(message) {
            Some((STDIN, data)) if takes_input => input.write(&data).await,
            Some((CLOSE, channel)) if *channel == [STDIN] => input.close(),
            Some((RESIZE, size)) => {
                if let Ok(size) = serde_json::from_slice(&size) {
                    input.resize(size);
                }
            }
            _ => {}
        }
    }
}

/// A client that is gone is noticed by `feed`.
async fn send(sink: &Sink, channel: u8, data: &[u8]) {
    sink.lock().await.send(message(channel, data)).await.ok();
}
