//! The controller: from the time and the answers of calls to the next calls.

use std::{collections::BTreeMap, time::Duration};

use base64ct::{Base64, Encoding as _};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{
    Certificate, Config, Input, Malformed, Mode, Node, Reason, Request, Ruling, Verdict,
    api::{self, Answer, ApiCall, Response},
    input::Facts,
    object::{Object, State},
    printable,
    queue::Queue,
    record::Decision,
    reflector::{Change, Reflector},
    work::{Gathering, Stage, Subject, Work, node_name},
};
use crate::{
    percent,
    policy::{Builtins, Outcome, Policy, PolicyError, value},
};

/// The approver without its host. It belongs to one thread.
#[derive(Debug)]
pub struct Controller {
    config: Config,
    policy: Policy,
    path: String,
    reflectors: Vec<Reflector>,
    queue: Queue,
    works: BTreeMap<u64, Work>,
    calls: BTreeMap<CallId, Purpose>,
    last_id: u64,
    not_before: DateTime<Utc>,
    effects: Vec<Effect>,
}

/// The name of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(u64);

/// A call for the host to make. Its answer goes to [`Controller::answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub id: CallId,
    /// Whom it is to.
    pub to: Destination,
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with its query.
    pub path: String,
    /// A JSON body.
    pub body: Option<Vec<u8>>,
    /// How long it may take.
    pub timeout: Duration,
}

/// Whom a call is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The API server.
    ApiServer,
    /// The decision log, with a line for it.
    DecisionLog(String),
    /// A node's kubelet, by its address and port: only its certificate is of interest.
    Kubelet(String),
}

/// What the host has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make a call.
    Call(Call),
    /// Count something.
    Count(Count),
    /// Note how many milliseconds passed from the first sight of a request to its decision.
    Latency(u64),
    /// Tell an operator of a failure.
    Warn(String),
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// A request that was approved.
    Approved,
    /// A request that was denied.
    Denied,
    /// A request that was left.
    Left,
    /// A request that can't be read.
    Malformed,
    /// In a dry run: a request that would have been approved.
    WouldApprove,
    /// In a dry run: a request that would have been denied.
    WouldDeny,
    /// A call or an evaluation that failed.
    Error,
    /// A write that met another writer's.
    Conflict,
    /// A request for which there was no room.
    Overflow,
}

/// How things stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Requests that are pending.
    pub pending: usize,
    /// Seconds since the oldest of them was made.
    pub oldest_seconds: u64,
}

/// What a call is for.
#[derive(Clone, Debug)]
enum Purpose {
    Reflect(usize),
    Read(u64),
    Node(u64),
    Review(u64, String),
    Live(u64),
    Record(u64),
    Write(u64),
    Event,
}

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A node that can't be reached holds its own request up for this long.
const LIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// It holds up no others: so many requests may wait for kubelets beside those that are worked on. Envoy has
/// a connection open for each.
const WAITING_FOR_KUBELETS: usize = 256;
/// Of the pauses between attempts, which double.
const FIRST_RETRY: TimeDelta = TimeDelta::seconds(1);
const LONGEST_RETRY: TimeDelta = TimeDelta::minutes(5);
/// Facts change: a node is created, its addresses become known.
const FIRST_RECONSIDERATION: TimeDelta = TimeDelta::seconds(10);
const LONGEST_RECONSIDERATION: TimeDelta = TimeDelta::minutes(10);
/// Of a line for operators, in characters.
const LONGEST_WARNING: usize = 1024;
/// The longest `Retry-After` that is believed.
const LONGEST_QUIET: u64 = 300;

impl Purpose {
    /// A kubelet is its node's: what it says is no word of the API server's.
    fn is_api_servers(&self) -> bool {
        match self {
            Self::Live(_) | Self::Record(_) => false,
            Self::Reflect(_)
            | Self::Read(_)
            | Self::Node(_)
            | Self::Review(..)
            | Self::Write(_)
            | Self::Event => true,
        }
    }
}

