//! One signer's requests, kept up to date: a list in pages, then watches of some seconds each.
//!
//! A host call hands bodies over whole, so a watch is a long poll: the API server ends it after
//! [`WATCH`], and tells all that has happened. A failure of any kind begins again with a list.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    api::{self, Answer, ApiCall, Failure},
    object::{Object, null_as_default},
};

/// How long one watch lasts. A new request is known this long after it was made, at the latest.
pub(super) const WATCH: Duration = Duration::from_secs(2);
/// An API server that doesn't end a watch has it ended.
const WATCH_TIMEOUT: Duration = Duration::from_secs(3);
/// A list now and then, should a watch have missed something.
const RELIST: Duration = Duration::from_secs(600);
/// A list sooner, for requests for which there was no room.
const RELIST_WITHOUT_ROOM: Duration = Duration::from_secs(30);
/// Between the beginnings of two calls, should the API server answer at once.
const PACE: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Reflector {
    signer: String,
    page: usize,
    largest_page: usize,
    state: State,
    is_calling: bool,
    not_before: DateTime<Utc>,
    pause: Duration,
}

#[derive(Debug)]
enum State {
    Listing { token: Option<String>, seen: BTreeSet<String> },
    Watching { resource_version: String, relist_at: DateTime<Utc> },
}

/// What is new.
#[derive(Debug)]
pub(super) enum Change {
    /// A request that is there.
    Seen(Box<Object>),
    /// A request that can't be read: its name, if it has one, and why.
    Unreadable(String),
    /// A request that isn't any more.
    Gone(String),
    /// All requests that there are; whatever else is known isn't any more.
    Only(BTreeSet<String>),
}

/// The requests on it are read one by one: a bad one spoils no others.
#[derive(Deserialize)]
struct List<'a> {
    metadata: ListMetadata,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
    #[serde(default, deserialize_with = "null_as_default")]
    r#continue: String,
}

#[derive(Deserialize)]
struct Event<'a> {
    r#type: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// As much as every object has.
#[derive(Deserialize)]
struct AnyObject {
    metadata: AnyMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyMetadata {
    name: Option<String>,
    resource_version: Option<String>,
}

/// What an `ERROR` has in place of an object.
#[derive(Deserialize)]
struct Status {
    code: Option<u16>,
}

impl Reflector {
    pub(super) fn new(signer: String, page: usize) -> Self {
        Self {
            signer,
            page,
            largest_page: page,
            state: State::beginning(),
            is_calling: false,
            not_before: DateTime::UNIX_EPOCH,
            pause: FIRST_PAUSE,
        }
    }

    /// The next call and the time it may take, if it is time for one.
    pub(super) fn next(&mut self, now: DateTime<Utc>) -> Option<(ApiCall, Duration)> {
        if self.is_calling || now < self.not_before {
            return None;
        }
        if let State::Watching { relist_at, .. } = self.state
            && relist_at <= now
        {
            self.state = State::beginning();
        }
        self.is_calling = true;
        Some(match &self.state {
            State::Listing { token, .. } => {
                (api::list(&self.signer, self.page, token.as_deref()), Duration::from_secs(30))
            }
            State::Watching { resource_version, .. } => {
                self.not_before = now + PACE;
                let call = api::watch(&self.signer, resource_version, WATCH);
                (call, WATCH_TIMEOUT)
            }
        })
    }

    /// What an answer brings.
    ///
    /// # Errors
    /// When it brings nothing; the text says why. The next call waits, and is a list.
    pub(super) fn take(
        &mut self,
        answer: Answer,
        now: DateTime<Utc>,
    ) -> Result<Vec<Change>, String> {
        self.is_calling = false;
        let what = match self.state {
            State::Listing { .. } => "listing",
            State::Watching { .. } => "watching",
        };
        let taken = match answer {
            Ok(response) if response.status == 200 => match self.state {
                State::Listing { .. } => self.take_page(&response.body, now),
                State::Watching { .. } => self.take_events(&response.body),
            },
            Ok(response) => Err(Refused::Status(response.status)),
            Err(Failure::TooLarge) => Err(Refused::TooLarge),
            Err(Failure::Unanswered) => Err(Refused::BrokenOff),
        };
        match taken {
            Ok(changes) => {
                self.pause = FIRST_PAUSE;
                Ok(changes)
            }
            Err(refused) => {
                self.recover(&refused, now);
                Err(format!("{what} requests of {}: {refused}", self.signer))
            }
        }
    }

