//! The command `gatelet`, as the tests and the demo run it.

use std::{ffi::OsStr, path::PathBuf, process::Command};

use anyhow::{Context as _, ensure};

/// The command `gatelet`.
///
/// # Errors
/// As [`sibling`].
pub fn gatelet() -> anyhow::Result<PathBuf> {
    sibling("gatelet")
}

/// A program of this workspace: cargo builds it beside this one, or above the folder of a test.
///
/// # Errors
/// When it isn't built.
pub fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    program
        .ancestors()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .with_context(|| format!("`{name}` is not built: run `cargo build --workspace`"))
}

/// What `gatelet render` makes of these arguments: an extension-config file.
///
/// # Errors
/// What the command says.
pub fn render(arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gatelet.json");
    let run =
        Command::new(gatelet()?).arg("render").args(arguments).arg("-o").arg(&file).output()?;
    let said = String::from_utf8_lossy(&run.stderr);
    ensure!(run.status.success(), "{said}");
    // What it warns of.
    eprint!("{said}");
    Ok(std::fs::read_to_string(file)?)
}
