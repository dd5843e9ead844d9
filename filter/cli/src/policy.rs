//! The policy that a subcommand is about, and how the filter is to use it.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, bail};
use gatelet_core::{
    Config,
    config::{
        AdapterName, CertificateDigest, PeerPin, Profile, SourceAddress, TOKEN_CLUSTER, Written,
        WrittenMode, WrittenPolicy,
    },
    csr,
    policy::Builtins,
    posture::{self, Watch},
};
use serde_json::{Map, Value};

use crate::{
    document,
    exit::Exit,
    folder::Folder,
    rendered::{Rendered, rendered},
};

/// Where a policy is.
#[derive(Clone, clap::Args)]
pub(crate) struct Files {
    /// The folder with the policy: `*.rego`, and `data.json` or `data.yaml` as OPA reads them
    #[arg(value_name = "POLICY")]
    pub(crate) folder: PathBuf,
    /// Data for the policy, JSON or YAML; repeat it for more
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
}

impl Files {
    /// All of it, tests included.
    pub(crate) fn read(&self) -> anyhow::Result<Folder> {
        Folder::read(&self.folder, &self.data)
    }
}

/// A policy, and how the filter is to use it.
#[derive(Clone, clap::Args)]
pub(crate) struct PolicyArguments {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Further settings of the filter, JSON or YAML: limits, log, denial, http; of the approver: signers,
    /// mode, limits, queue, log
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// What kind of requests come: `csr` is the approver's [default: kubelet]
    #[arg(long, value_name = "kubelet|http|csr", value_parser = profile)]
    profile: Option<Kind>,
    /// The rule that decides [default: data.kubelet.authz.decision, data.http.authz.decision or
    /// data.csr.approval.decision]
    #[arg(long, value_name = "RULE")]
    entrypoint: Option<String>,
    /// The policy is one of kubelet-tls-proxy, unchanged; `data.kubelet.peers` says who may call
    #[arg(long, value_name = "kubelet-tls-proxy", value_parser = adapter)]
    adapter: Option<AdapterName>,
    /// The policy is for gatelet-full.wasm: regex, glob, semver and base64 too
    #[arg(long)]
    pub(crate) full: bool,
    /// The node's name, for policies and the log
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Let policies see the caller's address; Envoy has to have `use_remote_address: true`
    #[arg(long)]
    source_address: bool,
    /// Let callers without a certificate keep their bearer token; Envoy has to be started with `--tokens`
    #[arg(long)]
    tokens: bool,
    /// Look at the kubelet's settings every minute, and hold them against this profile: for the policy as
    /// `data.posture`, for the metrics and for Envoy's log
    #[arg(long, value_name = "cis|owned|hardened", value_parser = requirements)]
    posture: Option<posture::Profile>,
    /// Only log what the policy denies, until this time (RFC 3339), for the callers in
    /// `data.kubelet.peers`
    #[arg(long, value_name = "TIME")]
    dry_run_until: Option<String>,
}

/// What decides: the filter, in one of its profiles, or the approver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Kubelet,
    Http,
    Csr,
}

impl PolicyArguments {
    /// Whether it is the approver's.
    pub(crate) fn is_for_the_approver(&self) -> bool {
        self.profile == Some(Kind::Csr)
    }

    /// The approver's configuration.
    pub(crate) fn written_for_the_approver(&self) -> anyhow::Result<csr::Written> {
        let Self { adapter, full, node, source_address, posture, dry_run_until, .. } = self;
        let for_the_filter = [
            ("--adapter", adapter.is_some()),
            ("--full", *full),
            ("--node", node.is_some()),
            ("--source-address", *source_address),
            ("--posture", posture.is_some()),
            ("--dry-run-until", dry_run_until.is_some()),
        ];
        if let Some((name, _)) = for_the_filter.iter().find(|(_, is_given)| *is_given) {
            return Err(Exit::Usage
                .because(format!("{name} has no meaning in profile `csr`\nhelp: leave it out")));
        }
        let Folder { modules, data } = self.files.read()?;
        let mut written: csr::Written = match &self.settings {
            Some(file) => document::read(file)?,
            None => csr::Written::default(),
        };
        self.comes_from_the_folder(&written.policy)?;
        written.policy = WrittenPolicy {
            modules: needed(modules),
            data,
            entrypoint: self.entrypoint.clone(),
            ..WrittenPolicy::default()
        };
        Ok(written)
    }