impl Controller {
    /// Compiles the policy.
    ///
    /// # Errors
    /// When it doesn't compile.
    pub fn new(config: Config) -> Result<Self, PolicyError> {
        let policy = Policy::compile(&config.policy, Builtins::Full, &config.limits)?;
        let entrypoint = &config.policy.entrypoint;
        let path = entrypoint.strip_prefix("data.").unwrap_or(entrypoint).replace('.', "/");
        let page = config.queue.page.get();
        let reflectors =
            config.signers.iter().map(|signer| Reflector::new(signer.clone(), page)).collect();
        let queue = Queue::new(config.queue.tracked.get());
        Ok(Self {
            config,
            policy,
            path,
            reflectors,
            queue,
            works: BTreeMap::new(),
            calls: BTreeMap::new(),
            last_id: 0,
            not_before: DateTime::UNIX_EPOCH,
            effects: Vec::new(),
        })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The SHA-256 of the policy, 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.policy.digest()
    }

    /// How things stand.
    #[must_use]
    pub fn gauges(&self, now: DateTime<Utc>) -> Gauges {
        let age = self.queue.oldest().map_or(TimeDelta::zero(), |oldest| now - oldest);
        Gauges {
            pending: self.queue.pending(),
            oldest_seconds: u64::try_from(age.num_seconds()).unwrap_or(0),
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        self.proceed(now);
        std::mem::take(&mut self.effects)
    }

    /// A call has been answered, or will not be. Answers of unknown calls are ignored.
    pub fn answer(&mut self, id: CallId, answer: Answer, now: DateTime<Utc>) -> Vec<Effect> {
        if let Some(purpose) = self.calls.remove(&id) {
            if purpose.is_api_servers() {
                self.quieten(&answer, now);
            }
            self.take(purpose, answer, now);
            self.proceed(now);
        }
        std::mem::take(&mut self.effects)
    }

    /// Makes the calls whose time has come.
    fn proceed(&mut self, now: DateTime<Utc>) {
        if now < self.not_before {
            return;
        }
        for index in 0..self.reflectors.len() {
            if let Some((call, timeout)) = self.reflectors.get_mut(index).and_then(|r| r.next(now))
            {
                self.call(Purpose::Reflect(index), call, timeout);
            }
        }
        while self.has_slot() {
            let Some(name) = self.queue.next(now) else { break };
            let id = self.next_id();
            self.call(Purpose::Read(id), api::read(&name), CALL_TIMEOUT);
            self.works.insert(id, Work { name, stage: Stage::Reading, begun: now });
        }
    }

    fn has_slot(&self) -> bool {
        let waiting = self.works.values().filter(|work| work.waits_for_kubelet()).count();
        let busy = self.works.len() - waiting.min(WAITING_FOR_KUBELETS);
        busy < self.config.queue.concurrency.get()
    }

    /// An API server that asks for rest gets it, from all calls alike.
    fn quieten(&mut self, answer: &Answer, now: DateTime<Utc>) {
        if let Ok(Response { status: 429 | 503, retry_after: Some(seconds), .. }) = answer {
            let seconds = i64::try_from((*seconds).min(LONGEST_QUIET)).unwrap_or(0);
            self.not_before = self.not_before.max(now + TimeDelta::seconds(seconds));
        }
    }

    fn take(&mut self, purpose: Purpose, answer: Answer, now: DateTime<Utc>) {
        match purpose {
            Purpose::Reflect(index) => self.take_changes(index, answer, now),
            Purpose::Read(id) => self.take_object(id, answer, now),
            Purpose::Node(id) => self.take_node(id, answer, now),
            Purpose::Review(id, name) => self.take_review(id, name, answer, now),
            Purpose::Live(id) => self.take_live(id, answer, now),
            Purpose::Record(id) => self.take_record(id, answer, now),
            Purpose::Write(id) => self.take_write(id, answer, now),
            Purpose::Event => {
                if !matches!(&answer, Ok(response) if is_success(response)) {
                    self.warn(format!("writing an event: {}", describe(&answer)));
                }
            }
        }
    }

    fn take_changes(&mut self, index: usize, answer: Answer, now: DateTime<Utc>) {
        let Some(reflector) = self.reflectors.get_mut(index) else { return };
        let changes = match reflector.take(answer, now) {
            Ok(changes) => changes,
            Err(why) => return self.warn(why),
        };
        let signer = self.config.signers.get(index).cloned().unwrap_or_default();
        let (mut turned_away, mut unreadable) = (0_usize, Vec::new());
        for change in changes {
            match change {
                // Whatever a selector lets through.
                Change::Seen(object) if object.spec.signer_name != signer => {}
                Change::Seen(object) => {
                    self.recognise(&object, now);
                    if !self.queue.see(&object, now) {
                        turned_away += 1;
                        self.effects.push(Effect::Count(Count::Overflow));
                    }
                }
                Change::Unreadable(why) => {
                    self.effects.push(Effect::Count(Count::Malformed));
                    unreadable.push(why);
                }
                Change::Gone(name) => self.queue.forget(&name),
                Change::Only(names) => self.queue.keep_only(&signer, &names),
            }
        }
        if let Some(first) = unreadable.first() {
            let count = unreadable.len();
            self.tell(&format!("skipping {count} requests that can't be read, such as {first}"));
        }
        if turned_away > 0 {
            self.tell(&format!("no room for {turned_away} requests: too many are known"));
            if let Some(reflector) = self.reflectors.get_mut(index) {
                reflector.list_soon(now);
            }
        }
    }

    fn take_object(&mut self, id: u64, answer: Answer, now: DateTime<Utc>) {
        let Some(work) = self.works.get(&id) else { return };
        let name = work.name.clone();
        let response = match answer {
            Ok(response) if response.status == 200 => response,
            Ok(response) if response.status == 404 => {
                self.works.remove(&id);
                self.queue.forget(&name);
                return;
            }
            answer => return self.fail(id, "reading it", &answer, now),
        };
        let whole: Option<Value> = serde_json::from_slice(&response.body).ok();
        let object = whole.as_ref().and_then(|whole| serde::Deserialize::deserialize(whole).ok());
        let (Some(whole), Some(object)): (_, Option<Object>) = (whole, object) else {
            return self.fail(id, "reading it", &Ok(response), now);
        };
        self.recognise(&object, now);
        let state = object.status.state();
        let is_ours =
            object.metadata.name == name && self.config.signers.contains(&object.spec.signer_name);
        if state != State::Pending || !is_ours {
            self.works.remove(&id);
            // An object of another signer under the name of ours is none of ours any more.
            if is_ours {
                self.queue.settle(&name, state)
            } else {
                self.queue.forget(&name)
            }
            return;
        }
        self.gather(id, Subject { object, whole }, now);
    }

    /// Asks for the facts that a request needs; one that can't be read needs none.
    fn gather(&mut self, id: u64, subject: Subject, now: DateTime<Utc>) {
        let spec = &subject.object.spec;
        let existing = self.queue.existing(&spec.username, &subject.object.metadata.name, now);
        let mut facts = Facts { existing, ..Facts::default() };
        let mut outstanding = 0;
        match read_request(&spec.request) {
            Err(why) => facts.malformed = Some(why.to_string()),
            Ok(request) => {
                let serving = self.config.serving_subresource.as_deref();
                for (name, subresource) in api::subresources(&spec.signer_name, serving) {
                    let call = api::review(spec, subresource.as_deref());
                    self.call(Purpose::Review(id, name), call, CALL_TIMEOUT);
                    outstanding += 1;
                }
                if let Some(name) = node_name(request.subject.common_name.as_deref()) {
                    facts.node = Some(Node::absent(name));
                    self.call(Purpose::Node(id), api::node(name), CALL_TIMEOUT);
                    outstanding += 1;
                }
                facts.request = Some(request);
            }
        }
        if let Some(work) = self.works.get_mut(&id) {
            let subject = Box::new(subject);
            let gathering = Gathering { subject, facts, outstanding, waits_for_kubelet: false };
            work.stage = Stage::Gathering(Box::new(gathering));
        }
        self.decide_when_complete(id, now);
    }

    fn take_node(&mut self, id: u64, answer: Answer, now: DateTime<Utc>) {
        let Some(gathering) = self.gathering(id) else { return };
        let name = gathering.facts.node.as_ref().map(|node| node.name.clone()).unwrap_or_default();
        let node = match &answer {
            Ok(response) if response.status == 200 => Node::from_json(&name, &response.body, now),
            Ok(response) if response.status == 404 => Some(Node::absent(&name)),
            _ => None,
        };
        let Some(node) = node else { return self.fail(id, "reading its node", &answer, now) };
        let address = node.reachable().filter(|_| self.config.live_certificates);
        let Some(gathering) = self.gathering(id) else { return };
        gathering.facts.node = Some(node);
        // In place of the node's answer, that of its kubelet is missing.
        gathering.waits_for_kubelet = address.is_some();
        if address.is_none() {
            gathering.outstanding -= 1;
        }
        if let Some(address) = address {
            let address = std::net::SocketAddr::new(address, self.config.kubelet_port).to_string();
            // With no body, which would be as large as the node likes.
            let call = ApiCall { method: "HEAD", path: "/healthz".to_owned(), body: None };
            self.call_to(Destination::Kubelet(address), Purpose::Live(id), call, LIVE_TIMEOUT);
        }
        self.decide_when_complete(id, now);
    }

    fn take_review(&mut self, id: u64, name: String, answer: Answer, now: DateTime<Utc>) {
        let allowed = match &answer {
            Ok(response) if is_success(response) => api::is_allowed(&response.body),
            _ => None,
        };
        let Some(allowed) = allowed else {
            return self.fail(id, "asking whether it is allowed", &answer, now);
        };
        let Some(gathering) = self.gathering(id) else { return };
        gathering.facts.access.insert(name, allowed);
        gathering.outstanding -= 1;
        self.decide_when_complete(id, now);
    }

    /// Whatever went wrong, there is no certificate then.
    fn take_live(&mut self, id: u64, answer: Answer, now: DateTime<Utc>) {
        let Some(gathering) = self.gathering(id) else { return };
        let encoded = answer.ok().and_then(|response| response.peer_certificate);
        let pem = encoded.and_then(|encoded| percent::decode(encoded.as_bytes(), false).ok());
        gathering.facts.serving = pem.and_then(|pem| Certificate::from_pem(pem.as_bytes()));
        gathering.waits_for_kubelet = false;
        gathering.outstanding -= 1;
        self.decide_when_complete(id, now);
    }

    fn decide_when_complete(&mut self, id: u64, now: DateTime<Utc>) {
        if self.gathering(id).is_none_or(|gathering| gathering.outstanding > 0) {
            return;
        }
        if let Some(Work { name, stage: Stage::Gathering(gathering), begun }) =
            self.works.remove(&id)
        {
            let Gathering { subject, facts, .. } = *gathering;
            self.decide(id, name, subject, &facts, begun, now);
        }
    }

    fn decide(
        &mut self,
        id: u64,
        name: String,
        subject: Box<Subject>,
        facts: &Facts,
        begun: DateTime<Utc>,
        now: DateTime<Utc>,
    ) {
        let input = Input::new(&subject.object, facts, now);
        let answer = match value::to_value(&input) {
            Ok(input) => self.policy.answer(input),
            Err(error) => Err(Outcome::Failed(error.to_string())),
        };
        let ruling = Ruling::read(answer).unless_malformed(facts.malformed.as_deref());
        let entry = self.queue.entry(&name);
        let known = entry.and_then(|entry| entry.recorded.as_ref());
        if known == Some(&subject.recorded(&ruling)) {
            self.works.insert(id, Work { name, stage: Stage::Recording(subject, ruling), begun });
            return self.carry_out(id, now);
        }
        let decision_id = format!("{}/{}", subject.object.metadata.uid, now.timestamp_millis());
        let decision = Decision {
            id: &decision_id,
            path: &self.path,
            input: &input,
            ruling: &ruling,
            mode: self.config.mode,
            policy_sha256: self.policy.digest(),
            labels: &self.config.labels,
            time: (now - begun).to_std().unwrap_or_default(),
        };
        let line = decision.line(now);
        if facts.malformed.is_some() {
            self.effects.push(Effect::Count(Count::Malformed));
        }
        if !matches!(ruling.reason, Reason::Approved | Reason::Denied | Reason::Left) {
            self.warn(format!("deciding on {name}: {}", ruling.message));
        }
        self.works.insert(id, Work { name, stage: Stage::Recording(subject, ruling), begun });
        match line {
            Ok(line) => {
                let call = ApiCall { method: "POST", path: "/decisions".to_owned(), body: None };
                let log = Destination::DecisionLog(line);
                self.call_to(log, Purpose::Record(id), call, CALL_TIMEOUT);
            }
            Err(_) => self.fail(id, "recording the decision", &Ok(Response::default()), now),
        }
    }

    /// What isn't on record isn't carried out.
    fn take_record(&mut self, id: u64, answer: Answer, now: DateTime<Utc>) {
        if !matches!(&answer, Ok(response) if is_success(response)) {
            return self.fail(id, "recording the decision", &answer, now);
        }
        let Some(Work { name, stage: Stage::Recording(subject, ruling), .. }) = self.works.get(&id)
        else {
            return;
        };
        let count = match (ruling.verdict, self.config.mode) {
            (Verdict::Leave, _) => Some(Count::Left),
            (Verdict::Approve, Mode::DryRun) => Some(Count::WouldApprove),
            (Verdict::Deny, Mode::DryRun) => Some(Count::WouldDeny),
            (Verdict::Approve | Verdict::Deny, Mode::Enforce) => None,
        };
        self.effects.extend(count.map(Effect::Count));
        if let Some(entry) = self.queue.entry(name) {
            if ruling.verdict != Verdict::Leave || entry.recorded.is_none() {
                let waited = (now - entry.seen).num_milliseconds();
                self.effects.push(Effect::Latency(u64::try_from(waited).unwrap_or(0)));
            }
            entry.recorded = Some(subject.recorded(ruling));
        }
        if count == Some(Count::Left)
            && self.config.mode == Mode::Enforce
            && let Some(Work { stage: Stage::Recording(subject, ruling), .. }) = self.works.get(&id)
        {
            let call = api::event(&subject.object, ruling, now);
            self.call(Purpose::Event, call, CALL_TIMEOUT);
        }
        self.carry_out(id, now);
    }

    fn carry_out(&mut self, id: u64, now: DateTime<Utc>) {
        let Some(Work { name, stage: Stage::Recording(subject, ruling), begun }) =
            self.works.remove(&id)
        else {
            return;
        };
        let call = match self.config.mode {
            Mode::Enforce => api::approval(&subject.whole, &ruling, now),
            Mode::DryRun => None,
        };
        if let Some(call) = call {
            self.call(Purpose::Write(id), call, CALL_TIMEOUT);
            self.works.insert(id, Work { name, stage: Stage::Writing(subject, ruling), begun });
            return;
        }
        if let Some(entry) = self.queue.entry(&name) {
            let pause = doubled(FIRST_RECONSIDERATION, entry.left, LONGEST_RECONSIDERATION);
            entry.left += 1;
            entry.failures = 0;
            self.queue.wait(&name, now + pause);
        }
    }

    fn take_write(&mut self, id: u64, answer: Answer, now: DateTime<Utc>) {
        let Some(Work { name, stage: Stage::Writing(subject, ruling), .. }) = self.works.get(&id)
        else {
            return;
        };
        match &answer {
            Ok(response) if is_success(response) => {
                let state = match ruling.verdict {
                    Verdict::Approve => State::Approved,
                    Verdict::Deny | Verdict::Leave => State::Denied,
                };
                self.queue.settle(name, state);
                let (object, ruling) = (subject.object.clone(), ruling.clone());
                self.works.remove(&id);
                self.tell_of(&object, &ruling, now);
            }
            Ok(response) if response.status == 404 => {
                self.queue.forget(name);
                self.works.remove(&id);
            }
            // Somebody else wrote: the next attempt begins with what they made of it.
            Ok(response) if response.status == 409 => {
                self.effects.push(Effect::Count(Count::Conflict));
                self.retry(id, TimeDelta::milliseconds(50), now);
            }
            _ => {
                if let Some(entry) = self.queue.entry(name) {
                    entry.unsure = Some(ruling.clone());
                }
                self.fail(id, "writing the decision", &answer, now);
            }
        }
    }

    /// A decision may have been written although its answer was lost: the object shows it.
    fn recognise(&mut self, object: &Object, now: DateTime<Utc>) {
        if object.status.state() == State::Pending {
            return;
        }
        let entry = self.queue.entry(&object.metadata.name);
        let unsure = entry.and_then(|entry| entry.unsure.take());
        if let Some(ruling) = unsure.filter(|ruling| api::is_written(object, ruling)) {
            self.tell_of(object, &ruling, now);
        }
    }

    /// Counts a decision that is written, and tells of it.
    fn tell_of(&mut self, object: &Object, ruling: &Ruling, now: DateTime<Utc>) {
        let count = match ruling.verdict {
            Verdict::Approve => Count::Approved,
            Verdict::Deny | Verdict::Leave => Count::Denied,
        };
        self.effects.push(Effect::Count(count));
        self.call(Purpose::Event, api::event(object, ruling, now), CALL_TIMEOUT);
    }

    /// Gives the request back for a later attempt.
    fn fail(&mut self, id: u64, what: &str, answer: &Answer, now: DateTime<Utc>) {
        let Some(work) = self.works.get(&id) else { return };
        let message = format!("{}: {what}: {}", work.name, describe(answer));
        self.warn(message);
        self.retry(id, FIRST_RETRY, now);
    }

    fn retry(&mut self, id: u64, pause: TimeDelta, now: DateTime<Utc>) {
        let Some(Work { name, .. }) = self.works.remove(&id) else { return };
        if let Some(entry) = self.queue.entry(&name) {
            let pause = doubled(pause, entry.failures, LONGEST_RETRY);
            entry.failures += 1;
            self.queue.wait(&name, now + pause);
        }
    }

    fn gathering(&mut self, id: u64) -> Option<&mut Gathering> {
        match self.works.get_mut(&id) {
            Some(Work { stage: Stage::Gathering(gathering), .. }) => Some(gathering),
            _ => None,
        }
    }

    fn call(&mut self, purpose: Purpose, call: ApiCall, timeout: Duration) {
        self.call_to(Destination::ApiServer, purpose, call, timeout);
    }

    fn call_to(&mut self, to: Destination, purpose: Purpose, call: ApiCall, timeout: Duration) {
        let id = CallId(self.next_id());
        let ApiCall { method, path, body } = call;
        self.calls.insert(id, purpose);
        self.effects.push(Effect::Call(Call { id, to, method, path, body, timeout }));
    }

    fn warn(&mut self, message: String) {
        self.effects.push(Effect::Count(Count::Error));
        self.tell(&message);
    }

    fn tell(&mut self, message: &str) {
        self.effects.push(Effect::Warn(printable(message, LONGEST_WARNING)));
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// The request in the object, which is PEM in base64.
pub(super) fn read_request(base64: &str) -> Result<Request, Malformed> {
    // A third of base64 is overhead.
    if base64.len() > super::LONGEST * 2 {
        return Err(Malformed::TooLong);
    }
    let pem = Base64::decode_vec(base64).map_err(|_| Malformed::Pem)?;
    Request::from_pem(&pem)
}

fn doubled(first: TimeDelta, times: u32, longest: TimeDelta) -> TimeDelta {
    let factor = 1_i32.checked_shl(times.min(20)).unwrap_or(i32::MAX);
    (first * factor).min(longest)
}

fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.status)
}

fn describe(answer: &Answer) -> String {
    match answer {
        Ok(response) if is_success(response) => "the answer can't be read".to_owned(),
        Ok(response) => {
            // A Status says why.
            let message = serde_json::from_slice::<Value>(&response.body).ok().and_then(|status| {
                Some(status.get("message")?.as_str()?.chars().take(200).collect::<String>())
            });
            format!("status {} {}", response.status, message.unwrap_or_default())
        }
        Err(failure) => format!("{failure:?}"),
    }
}
