//! Fuzz targets: functions of bytes that panic when a promise of the filter is broken.
//!
//! libFuzzer calls them through the programs in `fuzz_targets`; a test calls them on every seed,
//! and on a fixed number of mutations, with the ordinary compiler.

pub mod configuration;
pub mod csr;
pub mod decide;
pub mod mutate;
pub mod path;
pub mod policy;
pub mod query;
pub mod seeds;
pub mod subject;
pub mod websocket;

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also its program's.
    pub name: &'static str,
    /// What it does with some bytes.
    pub run: fn(&[u8]),
    /// How many mutations the ordinary tests try: fewer where one takes long.
    pub mutations: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "configuration", run: configuration::run, mutations: 200 },
    Target { name: "csr", run: csr::run, mutations: 1_000 },
    Target { name: "decide", run: decide::run, mutations: 1_000 },
    Target { name: "path", run: path::run, mutations: 20_000 },
    Target { name: "policy", run: policy::run, mutations: 200 },
    Target { name: "query", run: query::run, mutations: 10_000 },
    Target { name: "subject", run: subject::run, mutations: 20_000 },
    Target { name: "websocket", run: websocket::run, mutations: 10_000 },
];
