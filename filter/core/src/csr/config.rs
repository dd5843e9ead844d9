//! The approver's configuration, as it is written and as it is used.

use std::{
    collections::BTreeMap,
    num::{NonZeroU64, NonZeroUsize},
};

use serde::{Deserialize, Serialize};

use crate::{
    config::{ConfigError, WrittenLimits, WrittenPolicy, field, read_json},
    policy::{Limits, PolicyError, Source},
};

/// The signer of certificates that kubelets serve.
pub const KUBELET_SERVING: &str = "kubernetes.io/kubelet-serving";
/// The signer of certificates with which kubelets call the API server.
pub const KUBELET_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// A configuration that fits together. Its policy is not compiled yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Who decides.
    pub policy: Source,
    /// The signers whose requests are decided.
    pub signers: Vec<String>,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// The subresource of `certificatesigningrequests` that who asks for a serving certificate has to
    /// be allowed to create; `None` asks for the resource itself, as kubelet-rubber-stamp does.
    pub serving_subresource: Option<String>,
    /// Whether nodes are asked for the certificate that they serve.
    pub live_certificates: bool,
    /// The port of kubelets.
    pub kubelet_port: u16,
    /// What a policy may cost.
    pub limits: Limits,
    /// How much is done at once.
    pub queue: Queue,
    /// Labels of every line of the decision log.
    pub labels: BTreeMap<String, String>,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They are.
    #[default]
    Enforce,
    /// They are logged and counted; nothing is written to the API server.
    DryRun,
}

/// How much is done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Queue {
    /// Requests that are worked on side by side.
    pub concurrency: NonZeroUsize,
    /// Requests that are known at a time, decided ones included, which make room for others; of one user a
    /// twentieth of them, but a hundred at least. Further ones wait.
    pub tracked: NonZeroUsize,
    /// Requests on a page of a list.
    pub page: NonZeroUsize,
}

impl Default for Queue {
    fn default() -> Self {
        const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(32).unwrap();
        const TRACKED: NonZeroUsize = NonZeroUsize::new(20_000).unwrap();
        const PAGE: NonZeroUsize = NonZeroUsize::new(500).unwrap();

        Self { concurrency: CONCURRENCY, tracked: TRACKED, page: PAGE }
    }
}

/// A configuration as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    /// The policy.
    pub policy: WrittenPolicy,
    /// See [`Config::signers`].
    pub signers: Vec<String>,
    /// `enforce` or `dry_run`.
    pub mode: Mode,
    /// See [`Config::serving_subresource`].
    pub serving_subresource: Option<String>,
    /// See [`Config::live_certificates`].
    pub live_certificates: bool,
    /// See [`Config::kubelet_port`].
    pub kubelet_port: u16,
    /// What a policy may cost.
    pub limits: WrittenLimits,
    /// How much is done at once.
    pub queue: Queue,
    /// What the decision log shows.
    pub log: Log,
}

/// What the decision log shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Labels of every line.
    pub labels: BTreeMap<String, String>,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            policy: WrittenPolicy::default(),
            signers: vec![KUBELET_SERVING.to_owned()],
            mode: Mode::default(),
            serving_subresource: None,
            live_certificates: true,
            kubelet_port: 10250,
            limits: WrittenLimits::default(),
            queue: Queue::default(),
            log: Log::default(),
        }
    }
}

/// The rule that decides, unless the configuration names another.
pub const ENTRYPOINT: &str = "data.csr.approval.decision";

/// The usual limits of one decision. Nobody waits for it, and a request may have a hundred names: so it may
/// take longer than at the gate.
const INSTRUCTIONS: NonZeroUsize = NonZeroUsize::new(250_000).unwrap();
const TIME_MS: NonZeroU64 = NonZeroU64::new(1_000).unwrap();

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When anything in it is not understood.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        read_json::<Written>(bytes)?.try_into()
    }
}

impl TryFrom<Written> for Config {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let Written {
            policy,
            signers,
            mode,
            serving_subresource,
            live_certificates,
            kubelet_port,
            limits,
            queue,
            log,
        } = written;
        if signers.is_empty() {
            return Err(field(
                "`signers` is empty",
                format!("name one, such as `{KUBELET_SERVING}`"),
            ));
        }
        for (index, signer) in signers.iter().enumerate() {
            if signer != KUBELET_SERVING && signer != KUBELET_CLIENT {
                return Err(field(
                    format!("`signers` has `{signer}`"),
                    format!("the approver knows `{KUBELET_SERVING}` and `{KUBELET_CLIENT}`"),
                ));
            }
            if signers.iter().skip(index + 1).any(|other| other == signer) {
                return Err(field(format!("`signers` has `{signer}` twice"), "name it once"));
            }
        }
        let is_word = |name: &String| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        };
        if let Some(name) = serving_subresource.as_ref().filter(|name| !is_word(name)) {
            return Err(field(
                format!("`serving_subresource` is `{name}`"),
                "write one word in lower case, such as `selfnodeserving`",
            ));
        }
        if kubelet_port == 0 {
            return Err(field("`kubelet_port` is 0", "kubelets have port 10250"));
        }
        let limits = Limits::from(WrittenLimits {
            instructions: limits.instructions.or(Some(INSTRUCTIONS)),
            time_ms: limits.time_ms.or(Some(TIME_MS)),
            ..limits
        });
        let WrittenPolicy { modules, data, entrypoint, adapter, sha256 } = policy;
        if adapter.is_some() {
            return Err(field("`adapter` has no meaning in profile `csr`", "remove it"));
        }
        let entrypoint = entrypoint.unwrap_or_else(|| ENTRYPOINT.to_owned());
        let policy = Source { modules, data, entrypoint };
        let actual = policy.digest();
        if let Some(expected) = sha256
            && expected != actual
        {
            return Err(PolicyError::Digest { expected, actual }.into());
        }
        Ok(Self {
            policy,
            signers,
            mode,
            serving_subresource,
            live_certificates,
            kubelet_port,
            limits,
            queue,
            labels: log.labels,
        })
    }
}
