//! The kubelet's endpoints, each with its typed parameters.
//!
//! Paths, methods and parameters are those of `pkg/kubelet/server/server.go` and
//! `staging/src/k8s.io/kubelet/pkg/cri/streaming` of Kubernetes 1.33 to 1.37. Where the kubelet
//! takes any method, only those with a use are known here; where it ignores what it doesn't know,
//! it is refused.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Method,
    names::{Label, PodName},
    query::{InvalidQuery, Query},
    upgrade::{Streams, TUNNEL, Upgrade, UpgradeKind},
};

/// A call to the kubelet, with its parameters as the kubelet will read them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "endpoint", rename_all = "camelCase")]
pub enum Endpoint {
    /// `/exec/{namespace}/{pod}/{container}`: runs a command, with streams.
    Exec {
        /// Where it runs.
        #[serde(flatten)]
        container: ContainerRef,
        /// What runs.
        exec: Exec,
    },
    /// `/attach/{namespace}/{pod}/{container}`: the streams of the container's own process.
    Attach {
        /// Whose streams.
        #[serde(flatten)]
        container: ContainerRef,
        /// Which of them.
        attach: Attach,
    },
    /// `/run/{namespace}/{pod}/{container}`: runs a command and returns its output, without an
    /// upgrade.
    Run {
        /// Where it runs.
        #[serde(flatten)]
        container: ContainerRef,
        /// What runs.
        run: Run,
    },
    /// `/portForward/{namespace}/{pod}`: connections to ports of the pod.
    PortForward {
        /// To which pod.
        #[serde(flatten)]
        pod: PodRef,
        /// To which ports, if that is said.
        port_forward: PortForward,
    },
    /// `/containerLogs/{namespace}/{pod}/{container}`.
    ContainerLogs {
        /// Whose log.
        #[serde(flatten)]
        container: ContainerRef,
        /// Which part of it.
        logs: Logs,
    },
    /// `/checkpoint/{namespace}/{pod}/{container}`: dumps the container's memory to a file.
    Checkpoint {
        /// Whose memory.
        #[serde(flatten)]
        container: ContainerRef,
        /// How.
        checkpoint: Checkpoint,
    },
    /// `/pods`: the specifications of all pods of the node, environment included.
    Pods,
    /// `/runningpods/`.
    RunningPods,
    /// `/logs/` and below: the node's `/var/log`, and the journal where that is enabled.
    NodeLogs {
        /// Which of them.
        node_logs: NodeLogs,
    },
    /// `/metrics` and its four siblings.
    Metrics {
        /// Which of them.
        metrics: Metrics,
    },
    /// `/stats/summary`.
    Stats {
        /// How much of it.
        stats: Stats,
    },
    /// `/healthz` and its checks.
    Healthz {
        /// Which of them.
        healthz: Healthz,
    },
    /// `/configz`: the kubelet's configuration.
    Configz,
    /// `/flagz`: the kubelet's flags.
    Flagz,
    /// `/statusz`.
    Statusz,
    /// `/debug/pprof/{name}` and `/debug/flags/v`.
    Debug {
        /// Which of them.
        debug: Debug,
    },
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerRef {
    /// The pod's namespace.
    pub namespace: Label,
    /// The pod.
    pub pod: PodName,
    /// The container.
    pub container: Label,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PodRef {
    /// The pod's namespace.
    pub namespace: Label,
    /// The pod.
    pub pod: PodName,
}

/// A command with its streams.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Whether the caller writes to it.
    pub stdin: bool,
    /// Whether the caller reads its output.
    pub stdout: bool,
    /// Whether the caller reads its errors on a stream of their own. The kubelet has none with a
    /// terminal, whatever was asked for.
    pub stderr: bool,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Variables added to its environment (KEP-6035).
    pub env: BTreeMap<String, String>,
}

/// The streams of a container's own process; as in [`Exec`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Attach {
    /// Whether the caller writes to it.
    pub stdin: bool,
    /// Whether the caller reads its output.
    pub stdout: bool,
    /// Whether the caller reads its errors.
    pub stderr: bool,
    /// Whether it has a terminal.
    pub tty: bool,
}

/// A command of `/run`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Run {
    /// The program and its arguments: `cmd` split at each single space, as the kubelet does it.
    pub command: Vec<String>,
}

/// The ports of a port-forward.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PortForward {
    /// The ports, where the request names them: only WebSocket clients before the tunnel do.
    pub ports: Vec<u16>,
    /// Whether the ports are named in the stream, where no policy on requests can see them.
    pub ports_in_stream: bool,
}

