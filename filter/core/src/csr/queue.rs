//! The requests that are known, and whose turn it is.
//!
//! Users take turns, with one request each, the oldest first. So a node that asks ten thousand times
//! delays its own requests and not those of others, and what is decided on one of them is known when
//! the next one is.
//!
//! Room is limited, for one user to a part of it. A new request takes the place of what matters less:
//! of one that is decided, then of an older one that was left. Where it finds none, it waits for a
//! later list.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    input::Existing,
    object::{Object, State},
    ruling::Ruling,
};

#[derive(Debug)]
pub(super) struct Queue {
    largest: usize,
    entries: BTreeMap<String, Entry>,
    users: BTreeMap<String, User>,
    ready: BTreeMap<u64, String>,
    waiting: ByTime,
    decided: ByTime,
    last_turn: u64,
}

/// Names of requests, each with the time that it was made, or that it waits for.
type ByTime = BTreeSet<(DateTime<Utc>, String)>;

/// One user has this part of the room.
const SHARE: usize = 20;
/// So many requests have room, however small that part is: a day's, of a kubelet that asks every quarter
/// of an hour.
const LEAST_SHARE: usize = 100;
/// For so long, an approval counts for the rules about how often one may ask, and what is pending as recent.
const RECENT: TimeDelta = TimeDelta::hours(1);

#[derive(Debug)]
pub(super) struct Entry {
    uid: String,
    user: String,
    signer: String,
    state: State,
    created: DateTime<Utc>,
    turn: Turn,
    /// When the approver first saw it.
    pub(super) seen: DateTime<Utc>,
    /// The ruling that is on record.
    pub(super) recorded: Option<Recorded>,
    /// A ruling that was written, as far as that is known: the answer was lost.
    pub(super) unsure: Option<Ruling>,
    /// Attempts that failed in a row.
    pub(super) failures: u32,
    /// Rulings in a row that left it.
    pub(super) left: u32,
}

/// A ruling, and the version of the object that it is on: another object may have the name by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) ruling: Ruling,
}

/// One user's requests by their states, kept so that a thousand cost no more than one.
#[derive(Debug, Default)]
struct User {
    requests: usize,
    /// Whether one of them is in line or worked on. The others stay behind it.
    is_served: bool,
    behind: ByTime,
    pending: ByTime,
    denied: ByTime,
    failed: ByTime,
    approved: ByTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is in line.
    Ready(u64),
    /// Another one of its user's is.
    Behind,
    Waiting(DateTime<Utc>),
    Working,
    /// It needs no more work.
    Over,
}

impl Queue {
    pub(super) fn new(largest: usize) -> Self {
        Self {
            largest,
            entries: BTreeMap::new(),
            users: BTreeMap::new(),
            ready: BTreeMap::new(),
            waiting: ByTime::new(),
            decided: ByTime::new(),
            last_turn: 0,
        }
    }

    /// Takes note of a request; `false` if there is no room for it.
    pub(super) fn see(&mut self, object: &Object, now: DateTime<Utc>) -> bool {
        let name = &object.metadata.name;
        let state = object.status.state();
        match self.entries.get(name) {
            Some(entry) if entry.uid == object.metadata.uid => {
                self.settle(name, state);
                return true;
            }
            // Another one of the same name.
            Some(_) => self.forget(name),
            None => {}
        }
        let user = object.spec.username.as_str();
        let created = object.metadata.creation_timestamp.unwrap_or(now);
        if !self.make_room(user, state, created, now) {
            // What is decided needs none.
            return state != State::Pending;
        }
        let entry = Entry {
            uid: object.metadata.uid.clone(),
            user: user.to_owned(),
            signer: object.spec.signer_name.clone(),
            state,
            created,
            turn: Turn::Over,
            seen: now,
            recorded: None,
            unsure: None,
            failures: 0,
            left: 0,
        };
        let user = self.users.entry(entry.user.clone()).or_default();
        user.requests += 1;
        user.of(state).insert((created, name.clone()));
        self.entries.insert(name.clone(), entry);
        if state == State::Pending {
            self.make_ready(name);
        } else {
            self.decided.insert((created, name.clone()));
        }
        true
    }

