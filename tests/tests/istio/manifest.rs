//! A WasmPlugin as Istio's CustomResourceDefinition and its webhook take it (1.31).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use gatelet_tests::command::gatelet;
use gatelet_tests::envoy::project;
use serde::Deserialize;
use serde_json::{Map, Value};

/// `extensions.istio.io/v1alpha1`. Of the API server's fields, those that a person writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct WasmPlugin {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: Metadata,
    pub(crate) spec: Spec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    pub(crate) name: String,
    pub(crate) namespace: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Spec {
    pub(crate) selector: Option<Selector>,
    #[serde(default)]
    pub(crate) target_refs: Vec<TargetRef>,
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) sha256: String,
    #[serde(rename = "imagePullPolicy")]
    _image_pull_policy: Option<PullPolicy>,
    pub(crate) phase: Phase,
    #[serde(default)]
    pub(crate) fail_strategy: FailStrategy,
    #[serde(rename = "type")]
    _type: Option<PluginType>,
    #[serde(rename = "match", default)]
    pub(crate) traffic: Vec<Traffic>,
    #[serde(default)]
    pub(crate) plugin_config: Map<String, Value>,
    #[serde(default)]
    pub(crate) vm_config: VmConfig,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Selector {
    pub(crate) match_labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetRef {
    pub(crate) group: String,
    pub(crate) kind: String,
    #[serde(rename = "name")]
    _name: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum PullPolicy {
    IfNotPresent,
    Always,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Phase {
    Authn,
    Authz,
    Stats,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum FailStrategy {
    #[default]
    #[serde(rename = "FAIL_CLOSE")]
    Close,
    #[serde(rename = "FAIL_OPEN")]
    Open,
    #[serde(rename = "FAIL_RELOAD")]
    Reload,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum PluginType {
    Http,
    Network,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Traffic {
    pub(crate) mode: Option<Mode>,
    #[serde(default)]
    pub(crate) ports: Vec<Port>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Mode {
    Client,
    Server,
    ClientAndServer,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Port {
    pub(crate) number: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VmConfig {
    pub(crate) env: Vec<Variable>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl WasmPlugin {
    /// One of the shipped manifests.
    pub(crate) fn shipped(name: &str) -> anyhow::Result<Self> {
        Self::parse(&fs::read_to_string(project().join("envoy/istio").join(name))?)
    }

    /// A shipped manifest with a policy, as `gatelet render --wasm-plugin` makes it: arguments are the
    /// folder and whatever else there is to say.
    pub(crate) fn rendered(name: &str, arguments: &[&str], data: &Value) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("data.json");
        fs::write(&file, data.to_string())?;
        let output = folder.path().join("rendered.json");
        let run = std::process::Command::new(gatelet()?)
            .current_dir(project())
            .arg("render")
            .args(arguments)
            .arg("--data")
            .arg(file)
            .arg("--wasm-plugin")
            .arg(Path::new("envoy/istio").join(name))
            .arg("-o")
            .arg(&output)
            .output()?;
        ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        Self::parse(&fs::read_to_string(output)?)
    }

    /// Reads a manifest, and checks what Istio checks.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let plugin: Self = serde_saphyr::from_str(text).context("no WasmPlugin")?;
        ensure!(plugin.api_version == "extensions.istio.io/v1alpha1", "{}", plugin.api_version);
        ensure!(plugin.kind == "WasmPlugin", "{}", plugin.kind);
        plugin.spec.check()?;
        Ok(plugin)
    }
}

impl Spec {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.selector.is_none() || self.target_refs.is_empty(),
            "only one of targetRefs or selector can be set"
        );
        ensure!(self.target_refs.len() <= 16, "too many targetRefs");
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        ensure!(["", "http", "https", "oci", "file"].contains(&scheme), "{}", self.url);
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        ensure!(
            self.sha256.is_empty() || self.sha256.len() == 64 && self.sha256.bytes().all(is_hex),
            "{}",
            self.sha256
        );
        let mut ports = self.traffic.iter().flat_map(|traffic| &traffic.ports);
        ensure!(ports.all(|port| port.number > 0), "port 0");
        Ok(())
    }
}
