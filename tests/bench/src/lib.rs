//! What the benchmark and the micro-benchmarks share.

pub mod policies;
