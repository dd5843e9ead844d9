//! Harness.

pub mod channel;
pub mod client;
pub mod deadline;
pub mod kubelet;
pub mod tls;
