//! What reached the kubelet, for the assertions of tests and the `--record` file.

use std::borrow::Cow;
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};
use tokio::sync::watch;

use super::webhook::{User, Webhook};
use crate::deadline::within;

/// Who presented the client certificate of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// The certificate's subject, its attributes in the certificate's order.
    pub subject: String,
    /// SHA-256 of the certificate, 64 lower-case hexadecimal characters.
    pub certificate_sha256: String,
}

/// One request, byte by byte as it arrived.
///
/// In JSON, bytes other than printable ASCII are escaped as in a Rust byte string.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// Position among all requests, from 0, in the order in which their heads arrived.
    pub order: usize,
    /// The connection it came on, from 0.
    pub connection: u64,
    /// As whom it arrived.
    pub user: User,
    /// The method; empty when the head could not be parsed.
    pub method: String,
    /// The request target, neither decoded nor cut; empty when the head could not be parsed.
    #[serde(serialize_with = "escaped")]
    pub target: Vec<u8>,
    /// Names and values in order, repeats included.
    #[serde(serialize_with = "escaped_pairs")]
    pub headers: Vec<(String, Vec<u8>)>,
    /// Everything up to the blank line, or what could not be parsed.
    #[serde(serialize_with = "escaped")]
    pub head: Vec<u8>,
    /// How many bytes of body arrived, without the framing of chunks.
    pub body_length: u64,
    /// What the client sent through the tunnel after a 101, up to [`TUNNEL`](Self::TUNNEL) bytes.
    #[serde(skip)]
    pub tunnel: Vec<u8>,
}

impl Recorded {
    /// How much of a tunnel is kept: enough for assertions, and no more for long sessions.
    pub const TUNNEL: usize = 64 * 1024;

    /// The target as text.
    pub fn target(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.target)
    }

    /// Every value of a header, in order; the name's case doesn't matter.
    pub fn header(&self, name: &str) -> Vec<Cow<'_, str>> {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value))
            .collect()
    }

    /// Whether the HTTP parser could make nothing of it.
    pub fn is_malformed(&self) -> bool {
        self.method.is_empty()
    }
}

/// The record of one kubelet, shared by its connections.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    requests: Arc<Mutex<Vec<Recorded>>>,
    changes: watch::Sender<()>,
    file: Option<Arc<File>>,
    webhook: Arc<Webhook>,
}

impl Recorder {
    pub(super) fn new(file: Option<File>, webhook: Webhook) -> Self {
        let (requests, changes) = (Arc::default(), watch::Sender::new(()));
        Self { requests, changes, file: file.map(Arc::new), webhook: Arc::new(webhook) }
    }

    /// Who sends these headers on the connection of this client.
    pub(super) fn user(&self, peer: Option<&Peer>, headers: &[(String, Vec<u8>)]) -> User {
        self.webhook.authenticate(peer, headers)
    }

    pub(super) fn requests(&self) -> Vec<Recorded> {
        self.lock().clone()
    }

    /// Waits until a request satisfies `wanted`, and returns the first that does.
    pub(super) async fn wait_for(
        &self,
        what: &str,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> anyhow::Result<Recorded> {
        let mut changes = self.changes.subscribe();
        within(what, async move {
            loop {
                if let Some(found) = self.lock().iter().find(|request| wanted(request)) {
                    return Ok(found.clone());
                }
                changes.changed().await?;
            }
        })
        .await?
    }

    /// Adds a request and returns it with its order set.
    pub(super) fn add(&self, mut request: Recorded) -> Recorded {
        {
            let mut requests = self.lock();
            request.order = requests.len();
            requests.push(request.clone());
        }
        self.changes.send_replace(());
        request
    }

    pub(super) fn update(&self, order: usize, change: impl FnOnce(&mut Recorded)) {
        if let Some(request) = self.lock().get_mut(order) {
            change(request);
        }
        self.changes.send_replace(());
    }

    /// Writes the request's line: its head and body have arrived.
    pub(super) fn complete(&self, order: usize) {
        let Some(file) = &self.file else { return };
        let Some(mut line) =
            self.lock().get(order).and_then(|request| serde_json::to_vec(request).ok())
        else {
            return;
        };
        line.push(b'\n');
        if let Err(error) = file.as_ref().write_all(&line) {
            eprintln!("stand-in kubelet: can't record a request: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn escaped<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&bytes.escape_ascii())
}

fn escaped_pairs<S: Serializer>(
    pairs: &[(String, Vec<u8>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_seq(pairs.iter().map(|(name, value)| (name, value.escape_ascii().to_string())))
}
