//! The 101 answers: which upgrade was asked for, and the tunnel that follows.

use futures_util::future::BoxFuture;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::answer::{Answer, Body, empty, text};
use super::record::Recorded;

/// A WebSocket to a client.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What runs on a connection once it was upgraded.
pub(super) type Session = Box<dyn FnOnce(TokioIo<Upgraded>) -> BoxFuture<'static, ()> + Send>;

/// The protocol that a request wants to switch to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Requested {
    WebSocket,
    Spdy,
}

impl Requested {
    /// None for a request without an upgrade that the kubelet knows.
    pub(super) fn of(request: &Recorded) -> Option<Self> {
        if !list(request, "connection").iter().any(|token| token.eq_ignore_ascii_case("upgrade")) {
            return None;
        }
        request.header("upgrade").iter().find_map(|upgrade| {
            if upgrade.eq_ignore_ascii_case("websocket") {
                Some(Self::WebSocket)
            } else if upgrade.eq_ignore_ascii_case("SPDY/3.1") {
                Some(Self::Spdy)
            } else {
                None
            }
        })
    }
}

/// Switches to a WebSocket with the first of `known` that the client offers too.
///
/// A client that offers nothing gets the last of `known`, unnamed, as the oldest clients expect.
pub(super) fn websocket<F>(
    request: &Recorded,
    known: &[&'static str],
    serve: impl FnOnce(Socket, &'static str) -> F + Send + 'static,
) -> Answer
where
    F: Future<Output = ()> + Send,
{
    let key = request.header("sec-websocket-key");
    let [key] = key.as_slice() else {
        return text(StatusCode::BAD_REQUEST, "a WebSocket needs one Sec-WebSocket-Key");
    };
    if list(request, "sec-websocket-version") != ["13"] {
        return text(StatusCode::BAD_REQUEST, "only version 13 of WebSocket is known");
    }
    let offered = list(request, "sec-websocket-protocol");
    let chosen = if offered.is_empty() {
        known.last()
    } else {
        known.iter().find(|protocol| offered.iter().any(|offer| offer == *protocol))
    };
    let Some(&chosen) = chosen else {
        return text(StatusCode::FORBIDDEN, "no known sub-protocol was offered");
    };
    let mut response = switching("websocket");
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        response.headers_mut().insert("sec-websocket-accept", accept);
    }
    if !offered.is_empty() {
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(chosen));
    }
    Answer::Switch(
        response,
        Box::new(move |upgraded| {
            Box::pin(async move {
                serve(WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await, chosen)
                    .await;
            })
        }),
    )
}

/// Switches to SPDY with the first of `known` that the client offers too, and sends back what comes.
///
/// No SPDY frame is understood: whoever tests a gate needs the 101 and a tunnel, which is opaque.
pub(super) fn spdy(request: &Recorded, known: &[&'static str]) -> Answer {
    let offered = list(request, "x-stream-protocol-version");
    if offered.is_empty() {
        return text(StatusCode::BAD_REQUEST, "missing X-Stream-Protocol-Version");
    }
    let Some(chosen) = known.iter().find(|protocol| offered.iter().any(|offer| offer == *protocol))
    else {
        return text(StatusCode::FORBIDDEN, "no known stream protocol was offered");
    };
    let mut response = switching("SPDY/3.1");
    response.headers_mut().insert("x-stream-protocol-version", HeaderValue::from_static(chosen));
    Answer::Switch(response, Box::new(|upgraded| Box::pin(echo_bytes(upgraded))))
}

/// Sends back every message.
pub(super) async fn echo_messages(socket: Socket) {
    let (mut sink, mut stream) = socket.split();
    while let Some(Ok(message)) = stream.next().await {
        if matches!(message, Message::Binary(_)) && sink.send(message).await.is_err() {
            return;
        }
    }
}

/// Says goodbye, and leaves only when the client has done so too: a connection that is closed with
/// bytes still unread is reset, and the client might lose what was sent last.
pub(super) async fn close(mut sink: SplitSink<Socket, Message>, mut stream: SplitStream<Socket>) {
    if sink.close().await.is_err() {
        return;
    }
    while let Some(Ok(_)) = stream.next().await {}
    if let Ok(mut socket) = sink.reunite(stream) {
        socket.get_mut().shutdown().await.ok();
    }
}

async fn echo_bytes(upgraded: TokioIo<Upgraded>) {
    let (mut reader, mut writer) = tokio::io::split(upgraded);
    if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
        writer.shutdown().await.ok();
    }
}

fn switching(protocol: &'static str) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    response
}

/// The members of a comma list, which may be spread over repeated headers.
fn list(request: &Recorded, name: &str) -> Vec<String> {
    let values = request.header(name);
    values
        .iter()
        .flat_map(|value| value.split(','))
        .map(|member| member.trim().to_owned())
        .collect()
}