/// `v1.PodLogOptions`. Absent numbers and times are `null`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Logs {
    /// Whether the answer goes on as the log grows.
    pub follow: bool,
    /// Whether it is the log of the container's previous run.
    pub previous: bool,
    /// Whether each line has its time.
    pub timestamps: bool,
    /// Lines of at most this age, in seconds.
    pub since_seconds: Option<i64>,
    /// Lines from this time on, RFC 3339.
    pub since_time: Option<String>,
    /// At most so many lines from the end.
    pub tail_lines: Option<i64>,
    /// At most so many bytes.
    pub limit_bytes: Option<i64>,
    /// `All`, `Stdout` or `Stderr`.
    pub stream: Option<String>,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Checkpoint {
    /// How long it may take, in seconds.
    pub timeout_seconds: Option<i64>,
}

/// A part of the node's logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeLogs {
    /// The file or folder below `/var/log`; empty for all of it.
    pub path: String,
    /// Services whose journal is meant, or files: a value with a slash names a file by its path
    /// below `/var/log`, which begins with one.
    pub query: Vec<String>,
    /// Lines from this time on, RFC 3339.
    pub since_time: Option<String>,
    /// Lines up to this time, RFC 3339.
    pub until_time: Option<String>,
    /// At most so many lines from the end.
    pub tail_lines: Option<i64>,
    /// The boot meant: 0 is this one, -1 the one before.
    pub boot: Option<i64>,
    /// A regular expression that lines must match.
    pub pattern: Option<String>,
}

/// A page of metrics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Metrics {
    /// Whose metrics.
    pub source: MetricsSource,
}

/// Whose metrics a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MetricsSource {
    /// `/metrics`.
    Kubelet,
    /// `/metrics/cadvisor`.
    Cadvisor,
    /// `/metrics/resource`.
    Resource,
    /// `/metrics/probes`.
    Probes,
    /// `/metrics/slis`; `DELETE` resets it.
    Slis,
}

/// The summary of `/stats/summary`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stats {
    /// Whether it is cut down to CPU and memory.
    pub only_cpu_and_memory: bool,
}

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Healthz {
    /// One check by name, or all of them.
    pub check: Option<String>,
    /// Whether the answer lists the checks.
    pub verbose: bool,
    /// Checks left out.
    pub exclude: Vec<String>,
}

/// A debugging page.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Debug {
    /// Which family.
    pub kind: DebugKind,
    /// The profile, or the flag.
    pub name: String,
}

/// The families of debugging pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DebugKind {
    /// Go's profiler.
    Pprof,
    /// Flags set while the kubelet runs.
    Flags,
}

/// A path that belongs to an endpoint; its parameters are not read yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Exec(ContainerRef),
    Attach(ContainerRef),
    Run(ContainerRef),
    PortForward(PodRef),
    ContainerLogs(ContainerRef),
    Checkpoint(ContainerRef),
    Pods,
    RunningPods,
    NodeLogs(String),
    Metrics(MetricsSource),
    Stats,
    Healthz(Option<String>),
    Configz,
    Flagz,
    Statusz,
    Debug(DebugKind, String),
}

/// Why a path leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// The kubelet has no such endpoint, or one that no caller needs (a pod by its UID: the kubelet
    /// ignores the UID on exec, attach and run).
    Unknown,
    /// The endpoint exists; a name in it is one that Kubernetes doesn't take.
    Name,
}

impl Route {
    /// Finds the endpoint of a canonical path's segments.
    pub(super) fn find(segments: &[&str]) -> Result<Self, NoRoute> {
        Ok(match *segments {
            ["exec", namespace, pod, container] => {
                Self::Exec(ContainerRef::parse(namespace, pod, container)?)
            }
            ["attach", namespace, pod, container] => {
                Self::Attach(ContainerRef::parse(namespace, pod, container)?)
            }
            ["run", namespace, pod, container] => {
                Self::Run(ContainerRef::parse(namespace, pod, container)?)
            }
            ["portForward", namespace, pod] => Self::PortForward(PodRef::parse(namespace, pod)?),
            ["containerLogs", namespace, pod, container] => {
                Self::ContainerLogs(ContainerRef::parse(namespace, pod, container)?)
            }
            ["checkpoint", namespace, pod, container] => {
                Self::Checkpoint(ContainerRef::parse(namespace, pod, container)?)
            }
            ["pods"] => Self::Pods,
            ["runningpods", ""] => Self::RunningPods,
            ["logs", ref path @ ..] if !path.is_empty() => Self::NodeLogs(path.join("/")),
            ["metrics"] => Self::Metrics(MetricsSource::Kubelet),
            ["metrics", "cadvisor"] => Self::Metrics(MetricsSource::Cadvisor),
            ["metrics", "resource"] => Self::Metrics(MetricsSource::Resource),
            ["metrics", "probes"] => Self::Metrics(MetricsSource::Probes),
            ["metrics", "slis"] => Self::Metrics(MetricsSource::Slis),
            ["stats", "summary"] => Self::Stats,
            ["healthz"] => Self::Healthz(None),
            ["healthz", check] => Self::Healthz(Some(plain_word(check)?)),
            ["configz"] => Self::Configz,
            ["flagz"] => Self::Flagz,
            ["statusz"] => Self::Statusz,
            ["debug", "pprof", name] => Self::Debug(DebugKind::Pprof, plain_word(name)?),
            ["debug", "flags", "v"] => Self::Debug(DebugKind::Flags, "v".to_owned()),
            _ => return Err(NoRoute::Unknown),
        })
    }

