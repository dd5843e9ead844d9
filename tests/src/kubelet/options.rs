//! What a stand-in kubelet is started with.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hyper::StatusCode;

use super::webhook::Webhook;
use crate::tls::Identity;

/// How to run a [`StandInKubelet`](super::StandInKubelet).
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 lets the system pick.
    pub listen: SocketAddr,
    /// The serving pair.
    pub serving: Identity,
    /// The CA (PEM) of the clients' certificates.
    pub client_ca: Vec<u8>,
    /// Whom it asks about clients without a certificate, and about what tokens are worth. `None` is a
    /// kubelet of profile owned: it asks nobody, and talks to nobody else.
    pub webhook: Option<Webhook>,
    /// Where commands run: a scratch directory, but *not* a sandbox.
    pub directory: PathBuf,
    /// The command that attach finds running.
    pub main_command: Vec<String>,
    /// A pod's ports that can be forwarded, and the port on 127.0.0.1 that each leads to.
    pub ports: BTreeMap<u16, u16>,
    /// Appends a line to the log this often.
    pub log_every: Option<Duration>,
    /// Appends this line whenever somebody has begun to follow the log.
    pub log_when_followed: Option<String>,
    /// Also writes the record to this file, one JSON object a request.
    pub record: Option<PathBuf>,
    /// Whether it answers anonymous requests, by its own account: nothing but `/configz` changes.
    pub says_anonymous: bool,
    /// What it does wrong.
    pub fault: Option<Fault>,
}

impl Options {
    /// On a port of 127.0.0.1 that the system picks, with commands run in `directory`.
    pub fn new(serving: Identity, client_ca: Vec<u8>, directory: PathBuf) -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            serving,
            client_ca,
            webhook: None,
            directory,
            main_command: vec!["cat".to_owned()],
            ports: BTreeMap::new(),
            log_every: None,
            log_when_followed: None,
            record: None,
            says_anonymous: false,
            fault: None,
        }
    }
}

/// What a kubelet can do wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The port is taken, but nothing listens there.
    RefuseConnections,
    /// Connections are accepted, and TLS never begins.
    NeverGreet,
    /// Requests are recorded and never answered.
    NeverAnswer,
    /// Every answer comes this much later.
    Slow(Duration),
    /// Upgrades get this status instead of 101, and the connection stays open for more requests.
    AnswerUpgradesWith(StatusCode),
    /// Upgrades get their 101, and then the connection is closed.
    CloseUpgraded,
    /// Answers break off after their first bytes, and the connection is reset.
    BreakOff,
    /// Requests are recorded, and the connection is reset before a byte of an answer.
    Reset,
    /// Every request gets this status, with this location.
    RedirectTo(StatusCode, String),
}
