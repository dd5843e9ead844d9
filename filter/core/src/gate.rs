//! The gate: reads a request, asks the policy, and answers. Nothing else decides.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    config::{Config, Mode, PeerPin, PolicyConfig, Profile},
    decision::{Decision, Denial, Permit, Reason},
    headers::Headers,
    http,
    kubelet::{self, Endpoint, Refusal},
    log::{self, Metrics, Record},
    peer::{InvalidPeer, Peer, PeerInput},
    policy::{Adapter, Builtins, Outcome, Policy, PolicyError, RuleId, Verdict, value},
};

/// A configuration with its policy compiled.
#[derive(Debug)]
pub struct Gate {
    config: Config,
    decider: Decider,
    path: String,
}

/// Who decides, and about what kind of requests.
#[derive(Debug)]
enum Decider {
    Kubelet(Box<Policy>),
    KubeletTlsProxy(Box<Adapter>),
    Http(Box<Policy>),
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
    /// The cluster to which Envoy's route leads (`xds.cluster_name`). It counts for callers without a
    /// certificate, and who can't tell it turns them away.
    pub cluster: Option<&'a [u8]>,
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
    /// Whether the evaluation failed, which is a denial and somebody's fault.
    pub failed: bool,
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
    failed: bool,
}

/// What there is for a token. Whether the token is worth anything is the control plane's word, and
/// nobody would have a pod's output, or its shell, depend on that.
const TOKEN_ENDPOINTS: [&str; 3] = ["metrics", "stats", "healthz"];

/// Of a path that has no reading, the log has this many bytes.
const LONGEST_UNREAD_PATH: usize = 1024;

impl Gate {
    /// Compiles a configuration's policy.
    ///
    /// # Errors
    /// When the policy doesn't compile.
    pub fn new(config: Config, builtins: Builtins) -> Result<Self, PolicyError> {
        let (decider, path) = match &config.policy {
            PolicyConfig::Rego(source) => {
                let policy = Box::new(Policy::compile(source, builtins, &config.limits)?);
                let decider = match config.profile {
                    Profile::Kubelet => Decider::Kubelet(policy),
                    Profile::Http => Decider::Http(policy),
                };
                (decider, source.entrypoint.as_str())
            }
            PolicyConfig::KubeletTlsProxy(source) => {
                let adapter = Adapter::compile(source, builtins, &config.limits)?;
                (Decider::KubeletTlsProxy(Box::new(adapter)), Adapter::ENTRYPOINT)
            }
        };
        let path = path.strip_prefix("data.").unwrap_or(path).replace('.', "/");
        Ok(Self { config, decider, path })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The SHA-256 of the policy, 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        match &self.decider {
            Decider::Kubelet(policy) | Decider::Http(policy) => policy.digest(),
            Decider::KubeletTlsProxy(adapter) => adapter.digest(),
        }
    }

    /// Decides one request. Total: every failure is a denial.
    ///
    /// `now` is asked for the time at the beginning, around the evaluation and at the end.
    pub fn decide(&self, call: &Call<'_>, now: impl Fn() -> DateTime<Utc>) -> Answer {
        let begin = now();
        let ruling = self.settle(call, self.rule(call, &now), begin);
        let Ruling { reason, rule, message, endpoint, input, evaluation, failed } = ruling;
        let mut input = input.unwrap_or_else(|| unread(call));
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
            kubectl_session: kubectl_session(call.headers),
            policy_sha256: self.digest(),
            labels: &self.config.log.labels,
            metrics: Metrics::new(evaluation, elapsed(begin, now())),
            masked,
        };
        let record = log::line(&record);
        let decision = match (reason, &record) {
            (Reason::Allowed | Reason::WouldDeny, Ok(_)) => {
                let credentials = call.headers.credentials();
                let removed = credentials.filter(|&name| !self.lets_keep(call, name));
                Decision::Allow(Permit::new(removed.map(str::to_owned).collect()))
            }
            // What can't be written down isn't carried out, though every part of a record has a JSON
            // form today.
            _ => {
                let shown = rule.as_ref().filter(|_| self.config.denial.show_rule);
                Decision::Deny(Denial::new(reason, shown))
            }
        };
        let record =
            record.unwrap_or_else(|_| r#"{"message":"the record can't be written"}"#.to_owned());
        Answer { decision, reason, endpoint, evaluation, failed, record }
    }

    fn rule(&self, call: &Call<'_>, now: &impl Fn() -> DateTime<Utc>) -> Ruling {
        let peer = match call.peer {
            Ok(peer) => peer,
            Err(error) => return Ruling::malformed("none", error),
        };
        let bearer_token = call.headers.has_bearer_token();
        let node = &self.config.node;
        if let Decider::Http(policy) = &self.decider {
            return match http::Request::parse(call.headers, &self.config.http.headers) {
                Ok(request) => {
                    let input = http::Input::new(&request, peer, bearer_token, node);
                    timed("http", &input, now, || evaluate(policy, &input))
                }
                Err(error) => Ruling::malformed("http", &error),
            };
        }
        let request = match kubelet::Request::parse(call.headers, call.end_of_stream) {
            Ok(request) => request,
            Err(refusal) => return Ruling::refused(&refusal),
        };
        let input = kubelet::Input::new(&request, peer, bearer_token, node);
        timed(request.endpoint.name(), &input, now, || match &self.decider {
            Decider::Kubelet(policy) | Decider::Http(policy) => evaluate(policy, &input),
            Decider::KubeletTlsProxy(adapter) => adapter.evaluate(&readings(&request)),
        })
    }