    /// The methods that have a use.
    pub(super) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Exec(_) | Self::Attach(_) | Self::PortForward(_) | Self::Stats => {
                &[Method::Get, Method::Post]
            }
            Self::Run(_) | Self::Checkpoint(_) => &[Method::Post],
            Self::Metrics(MetricsSource::Slis) => &[Method::Get, Method::Delete],
            Self::Debug(DebugKind::Flags, _) => &[Method::Put],
            Self::ContainerLogs(_)
            | Self::Pods
            | Self::RunningPods
            | Self::NodeLogs(_)
            | Self::Metrics(_)
            | Self::Healthz(_)
            | Self::Configz
            | Self::Flagz
            | Self::Statusz
            | Self::Debug(DebugKind::Pprof, _) => &[Method::Get],
        }
    }

    /// The sub-protocols of an endpoint that streams.
    pub(super) fn streams(&self) -> Option<Streams> {
        match self {
            Self::Exec(_) | Self::Attach(_) => Some(Streams::RemoteCommand),
            Self::PortForward(_) => Some(Streams::PortForward),
            _ => None,
        }
    }

    /// Reads the endpoint's parameters.
    pub(super) fn with(
        self,
        query: &Query,
        upgrade: Option<&Upgrade>,
    ) -> Result<Endpoint, InvalidQuery> {
        query.only(self.parameters())?;
        Ok(match self {
            Self::Exec(container) => Endpoint::Exec { container, exec: Exec::parse(query)? },
            Self::Attach(container) => {
                Endpoint::Attach { container, attach: Attach::parse(query)? }
            }
            Self::Run(container) => Endpoint::Run { container, run: Run::parse(query)? },
            Self::PortForward(pod) => {
                Endpoint::PortForward { pod, port_forward: PortForward::parse(query, upgrade)? }
            }
            Self::ContainerLogs(container) => {
                Endpoint::ContainerLogs { container, logs: Logs::parse(query)? }
            }
            Self::Checkpoint(container) => Endpoint::Checkpoint {
                container,
                checkpoint: Checkpoint { timeout_seconds: query.read("timeout", at_least::<0>)? },
            },
            Self::Pods => Endpoint::Pods,
            Self::RunningPods => Endpoint::RunningPods,
            Self::NodeLogs(path) => Endpoint::NodeLogs { node_logs: NodeLogs::parse(path, query)? },
            Self::Metrics(source) => Endpoint::Metrics { metrics: Metrics { source } },
            Self::Stats => Endpoint::Stats {
                stats: Stats {
                    only_cpu_and_memory: query
                        .read("only_cpu_and_memory", boolean)?
                        .unwrap_or(false),
                },
            },
            Self::Healthz(check) => Endpoint::Healthz { healthz: Healthz::parse(check, query)? },
            Self::Configz => Endpoint::Configz,
            Self::Flagz => Endpoint::Flagz,
            Self::Statusz => Endpoint::Statusz,
            Self::Debug(kind, name) => {
                for key in ["seconds", "debug", "gc"] {
                    query.read(key, at_least::<0>)?;
                }
                Endpoint::Debug { debug: Debug { kind, name } }
            }
        })
    }

    fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::Exec(_) => &["command", "input", "output", "error", "tty", "env"],
            Self::Attach(_) => &["input", "output", "error", "tty"],
            Self::Run(_) => &["cmd"],
            Self::PortForward(_) => &["port"],
            Self::ContainerLogs(_) => &[
                "follow",
                "previous",
                "timestamps",
                "sinceSeconds",
                "sinceTime",
                "tailLines",
                "limitBytes",
                "stream",
            ],
            Self::Checkpoint(_) => &["timeout"],
            Self::NodeLogs(_) => {
                &["query", "sinceTime", "untilTime", "tailLines", "boot", "pattern"]
            }
            Self::Stats => &["only_cpu_and_memory"],
            Self::Healthz(_) => &["verbose", "exclude"],
            Self::Debug(DebugKind::Pprof, _) => &["seconds", "debug", "gc"],
            Self::Pods
            | Self::RunningPods
            | Self::Metrics(_)
            | Self::Configz
            | Self::Flagz
            | Self::Statusz
            | Self::Debug(DebugKind::Flags, _) => &[],
        }
    }
}

