//! The gate: reads a request, asks the policy, and answers. Nothing else decides.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    config::{Config, Mode, PolicyConfig, Profile},
    decision::{Decision, Denial, Permit, Reason},
    headers::Headers,
    http,
    kubelet::{self, Endpoint, Refusal},
    log::{self, Metrics, Record},
    peer::{InvalidPeer, Peer},
    policy::{Adapter, Builtins, Outcome, Policy, PolicyError, RuleId, Verdict, value},
};

/// A configuration with its policy compiled.
#[derive(Debug)]
pub struct Gate {
    config: Config,
    policy: Compiled,
    path: String,
}

#[derive(Debug)]
enum Compiled {
    Rego(Box<Policy>),
    KubeletTlsProxy(Box<Adapter>),
}

/// A request as the host hands it over.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its header lines.
    pub headers: Headers<'a>,
    /// Whether nothing follows them.
    pub end_of_stream: bool,
    /// Who sent it.
    pub peer: &'a Result<Peer, InvalidPeer>,
    /// The name of the decision in the log.
    pub decision_id: &'a str,
}

/// A decision, with what is to be counted and logged of it.
#[derive(Debug)]
pub struct Answer {
    /// What happens to the request.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The kubelet's endpoint, `http` in that profile, or `none` for a request without reading.
    pub endpoint: &'static str,
    /// How long the policy took.
    pub evaluation: Duration,
    /// The line of the decision log, a JSON object.
    pub record: String,
}

/// What a request comes to before it is written down.
struct Ruling {
    reason: Reason,
    rule: Option<RuleId>,
    message: Option<String>,
    endpoint: &'static str,
    input: Option<serde_json::Value>,
    evaluation: Duration,
}

/// The log has no line longer than this for a request that has no reading.
const LONGEST_UNREAD_TARGET: usize = 1024;

impl Gate {
    /// Compiles a configuration's policy.
    ///
    /// # Errors
    /// When the policy doesn't compile.
    pub fn new(config: Config, builtins: Builtins) -> Result<Self, PolicyError> {
        let (policy, path) = match &config.policy {
            PolicyConfig::Rego(source) => {
                let policy = Policy::compile(source, builtins, &config.limits)?;
                (Compiled::Rego(Box::new(policy)), source.entrypoint.as_str())
            }
            PolicyConfig::KubeletTlsProxy(source) => {
                let adapter = Adapter::compile(source, builtins, &config.limits)?;
                (Compiled::KubeletTlsProxy(Box::new(adapter)), Adapter::ENTRYPOINT)
            }
        };
        let path = path.strip_prefix("data.").unwrap_or(path).replace('.', "/");
        Ok(Self { config, policy, path })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The SHA-256 of the policy, 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        match &self.policy {
            Compiled::Rego(policy) => policy.digest(),
            Compiled::KubeletTlsProxy(adapter) => adapter.digest(),
        }
    }

    /// Decides one request. Total: every failure is a denial.
    ///
    /// `now` is asked for the time at the beginning, around the evaluation and at the end.
    pub fn decide(&self, call: &Call<'_>, now: impl Fn() -> DateTime<Utc>) -> Answer {
        let begin = now();
        let ruling = self.pinned(call.peer, self.rule(call, &now), begin);
        let Ruling { reason, rule, message, endpoint, input, evaluation } = ruling;
        let decision = match reason {
            Reason::Allowed | Reason::WouldDeny => {
                let credentials = call.headers.credentials().map(str::to_owned).collect();
                Decision::Allow(Permit::new(credentials))
            }
            _ => {
                let shown = rule.as_ref().filter(|_| self.config.denial.show_rule);
                Decision::Deny(Denial::new(reason, shown))
            }
        };
        let mut input = input.unwrap_or_else(|| self.unread(call));
        let masked = log::mask(&mut input, &self.config.log.mask);
        let record = Record {
            decision_id: call.decision_id,
            timestamp: begin,
            path: &self.path,
            input,
            result: reason == Reason::Allowed,
            reason,
            rule: rule.as_ref(),
            message: message.as_deref(),
            policy_sha256: self.digest(),
            labels: &self.config.log.labels,
            metrics: Metrics::new(evaluation, elapsed(begin, now())),
            masked,
        };
        // Every part of a record has a JSON form; were that ever to fail, the line says so.
        let record = serde_json::to_string(&record)
            .unwrap_or_else(|_| r#"{"message":"the record can't be written"}"#.to_owned());
        Answer { decision, reason, endpoint, evaluation, record }
    }

    fn rule(&self, call: &Call<'_>, now: &impl Fn() -> DateTime<Utc>) -> Ruling {
        let peer = match call.peer {
            Ok(peer) => peer,
            Err(error) => return Ruling::malformed("none", error),
        };
        let bearer_token = call.headers.has_bearer_token();
        let node = &self.config.node;
        match self.config.profile {
            Profile::Kubelet => {
                let request = match kubelet::Request::parse(call.headers, call.end_of_stream) {
                    Ok(request) => request,
                    Err(refusal) => return Ruling::refused(&refusal),
                };
                let input = kubelet::Input::new(&request, peer, bearer_token, node);
                let endpoint = request.endpoint.name();
                match &self.policy {
                    Compiled::Rego(policy) => evaluate(policy, endpoint, &input, now),
                    Compiled::KubeletTlsProxy(adapter) => {
                        timed(endpoint, &input, now, || adapter.evaluate(&readings(&request)))
                    }
                }
            }
            Profile::Http => {
                let shown = &self.config.http.headers;
                let request = match http::Request::parse(call.headers, shown) {
                    Ok(request) => request,
                    Err(error) => return Ruling::malformed("http", &error),
                };
                let input = http::Input::new(&request, peer, bearer_token, node);
                match &self.policy {
                    Compiled::Rego(policy) => evaluate(policy, "http", &input, now),
                    // The configuration doesn't let the two meet.
                    Compiled::KubeletTlsProxy(_) => {
                        timed("http", &input, now, || Outcome::Undefined)
                    }
                }
            }
        }
    }

    /// Turns away whoever is not one of the configured peers, and lets a dry run be one.
    fn pinned(
        &self,
        peer: &Result<Peer, InvalidPeer>,
        ruling: Ruling,
        now: DateTime<Utc>,
    ) -> Ruling {
        let is_pinned = |pins: &[crate::config::PeerPin]| {
            peer.as_ref().is_ok_and(|peer| pins.iter().any(|pin| pin.matches(peer)))
        };
        let decided = matches!(ruling.reason, Reason::Allowed | Reason::Denied);
        if decided && self.config.peers.as_deref().is_some_and(|pins| !is_pinned(pins)) {
            let message = Some("the caller is not one of the configured peers".to_owned());
            return Ruling { reason: Reason::Denied, rule: None, message, ..ruling };
        }
        match &self.config.mode {
            Mode::DryRun { until } if ruling.reason == Reason::Denied && now < *until => {
                Ruling { reason: Reason::WouldDeny, ..ruling }
            }
            _ => ruling,
        }
    }

    /// What the log has of a request without an input document.
    fn unread(&self, call: &Call<'_>) -> serde_json::Value {
        let text = |name| {
            let bytes = call.headers.all(name).next().unwrap_or_default();
            let bytes = bytes.get(..LONGEST_UNREAD_TARGET).unwrap_or(bytes);
            String::from_utf8_lossy(bytes).into_owned()
        };
        let mut input = serde_json::json!({"method": text(":method"), "path": text(":path")});
        if let (Ok(peer), Some(fields)) = (call.peer, input.as_object_mut()) {
            let peer = crate::peer::PeerInput::new(peer, call.headers.has_bearer_token());
            if let Ok(peer) = serde_json::to_value(peer) {
                fields.insert("peer".to_owned(), peer);
            }
        }
        input
    }
}

impl Ruling {
    fn malformed(endpoint: &'static str, error: &dyn std::error::Error) -> Self {
        Self::unasked(Reason::Malformed, endpoint, error)
    }