    /// What the policy decided, unless the configuration turns the caller away; a dry run only
    /// watches what the policy denies.
    fn settle(&self, call: &Call<'_>, ruling: Ruling, now: DateTime<Utc>) -> Ruling {
        if !matches!(ruling.reason, Reason::Allowed | Reason::Denied) {
            return ruling;
        }
        if let Some(why) = self.turns_away(call, ruling.endpoint) {
            let message = Some(why.to_owned());
            return Ruling { reason: Reason::Denied, rule: None, message, ..ruling };
        }
        match &self.config.mode {
            Mode::DryRun { until } if ruling.reason == Reason::Denied && now < *until => {
                Ruling { reason: Reason::WouldDeny, ..ruling }
            }
            _ => ruling,
        }
    }

    /// Why the configuration turns a caller away, whatever the policy says.
    fn turns_away(&self, call: &Call<'_>, endpoint: &str) -> Option<&'static str> {
        let peer = call.peer;
        let certificate = peer.as_ref().ok().and_then(|peer| peer.certificate.as_ref());
        if certificate.is_none() && self.config.profile == Profile::Kubelet {
            let why = self.turns_away_without_certificate(call, endpoint);
            if why.is_some() {
                return why;
            }
        }
        let denied = &self.config.denied_certificates;
        if certificate.is_some_and(|certificate| denied.iter().any(|it| it.is_of(certificate))) {
            return Some("the caller's certificate is denied by the configuration");
        }
        let pinned = |pins: &[PeerPin]| {
            peer.as_ref().is_ok_and(|peer| pins.iter().any(|pin| pin.matches(peer)))
        };
        match &self.config.peers {
            Some(pins) if !pinned(pins) => Some("the caller is not one of the configured peers"),
            _ => None,
        }
    }

    /// The kubelet is to know such a caller by its token alone. So the token has to get there, and the
    /// gate's certificate must not: Envoy has to have chosen the cluster for that.
    fn turns_away_without_certificate(
        &self,
        call: &Call<'_>,
        endpoint: &str,
    ) -> Option<&'static str> {
        let Some(cluster) = &self.config.token_cluster else {
            return Some("the caller has no certificate");
        };
        if call.cluster != Some(cluster.as_bytes()) {
            return Some(
                "the caller has no certificate, and Envoy's route is not to `token_cluster`",
            );
        }
        if !call.headers.has_one_bearer_token() {
            return Some("the caller has neither a certificate nor one bearer token");
        }
        if !TOKEN_ENDPOINTS.contains(&endpoint) || call.headers.all(":method").ne([b"GET"]) {
            return Some("without a certificate there are metrics, statistics and health only");
        }
        None
    }

    /// Whether a credential goes on: the token of a caller without a certificate, and nothing else.
    fn lets_keep(&self, call: &Call<'_>, header: &str) -> bool {
        let has_certificate = call.peer.as_ref().map_or(true, |peer| peer.certificate.is_some());
        self.config.token_cluster.is_some() && !has_certificate && header == "authorization"
    }
}

/// What the log has of a request without an input document. Not its query: that may have secrets,
/// and without a document nothing says what to mask.
fn unread(call: &Call<'_>) -> serde_json::Value {
    let text = |name| {
        let bytes = call.headers.all(name).next().unwrap_or_default();
        let bytes = bytes.split(|&byte| byte == b'?').next().unwrap_or_default();
        String::from_utf8_lossy(bytes.get(..LONGEST_UNREAD_PATH).unwrap_or(bytes))
    };
    let peer = call.peer.as_ref().ok();
    let peer = peer.map(|peer| PeerInput::new(peer, call.headers.has_bearer_token()));
    serde_json::json!({"method": text(":method"), "path": text(":path"), "peer": peer})
}

/// `Kubectl-Session`, a UUID; any other text is not for the log.
fn kubectl_session(headers: Headers<'_>) -> Option<&str> {
    let session = headers.one("kubectl-session").ok().flatten()?;
    let is_uuid =
        session.len() == 36 && session.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_uuid.then_some(session)
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
            failed: false,
        }
    }
}

fn evaluate(policy: &Policy, input: &impl Serialize) -> Outcome {
    match value::to_value(input) {
        Ok(document) => policy.evaluate(document),
        Err(error) => Outcome::Failed(error.to_string()),
    }
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
    let failed = matches!(outcome, Outcome::Failed(_));
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
    Ruling { reason, rule, message, endpoint, input, evaluation, failed }
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
