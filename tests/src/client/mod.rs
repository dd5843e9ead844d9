//! Clients of a kubelet, or of the gate in front of it: bytes as they are, upgrades, remote commands.

mod dialer;
mod follow;
mod port_forward;
mod raw;
mod remote_command;
mod upgrade;

pub use self::dialer::{Dialer, TlsStream};
pub use self::follow::Follow;
pub use self::port_forward::PortForward;
pub use self::raw::{RawClient, Response, get, request};
pub use self::remote_command::{Finished, RemoteCommand, Session};
pub use self::upgrade::{WebSocket, open_spdy, open_websocket};

/// Why a session with the kubelet didn't begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The server gave another answer than the one that begins it.
    #[error("answered {}: {}", .0.status, .0.text())]
    Refused(Response),
    /// There is no connection, or no readable answer.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}