impl Endpoint {
    /// The endpoint's name, as policies, metrics and logs have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exec { .. } => "exec",
            Self::Attach { .. } => "attach",
            Self::Run { .. } => "run",
            Self::PortForward { .. } => "portForward",
            Self::ContainerLogs { .. } => "containerLogs",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Pods => "pods",
            Self::RunningPods => "runningPods",
            Self::NodeLogs { .. } => "nodeLogs",
            Self::Metrics { .. } => "metrics",
            Self::Stats { .. } => "stats",
            Self::Healthz { .. } => "healthz",
            Self::Configz => "configz",
            Self::Flagz => "flagz",
            Self::Statusz => "statusz",
            Self::Debug { .. } => "debug",
        }
    }

    /// The subresources of `nodes` that the kubelet's own authorizer asks for; any of them
    /// suffices (`pkg/kubelet/server/auth.go` with KubeletFineGrainedAuthz).
    #[must_use]
    pub fn subresources(&self) -> &'static [&'static str] {
        match self {
            Self::Exec { .. }
            | Self::Attach { .. }
            | Self::Run { .. }
            | Self::PortForward { .. }
            | Self::ContainerLogs { .. }
            | Self::Flagz
            | Self::Debug { .. } => &["proxy"],
            Self::Checkpoint { .. } => &["checkpoint"],
            Self::Pods | Self::RunningPods => &["pods", "proxy"],
            Self::NodeLogs { .. } => &["log"],
            Self::Metrics { .. } => &["metrics"],
            Self::Stats { .. } => &["stats"],
            Self::Healthz { .. } => &["healthz", "proxy"],
            Self::Configz => &["configz", "proxy"],
            Self::Statusz => &["statusz", "proxy"],
        }
    }
}

impl ContainerRef {
    fn parse(namespace: &str, pod: &str, container: &str) -> Result<Self, NoRoute> {
        let PodRef { namespace, pod } = PodRef::parse(namespace, pod)?;
        Ok(Self { namespace, pod, container: Label::parse(container).ok_or(NoRoute::Name)? })
    }
}

impl PodRef {
    fn parse(namespace: &str, pod: &str) -> Result<Self, NoRoute> {
        Ok(Self {
            namespace: Label::parse(namespace).ok_or(NoRoute::Name)?,
            pod: PodName::parse(pod).ok_or(NoRoute::Name)?,
        })
    }
}

impl Exec {
    fn parse(query: &Query) -> Result<Self, InvalidQuery> {
        let Attach { stdin, stdout, stderr, tty } = Attach::parse(query)?;
        let mut env = BTreeMap::new();
        for pair in query.all("env") {
            let (key, value) = pair.split_once('=').ok_or(InvalidQuery::Form("env"))?;
            if key.is_empty() || env.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(InvalidQuery::Form("env"));
            }
        }
        let command = query.all("command").map(str::to_owned).collect();
        Ok(Self { command, stdin, stdout, stderr, tty, env })
    }
}

impl Attach {
    fn parse(query: &Query) -> Result<Self, InvalidQuery> {
        let flag = |key| Ok(query.read(key, |value| (value == "1").then_some(()))?.is_some());
        let tty = flag("tty")?;
        Ok(Self {
            stdin: flag("input")?,
            stdout: flag("output")?,
            stderr: flag("error")? && !tty,
            tty,
        })
    }
}

impl Run {
    fn parse(query: &Query) -> Result<Self, InvalidQuery> {
        let cmd = query.one("cmd")?.ok_or(InvalidQuery::Missing("cmd"))?;
        Ok(Self { command: cmd.split(' ').map(str::to_owned).collect() })
    }
}

