//! Upgrades as a kube-apiserver asks a kubelet for them.

use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::OpenError;
use super::dialer::{Dialer, TlsStream};
use super::raw::RawClient;

/// An open WebSocket.
pub type WebSocket = WebSocketStream<TlsStream>;

/// What Kubernetes 1.36 passes on of its client: the host as the client knows it, and who that is.
const PASSED_ON: &str = "Host: kube-apiserver:6443\r\n\
                         User-Agent: kubectl/v1.36.2 (linux/amd64) kubernetes/0000000\r\n\
                         X-Forwarded-For: 10.0.0.5\r\n";

/// Opens a WebSocket, offering one sub-protocol.
///
/// # Errors
/// [`OpenError::Refused`] holds the answer of a server, or a gate, that doesn't want it.
pub async fn open_websocket(
    dialer: &Dialer,
    target: &str,
    protocol: &str,
) -> Result<WebSocket, OpenError> {
    let key = generate_key();
    let request = format!(
        "GET {target} HTTP/1.1\r\n{PASSED_ON}\
         Connection: Upgrade\r\n\
         Upgrade: websocket\r\n\
         Sec-Websocket-Version: 13\r\n\
         Sec-Websocket-Key: {key}\r\n\
         Sec-Websocket-Protocol: {protocol}\r\n\r\n"
    );
    let mut client = RawClient::connect(dialer).await?;
    client.send(request.as_bytes()).await?;
    let response = client.response().await?;
    if response.status != 101 {
        return Err(OpenError::Refused(response));
    }
    let accept = derive_accept_key(key.as_bytes());
    if response.header("sec-websocket-accept").as_deref() != Some(accept.as_str())
        || response.header("sec-websocket-protocol").as_deref() != Some(protocol)
    {
        return Err(OpenError::Failed(anyhow::anyhow!("a 101 to another handshake: {response:?}")));
    }
    Ok(client.into_websocket().await)
}

impl RawClient {
    /// The WebSocket that the connection has become by a 101.
    pub async fn into_websocket(self) -> WebSocket {
        let (stream, unread) = self.into_parts();
        WebSocketStream::from_partially_read(stream, unread, Role::Client, None).await
    }
}

/// Opens a SPDY tunnel, offering these stream protocols. What its frames would be is up to the caller.
///
/// # Errors
/// [`OpenError::Refused`] holds the answer of a server, or a gate, that doesn't want it.
pub async fn open_spdy(
    dialer: &Dialer,
    target: &str,
    protocols: &[&str],
) -> Result<RawClient, OpenError> {
    let versions: String =
        protocols.iter().map(|name| format!("X-Stream-Protocol-Version: {name}\r\n")).collect();
    let request = format!(
        "POST {target} HTTP/1.1\r\n{PASSED_ON}\
         Content-Length: 0\r\n\
         Connection: Upgrade\r\n\
         Upgrade: SPDY/3.1\r\n{versions}\r\n"
    );
    let mut client = RawClient::connect(dialer).await?;
    client.send(request.as_bytes()).await?;
    let response = client.response().await?;
    if response.status == 101 { Ok(client) } else { Err(OpenError::Refused(response)) }
}
