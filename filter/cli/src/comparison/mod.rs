//! Decisions beside those of another policy: how many are the same, and how the others differ.

mod go;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use gatelet_core::{Judgement, Reason};
use serde::Serialize;

use crate::decision_log::{About, Decision};

pub(crate) use go::{Go, go_through};
pub(crate) use report::{Format, Report, printable};

/// What was said of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Said {
    /// Whether it is allowed.
    pub(crate) result: bool,
    pub(crate) reason: &'static str,
    pub(crate) rule: Option<String>,
}

/// How a decision differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    NewlyAllowed,
    NewlyDenied,
    /// By another rule, or for another reason.
    Otherwise,
}

/// All that has been compared.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) counts: Counts,
    groups: BTreeMap<Key, Group>,
    /// By why, the places in the log.
    not_judged: BTreeMap<String, BTreeSet<Place>>,
}

/// How many of each kind.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Counts {
    /// Each once, however often it was written.
    pub(crate) decisions: u64,
    pub(crate) same: u64,
    pub(crate) newly_allowed: u64,
    pub(crate) newly_denied: u64,
    pub(crate) otherwise: u64,
    /// Requests without a reading, which no policy is asked about.
    pub(crate) not_asked: u64,
    /// Decisions that were compared with masks in place of values.
    pub(crate) with_masks: u64,
    /// Decisions and lines that could not be compared.
    pub(crate) not_judged: u64,
    /// Records of what Envoy refused, or of what failed after its decision.
    pub(crate) other_records: u64,
}

/// What equal differences have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Key {
    change: Change,
    before: Said,
    after: Said,
    caller: String,
    /// The endpoint, or the service.
    target: String,
    namespace: Option<String>,
    /// Of exec and run.
    command: Option<Vec<String>>,
    /// Of requests about no pod.
    path: Option<String>,
}

/// Equal differences.
#[derive(Debug, Serialize)]
struct Group {
    count: u64,
    pods: BTreeSet<String>,
    /// The first in time.
    example: Example,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Example {
    /// Of a case of the corpus, its file.
    at: String,
    /// Of a case of the corpus, its note.
    id: String,
    method: String,
    path: String,
    /// Why, as the new policy says.
    message: Option<String>,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) decision_id: Option<String>,
}

/// What is compared, and what it is called.
pub(crate) struct Compared<'a> {
    pub(crate) before: &'a Said,
    pub(crate) after: &'a Said,
    /// Why, as the new policy says.
    pub(crate) message: Option<&'a str>,
    pub(crate) about: &'a About<'a>,
    pub(crate) at: &'a str,
    pub(crate) id: &'a str,
}

impl Said {
    /// What the log has. A dry run lets through what the policy denies; this is about the policy.
    pub(crate) fn on_record(decision: &Decision<'_>) -> Self {
        Self::new(decision.reason, decision.rule.as_deref())
    }

    fn new(reason: Reason, rule: Option<&str>) -> Self {
        let reason = if reason == Reason::WouldDeny { Reason::Denied } else { reason };
        Self {
            result: reason == Reason::Allowed,
            reason: reason.as_str(),
            rule: rule.map(str::to_owned),
        }
    }
}

impl From<&Judgement> for Said {
    fn from(judgement: &Judgement) -> Self {
        Self::new(judgement.reason, judgement.rule.as_ref().map(|rule| rule.as_str()))
    }
}

impl Change {
    fn between(before: &Said, after: &Said) -> Option<Self> {
        match (before.result, after.result) {
            (false, true) => Some(Self::NewlyAllowed),
            (true, false) => Some(Self::NewlyDenied),
            _ if before == after => None,
            _ => Some(Self::Otherwise),
        }
    }
}

impl Comparison {
    /// Counts a decision on which both say the same.
    pub(crate) fn same(&mut self) {
        self.counts.decisions += 1;
        self.counts.same += 1;
    }

    /// Counts a decision that no policy was asked about.
    pub(crate) fn not_asked(&mut self) {
        self.counts.decisions += 1;
        self.counts.not_asked += 1;
    }

    /// Counts what could not be compared.
    pub(crate) fn not_judged(&mut self, why: String, line: u64, decision_id: Option<&str>) {
        self.counts.decisions += u64::from(decision_id.is_some());
        self.counts.not_judged += 1;
        let place = Place { line, decision_id: decision_id.map(str::to_owned) };
        self.not_judged.entry(why).or_default().insert(place);
    }

    /// Counts a decision, and keeps how it differs.
    pub(crate) fn add(&mut self, compared: &Compared<'_>) {
        let Compared { before, after, message, about, at, id } = *compared;
        let Some(change) = Change::between(before, after) else { return self.same() };
        self.counts.decisions += 1;
        match change {
            Change::NewlyAllowed => self.counts.newly_allowed += 1,
            Change::NewlyDenied => self.counts.newly_denied += 1,
            Change::Otherwise => self.counts.otherwise += 1,
        }
        let key = Key {
            change,
            before: before.clone(),
            after: after.clone(),
            caller: about.caller(),
            target: about.target().unwrap_or("no endpoint").to_owned(),
            namespace: about.namespace.as_deref().map(str::to_owned),
            command: about.command().map(<[_]>::to_vec),
            path: about.pod.is_none().then(|| format!("{} {}", about.method, about.path)),
        };
        let example = Example {
            at: at.to_owned(),
            id: id.to_owned(),
            method: about.method.clone().into_owned(),
            path: about.path.clone().into_owned(),
            message: message.map(str::to_owned),
        };
        let pods = about.pod.iter().map(|pod| pod.clone().into_owned()).collect();
        self.merge_group(key, Group { count: 1, pods, example });
    }

    /// Adds what another thread has compared.
    pub(crate) fn merge(&mut self, other: Self) {
        let Counts {
            decisions,
            same,
            newly_allowed,
            newly_denied,
            otherwise,
            not_asked,
            with_masks,
            not_judged,
            other_records,
        } = other.counts;
        for (sum, count) in [
            (&mut self.counts.decisions, decisions),
            (&mut self.counts.same, same),
            (&mut self.counts.newly_allowed, newly_allowed),
            (&mut self.counts.newly_denied, newly_denied),
            (&mut self.counts.otherwise, otherwise),
            (&mut self.counts.not_asked, not_asked),
            (&mut self.counts.with_masks, with_masks),
            (&mut self.counts.not_judged, not_judged),
            (&mut self.counts.other_records, other_records),
        ] {
            *sum += count;
        }
        for (key, group) in other.groups {
            self.merge_group(key, group);
        }
        for (why, places) in other.not_judged {
            self.not_judged.entry(why).or_default().extend(places);
        }
    }

    fn merge_group(&mut self, key: Key, group: Group) {
        match self.groups.entry(key) {
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(group);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.count += group.count;
                known.pods.extend(group.pods);
                if group.example < known.example {
                    known.example = group.example;
                }
            }
        }
    }

    /// Whether an answer differs.
    pub(crate) fn differs(&self) -> bool {
        self.counts.newly_allowed + self.counts.newly_denied > 0
    }
}
