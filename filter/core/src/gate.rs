//! The gate: reads a request, asks the policy, and answers. Nothing else decides.

#[cfg(feature = "explain")]
mod explain;
mod recorded;

use std::{borrow::Cow, rc::Rc, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    cache::{Arrival, Cache, Decided},
    config::{Config, Mode, PolicyConfig, Profile},
    decision::{Decision, Denial, Permit, Reason},
    headers::Headers,
    http,
    kubelet::{self, Endpoint, Refusal},
    log::{Event, Metrics, Ruled, Written},
    peer::{InvalidPeer, Peer, PeerInput},
    policy::{Adapter, Builtins, Outcome, Part, Policy, PolicyError, RuleId, Verdict, value},
    posture::{Live, News},
    question::{Question, Request},
};

pub use recorded::{Judgement, NotForThisGate};

/// A configuration with its policy compiled.
#[derive(Debug)]
pub struct Gate {
    config: Config,
    decider: Decider,
    /// `None` if equal inputs may have different outcomes.
    cache: Option<Cache>,
    /// What has to be made of an input document: what the policy reads, and what the log may hide.
    input: Part,
    /// `None` if nobody looks at the kubelet.
    posture: Option<Live>,
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
    /// What is wrong with a request that has no document.
    message: Option<String>,
    endpoint: &'static str,
    /// What the policy was asked; `None` if it wasn't.
    decided: Option<Rc<Decided>>,
    is_remembered: bool,
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
        let posture = config.posture.as_ref().map(|watch| Live::new(watch.profile)).transpose()?;
        let (decider, path) = match &config.policy {
            PolicyConfig::Rego(source) => {
                let known = posture.as_ref().map(Live::document);
                let policy =
                    Policy::compile_with(source, builtins, &config.limits, known.as_ref())?;
                let policy = Box::new(policy);
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
        let is_pure = match &decider {
            Decider::Kubelet(policy) | Decider::Http(policy) => policy.is_pure(),
            Decider::KubeletTlsProxy(adapter) => adapter.is_pure(),
        };
        let input = match &decider {
            Decider::Kubelet(policy) | Decider::Http(policy) => policy.input().clone(),
            // It is asked about methods and paths.
            Decider::KubeletTlsProxy(_) => Part::NOTHING,
        };
        let input = config.log.hidden().fold(input, |part, pointer| part.with_pointer(pointer));
        let cache = is_pure.then(Cache::default);
        Ok(Self { config, decider, cache, input, posture, path })
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

    /// Judges the kubelet by its answer to `/configz`, or by there being none. Another verdict than before
    /// is what the policy reads from now on, and no decision outlives it. `None` if nobody is to look.
    pub fn judge(&self, configz: Result<&[u8], String>) -> Option<News> {
        let news = self.posture.as_ref()?.take(configz);
        if news.is_other {
            if let Decider::Kubelet(policy) = &self.decider {
                policy.set_posture(&news.verdict.document());
            }
            if let Some(cache) = &self.cache {
                cache.clear();
            }
        }
        Some(news)
    }

    /// Decides one request. Total: every failure is a denial.
    ///
    /// `now` is asked for the time at the beginning, around the evaluation and at the end.
    pub fn decide(&self, call: &Call<'_>, now: impl Fn() -> DateTime<Utc>) -> Answer {
        let begin = now();
        let ruling = self.settle(call, self.rule(call, &now), begin);
        let record = self.record(call, &ruling, begin, &now);
        let Ruling { reason, decided, endpoint, evaluation, failed, .. } = ruling;
        let decision = match (reason, &record) {
            (Reason::Allowed | Reason::WouldDeny, Ok(_)) => {
                let credentials = call.headers.credentials();
                let removed = credentials.filter(|&name| !self.lets_keep(call, name));
                Decision::Allow(Permit::new(removed.map(str::to_owned).collect()))
            }
            // What can't be written down isn't carried out, though every part of a record has a JSON
            // form today.
            _ => {
                let rule = decided.as_ref().and_then(|decided| decided.outcome.rule());
                let shown = rule.filter(|_| self.config.denial.show_rule);
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
        let arrival = Arrival { headers: call.headers, end_of_stream: call.end_of_stream, peer };
        let seen = self.cache.as_ref().and_then(|cache| cache.get_arrival(&arrival));
        if let Some(decided) = seen {
            let request = &decided.question.request;
            return match self.turns_away(call, request.endpoint()) {
                Some(why) => self.turned_away(decided.question.clone(), why),
                None => Ruling::remembered(decided),
            };
        }
        let request = if let Decider::Http(_) = &self.decider {
            match http::Request::parse(call.headers, &self.config.http.headers) {
                Ok(request) => Request::Http(request),
                Err(error) => return Ruling::malformed("http", &error),
            }
        } else {
            match kubelet::Request::parse(call.headers, call.end_of_stream) {
                Ok(request) => Request::Kubelet(request),
                Err(refusal) => return Ruling::refused(&refusal),
            }
        };
        let bearer_token = call.headers.has_bearer_token();
        let question = Question { request, peer: peer.clone(), bearer_token };
        if let Some(why) = self.turns_away(call, question.request.endpoint()) {
            return self.turned_away(question, why);
        }
        let cache = self.cache.as_ref().map(|cache| (cache, cache.hash(&question)));
        if let Some((cache, hash)) = cache
            && let Some(decided) = cache.get(hash, &question)
        {
            cache.insert_arrival(&arrival, &decided);
            return Ruling::remembered(decided);
        }
        let (decided, evaluation) = match self.ask(question, now) {
            Ok(answer) => answer,
            Err(ruling) => return *ruling,
        };
        if let Some((cache, hash)) = cache {
            cache.insert(hash, &decided);
        }
        Ruling::decided(decided, evaluation)
    }

    /// A denial without a question to the policy. Strangers, who have no certificate, make neither work
    /// nor long records: of their requests, the log has what it has of those that can't be read.
    fn turned_away(&self, question: Question, why: &'static str) -> Ruling {
        let endpoint = question.request.endpoint();
        let unasked = Ruling::unasked(Reason::Denied, endpoint, &why);
        if question.peer.certificate.is_none() {
            return unasked;
        }
        let input = question.input(&self.config.node);
        let ruled = self.ruled(false, None, Some(why));
        match Written::masked(&ruled, &input, &self.config.log) {
            Ok(written) => {
                let outcome = Outcome::Denied(Verdict::default());
                let decided = Some(Rc::new(Decided { question, outcome, written }));
                Ruling { decided, ..unasked }
            }
            Err(error) => *Ruling::failed(endpoint, &error),
        }
    }

    /// Asks the policy, and writes down for the log what was asked and decided.
    fn ask(
        &self,
        question: Question,
        now: &impl Fn() -> DateTime<Utc>,
    ) -> Result<(Rc<Decided>, Duration), Box<Ruling>> {
        let endpoint = question.request.endpoint();
        let input = question.input(&self.config.node);
        let begin = now();
        let value =
            value::part_to_value(&input, &self.input).map_err(|e| Ruling::failed(endpoint, &e))?;
        let log = &self.config.log;
        let hides = log.hidden().any(|pointer| value::has(&value, pointer));
        let outcome = match (&self.decider, &question.request) {
            (Decider::Kubelet(policy) | Decider::Http(policy), _) => policy.evaluate(value),
            (Decider::KubeletTlsProxy(adapter), Request::Kubelet(request)) => {
                adapter.evaluate(&readings(request))
            }
            (Decider::KubeletTlsProxy(adapter), Request::Http(_)) => adapter.evaluate(&[]),
        };
        let evaluation = elapsed(begin, now());
        let allows = matches!(outcome, Outcome::Allowed(_));
        let ruled = self.ruled(allows, outcome.rule(), outcome.message());
        let written = if hides {
            Written::masked(&ruled, &input, log)
        } else {
            Written::unmasked(&ruled, &input)
        };
        let written = written.map_err(|e| Ruling::failed(endpoint, &e))?;
        Ok((Rc::new(Decided { question, outcome, written }), evaluation))
    }

    /// The line of the decision log.
    fn record(
        &self,
        call: &Call<'_>,
        ruling: &Ruling,
        begin: DateTime<Utc>,
        now: &impl Fn() -> DateTime<Utc>,
    ) -> Result<String, serde_json::Error> {
        let unread;
        let written = match &ruling.decided {
            Some(decided) => &decided.written,
            None => {
                let ruled = self.ruled(false, None, ruling.message.as_deref());
                let (input, log) = (Unread::new(call), &self.config.log);
                unread = if log.hidden().any(Unread::may_have) {
                    Written::masked(&ruled, &input, log)?
                } else {
                    Written::unmasked(&ruled, &input)?
                };
                &unread
            }
        };
        written.record(&Event {
            decision_id: call.decision_id,
            timestamp: begin,
            reason: ruling.reason,
            kubectl_session: kubectl_session(call.headers),
            metrics: Metrics::new(ruling.is_remembered, ruling.evaluation, elapsed(begin, now())),
        })
    }

    fn ruled<'a>(
        &'a self,
        result: bool,
        rule: Option<&'a RuleId>,
        message: Option<&'a str>,
    ) -> Ruled<'a> {
        let (policy_sha256, labels) = (self.digest(), &self.config.log.labels);
        Ruled { path: &self.path, result, rule, message, policy_sha256, labels }
    }

    /// What the policy decided. A dry run only watches what it denies to the configured peers.
    fn settle(&self, call: &Call<'_>, ruling: Ruling, now: DateTime<Utc>) -> Ruling {
        match &self.config.mode {
            Mode::DryRun { until }
                if ruling.reason == Reason::Denied
                    && now < *until
                    && self.turns_away(call, ruling.endpoint).is_none()
                    && has_certificate(call.peer) =>
            {
                Ruling { reason: Reason::WouldDeny, ..ruling }
            }
            _ => ruling,
        }
    }

    /// Why the configuration turns a caller away, whatever the policy says.
    fn turns_away(&self, call: &Call<'_>, endpoint: &str) -> Option<&'static str> {
        let Ok(peer) = call.peer else { return Some("the caller is unreadable") };
        let Some(certificate) = &peer.certificate else {
            return match self.config.profile {
                Profile::Kubelet => self.turns_away_without_certificate(call, endpoint),
                Profile::Http => self.is_unpinned(peer),
            };
        };
        if self.config.denied_certificates.iter().any(|denied| denied.is_of(certificate)) {
            return Some("the caller's certificate is denied by the configuration");
        }
        self.is_unpinned(peer)
    }

    fn is_unpinned(&self, peer: &Peer) -> Option<&'static str> {
        let pins = self.config.peers.as_ref()?;
        let is_pinned = pins.iter().any(|pin| pin.matches(peer));
        (!is_pinned).then_some("the caller is not one of the configured peers")
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

    /// Whether a credential goes on. To a service it is its caller's affair, as the gate adds none of its
    /// own; to a kubelet it is the token of a caller without a certificate, and nothing else.
    fn lets_keep(&self, call: &Call<'_>, header: &str) -> bool {
        if let Decider::Http(_) = self.decider {
            return true;
        }
        self.config.token_cluster.is_some()
            && call.peer.as_ref().is_ok_and(|peer| peer.certificate.is_none())
            && header == "authorization"
    }
}

fn has_certificate(peer: &Result<Peer, InvalidPeer>) -> bool {
    peer.as_ref().is_ok_and(|peer| peer.certificate.is_some())
}

/// What the log has of a request without an input document. Not its query: that may have secrets,
/// and without a document nothing says what to mask.
#[derive(Serialize)]
struct Unread<'a> {
    method: Cow<'a, str>,
    path: Cow<'a, str>,
    peer: Option<PeerInput<'a>>,
}

impl<'a> Unread<'a> {
    fn new(call: &Call<'a>) -> Self {
        let text = |name| {
            let bytes = call.headers.all(name).next().unwrap_or_default();
            let bytes = bytes.split(|&byte| byte == b'?').next().unwrap_or_default();
            String::from_utf8_lossy(bytes.get(..LONGEST_UNREAD_PATH).unwrap_or(bytes))
        };
        let peer = call.peer.as_ref().ok();
        let peer = peer.map(|peer| PeerInput::new(peer, call.headers.has_bearer_token()));
        Self { method: text(":method"), path: text(":path"), peer }
    }

    /// Whether a JSON pointer may name something in it.
    fn may_have(pointer: &str) -> bool {
        pointer.split('/').nth(1).is_none_or(|name| ["method", "path", "peer"].contains(&name))
    }
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

    fn unasked(reason: Reason, endpoint: &'static str, why: &dyn std::fmt::Display) -> Self {
        Self {
            reason,
            message: Some(why.to_string()),
            endpoint,
            decided: None,
            is_remembered: false,
            evaluation: Duration::ZERO,
            failed: false,
        }
    }

    /// A document that can't be written, though every one has a JSON form today.
    fn failed(endpoint: &'static str, error: &dyn std::error::Error) -> Box<Self> {
        Box::new(Self { failed: true, ..Self::unasked(Reason::Undefined, endpoint, error) })
    }

    fn decided(decided: Rc<Decided>, evaluation: Duration) -> Self {
        let failed = matches!(decided.outcome, Outcome::Failed(_));
        let reason = Self::reason(&decided.outcome);
        let endpoint = decided.question.request.endpoint();
        let decided = Some(decided);
        Self { reason, message: None, endpoint, decided, is_remembered: false, evaluation, failed }
    }

    fn remembered(decided: Rc<Decided>) -> Self {
        Self { is_remembered: true, ..Self::decided(decided, Duration::ZERO) }
    }

    /// What the log calls an outcome.
    fn reason(outcome: &Outcome) -> Reason {
        match outcome {
            Outcome::Allowed(_) => Reason::Allowed,
            Outcome::Denied(_) => Reason::Denied,
            Outcome::Undefined | Outcome::Failed(_) => Reason::Undefined,
            Outcome::NotBoolean => Reason::NotBoolean,
            Outcome::UnknownKey => Reason::UnknownKey,
            Outcome::Budget => Reason::Budget,
        }
    }
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
