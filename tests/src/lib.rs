//! Harness.

pub mod api_server;
pub mod channel;
pub mod client;
pub mod command;
pub mod csr;
pub mod deadline;
pub mod demo;
pub mod envoy;
pub mod gate;
pub mod interrupt;
pub mod kubelet;
pub mod policy;
pub mod standing;
pub mod tls;
