//! What figures were measured on.

use std::process::Command;

use anyhow::Context as _;

use crate::envoy;

/// The machine, and the versions of what ran on it, as a line of text.
///
/// # Errors
/// When there is no Envoy.
pub fn machine() -> anyhow::Result<String> {
    let version = Command::new(envoy::binary()?).arg("--version").output()?.stdout;
    let version = String::from_utf8_lossy(&version);
    // `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
    let version = version.split("version: ").nth(1).and_then(|it| it.split('/').nth(1));
    let version = version.context("no version")?;
    let first = |file: &str, prefix: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(prefix));
        line.map(|line| line.trim_start_matches([':', ' ', '\t']).to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = first("/proc/loadavg", "");
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "{}, {cores} cores, Linux {}, Envoy {version}. Load of the machine at the end: {load}.\n",
        first("/proc/cpuinfo", "model name"),
        first("/proc/sys/kernel/osrelease", ""),
    ))
}
