//! What was asked of the API server, for the assertions of tests.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::Permission;
use crate::deadline::within;

/// One question to RBAC: a request asks one, an approval also for its signer.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// When it came.
    pub at: Instant,
    /// Who asked.
    pub user: String,
    /// For what.
    pub permission: Permission,
    /// Whether it is granted.
    pub allowed: bool,
    /// The request target.
    pub target: String,
    /// How the caller was known.
    pub credential: Credential,
}

/// What a caller shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The client certificate of the connection; its SHA-256, 64 lower-case hexadecimal characters.
    Certificate(String),
    /// A bearer token.
    Token(String),
}

/// The record of one API server.
#[derive(Debug)]
pub(super) struct Recorder {
    requests: Mutex<Vec<Recorded>>,
    changes: watch::Sender<()>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { requests: Mutex::default(), changes: watch::Sender::new(()) }
    }
}

impl Recorder {
    pub(super) fn add(&self, request: Recorded) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        self.changes.send_replace(());
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn wait_until(
        &self,
        what: &str,
        wanted: impl Fn(&[Recorded]) -> bool,
    ) -> anyhow::Result<()> {
        let mut changes = self.changes.subscribe();
        within(what, async {
            while !wanted(&self.requests.lock().unwrap_or_else(PoisonError::into_inner)) {
                changes.changed().await?;
            }
            Ok(())
        })
        .await?
    }
}
