//! What a decision takes inside V8, without an Envoy around it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use gatelet_core::config::Written;
use gatelet_tests::envoy::project;
use serde::Deserialize;

use crate::report::table;
use crate::site::module;

/// What `module.mjs` prints.
#[derive(Debug, Deserialize)]
struct Figures {
    rows: Vec<Figure>,
    memory: u32,
}

#[derive(Debug, Deserialize)]
struct Figure {
    name: String,
    remembered: f64,
    first: f64,
}

/// The section of the results.
///
/// # Errors
/// When there is no Node, or a decision is another one than it should be.
pub(crate) fn section(policy: &Written) -> anyhow::Result<String> {
    let configuration = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(&configuration, policy)?;
    let output = Command::new("node")
        // As Envoy has V8 compile.
        .arg("--no-liftoff")
        .arg(project().join("tests/bench/module.mjs"))
        .arg(module()?)
        .arg(configuration.path())
        .stderr(Stdio::inherit())
        .output()
        .context("node")?;
    ensure!(output.status.success(), "module.mjs: {}", output.status);
    let Figures { rows, memory } = serde_json::from_slice(&output.stdout)?;
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| vec![row.name, format!("{:.1}", row.remembered), format!("{:.1}", row.first)])
        .collect();
    Ok(format!(
        "\n## Inside V8\n\n{}\nThe shipped policy, with a host in JavaScript. With all remembered that may be, \
         the module has {:.1} MB of memory.\n",
        table(&["", "remembered µs", "first time µs"], &rows),
        f64::from(memory) / 1e6,
    ))
}
