//! Requests as they were recorded, and how to send them as they were sent.

use std::fs;

use anyhow::{Context as _, ensure};
use gatelet_certs::{Ca, Persona};
use gatelet_tests::client::{Dialer, RawClient, Response};
use gatelet_tests::envoy::project;
use gatelet_tests::fixture::Fixture;
use gatelet_tests::kubelet::Recorded;
use rustls::ProtocolVersion;

/// Calls the gate as the API server does: by its address, so without SNI.
pub(crate) fn apiserver(fixture: &Fixture) -> anyhow::Result<Dialer> {
    let identity = fixture.cluster.issue(Persona::ApiserverKubeletClient)?.into();
    let ca = fixture.cluster.authority(Ca::Cluster).certificate().as_bytes();
    let address = fixture.gate.address();
    Dialer::new(address, &address.ip().to_string(), ca, Some(&identity))
}

/// A request as it was recorded.
pub(crate) struct Recording {
    /// What somebody did.
    pub(crate) action: String,
    lines: Vec<String>,
}

/// The blocks of a file: `### action`, and the request's lines.
pub(crate) fn recordings(version: &str) -> anyhow::Result<Vec<Recording>> {
    let file = format!("tests/tests/callers/recorded/kubernetes-{version}.http");
    let text = fs::read_to_string(project().join(&file)).with_context(|| file.clone())?;
    let recordings: Vec<_> = text
        .split("### ")
        .skip(1)
        .map(|block| {
            let mut lines = block.trim_end().lines().map(str::to_owned);
            Recording { action: lines.next().unwrap_or_default(), lines: lines.collect() }
        })
        .collect();
    ensure!(recordings.len() > 20, "{file} has only {} requests", recordings.len());
    Ok(recordings)
}

impl Recording {
    /// Every value of a header, in order.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        self.headers().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, it)| it).collect()
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().skip(1).filter_map(|line| line.split_once(": "))
    }

    /// Whether it asks for SPDY or a WebSocket.
    pub(crate) fn is_upgrade(&self) -> bool {
        !self.header("upgrade").is_empty()
    }

    /// Sends it on a connection of its own.
    pub(crate) async fn send(&self, apiserver: &Dialer) -> anyhow::Result<RawClient> {
        let offer: &[_] = if self.is_upgrade() { &["http/1.1"] } else { &["h2", "http/1.1"] };
        let mut client = RawClient::connect(&apiserver.offering(offer)).await?;
        assert_eq!(client.tls().protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(client.tls().alpn_protocol(), Some(&b"http/1.1"[..]), "{}", self.action);
        client.send(format!("{}\r\n\r\n", self.lines.join("\r\n")).as_bytes()).await?;
        Ok(client)
    }

    /// Whether the kubelet got every line as it was sent. Envoy writes names in lower case, and adds
    /// one line of its own.
    pub(crate) fn is_what_arrived(&self, arrived: &Recorded) -> anyhow::Result<()> {
        let request = format!("{} {} HTTP/1.1", arrived.method, arrived.target());
        ensure!(self.lines.first() == Some(&request), "arrived as {request}");
        let mut want: Vec<_> =
            self.headers().map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        want.push(("x-forwarded-proto".to_owned(), "https".to_owned()));
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let mut got: Vec<_> = arrived
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), text(value)))
            .collect();
        // Only lines of the same name have an order.
        want.sort_by(|(one, _), (other, _)| one.cmp(other));
        got.sort_by(|(one, _), (other, _)| one.cmp(other));
        ensure!(got == want, "arrived with {got:#?}, not {want:#?}");
        Ok(())
    }

    /// Whether a 101 says all that Kubernetes' clients look for.
    pub(crate) fn is_switched(&self, head: &Response) -> anyhow::Result<()> {
        let text = |name| head.header(name).unwrap_or_default().into_owned();
        ensure!(text("connection").eq_ignore_ascii_case("upgrade"), "{head:?}");
        ensure!(self.header("upgrade") == [text("upgrade")], "{head:?}");
        // Of what SPDY clients offer, the kubelet doesn't take v5.
        let offered =
            [self.header("x-stream-protocol-version"), self.header("sec-websocket-protocol")];
        let wanted = offered
            .concat()
            .into_iter()
            .find(|name| self.header("upgrade") != ["SPDY/3.1"] || *name != "v5.channel.k8s.io");
        let chosen = text("x-stream-protocol-version") + &text("sec-websocket-protocol");
        ensure!(chosen == wanted.unwrap_or_default(), "chose {chosen:?}");
        Ok(())
    }
}
