//! The channels that exec, attach and port-forward multiplex over one WebSocket:
//! the first byte of each binary message names the channel, the rest is its data.
//!
//! As in Kubernetes' `k8s.io/apimachinery/pkg/util/remotecommand` and `…/httpstream/wsstream`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio_tungstenite::tungstenite::Message;

/// Standard input, to the container.
pub const STDIN: u8 = 0;
/// Standard output, from the container.
pub const STDOUT: u8 = 1;
/// Standard error, from the container; unused with a terminal.
pub const STDERR: u8 = 2;
/// How the command ended: one `metav1.Status`, from the kubelet.
pub const ERROR: u8 = 3;
/// New sizes of the terminal, to the container: a [`TerminalSize`] in JSON.
pub const RESIZE: u8 = 4;
/// Half-close: the one byte of data is the channel that ends. Only in [`V5`].
pub const CLOSE: u8 = 255;

/// The sub-protocol with half-close of stdin.
pub const V5: &str = "v5.channel.k8s.io";
/// The sub-protocol with a `metav1.Status` on [`ERROR`].
pub const V4: &str = "v4.channel.k8s.io";
/// SPDY frames of a port-forward inside WebSocket messages.
pub const SPDY_TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// One message for `channel`.
pub fn message(channel: u8, data: &[u8]) -> Message {
    let mut bytes = Vec::with_capacity(data.len() + 1);
    bytes.push(channel);
    bytes.extend_from_slice(data);
    Message::binary(bytes)
}

/// The channel and data of a message, if it has any.
pub fn split(message: Message) -> Option<(u8, Bytes)> {
    let mut data = match message {
        Message::Binary(data) => data,
        Message::Text(text) => text.into(),
        _ => return None,
    };
    if data.is_empty() {
        return None;
    }
    let channel = data.split_to(1);
    channel.first().map(|channel| (*channel, data))
}
