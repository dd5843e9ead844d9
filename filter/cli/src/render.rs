//! `gatelet render`: a folder of Rego becomes the file that Envoy watches.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use gatelet_core::{
    Config, Gate,
    config::{AdapterName, PeerPin, Profile, SourceAddress, Written, WrittenMode, WrittenPolicy},
    extension_config::extension_config,
    policy::Builtins,
};
use serde_json::{Map, Value};

use crate::folder::Folder;

/// Makes the extension-config file with the policy in it, and prints the policy's SHA-256.
///
/// Envoy watches the file and takes the new policy without a restart. The policy is checked first,
/// as the filter would; if anything is wrong, the old file stays as it is.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) policy: PolicyArguments,
    /// Where to write the file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The filter's module, as Envoy will find it [default: gatelet.wasm, or gatelet-full.wasm]
    #[arg(long, value_name = "FILE")]
    module: Option<String>,
}

/// A policy, and how the filter is to use it.
#[derive(clap::Args)]
pub(crate) struct PolicyArguments {
    /// The folder with the Rego; `*_test.rego` is left out
    folder: PathBuf,
    /// Data for the policy, JSON or YAML; repeat it for more
    #[arg(long, value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Further settings of the filter, JSON or YAML: limits, log, denial, http
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// What kind of requests come
    #[arg(long, value_name = "kubelet|http", value_parser = profile, default_value = "kubelet")]
    profile: Profile,
    /// The rule that decides [default: data.kubelet.authz.decision, or data.http.authz.decision]
    #[arg(long, value_name = "RULE")]
    entrypoint: Option<String>,
    /// The policy is one of kubelet-tls-proxy, unchanged; `data.kubelet.peers` says who may call
    #[arg(long, value_name = "kubelet-tls-proxy", value_parser = adapter)]
    adapter: Option<AdapterName>,
    /// The policy is for gatelet-full.wasm: regex, glob, semver and base64 too
    #[arg(long)]
    full: bool,
    /// The node's name, for policies and the log
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Let policies see the caller's address; Envoy has to have `use_remote_address: true`
    #[arg(long)]
    source_address: bool,
    /// Only log what the policy denies, until this time (RFC 3339), for the callers in
    /// `data.kubelet.peers`
    #[arg(long, value_name = "TIME")]
    dry_run_until: Option<String>,
}

/// Renders, or changes nothing.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let policy = &arguments.policy;
    let written = policy.written()?;
    let gate = policy.compiled(written.clone())?;
    let usual = if policy.full { "gatelet-full.wasm" } else { "gatelet.wasm" };
    let file = extension_config(&written, arguments.module.as_deref().unwrap_or(usual))?;
    replace(&arguments.output, &format!("{file:#}\n"))
        .with_context(|| format!("cannot write {}", arguments.output.display()))?;
    println!("{}  {}", gate.digest(), arguments.output.display());
    Ok(())
}

impl PolicyArguments {
    /// The filter's configuration.
    pub(crate) fn written(&self) -> anyhow::Result<Written> {
        let Folder { modules, data } = Folder::read(&self.folder, &self.data)?;
        let mut written = self.settings()?;
        let modules = modules.into_iter().filter(|(name, _)| !name.ends_with("_test.rego"));
        if self.adapter.is_some() || self.dry_run_until.is_some() {
            written.peers = Some(pins(&data)?);
        }
        if let Some(until) = &self.dry_run_until {
            written.mode = WrittenMode::DryRun;
            written.dry_run_until = Some(until.clone());
        }
        if self.source_address {
            written.source_address = SourceAddress::Connection;
        }
        if self.node.is_some() {
            written.node.name.clone_from(&self.node);
        }
        written.profile = self.profile;
        written.policy = WrittenPolicy {
            modules: modules.collect(),
            data,
            entrypoint: self.entrypoint.clone(),
            adapter: self.adapter,
            sha256: None,
        };
        Ok(written)
    }

    /// The gate that the filter would make of it.
    pub(crate) fn compiled(&self, written: Written) -> anyhow::Result<Gate> {
        let builtins = if self.full { Builtins::Full } else { Builtins::Standard };
        Ok(Gate::new(Config::try_from(written)?, builtins)?)
    }

    fn settings(&self) -> anyhow::Result<Written> {
        let Some(file) = &self.settings else {
            return Ok(Written::default());
        };
        let name = || file.display().to_string();
        let text = std::fs::read_to_string(file).with_context(name)?;
        let written: Written = serde_saphyr::from_str(&text).with_context(name)?;
        if written.policy != WrittenPolicy::default() {
            bail!("{} has a `policy`; that comes from the folder", name());
        }
        Ok(written)
    }
}

/// The callers that the data pins: the filter holds on to them whatever a policy says.
fn pins(data: &Map<String, Value>) -> anyhow::Result<Vec<PeerPin>> {
    let peers =
        data.get("kubelet").and_then(|kubelet| kubelet.get("peers")).and_then(Value::as_array);
    let Some(peers) = peers else {
        bail!(
            "`data.kubelet.peers` is missing\nhelp: list who may call; rego/examples shows how to"
        );
    };
    let pin = |(index, peer): (usize, &Value)| {
        let mut peer = peer.clone();
        if let Some(fields) = peer.as_object_mut() {
            // What a peer gets is for the policy.
            fields.remove("presets");
        }
        serde_json::from_value(peer).with_context(|| format!("`data.kubelet.peers[{index}]`"))
    };
    peers.iter().enumerate().map(pin).collect()
}

/// Puts a file in its place in one move: Envoy never reads half of it.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut new = tempfile::Builder::new()
        .prefix(".gatelet-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

fn profile(name: &str) -> Result<Profile, String> {
    named(name)
}

fn adapter(name: &str) -> Result<AdapterName, String> {
    named(name)
}

/// Reads a name as the configuration does.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|error| error.to_string())
}
