//! Clients of a kubelet, or of the gate in front of it: bytes as they are, and remote commands.

mod dialer;
mod port_forward;
mod raw;
mod remote_command;
mod websocket;

pub use self::dialer::{Dialer, TlsStream};
pub use self::port_forward::PortForward;
pub use self::raw::{RawClient, Response, get};
pub use self::remote_command::{Finished, RemoteCommand, Session};
pub use self::websocket::{UpgradeError, WebSocket, open};
