//! gatelet's core: what a request to a kubelet means, who sent it, and whether a policy allows it.
//!
//! ```text
//! Config ──> Gate ── decide(Call) ──> Answer
//!              │                        ├─ Decision: Allow(Permit) | Deny(Denial)
//!   Headers ── kubelet::Request         └─ record: one line of the decision log
//!   Peer    ── kubelet::Input ── Policy ── Outcome
//! ```
//!
//! No host, no I/O: everything about a request is decided here, and tested natively and on Node.

// Every `#[test]` of this crate is the one that runs on Node too.
#[cfg(test)]
#[macro_use]
extern crate gatelet_portable;

mod cache;
pub mod config;
pub mod corpus;
#[cfg(feature = "csr")]
pub mod csr;
pub mod decision;
pub mod diagnostic;
pub mod extension_config;
pub mod gate;
pub mod headers;
pub mod http;
pub mod kubelet;
pub mod log;
pub mod peer;
mod percent;
pub mod policy;
pub mod posture;
mod question;
pub mod recorded;

pub use config::Config;
pub use decision::{Decision, Denial, Permit, Reason};
pub use gate::{Answer, Call, Gate, Judgement};
pub use headers::Headers;
pub use peer::Peer;
pub use recorded::Recorded;
