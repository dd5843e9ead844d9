//! The filter's configuration: as it is written, and as it is used.
//!
//! It is JSON, in a `StringValue` of Envoy's configuration. Nothing in it is ignored: an unknown or
//! repeated field is an error, as a typo in a limit or a pin would otherwise go unnoticed.

mod hidden;
mod pin;
pub mod unique;

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    diagnostic::{Diagnostic, Place},
    kubelet::Node,
    policy::{Limits, PolicyError, Source},
    posture::Watch,
};

pub use pin::{CertificateDigest, PeerPin};

/// A configuration that fits together. Its policy is not compiled yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What kind of requests come.
    pub profile: Profile,
    /// Who decides.
    pub policy: PolicyConfig,
    /// What becomes of the policy's denials.
    pub mode: Mode,
    /// Of callers with a certificate, the only ones that get anything, whatever the policy says; `None`
    /// leaves it to the policy.
    pub peers: Option<Vec<PeerPin>>,
    /// Certificates whose owners get nothing, whatever the policy and the mode say.
    pub denied_certificates: Vec<CertificateDigest>,
    /// What a policy may cost.
    pub limits: Limits,
    /// The node that the gate stands before.
    pub node: Node,
    /// Where the peer's address comes from.
    pub source_address: SourceAddress,
    /// Envoy's cluster for callers who bring a bearer token and no certificate. It leads to a kubelet
    /// that checks the token, over connections without the gate's certificate. `None` turns such
    /// callers away.
    pub token_cluster: Option<String>,
    /// How the kubelet's posture is watched, for `data.posture`, the metrics and the log.
    pub posture: Option<Watch>,
    /// Settings of profile `http`.
    pub http: HttpConfig,
    /// What callers are told.
    pub denial: DenialConfig,
    /// What the decision log shows.
    pub log: LogConfig,
}

/// Who decides.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyConfig {
    /// A policy with an entry point that says what is allowed.
    Rego(Source),
    /// An unchanged policy of kubelet-tls-proxy, which says what is denied.
    KubeletTlsProxy(Source),
}

/// What becomes of the policy's denials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are carried out.
    Enforce,
    /// They are logged and the requests forwarded, up to a time.
    DryRun {
        /// From then on they are carried out.
        until: DateTime<Utc>,
    },
}

/// A configuration as it is written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    /// `kubelet` or `http`.
    pub profile: Profile,
    /// The policy.
    pub policy: WrittenPolicy,
    /// `enforce` or `dry_run`.
    pub mode: WrittenMode,
    /// RFC 3339; goes with `dry_run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run_until: Option<String>,
    /// See [`Config::peers`]; goes with `dry_run` and with the adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<PeerPin>>,
    /// See [`Config::denied_certificates`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied_certificates: Vec<CertificateDigest>,
    /// What a policy may cost.
    pub limits: WrittenLimits,
    /// The node.
    pub node: Node,
    /// Where the peer's address comes from.
    pub source_address: SourceAddress,
    /// See [`Config::token_cluster`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_cluster: Option<String>,
    /// See [`Config::posture`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posture: Option<Watch>,
    /// Settings of profile `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpConfig>,
    /// What callers are told.
    pub denial: DenialConfig,
    /// What the decision log shows.
    pub log: LogConfig,
}

/// A policy as it is written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenPolicy {
    /// Rego by file name.
    pub modules: BTreeMap<String, String>,
    /// The `data` document.
    pub data: Map<String, Value>,
    /// The rule that decides; each profile has a usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// Whose policy it is, if it was not written for gatelet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterName>,
    /// The SHA-256 that the policy must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// The limits as they are written; what is absent has its usual value. Zero is not a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenLimits {
    /// [`Limits::instructions`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<NonZeroUsize>,
    /// [`Limits::time`], in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<NonZeroU64>,
    /// [`Limits::policy_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_bytes: Option<NonZeroUsize>,
    /// [`Limits::policy_columns`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_columns: Option<NonZeroU32>,
    /// [`Limits::policy_lines`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_lines: Option<NonZeroUsize>,
}

/// What kind of requests come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The kubelet's API; input `gatelet/v1`.
    #[default]
    Kubelet,
    /// Any HTTP service; input `gatelet/http/v1`.
    Http,
}

/// The mode as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WrittenMode {
    /// [`Mode::Enforce`].
    #[default]
    Enforce,
    /// [`Mode::DryRun`].
    DryRun,
}

/// Policies that were not written for gatelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterName {
    /// `package kubelet.policy` with `deny` over `method` and `path`.
    KubeletTlsProxy,
}

/// Where the peer's address comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceAddress {
    /// A policy sees none: Envoy may have taken it from a forwarded header.
    #[default]
    Ignore,
    /// Envoy's `source.address` is the connection's own (`use_remote_address: true`).
    Connection,
}

/// Settings of profile `http`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// The headers that a policy sees, lower-case.
    pub headers: Vec<String>,
}

