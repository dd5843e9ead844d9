//! A WebSocket as a kube-apiserver of 1.36 opens it.

use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::dialer::{Dialer, TlsStream};
use super::raw::{RawClient, Response};

/// An open WebSocket.
pub type WebSocket = WebSocketStream<TlsStream>;

/// Why a WebSocket didn't open.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The server answered with something other than 101.
    #[error("answered {} instead of 101: {}", .0.status, .0.text())]
    Refused(Response),
    /// There is no connection, or no readable answer.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Opens a WebSocket with a GET, offering one sub-protocol.
///
/// # Errors
/// [`UpgradeError::Refused`] holds the answer of a server, or a gate, that doesn't want it.
pub async fn open(
    dialer: &Dialer,
    target: &str,
    protocol: &str,
) -> Result<WebSocket, UpgradeError> {
    let key = generate_key();
    let request = format!(
        "GET {target} HTTP/1.1\r\n\
         Host: kubelet\r\n\
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
        return Err(UpgradeError::Refused(response));
    }
    let accepted = response
        .header("sec-websocket-accept")
        .is_some_and(|accept| accept == derive_accept_key(key.as_bytes()));
    let chosen = response.header("sec-websocket-protocol").is_some_and(|chosen| chosen == protocol);
    if !accepted || !chosen {
        return Err(anyhow::anyhow!("the 101 doesn't answer the handshake: {response:?}").into());
    }
    let (stream, unread) = client.into_parts();
    Ok(WebSocketStream::from_partially_read(stream, unread, Role::Client, None).await)
}
