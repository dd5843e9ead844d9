//! Pods, a node and an outsider as network namespaces, with the sidecar as it is shipped.
//!
//! ```text
//! web ── sidecar ──┐               ┌── sidecar ── db
//!                  ├── node's bridge ──┤
//!                  └── outsider        └── Wire sees every frame
//! ```
//!
//! Needs root. Names are unique, so that any number of tests may run at once.

mod application;
mod namespace;
mod network;
pub mod node;
mod sidecar;
mod svid;
mod web;
mod wire;

pub use application::{Application, Datagrams, Greeter, HELLO, Seen, listen};
pub use namespace::Namespace;
pub use network::{Host, Network};
pub use sidecar::{Rules, Sidecar, Stopped, mesh};
pub use svid::{Issuer, Svid};
pub use web::{Asked, WebServer};
pub use wire::Wire;
