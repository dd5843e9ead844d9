//! Harness.

pub mod bench_pods;
pub mod channel;
pub mod client;
pub mod command;
pub mod deadline;
pub mod demo;
pub mod demo_pods;
pub mod envoy;
pub mod gate;
pub mod interrupt;
pub mod kubelet;
pub mod net;
pub mod policy;
pub mod standing;
pub mod tls;
