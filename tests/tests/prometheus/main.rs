//! The rules and the dashboard in a real Prometheus, which scrapes a gate and an approver at work.
//!
//! `UPDATE_README=1` lets them work for three minutes and draws the dashboard anew.

#![expect(clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod alerts;
mod dashboard;
mod picture;
mod server;
mod work;