    /// Makes room for a request, if need be at the cost of one that matters less.
    fn make_room(
        &mut self,
        user: &str,
        state: State,
        created: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> bool {
        let share = (self.largest / SHARE).max(LEAST_SHARE);
        let known = self.users.get(user);
        let lesser = if known.is_some_and(|user| user.requests >= share) {
            known.and_then(|user| self.lesser_of(user, state, created, now))
        } else if self.entries.len() >= self.largest {
            self.decided.first().filter(|_| state == State::Pending).map(|(_, name)| name.clone())
        } else {
            return true;
        };
        if let Some(name) = &lesser {
            self.forget(name);
        }
        lesser.is_some()
    }

    /// One of the user's requests that matters less than a new one. Approvals of the last hour matter
    /// most: a user mustn't be able to have them forgotten.
    fn lesser_of(
        &self,
        user: &User,
        state: State,
        created: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<String> {
        let is_recent = created > now - RECENT;
        let is_approved = matches!(state, State::Approved | State::Issued) && is_recent;
        if state != State::Pending && !is_approved {
            return None;
        }
        let old = user.approved.first().filter(|(created, _)| *created <= now - RECENT);
        let decided = user.denied.first().or(user.failed.first()).or(old);
        let was_left = |(time, name): &&(DateTime<Utc>, String)| {
            let entry = self.entries.get(name);
            let is_idle = entry.is_some_and(|entry| match entry.turn {
                Turn::Waiting(_) => entry.left > 0 || is_approved,
                Turn::Behind | Turn::Ready(_) => is_approved,
                Turn::Working | Turn::Over => false,
            });
            is_idle && (*time < created || is_approved)
        };
        let lesser = decided.or_else(|| user.pending.iter().find(was_left));
        lesser.map(|(_, name)| name.clone())
    }

    /// Notes how far a request has come. One that is decided stays so.
    pub(super) fn settle(&mut self, name: &str, state: State) {
        if state == State::Pending {
            return;
        }
        self.take_turn(name, Turn::Over);
        if let Some(entry) = self.entries.get_mut(name)
            && let Some(user) = self.users.get_mut(&entry.user)
        {
            let key = (entry.created, name.to_owned());
            user.of(entry.state).remove(&key);
            entry.state = state;
            user.of(entry.state).insert(key.clone());
            self.decided.insert(key);
        }
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.take_turn(name, Turn::Over);
        let Some(entry) = self.entries.remove(name) else { return };
        let key = (entry.created, name.to_owned());
        self.decided.remove(&key);
        if let Some(user) = self.users.get_mut(&entry.user) {
            user.of(entry.state).remove(&key);
            user.requests -= 1;
            if user.requests == 0 {
                self.users.remove(&entry.user);
            }
        }
    }

    /// Forgets those of a signer that are not among the names.
    pub(super) fn keep_only(&mut self, signer: &str, names: &BTreeSet<String>) {
        let is_gone = |(name, entry): &(&String, &Entry)| {
            entry.signer == signer && !names.contains(name.as_str())
        };
        let gone: Vec<_> =
            self.entries.iter().filter(is_gone).map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.forget(&name);
        }
    }

    /// The request whose turn it is; it is being worked on from now on.
    pub(super) fn next(&mut self, now: DateTime<Utc>) -> Option<String> {
        while let Some((due, name)) = self.waiting.first().cloned()
            && due <= now
        {
            self.make_ready(&name);
        }
        let name = self.ready.first_key_value().map(|(_, name)| name.clone())?;
        self.take_turn(&name, Turn::Working);
        Some(name)
    }

    /// Gives a request back that was worked on: its next turn is at this time. One that is decided has
    /// another turn only if it isn't known by whom.
    pub(super) fn wait(&mut self, name: &str, until: DateTime<Utc>) {
        let has_another = |entry: &Entry| match entry.turn {
            Turn::Working => true,
            Turn::Over => entry.unsure.is_some(),
            Turn::Ready(_) | Turn::Behind | Turn::Waiting(_) => false,
        };
        if self.entries.get(name).is_some_and(has_another) {
            self.take_turn(name, Turn::Waiting(until));
        }
    }

    pub(super) fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.get_mut(name)
    }

    /// The requests that a user has beside this one.
    pub(super) fn existing(&self, user: &str, name: &str, now: DateTime<Utc>) -> Existing {
        let Some(user) = self.users.get(user) else { return Existing::default() };
        let recent = (now - RECENT, String::new())..;
        let pending = user.pending.range(recent.clone());
        Existing {
            pending: pending.filter(|(_, other)| other != name).count(),
            approved: user.approved.len(),
            denied: user.denied.len(),
            failed: user.failed.len(),
            approved_last_hour: user.approved.range(recent).count(),
        }
    }

    /// How many requests are pending.
    pub(super) fn pending(&self) -> usize {
        self.users.values().map(|user| user.pending.len()).sum()
    }

    /// When the oldest pending request was made.
    pub(super) fn oldest(&self) -> Option<DateTime<Utc>> {
        self.users.values().filter_map(|user| user.pending.first()).map(|(made, _)| *made).min()
    }

    fn make_ready(&mut self, name: &str) {
        let user = self.entries.get(name).and_then(|entry| self.users.get(&entry.user));
        if user.is_some_and(|user| user.is_served) {
            self.take_turn(name, Turn::Behind);
        } else {
            self.last_turn += 1;
            self.take_turn(name, Turn::Ready(self.last_turn));
        }
    }

    fn take_turn(&mut self, name: &str, turn: Turn) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        let Some(user) = self.users.get_mut(&entry.user) else { return };
        let was_served = matches!(entry.turn, Turn::Ready(_) | Turn::Working);
        match entry.turn {
            Turn::Ready(number) => {
                self.ready.remove(&number);
            }
            Turn::Behind => {
                user.behind.remove(&(entry.created, name.to_owned()));
            }
            Turn::Waiting(until) => {
                self.waiting.remove(&(until, name.to_owned()));
            }
            Turn::Working | Turn::Over => {}
        }
        entry.turn = turn;
        match turn {
            Turn::Ready(number) => {
                self.ready.insert(number, name.to_owned());
            }
            Turn::Behind => {
                user.behind.insert((entry.created, name.to_owned()));
            }
            Turn::Waiting(until) => {
                self.waiting.insert((until, name.to_owned()));
            }
            Turn::Working | Turn::Over => {}
        }
        if matches!(turn, Turn::Ready(_) | Turn::Working) {
            user.is_served = true;
        } else if was_served {
            user.is_served = false;
            if let Some((_, next)) = user.behind.first().cloned() {
                self.make_ready(&next);
            }
        }
    }
}

impl User {
    fn of(&mut self, state: State) -> &mut ByTime {
        match state {
            State::Pending => &mut self.pending,
            State::Denied => &mut self.denied,
            State::Failed => &mut self.failed,
            State::Approved | State::Issued => &mut self.approved,
        }
    }
}