/// What callers are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DenialConfig {
    /// Whether the rule's name stands behind `Denied by policy`.
    pub show_rule: bool,
}

/// What the decision log shows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// JSON pointers into the input document; what they name has another value in the log. They may
    /// begin with OPA's `/input`.
    pub mask: Vec<String>,
    /// JSON pointers too; what they name isn't in the log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub erase: Vec<String>,
    /// Labels of every line.
    pub labels: BTreeMap<String, String>,
}

impl LogConfig {
    /// Pointers of everything that is not in the log as a policy sees it.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = &str> {
        self.mask.iter().chain(&self.erase).map(String::as_str)
    }
}

/// Environments carry secrets. They are in the query as well.
impl Default for LogConfig {
    fn default() -> Self {
        let mask = ["/exec/env", "/query/env"].map(str::to_owned).to_vec();
        Self { mask, erase: Vec::new(), labels: BTreeMap::new() }
    }
}

/// A configuration that can't be used. The text is complete: what, where, and the way out.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Not the JSON of a configuration.
    #[error("{0}")]
    Json(Diagnostic),
    /// Fields that don't fit together, or a value that is none.
    #[error("{0}")]
    Field(Diagnostic),
    /// The policy is not the expected one.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// The cluster for callers without a certificate in the shipped configuration of Envoy.
pub const TOKEN_CLUSTER: &str = "kubelet-tokens";

/// The name of the configuration in messages.
const FILE: &str = "configuration";

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When anything in it is not understood.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        read_json::<Written>(bytes)?.try_into()
    }

    /// Whether a policy may see the peer's address.
    #[must_use]
    pub fn vouches_for_source_address(&self) -> bool {
        self.source_address == SourceAddress::Connection
    }
}

impl Written {
    /// Whether what the policy denies is only logged.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.mode == WrittenMode::DryRun
    }
}

impl TryFrom<Written> for Config {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let Written {
            profile,
            policy,
            mode,
            dry_run_until,
            peers,
            denied_certificates,
            limits,
            node,
            source_address,
            token_cluster,
            posture,
            http,
            denial,
            log,
        } = written;
        let mode = read_mode(mode, dry_run_until.as_deref())?;
        if peers.is_none() && mode != Mode::Enforce {
            return Err(field(
                "`dry_run` needs `peers`",
                "list the peers that may get what the policy denies, so that nobody else does",
            ));
        }
        if peers.is_none() && policy.adapter.is_some() {
            return Err(field(
                "the adapter `kubelet-tls-proxy` needs `peers`",
                "such a policy doesn't look at who is asking: list who may",
            ));
        }
        if token_cluster.is_some() && policy.adapter.is_some() {
            return Err(field(
                "the adapter `kubelet-tls-proxy` knows no callers with a token",
                "remove `token_cluster`",
            ));
        }
        match (profile, token_cluster.as_deref()) {
            (Profile::Http, Some(_)) => {
                return Err(field("`token_cluster` has no meaning in profile `http`", "remove it"));
            }
            (Profile::Kubelet, Some("")) => {
                return Err(field(
                    "`token_cluster` is empty",
                    "name Envoy's cluster for callers without a certificate, or remove it",
                ));
            }
            (Profile::Kubelet, _) | (Profile::Http, None) => {}
        }
        if let Some(watch) = &posture {
            check_posture(profile, watch)?;
        }
        let http = match (profile, http) {
            (Profile::Kubelet, Some(_)) => {
                return Err(field("`http` has no meaning in profile `kubelet`", "remove it"));
            }
            (_, http) => http.unwrap_or_default(),
        };
        if let Some(name) = http.headers.iter().find(|name| !is_header_name(name)) {
            return Err(field(
                format!("`http.headers` has `{name}`"),
                "names of headers are in lower case, without white space",
            ));
        }
        let log = hidden::check(log, profile)?;
        let policy = read_policy(policy, profile)?;
        let limits = limits.into();
        Ok(Self {
            profile,
            policy,
            mode,
            peers,
            denied_certificates,
            limits,
            node,
            source_address,
            token_cluster,
            posture,
            http,
            denial,
            log,
        })
    }
}

/// Reads a configuration as it is written, with the place of whatever is wrong.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, ConfigError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if text.trim_start().starts_with('{') => text,
        _ => return Err(ConfigError::Json(not_json(bytes))),
    };
    let json = |error: serde_json::Error| {
        let place = Place::at_line(FILE, text, error.line(), error.column());
        // serde appends the place in its own words.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        ConfigError::Json(Diagnostic::new(format!("the configuration: {message}")).at(place))
    };
    unique::check(text).map_err(json)?;
    serde_json::from_str(text).map_err(json)
}

