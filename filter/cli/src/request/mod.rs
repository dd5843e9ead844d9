//! Requests as a person writes them down, and as Envoy hands them to the filter.

mod caller;

use anyhow::Context as _;
use gatelet_core::{Answer, Call, Gate, Headers, Peer, peer::InvalidPeer};

use crate::exit::Exit;

pub(crate) use caller::{Caller, CallerArguments, pinned};

/// A request without its caller.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// A request as the filter gets it.
pub(crate) struct Question {
    /// Header lines, Envoy's pseudo headers among them.
    pub(crate) lines: Vec<(String, Vec<u8>)>,
    /// Whether nothing follows them.
    pub(crate) ends: bool,
    pub(crate) peer: Result<Peer, InvalidPeer>,
}

impl Request {
    pub(crate) fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into(), headers: Vec::new() }
    }

    /// Reads `METHOD TARGET`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        match text.split_once(' ') {
            Some((method, target)) if !method.is_empty() && !target.is_empty() => {
                Ok(Self::new(method, target))
            }
            _ => Err(Exit::Usage.because(format!(
                "`{text}` is not a request\nhelp: write method and target, as 'GET /metrics'"
            ))),
        }
    }

    /// Adds a header line, `Name: value`.
    pub(crate) fn add_header(&mut self, line: &str) -> anyhow::Result<()> {
        let (name, value) =
            line.split_once(':').with_context(|| line.to_owned()).map_err(|_| {
                Exit::Usage.because(format!("`{line}` is not a header\nhelp: write 'Name: value'"))
            })?;
        self.headers.push((name.trim().to_owned(), value.trim().to_owned()));
        Ok(())
    }

    /// Asks for the upgrade that exec, attach and portForward need, as API servers do: SPDY by POST, up
    /// to 1.35, and WebSocket by GET, from 1.36 on.
    pub(crate) fn with_upgrade(mut self) -> Self {
        let is_upgrade = |(name, _): &(String, String)| name.eq_ignore_ascii_case("upgrade");
        let protocols = match self.target.split('/').nth(1) {
            Some("exec" | "attach") => ("v4.channel.k8s.io", "v5.channel.k8s.io"),
            Some("portForward") => ("portforward.k8s.io", "SPDY/3.1+portforward.k8s.io"),
            _ => return self,
        };
        if self.headers.iter().any(is_upgrade) {
            return self;
        }
        let lines = match self.method.as_str() {
            "POST" => vec![
                ("Connection", "Upgrade"),
                ("Upgrade", "SPDY/3.1"),
                ("X-Stream-Protocol-Version", protocols.0),
            ],
            "GET" => vec![
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("Sec-WebSocket-Protocol", protocols.1),
            ],
            _ => return self,
        };
        let lines = lines.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.headers.extend(lines);
        self
    }

    /// The request as the filter gets it from a caller.
    pub(crate) fn from(&self, peer: Result<Peer, InvalidPeer>) -> Question {
        let has =
            |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let mut lines = vec![
            (":method".to_owned(), self.method.clone().into_bytes()),
            (":path".to_owned(), self.target.clone().into_bytes()),
        ];
        if !has("host") {
            lines.push((":authority".to_owned(), b"worker-1:10250".to_vec()));
        }
        for (name, value) in &self.headers {
            let name = name.to_ascii_lowercase();
            // Envoy's name for it.
            let name = if name == "host" { ":authority".to_owned() } else { name };
            lines.push((name, value.clone().into_bytes()));
        }
        Question { lines, ends: !has("upgrade") && !has("transfer-encoding"), peer }
    }
}

impl Question {
    /// The request as the filter sees it. The shipped configuration leads callers without a certificate
    /// to the cluster for tokens, if there is one.
    pub(crate) fn call<'a>(&'a self, gate: &'a Gate) -> Call<'a> {
        Call {
            headers: Headers::new(&self.lines),
            end_of_stream: self.ends,
            peer: &self.peer,
            cluster: gate.config().token_cluster.as_deref().map(str::as_bytes),
            decision_id: "1",
        }
    }

    /// The gate's answer, now.
    pub(crate) fn put_to(&self, gate: &Gate) -> Answer {
        gate.decide(&self.call(gate), chrono::Utc::now)
    }
}
