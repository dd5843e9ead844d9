//! What a log has, gone through once.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use gatelet_core::Reason;
use serde::Serialize;

use super::{
    Learning,
    asked::{Asked, Caller, NotLearnable},
};
use crate::{
    decision_log::{About, Decision, Lines, NoQuestion, Record, Unreadable},
    exit::Exit,
};

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Each once, however often it is written.
    pub(super) decisions: u64,
    pub(super) span: Span,
    /// What is to be allowed.
    pub(super) learned: BTreeMap<Asked, Evidence>,
    /// Input documents of what is to be allowed.
    pub(super) allowed: HashSet<Box<str>>,
    /// What a policy was asked, and is not to be allowed.
    pub(super) denied: BTreeSet<Asked>,
    /// Input documents of what must stay denied.
    pub(super) kept_out: HashSet<Box<str>>,
    pub(super) left_out: BTreeMap<String, LeftOut>,
    /// Callers who got nothing.
    pub(super) turned_away: BTreeMap<String, Evidence>,
    /// What could not be read as it was: the log doesn't have it all.
    pub(super) unjudged: u64,
}

/// From when to when, RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Span {
    pub(super) first: String,
    pub(super) last: String,
}

/// How often something was seen.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Evidence {
    pub(super) count: u64,
    #[serde(flatten)]
    pub(super) span: Span,
    /// A `decision_id`.
    pub(super) example: String,
    /// The input document of the example.
    #[serde(skip)]
    pub(super) input: Box<str>,
}

/// What is no part of the policy, for one reason.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct LeftOut {
    pub(super) count: u64,
    /// `file:line`, in the order of the log.
    pub(super) places: Vec<String>,
}

impl Seen {
    /// Goes through the logs.
    ///
    /// # Errors
    /// When one can't be read, or is about something else than a kubelet.
    pub(super) fn read(logs: &[PathBuf], learning: &Learning) -> anyhow::Result<Self> {
        let mut seen = Self::default();
        let mut met = HashSet::new();
        // A denial counts by its caller, who may come later.
        let mut denials = Vec::new();
        for log in logs {
            for batch in Lines::open(log)? {
                let batch = batch.with_context(|| format!("cannot read {}", log.display()))?;
                for (number, line) in batch.lines() {
                    let place = format!("{}:{number}", log.display());
                    seen.line(line, place, learning, &mut met, &mut denials)?;
                }
            }
        }
        let callers: BTreeSet<Caller> =
            seen.learned.keys().map(|asked| asked.caller.clone()).collect();
        for denial in denials {
            let caller = &denial.asked.caller;
            let is_named = learning.peers.contains(caller);
            if is_named || (learning.denied && callers.contains(caller)) {
                seen.learn(denial);
                continue;
            }
            if !callers.contains(caller) {
                let Met { decision_id, timestamp, .. } = &denial;
                let who = seen.turned_away.entry(caller.to_string()).or_default();
                who.add(decision_id, timestamp, "");
            }
            let why = if seen.learned.contains_key(&denial.asked) {
                "it was denied, and at another time allowed"
            } else {
                "it was denied"
            };
            seen.keep_out(why, denial);
        }
        Ok(seen)
    }

    fn line(
        &mut self,
        line: &[u8],
        place: String,
        learning: &Learning,
        met: &mut HashSet<String>,
        denials: &mut Vec<Met>,
    ) -> anyhow::Result<()> {
        let decision = match Record::parse(line) {
            Ok(Record::Decision(decision, _)) => decision,
            // What came to nothing has its decision beside it, or never had one.
            Ok(Record::Refused(_) | Record::Failed(..)) => return Ok(()),
            Err(why @ Unreadable::Schema(_)) => {
                return Err(Exit::Unjudged.because(format!("{place}: {why}")));
            }
            Err(Unreadable::Approver) => return Err(not_a_kubelets(&place, "the approver")),
            Err(why) => {
                self.unjudged += 1;
                self.leave_out(&why.to_string(), place);
                return Ok(());
            }
        };
        if !met.insert(decision.decision_id.clone().into_owned()) {
            return Ok(());
        }
        self.decisions += 1;
        self.span.add(&decision.timestamp);
        match asked(&decision, learning) {
            Ok(asked) => {
                let decided = Met {
                    asked,
                    decision_id: decision.decision_id.as_ref().into(),
                    timestamp: decision.timestamp.as_ref().into(),
                    input: decision.input.get().into(),
                    place,
                };
                match decision.reason {
                    _ if learning.without.contains(&decided.asked.endpoint) => {
                        let why = format!("`--without {}`", decided.asked.endpoint);
                        self.keep_out(&why, decided);
                    }
                    Reason::Allowed | Reason::WouldDeny => self.learn(decided),
                    Reason::Denied => denials.push(decided),
                    reason => {
                        let why = format!("the decision was `{}`", reason.as_str());
                        self.keep_out(&why, decided);
                    }
                }
            }
            Err(Left::Http) => return Err(not_a_kubelets(&place, "profile http")),
            Err(Left::Unjudged(why)) => {
                self.unjudged += 1;
                self.leave_out(&why, place);
            }
            Err(Left::Out(why)) => {
                if decision.reason == Reason::Denied {
                    let caller = About::read(decision.input.get()).unwrap_or_default().caller();
                    let who = self.turned_away.entry(caller).or_default();
                    who.add(&decision.decision_id, &decision.timestamp, "");
                }
                self.leave_out(&why, place);
                self.kept_out.insert(decision.input.get().into());
            }
        }
        Ok(())
    }

