//! The WebSocket of the tests: frames, and the channels in them.

use std::io::{Cursor, Read, Result, Write};

use channel::TerminalSize;
use tokio_tungstenite::tungstenite::{
    Message, WebSocket,
    protocol::{Role, WebSocketConfig},
};

// The module alone: the rest of the tests' library would be instrumented for nothing.
#[path = "../../../tests/src/channel.rs"]
#[expect(dead_code, unreachable_pub, reason = "the tests use all of it")]
mod channel;

/// Whatever a client sends is read to its end, and a channel's message prints as it came.
pub fn run(data: &[u8]) {
    let config = WebSocketConfig::default().max_message_size(Some(1 << 16));
    let mut socket =
        WebSocket::from_raw_socket(Wire(Cursor::new(data)), Role::Server, Some(config));
    while let Ok(message) = socket.read() {
        let bytes = match &message {
            Message::Binary(bytes) => bytes.to_vec(),
            Message::Text(text) => text.as_bytes().to_vec(),
            _ => continue,
        };
        let Some((name, data)) = channel::split(message) else {
            assert!(bytes.is_empty(), "a message without a channel has bytes");
            continue;
        };
        assert_eq!(channel::message(name, &data).into_data(), bytes, "printing loses something");
        if name == channel::RESIZE
            && let Ok(size) = serde_json::from_slice::<TerminalSize>(&data)
        {
            let printed = serde_json::to_vec(&size).expect("a size is JSON");
            assert_eq!(serde_json::from_slice::<TerminalSize>(&printed).ok(), Some(size));
        }
    }
}

/// A client that has said all, and never listens.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