    /// Some requests had no room, and may have it soon.
    pub(super) fn list_soon(&mut self, now: DateTime<Utc>) {
        if let State::Watching { relist_at, .. } = &mut self.state {
            *relist_at = (now + RELIST_WITHOUT_ROOM).min(*relist_at);
        }
    }

    fn take_page(&mut self, body: &[u8], now: DateTime<Utc>) -> Result<Vec<Change>, Refused> {
        let List { metadata, items } =
            serde_json::from_slice(body).map_err(|_| Refused::Unreadable)?;
        let State::Listing { token, seen } = &mut self.state else {
            return Err(Refused::Unreadable);
        };
        let mut changes: Vec<_> = items.into_iter().map(Change::of).collect();
        seen.extend(changes.iter().filter_map(|change| match change {
            Change::Seen(object) => Some(object.metadata.name.clone()),
            _ => None,
        }));
        // What was too much once may fit now.
        self.page = self.page.saturating_mul(2).min(self.largest_page);
        if metadata.r#continue.is_empty() {
            changes.push(Change::Only(std::mem::take(seen)));
            self.state = State::Watching {
                resource_version: metadata.resource_version,
                relist_at: now + RELIST,
            };
        } else {
            *token = Some(metadata.r#continue);
        }
        Ok(changes)
    }

    fn take_events(&mut self, body: &[u8]) -> Result<Vec<Change>, Refused> {
        let mut changes = Vec::new();
        let mut newest = None;
        for event in serde_json::Deserializer::from_slice(body).into_iter::<Event>() {
            let Event { r#type, object } = event.map_err(|_| Refused::Unreadable)?;
            if !matches!(r#type.as_str(), "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK") {
                let status = serde_json::from_str(object.get()).ok();
                let code = status.and_then(|Status { code }| code).unwrap_or(500);
                return Err(Refused::Status(code));
            }
            // Without a version the next watch would tell the same again; a list doesn't.
            let AnyMetadata { name, resource_version } = any(object).ok_or(Refused::Unreadable)?;
            newest = Some(resource_version.ok_or(Refused::Unreadable)?);
            match (r#type.as_str(), name) {
                ("BOOKMARK", _) => {}
                ("DELETED", Some(name)) => changes.push(Change::Gone(name)),
                _ => changes.push(Change::of(object)),
            }
        }
        if let (State::Watching { resource_version, .. }, Some(newest)) = (&mut self.state, newest)
        {
            *resource_version = newest;
        }
        Ok(changes)
    }

    /// After a failure: a list from its beginning, or the same page again, a smaller one if it may have
    /// been too large. Envoy breaks off what is much too large, so a page of one tells the two apart.
    fn recover(&mut self, refused: &Refused, now: DateTime<Utc>) {
        // A resource version or a token that has expired is nobody's fault.
        if *refused == Refused::Status(410) {
            self.state = State::beginning();
            self.not_before = now + FIRST_PAUSE;
            return;
        }
        match self.state {
            State::Listing { .. } if refused.may_be_size() && self.page > 1 => {
                self.page /= 2;
                return;
            }
            State::Listing { .. } => {}
            State::Watching { .. } => self.state = State::beginning(),
        }
        self.not_before = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

impl State {
    fn beginning() -> Self {
        Self::Listing { token: None, seen: BTreeSet::new() }
    }
}

impl Change {
    fn of(object: &RawValue) -> Self {
        match serde_json::from_str(object.get()) {
            Ok(object) => Self::Seen(Box::new(object)),
            Err(why) => {
                let name = any(object).and_then(|metadata| metadata.name).unwrap_or_default();
                Self::Unreadable(format!("{name}: {why}"))
            }
        }
    }
}

fn any(object: &RawValue) -> Option<AnyMetadata> {
    serde_json::from_str(object.get()).ok().map(|AnyObject { metadata }| metadata)
}

/// An answer that brings nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is too large")]
    TooLarge,
    #[error("no answer, or one that broke off")]
    BrokenOff,
    #[error("the answer can't be read")]
    Unreadable,
}

impl Refused {
    fn may_be_size(self) -> bool {
        matches!(self, Self::TooLarge | Self::BrokenOff)
    }
}