    /// The filter's configuration.
    pub(crate) fn written(&self) -> anyhow::Result<Written> {
        let Folder { modules, data } = self.files.read()?;
        let mut written = self.settings()?;
        if let Some(until) = &self.dry_run_until {
            written.mode = WrittenMode::DryRun;
            written.dry_run_until = Some(until.clone());
        }
        let is_dry_run = written.mode == WrittenMode::DryRun;
        if is_dry_run {
            shut_out_nobody(&data)?;
        }
        if written.peers.is_none() && (is_dry_run || self.adapter.is_some()) {
            written.peers = Some(pins(&data)?);
        }
        if written.denied_certificates.is_empty() {
            written.denied_certificates = denied_certificates(&data)?;
        }
        if self.source_address {
            written.source_address = SourceAddress::Connection;
        }
        if self.tokens {
            written.token_cluster = Some(TOKEN_CLUSTER.to_owned());
        }
        if let Some(profile) = self.posture {
            written.posture = Some(Watch::new(profile));
        }
        if self.node.is_some() {
            written.node.name.clone_from(&self.node);
        }
        match self.profile {
            Some(Kind::Kubelet) => written.profile = Profile::Kubelet,
            Some(Kind::Http) => written.profile = Profile::Http,
            Some(Kind::Csr) | None => {}
        }
        written.policy = WrittenPolicy {
            modules: needed(modules),
            data,
            entrypoint: self.entrypoint.clone(),
            adapter: self.adapter,
            sha256: None,
        };
        Ok(written)
    }

    /// The filter's configuration, of a folder or of a file that `gatelet render` made.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let for_the_filter = if self.is_for_the_approver() {
            None
        } else if self.files.folder.is_file() {
            match rendered(self)? {
                Rendered::Filter(config) => Some(*config),
                Rendered::Approver(_) => None,
            }
        } else {
            Some(self.written()?.try_into()?)
        };
        for_the_filter.ok_or_else(|| {
            Exit::Usage.because("requests to a kubelet are nothing for the approver's policy")
        })
    }

    /// The builtin functions of the module that the policy is for.
    pub(crate) fn builtins(&self) -> Builtins {
        if self.full { Builtins::Full } else { Builtins::Standard }
    }

    /// Whether nothing was said that a rendered file has in it.
    pub(crate) fn is_only_files(&self) -> bool {
        let Self {
            files,
            settings,
            profile,
            entrypoint,
            adapter,
            full: _,
            node,
            source_address,
            tokens,
            posture,
            dry_run_until,
        } = self;
        files.data.is_empty()
            && settings.is_none()
            && profile.is_none()
            && entrypoint.is_none()
            && adapter.is_none()
            && node.is_none()
            && !source_address
            && !tokens
            && posture.is_none()
            && dry_run_until.is_none()
    }

    fn settings(&self) -> anyhow::Result<Written> {
        let Some(file) = &self.settings else {
            return Ok(Written::default());
        };
        let written: Written = document::read(file)?;
        self.comes_from_the_folder(&written.policy)?;
        Ok(written)
    }

    /// Refuses settings that have a policy.
    fn comes_from_the_folder(&self, policy: &WrittenPolicy) -> anyhow::Result<()> {
        match &self.settings {
            Some(file) if *policy != WrittenPolicy::default() => {
                bail!("{} has a `policy`; that comes from the folder", file.display())
            }
            _ => Ok(()),
        }
    }
}

/// The modules that the filter needs: no tests, and not what is in the filter itself.
fn needed(modules: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_built_in = |rego: &str| posture::MODULES.iter().any(|(_, built_in)| *built_in == rego);
    modules
        .into_iter()
        .filter(|(name, rego)| !name.ends_with("_test.rego") && !is_built_in(rego))
        .collect()
}

/// A dry run forwards what the policy denies: whom the data shuts out would get everything.
fn shut_out_nobody(data: &Map<String, Value>) -> anyhow::Result<()> {
    let list = |name| data.get("kubelet").and_then(|kubelet| kubelet.get(name)?.as_array());
    let is_closed = |peer: &Value| match peer.get("presets").and_then(Value::as_array) {
        Some(presets) => presets.is_empty() || presets.contains(&Value::from("closed")),
        None => true,
    };
    match list("peers").and_then(|peers| peers.iter().position(is_closed)) {
        Some(index) => bail!(
            "a dry run would let in `data.kubelet.peers[{index}]`, which has no preset or `closed`\n\
             help: remove the entry as long as the dry run lasts"
        ),
        None => Ok(()),
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

/// The certificates that the data denies: the filter does, too, so that a dry run doesn't let them in.
fn denied_certificates(data: &Map<String, Value>) -> anyhow::Result<Vec<CertificateDigest>> {
    match data.get("kubelet").and_then(|kubelet| kubelet.get("denied_certificates")) {
        Some(list) => {
            serde_json::from_value(list.clone()).context("`data.kubelet.denied_certificates`")
        }
        None => Ok(Vec::new()),
    }
}

fn profile(name: &str) -> Result<Kind, String> {
    named(name)
}

fn requirements(name: &str) -> Result<posture::Profile, String> {
    named(name)
}

fn adapter(name: &str) -> Result<AdapterName, String> {
    named(name)
}

/// Reads a name as the configuration does.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(name.to_owned())).map_err(|error| error.to_string())
}
