//! The demo is ended in the middle.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use gatelet_tests::deadline::{eventually, within};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

#[tokio::test]
async fn a_demo_that_is_ended_leaves_nothing_running() -> anyhow::Result<()> {
    // A killed one has no time to tidy up its files.
    for (signal, tidies_up) in [(Signal::INT, true), (Signal::KILL, false)] {
        let folder = tempfile::tempdir()?;
        let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"))
            .args(["run", "--log", "decisions.log"])
            .current_dir(folder.path())
            .env("TMPDIR", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let id = demo.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).context("ended")?;
        eventually("Envoy to serve", async || Ok(admin_socket(folder.path())?)).await?;
        assert!(running_below(folder.path())? > 1, "{signal:?}: the demo and Envoy");

        kill_process(id, signal)?;
        assert!(!within("the demo to end", demo.wait()).await??.success(), "{signal:?}");
        eventually("whatever it started to end", async || {
            Ok((running_below(folder.path())? == 0).then_some(()))
        })
        .await?;
        assert_eq!(fs::read_dir(folder.path())?.next().is_none(), tidies_up, "{signal:?}");
    }
    Ok(())
}

fn admin_socket(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let sockets =
        fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path().join("admin.sock")));
    Ok(sockets.into_iter().find(|socket| socket.exists()))
}

/// How many processes have their working directory there, or had before it was removed.
fn running_below(folder: &Path) -> std::io::Result<usize> {
    let processes = fs::read_dir("/proc")?.filter_map(|entry| {
        // It may end this very moment.
        fs::read_link(entry.ok()?.path().join("cwd")).ok()
    });
    Ok(processes.filter(|directory| directory.starts_with(folder)).count())
}
