//! Harness.

pub mod api_server;
pub mod approver;
pub mod bench_pods;
pub mod channel;
pub mod client;
pub mod command;
pub mod csr;
pub mod deadline;
pub mod demo;
pub mod demo_pods;
pub mod echo;
pub mod envoy;
pub mod fixture;
pub mod gate;
pub mod interrupt;
pub mod kubelet;
pub mod machine;
pub mod module;
pub mod net;
pub mod pki;
pub mod policy;
pub mod standing;
pub mod tls;