    fn learn(&mut self, seen: Met) {
        let Met { asked, decision_id, timestamp, input, .. } = seen;
        self.learned.entry(asked).or_default().add(&decision_id, &timestamp, &input);
        self.allowed.insert(input);
    }

    fn keep_out(&mut self, why: &str, seen: Met) {
        let Met { asked, place, input, .. } = seen;
        self.leave_out(why, place);
        self.denied.insert(asked);
        self.kept_out.insert(input);
    }

    fn leave_out(&mut self, why: &str, place: String) {
        let left = self.left_out.entry(why.to_owned()).or_default();
        left.count += 1;
        left.places.push(place);
    }
}

/// A decision that asks for something readable.
struct Met {
    asked: Asked,
    decision_id: Box<str>,
    timestamp: Box<str>,
    input: Box<str>,
    place: String,
}

/// Why a decision teaches nothing.
enum Left {
    Out(String),
    /// The log doesn't have it all.
    Unjudged(String),
    Http,
}

/// What of a document no learned policy reads, so that it may be masked.
const UNREAD: [&str; 4] =
    ["/input/exec/env", "/input/query/env", "/input/user_agent", "/input/peer/address"];

fn asked(decision: &Decision<'_>, learning: &Learning) -> Result<Asked, Left> {
    if decision.has_no_reading() {
        return Err(Left::Out(format!("no policy was asked: {}", decision.reason.as_str())));
    }
    let hidden: Vec<_> = decision.hidden().map(str::to_owned).collect();
    let may_be_hidden = |pointer: &String| UNREAD.contains(&pointer.as_str());
    let is_readable = hidden.is_empty()
        || (learning.allow_masked
            && decision.erased.is_empty()
            && hidden.iter().all(may_be_hidden));
    if !is_readable {
        return Err(Left::Unjudged(NoQuestion::Hidden(hidden).to_string()));
    }
    match decision.question(true) {
        Ok(recorded) if recorded.endpoint() == "http" => return Err(Left::Http),
        Ok(_) => {}
        Err(NoQuestion::NotAsked) => {
            return Err(Left::Out("no policy was asked: the caller had no certificate".to_owned()));
        }
        Err(why) => return Err(Left::Unjudged(why.to_string())),
    }
    Asked::read(decision.input.get(), learning.any_lines()).map_err(|why| match why {
        NotLearnable::Document(why) => Left::Unjudged(why.to_string()),
        why => Left::Out(why.to_string()),
    })
}

fn not_a_kubelets(place: &str, whose: &str) -> anyhow::Error {
    Exit::Usage.because(format!(
        "{place}: a decision of {whose}, and `gatelet learn` knows the requests to a kubelet only\n\
         help: give it the log of a node's gate; `gatelet replay` and `gatelet log` read this one"
    ))
}

impl Evidence {
    pub(super) fn add(&mut self, decision_id: &str, timestamp: &str, input: &str) {
        if self.count == 0 {
            self.example = decision_id.to_owned();
            self.input = input.into();
        }
        self.count += 1;
        self.span.add(timestamp);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.count == 0 {
            self.example.clone_from(&other.example);
            self.input.clone_from(&other.input);
        }
        self.count += other.count;
        self.span.add(&other.span.first);
        self.span.add(&other.span.last);
    }
}

impl Span {
    fn add(&mut self, timestamp: &str) {
        if self.first.is_empty() || timestamp < self.first.as_str() {
            self.first = timestamp.to_owned();
        }
        if timestamp > self.last.as_str() {
            self.last = timestamp.to_owned();
        }
    }
}

impl LeftOut {
    /// The first few places.
    pub(super) fn shown(&self, most: usize) -> String {
        let shown: Vec<_> = self.places.iter().take(most).map(String::as_str).collect();
        match self.places.len().saturating_sub(most) {
            0 => shown.join(", "),
            more => format!("{} and {more} more", shown.join(", ")),
        }
    }
}

/// The caller that somebody names on the command line.
pub(super) fn caller(subject: &str) -> anyhow::Result<Caller> {
    let usage = |why: String| {
        Exit::Usage.because(format!(
            "--peer {subject}: {why}\nhelp: write the subject as \
             `openssl x509 -noout -subject -nameopt RFC2253` does, such as `CN=a,O=b`"
        ))
    };
    let parsed = gatelet_core::peer::Subject::parse(subject.as_bytes())
        .map_err(|error| usage(error.to_string()))?;
    match parsed.common_name() {
        Some(name) if !name.is_empty() => Ok(Caller {
            common_name: name.to_owned(),
            organizations: parsed.organizations().to_vec(),
        }),
        _ => Err(usage("there is no common name in it".to_owned())),
    }
}

/// A log to go on with.
pub(super) fn first(logs: &[PathBuf]) -> &Path {
    logs.first().map_or(Path::new("-"), PathBuf::as_path)
}