fn check_posture(profile: Profile, watch: &Watch) -> Result<(), ConfigError> {
    const MOST_SECONDS: u32 = 3600;

    if profile == Profile::Http {
        return Err(field("`posture` has no meaning in profile `http`", "remove it"));
    }
    if watch.cluster.is_empty() {
        return Err(field("`posture.cluster` is empty", "name Envoy's cluster for the kubelet"));
    }
    if watch.interval_s.get() > MOST_SECONDS {
        return Err(field(
            format!("`posture.interval_s` is {}", watch.interval_s),
            "look at the kubelet at least once an hour",
        ));
    }
    Ok(())
}

fn read_mode(mode: WrittenMode, until: Option<&str>) -> Result<Mode, ConfigError> {
    match (mode, until) {
        (WrittenMode::Enforce, None) => Ok(Mode::Enforce),
        (WrittenMode::Enforce, Some(_)) => Err(field(
            "`dry_run_until` without `\"mode\": \"dry_run\"`",
            "remove it, or set the mode",
        )),
        (WrittenMode::DryRun, None) => Err(field(
            "`dry_run` needs `dry_run_until`",
            "say when it ends, such as `\"2026-12-31T00:00:00Z\"`; from then on the policy is enforced",
        )),
        (WrittenMode::DryRun, Some(until)) => match DateTime::parse_from_rfc3339(until) {
            Ok(until) => Ok(Mode::DryRun { until: until.to_utc() }),
            Err(_) => Err(field(
                format!("`dry_run_until` is `{until}`"),
                "write a time of RFC 3339, such as `2026-12-31T00:00:00Z`",
            )),
        },
    }
}

fn read_policy(policy: WrittenPolicy, profile: Profile) -> Result<PolicyConfig, ConfigError> {
    let WrittenPolicy { modules, data, entrypoint, adapter, sha256 } = policy;
    let config = match (adapter, profile, entrypoint) {
        (None, Profile::Kubelet, entrypoint) => {
            let entrypoint = entrypoint.unwrap_or_else(|| "data.kubelet.authz.decision".to_owned());
            PolicyConfig::Rego(Source { modules, data, entrypoint })
        }
        (None, Profile::Http, entrypoint) => {
            let entrypoint = entrypoint.unwrap_or_else(|| "data.http.authz.decision".to_owned());
            PolicyConfig::Rego(Source { modules, data, entrypoint })
        }
        (Some(AdapterName::KubeletTlsProxy), Profile::Kubelet, None) => {
            let entrypoint = "data.kubelet.policy.deny".to_owned();
            PolicyConfig::KubeletTlsProxy(Source { modules, data, entrypoint })
        }
        (Some(AdapterName::KubeletTlsProxy), Profile::Http, _) => {
            return Err(field(
                "the adapter `kubelet-tls-proxy` in profile `http`",
                "use it in profile `kubelet`",
            ));
        }
        (Some(AdapterName::KubeletTlsProxy), _, Some(_)) => {
            return Err(field(
                "`entrypoint` beside the adapter `kubelet-tls-proxy`",
                "remove it: such a policy decides by `data.kubelet.policy.deny`",
            ));
        }
    };
    let (PolicyConfig::Rego(source) | PolicyConfig::KubeletTlsProxy(source)) = &config;
    let actual = source.digest();
    match sha256 {
        Some(expected) if expected != actual => {
            Err(PolicyError::Digest { expected, actual }.into())
        }
        _ => Ok(config),
    }
}

impl From<WrittenLimits> for Limits {
    fn from(written: WrittenLimits) -> Self {
        let WrittenLimits { instructions, time_ms, policy_bytes, policy_columns, policy_lines } =
            written;
        Self {
            instructions: instructions.unwrap_or(Self::INSTRUCTIONS),
            time: time_ms.map_or(Self::TIME, |time| Duration::from_millis(time.get())),
            policy_bytes: policy_bytes.unwrap_or(Self::POLICY_BYTES),
            policy_columns: policy_columns.unwrap_or(Self::POLICY_COLUMNS),
            policy_lines: policy_lines.unwrap_or(Self::POLICY_LINES),
        }
    }
}

fn is_header_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    !name.is_empty() && name.bytes().all(is_plain)
}

pub(crate) fn field(message: impl Into<String>, help: impl Into<String>) -> ConfigError {
    ConfigError::Field(Diagnostic::new(message).help(help))
}

/// Envoy hands a `Struct` over as the bytes of its protocol buffer.
fn not_json(bytes: &[u8]) -> Diagnostic {
    let help = r#"write it as text:
  configuration:
    "@type": type.googleapis.com/google.protobuf.StringValue
    value: '{"policy": ...}'
`gatelet render` writes the whole file"#;
    let message = if bytes.is_empty() {
        "there is no configuration"
    } else if bytes.first() == Some(&b'\n') {
        // Field 1 of a message with a length: a Struct's first entry.
        "the configuration is a google.protobuf.Struct, which reaches the filter as raw bytes"
    } else {
        "the configuration is not a JSON object"
    };
    Diagnostic::new(message).help(help)
}

#[cfg(test)]
mod tests;