    fn refused(refusal: &Refusal) -> Self {
        let reason = match refusal {
            Refusal::Malformed(_) => Reason::Malformed,
            Refusal::UnknownEndpoint => Reason::UnknownEndpoint,
            Refusal::Method => Reason::Method,
        };
        Self::unasked(reason, "none", refusal)
    }

    fn unasked(reason: Reason, endpoint: &'static str, error: &dyn std::error::Error) -> Self {
        Self {
            reason,
            rule: None,
            message: Some(error.to_string()),
            endpoint,
            input: None,
            evaluation: Duration::ZERO,
        }
    }
}

fn evaluate(
    policy: &Policy,
    endpoint: &'static str,
    input: &impl Serialize,
    now: &impl Fn() -> DateTime<Utc>,
) -> Ruling {
    timed(endpoint, input, now, || match value::to_value(input) {
        Ok(document) => policy.evaluate(document),
        Err(error) => Outcome::Failed(error.to_string()),
    })
}

/// Asks the policy, and keeps the input document for the log.
fn timed(
    endpoint: &'static str,
    input: &impl Serialize,
    now: &impl Fn() -> DateTime<Utc>,
    ask: impl FnOnce() -> Outcome,
) -> Ruling {
    let begin = now();
    let outcome = ask();
    let evaluation = elapsed(begin, now());
    let (reason, verdict) = match outcome {
        Outcome::Allowed(verdict) => (Reason::Allowed, verdict),
        Outcome::Denied(verdict) => (Reason::Denied, verdict),
        Outcome::Undefined => (Reason::Undefined, Verdict::default()),
        Outcome::NotBoolean => (Reason::NotBoolean, Verdict::default()),
        Outcome::UnknownKey => (Reason::UnknownKey, Verdict::default()),
        Outcome::Budget => (Reason::Budget, Verdict::default()),
        Outcome::Failed(error) => (Reason::Undefined, Verdict { rule: None, reason: Some(error) }),
    };
    let Verdict { rule, reason: message } = verdict;
    let input = serde_json::to_value(input).ok();
    Ruling { reason, rule, message, endpoint, input, evaluation }
}

/// The requests that an unchanged policy of kubelet-tls-proxy is asked about, as (method, path).
///
/// Such a policy knows exec as `POST`; the kubelet takes it as `GET` too. What it has never heard
/// of is not asked about: without an entry here the adapter denies.
fn readings(request: &kubelet::Request) -> Vec<(&str, &str)> {
    let path = request.path.as_str();
    let real = (request.method.as_str(), path);
    match request.endpoint {
        Endpoint::Exec { .. } | Endpoint::Attach { .. } | Endpoint::PortForward { .. } => {
            vec![real, ("POST", path)]
        }
        Endpoint::ContainerLogs { .. }
        | Endpoint::Pods
        | Endpoint::Metrics { .. }
        | Endpoint::Stats { .. }
        | Endpoint::Healthz { .. } => vec![real],
        Endpoint::Run { .. }
        | Endpoint::Checkpoint { .. }
        | Endpoint::RunningPods
        | Endpoint::NodeLogs { .. }
        | Endpoint::Configz
        | Endpoint::Flagz
        | Endpoint::Statusz
        | Endpoint::Debug { .. } => Vec::new(),
    }
}

/// A clock that was set back shows no time at all.
fn elapsed(begin: DateTime<Utc>, end: DateTime<Utc>) -> Duration {
    (end - begin).to_std().unwrap_or_default()
}
