//! The requests that are known, and whose turn it is.
//!
//! Users take turns, with one request each, the oldest first. So a node that asks ten thousand times
//! delays its own requests and not those of others, and what is decided on one of them is known when
//! the next one is.

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
    waiting: BTreeSet<(DateTime<Utc>, String)>,
    last_turn: u64,
}

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
    pub(super) ruling: Option<Ruling>,
    /// Attempts that failed in a row.
    pub(super) failures: u32,
    /// Rulings in a row that left it.
    pub(super) left: u32,
}

/// Counts of one user's requests, kept so that ten thousand cost no more than one.
#[derive(Debug, Default)]
struct User {
    requests: usize,
    /// Whether one of them is in line or worked on. The others stay behind it.
    is_served: bool,
    behind: BTreeSet<(DateTime<Utc>, String)>,
    pending: usize,
    denied: usize,
    failed: usize,
    approved: BTreeSet<(DateTime<Utc>, String)>,
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
            waiting: BTreeSet::new(),
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
        if self.entries.len() >= self.largest {
            return false;
        }
        let entry = Entry {
            uid: object.metadata.uid.clone(),
            user: object.spec.username.clone(),
            signer: object.spec.signer_name.clone(),
            state,
            created: object.metadata.creation_timestamp.unwrap_or(now),
            turn: Turn::Over,
            seen: now,
            ruling: None,
            failures: 0,
            left: 0,
        };
        let user = self.users.entry(entry.user.clone()).or_default();
        user.requests += 1;
        user.count(name, &entry);
        self.entries.insert(name.clone(), entry);
        if state == State::Pending {
            self.make_ready(name);
        }
        true
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
            user.discount(name, entry);
            entry.state = state;
            user.count(name, entry);
        }
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.take_turn(name, Turn::Over);
        let Some(entry) = self.entries.remove(name) else { return };
        if let Some(user) = self.users.get_mut(&entry.user) {
            user.discount(name, &entry);
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

    /// Gives a request back that was worked on: its next turn is at this time.
    pub(super) fn wait(&mut self, name: &str, until: DateTime<Utc>) {
        if self.entries.get(name).is_some_and(|entry| entry.turn == Turn::Working) {
            self.take_turn(name, Turn::Waiting(until));
        }
    }

    pub(super) fn entry(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.get_mut(name)
    }

    /// The requests that a user has beside this one, which is pending.
    pub(super) fn existing(&self, user: &str, now: DateTime<Utc>) -> Existing {
        let Some(user) = self.users.get(user) else { return Existing::default() };
        let hour_ago = (now - TimeDelta::hours(1), String::new());
        Existing {
            pending: user.pending.saturating_sub(1),
            approved: user.approved.len(),
            denied: user.denied,
            failed: user.failed,
            approved_last_hour: user.approved.range(hour_ago..).count(),
        }
    }

    /// How many requests are pending.
    pub(super) fn pending(&self) -> usize {
        self.users.values().map(|user| user.pending).sum()
    }

    /// When the oldest pending request was made.
    pub(super) fn oldest(&self) -> Option<DateTime<Utc>> {
        let pending = self.entries.values().filter(|entry| entry.state == State::Pending);
        pending.map(|entry| entry.created).min()
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
    fn count(&mut self, name: &str, entry: &Entry) {
        match entry.state {
            State::Pending => self.pending += 1,
            State::Denied => self.denied += 1,
            State::Failed => self.failed += 1,
            State::Approved | State::Issued => {
                self.approved.insert((entry.created, name.to_owned()));
            }
        }
    }

    fn discount(&mut self, name: &str, entry: &Entry) {
        match entry.state {
            State::Pending => self.pending -= 1,
            State::Denied => self.denied -= 1,
            State::Failed => self.failed -= 1,
            State::Approved | State::Issued => {
                self.approved.remove(&(entry.created, name.to_owned()));
            }
        }
    }
}
