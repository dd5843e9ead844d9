//! The command as a person runs it: what it prints, what it writes, how it exits.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

mod approver;
mod bad_input;
mod check;
mod completions;
mod diff;
mod digest;
mod eval;
mod examples;
mod learn;
mod log;
mod log_lines;
mod matrix;
mod pipes;
mod posture;
mod render;
mod replay;
mod support;
mod test;
mod wasm_plugin;
