//! What the filter understands of a request, beside what a kubelet does.
//!
//! ```text
//! seeds ──> generate, mutate ──> Request ──┬─> reading::of   the core, natively
//!                                          └─> kubelet::Go   Go's net/http and net/url
//! ```
//!
//! Whatever the filter would hand on must have the same reading on both sides, field by field.
//! Where it refuses, nothing is claimed; how much it refuses is counted.

pub mod cases;
pub mod generate;
pub mod kubelet;
pub mod mutate;
pub mod reading;
pub mod request;
pub mod seeds;
pub mod tally;
mod words;