impl PortForward {
    fn parse(query: &Query, upgrade: Option<&Upgrade>) -> Result<Self, InvalidQuery> {
        let mut ports = Vec::new();
        for port in query.all("port").flat_map(|value| value.split(',')) {
            let port = integer(port)
                .and_then(|port| u16::try_from(port).ok())
                .filter(|port| *port != 0 && !ports.contains(port))
                .ok_or(InvalidQuery::Form("port"))?;
            ports.push(port);
        }
        let ports_in_stream = upgrade.is_none_or(|upgrade| {
            upgrade.kind == UpgradeKind::Spdy || upgrade.protocols.iter().any(|name| name == TUNNEL)
        });
        match (ports_in_stream, ports.is_empty()) {
            // The kubelet would not look at them, and a policy must not either.
            (true, false) => Err(InvalidQuery::Form("port")),
            (false, true) => Err(InvalidQuery::Missing("port")),
            _ => Ok(Self { ports, ports_in_stream }),
        }
    }
}

impl Logs {
    fn parse(query: &Query) -> Result<Self, InvalidQuery> {
        let flag = |key| Ok(query.read(key, boolean)?.unwrap_or(false));
        let logs = Self {
            follow: flag("follow")?,
            previous: flag("previous")?,
            timestamps: flag("timestamps")?,
            since_seconds: query.read("sinceSeconds", at_least::<1>)?,
            since_time: query.read("sinceTime", timestamp)?,
            tail_lines: query.read("tailLines", at_least::<0>)?,
            limit_bytes: query.read("limitBytes", at_least::<1>)?,
            stream: query.read("stream", |value| {
                ["All", "Stdout", "Stderr"].contains(&value).then(|| value.to_owned())
            })?,
        };
        if logs.since_seconds.is_some() && logs.since_time.is_some() {
            return Err(InvalidQuery::Form("sinceTime"));
        }
        Ok(logs)
    }
}

impl NodeLogs {
    fn parse(path: String, query: &Query) -> Result<Self, InvalidQuery> {
        let named: Vec<_> = query.all("query").map(str::to_owned).collect();
        // `maxServices` of the kubelet's journal handler.
        if named.len() > 4 || !named.iter().all(|name| is_service(name) || is_file(name)) {
            return Err(InvalidQuery::Form("query"));
        }
        let within = |most: i64| move |value: &str| integer(value).filter(|value| *value <= most);
        Ok(Self {
            path,
            query: named,
            since_time: query.read("sinceTime", timestamp)?,
            until_time: query.read("untilTime", timestamp)?,
            tail_lines: query
                .read("tailLines", |value| within(100_000)(value).filter(|lines| *lines >= 0))?,
            boot: query.read("boot", within(0))?,
            // An empty one is none to the kubelet.
            pattern: query
                .read("pattern", |value| (!value.is_empty()).then(|| value.to_owned()))?,
        })
    }
}

impl Healthz {
    fn parse(check: Option<String>, query: &Query) -> Result<Self, InvalidQuery> {
        // Its mere presence counts: `verbose=false` is verbose.
        let verbose = query.read("verbose", |value| value.is_empty().then_some(()))?.is_some();
        Ok(Self { check, verbose, exclude: query.all("exclude").map(str::to_owned).collect() })
    }
}

/// Whether the kubelet asks the journal for what has this name; blank ones it drops.
fn is_service(name: &str) -> bool {
    !name.contains(['/', '\\']) && !name.trim().is_empty()
}

/// Whether this is a file in the one spelling that the kubelet's file server leaves as it is.
fn is_file(name: &str) -> bool {
    let is_odd = |segment: &str| matches!(segment, "" | "." | "..");
    !name.contains('\\') && name.strip_prefix('/').is_some_and(|path| !path.split('/').any(is_odd))
}

fn plain_word(word: &str) -> Result<String, NoRoute> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if word.is_empty() || !word.bytes().all(is_plain) {
        return Err(NoRoute::Unknown);
    }
    Ok(word.to_owned())
}

fn boolean(value: &str) -> Option<bool> {
    match value {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// A decimal number as Go prints it: no `+`, no leading zero, no `-0`.
fn integer(value: &str) -> Option<i64> {
    value.parse::<i64>().ok().filter(|number| number.to_string() == value)
}

fn at_least<const LEAST: i64>(value: &str) -> Option<i64> {
    integer(value).filter(|number| *number >= LEAST)
}

/// A time of RFC 3339 in the upper-case spelling, and without the leap seconds that Go has not.
fn timestamp(value: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_digit() || b"-:.TZ+".contains(&byte);
    let time = chrono::DateTime::parse_from_rfc3339(value).ok()?;
    (value.bytes().all(is_plain) && time.timestamp_subsec_nanos() < 1_000_000_000)
        .then(|| value.to_owned())
}
