//! What `kubectl apply` would send.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use gatelet_tests::command::render;
use gatelet_tests::envoy::project;
use serde_json::Value;
use tempfile::TempDir;

/// The folders of envoy/kubernetes that are applied with `-k`.
pub(crate) const KUSTOMIZATIONS: [&str; 5] =
    ["owned", "hardened", "approver", "sidecar", "monitoring"];

/// The objects of a file.
pub(crate) fn file(name: &str) -> anyhow::Result<Vec<Value>> {
    let file = project().join("envoy/kubernetes").join(name);
    documents(&fs::read_to_string(&file).with_context(|| file.display().to_string())?)
}

/// The objects of every kustomization, each with the policy that the README renders for it.
pub(crate) fn built() -> anyhow::Result<BTreeMap<&'static str, Vec<Value>>> {
    let folder = with_policies()?;
    let build = |name| Ok((name, build(&folder.path().join("kubernetes").join(name))?));
    KUSTOMIZATIONS.into_iter().map(build).collect()
}

/// The objects of one kustomization.
pub(crate) fn kustomization(name: &'static str) -> anyhow::Result<Vec<Value>> {
    build(&with_policies()?.path().join("kubernetes").join(name))
}

/// The only object of a kind.
pub(crate) fn the<'a>(kind: &str, objects: &'a [Value]) -> anyhow::Result<&'a Value> {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().with_context(|| format!("no {kind}"))?;
    ensure!(found.next().is_none(), "several {kind}s");
    Ok(object)
}

/// A copy of envoy/ with the policies that the README renders.
pub(crate) fn with_policies() -> anyhow::Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let envoy = project().join("envoy/.");
    let copied = Command::new("cp").arg("-R").arg(envoy).arg(folder.path()).status()?;
    ensure!(copied.success(), "envoy/ can't be copied");
    let rego = project().join("rego");
    let path = |name: &str| rego.join(name).display().to_string();
    let policy = render(&[
        rego.display().to_string(),
        "--data".to_owned(),
        path("examples/kubeadm-v1.36.yaml"),
        "--source-address".to_owned(),
    ])?;
    let kubernetes = folder.path().join("kubernetes");
    for profile in ["owned", "hardened"] {
        fs::write(kubernetes.join(profile).join("gatelet.json"), &policy)?;
    }
    let data = path("examples/approver.yaml");
    let approver = render(&[path("csr"), "--profile".into(), "csr".into(), "--data".into(), data])?;
    fs::write(kubernetes.join("approver/approver.json"), approver)?;
    Ok(folder)
}

fn build(folder: &Path) -> anyhow::Result<Vec<Value>> {
    let kubectl = Command::new("kubectl").arg("kustomize").arg(folder).output();
    let output = kubectl.context("these tests need kubectl, which has kustomize in it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {said}", folder.display());
    documents(&String::from_utf8(output.stdout)?)
}

fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    text.split("\n---\n").map(|document| Ok(serde_saphyr::from_str(document)?)).collect()
}
