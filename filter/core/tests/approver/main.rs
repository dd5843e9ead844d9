//! The approver's controller against an API server of a few lines: no host, no network, no clock.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test says what is wrong by panicking"
)]

mod api;
mod calls;
mod corpus;
mod queue;
mod rego;
