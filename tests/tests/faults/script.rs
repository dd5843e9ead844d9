//! The shipped scripts, run by themselves.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use gatelet_certs::{Persona, publish};
use gatelet_tests::envoy::project;
use gatelet_tests::fixture::ALL;
use gatelet_tests::gate::cluster;
use gatelet_tests::policy;
use tempfile::TempDir;

/// A folder with all that the start script asks for, and files in it that a test may spoil.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    let (folder, cluster) = (tempfile::tempdir()?, cluster()?);
    let shipped = project().join("envoy/kubelet");
    publish(&folder.path().join("certs/serving"), &cluster.issue(Persona::GateServing)?)?;
    publish(&folder.path().join("certs/kubelet"), &cluster.issue(Persona::GateClientOwned)?)?;
    fs::copy(shipped.join("envoy.yaml"), folder.path().join("envoy.yaml"))?;
    fs::create_dir(folder.path().join("sds"))?;
    for entry in fs::read_dir(shipped.join("sds"))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.path().join("sds").join(entry.file_name()))?;
    }
    symlink("/dev/null", folder.path().join("gatelet.wasm"))?;
    fs::create_dir(folder.path().join("policy"))?;
    fs::write(folder.path().join("policy/gatelet.json"), policy::rego(ALL)?)?;
    Ok(folder)
}

pub(crate) fn script_command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(project().join("envoy/kubelet").join(name));
    // The policies here are good ones.
    command.current_dir(folder).env("GATELET_BIN", "true");
    command
}

/// Asserts that a script has failed and says why.
pub(crate) fn refused(output: Output, message: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(message), "no {message:?} in {said:?}");
    assert!(!output.status.success(), "{message}");
}
