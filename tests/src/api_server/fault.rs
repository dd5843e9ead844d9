//! What goes wrong, on demand.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What an API server can do wrong, or its other clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A 500 with a `Status`.
    InternalError,
    /// A 429 as API priority and fairness answers it: plain text, and so many seconds to wait.
    TooManyRequests(u64),
    /// The answer comes this much later.
    Slow(Duration),
    /// The answer ends in the middle of its JSON.
    Truncated,
    /// The answer is followed by so many bytes of blanks, which is still JSON.
    Oversize(usize),
    /// The resource version or the `continue` token is too old: 410 for a list; for a watch an event.
    Expired,
    /// Somebody else changes the object first.
    OvertakenUpdate,
    /// The connection is closed without an answer.
    Hangup,
}

/// What is to go wrong next.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Planned>>);

#[derive(Debug)]
struct Planned {
    verb: &'static str,
    resource: &'static str,
    fault: Fault,
    times: usize,
}

impl Faults {
    pub(super) fn add(
        &self,
        verb: &'static str,
        resource: &'static str,
        fault: Fault,
        times: usize,
    ) {
        let planned = Planned { verb, resource, fault, times };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(planned);
    }

    pub(super) fn left(&self) -> usize {
        let planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        planned.iter().map(|planned| planned.times).sum()
    }

    /// What is to go wrong with this request.
    pub(super) fn take(&self, verb: &str, resource: &str) -> Option<Fault> {
        let mut planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = planned.iter_mut().find(|planned| {
            planned.verb == verb && planned.resource == resource && planned.times > 0
        })?;
        next.times -= 1;
        Some(next.fault.clone())
    }
}
