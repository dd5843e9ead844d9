//! One signer's requests, kept up to date: a list in pages, then watches of some seconds each.
//!
//! A host call hands bodies over whole, so a watch is a long poll: the API server ends it after
//! [`WATCH`], and tells all that has happened. A failure of any kind begins again with a list.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{
    api::{self, Answer, ApiCall, Failure},
    object::{Metadata, Object},
};

/// How long one watch lasts. A new request is known this long after it was made, at the latest.
pub(super) const WATCH: Duration = Duration::from_secs(2);
/// A list now and then, should a watch have missed something.
const RELIST: Duration = Duration::from_secs(600);
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
    /// A request that isn't any more.
    Gone(String),
    /// All requests that there are; whatever else is known isn't any more.
    Only(BTreeSet<String>),
}

#[derive(Deserialize)]
struct List {
    metadata: ListMetadata,
    items: Vec<Object>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
    #[serde(default)]
    r#continue: String,
}

#[derive(Deserialize)]
struct Event {
    r#type: String,
    object: serde_json::Value,
}

#[derive(Deserialize)]
struct Bookmark {
    metadata: BookmarkMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMetadata {
    resource_version: String,
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
                (call, WATCH + Duration::from_secs(10))
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
            Ok(response) => Err(Refused { status: response.status, why: "" }),
            Err(Failure::TooLarge) => Err(Refused { status: 0, why: "the answer is too large" }),
            Err(Failure::Unanswered) => Err(Refused { status: 0, why: "no answer" }),
        };
        match taken {
            Ok(changes) => {
                self.pause = FIRST_PAUSE;
                Ok(changes)
            }
            Err(refused) => {
                self.recover(&refused, now);
                let Refused { status, why } = refused;
                let status = if status == 0 { String::new() } else { format!("status {status}") };
                Err(format!("{what} requests of {}: {why}{status}", self.signer))
            }
        }
    }

    fn take_page(&mut self, body: &[u8], now: DateTime<Utc>) -> Result<Vec<Change>, Refused> {
        let List { metadata, items } =
            serde_json::from_slice(body).map_err(|_| Refused::UNREADABLE)?;
        let State::Listing { token, seen } = &mut self.state else {
            return Err(Refused::UNREADABLE);
        };
        seen.extend(items.iter().map(|item| item.metadata.name.clone()));
        let mut changes: Vec<_> =
            items.into_iter().map(|item| Change::Seen(Box::new(item))).collect();
        if metadata.r#continue.is_empty() {
            changes.push(Change::Only(std::mem::take(seen)));
            self.page = self.largest_page;
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
            let Event { r#type, object } = event.map_err(|_| Refused::UNREADABLE)?;
            let read =
                |object| serde_json::from_value::<Object>(object).map_err(|_| Refused::UNREADABLE);
            match r#type.as_str() {
                "ADDED" | "MODIFIED" => {
                    let object = read(object)?;
                    newest = Some(object.metadata.resource_version.clone());
                    changes.push(Change::Seen(Box::new(object)));
                }
                "DELETED" => {
                    let Metadata { name, resource_version, .. } = read(object)?.metadata;
                    newest = Some(resource_version);
                    changes.push(Change::Gone(name));
                }
                "BOOKMARK" => {
                    let Bookmark { metadata } =
                        serde_json::from_value(object).map_err(|_| Refused::UNREADABLE)?;
                    newest = Some(metadata.resource_version);
                }
                _ => {
                    let code = object.get("code").and_then(serde_json::Value::as_u64);
                    let status = code.and_then(|code| u16::try_from(code).ok()).unwrap_or(500);
                    return Err(Refused { status, why: "" });
                }
            }
        }
        if let (State::Watching { resource_version, .. }, Some(newest)) = (&mut self.state, newest)
        {
            *resource_version = newest;
        }
        Ok(changes)
    }

    /// After a failure: a list from its beginning, or a smaller page of the same list.
    fn recover(&mut self, refused: &Refused, now: DateTime<Utc>) {
        // A resource version or a token that has expired is nobody's fault.
        if refused.status == 410 {
            self.state = State::beginning();
            self.not_before = now + FIRST_PAUSE;
            return;
        }
        match self.state {
            // Large requests fill a page of few.
            State::Listing { .. } => self.page = (self.page / 2).max(1),
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

/// An answer that brings nothing: a status, or another reason.
struct Refused {
    status: u16,
    why: &'static str,
}

impl Refused {
    const UNREADABLE: Self = Self { status: 0, why: "the answer can't be read" };
}
