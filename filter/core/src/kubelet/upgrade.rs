//! Upgrades of a connection to SPDY or WebSocket, with the sub-protocols that the kubelet knows.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Method;
use crate::headers::{Headers, InvalidHeader};

/// The stream protocol that a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upgrade {
    /// What stands behind the `101`.
    pub kind: UpgradeKind,
    /// The sub-protocols on offer, in the caller's order; empty for a WebSocket client that names
    /// none, which the kubelet serves with its oldest one.
    pub protocols: Vec<String>,
}

/// What a connection is upgraded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum UpgradeKind {
    /// `Upgrade: SPDY/3.1`, with `X-Stream-Protocol-Version`.
    Spdy,
    /// `Upgrade: websocket` (RFC 6455), with `Sec-WebSocket-Protocol`.
    WebSocket,
}

/// Why an upgrade has no single reading.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum InvalidUpgrade {
    /// A header it needs can't be read.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// The endpoint streams, and the request asks for no upgrade.
    #[error("the endpoint needs an upgrade")]
    Missing,
    /// The endpoint doesn't stream.
    #[error("the endpoint has no upgrade")]
    Unwanted,
    /// Not one of `SPDY/3.1` and `websocket`.
    #[error("unknown protocol in `upgrade`")]
    Kind,
    /// Not exactly {`upgrade`} or {`keep-alive`, `upgrade`}: what else is named there would be
    /// stripped by some proxies and not by others.
    #[error("tokens in `connection` other than `upgrade` and `keep-alive`")]
    Connection,
    /// A WebSocket handshake that RFC 6455 doesn't have.
    #[error("not a WebSocket handshake")]
    Handshake,
    /// A sub-protocol missing, unknown, repeated, or not to be offered beside the others.
    #[error("unknown or ambiguous sub-protocols")]
    Protocols,
}

/// The endpoints' own lists of sub-protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streams {
    /// exec and attach.
    RemoteCommand,
    /// portForward.
    PortForward,
}

/// A WebSocket that carries port-forward's SPDY frames.
pub(super) const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";

impl Streams {
    /// `k8s.io/apimachinery/pkg/util/remotecommand` and `.../portforward`.
    fn spdy(self) -> &'static [&'static str] {
        match self {
            Self::RemoteCommand => &[
                "v5.channel.k8s.io",
                "v4.channel.k8s.io",
                "v3.channel.k8s.io",
                "v2.channel.k8s.io",
                "channel.k8s.io",
            ],
            Self::PortForward => &["portforward.k8s.io"],
        }
    }

    /// `k8s.io/kubelet/pkg/cri/streaming/{remotecommand,portforward}/websocket.go`.
    fn websocket(self) -> &'static [&'static str] {
        match self {
            Self::RemoteCommand => &[
                "v5.channel.k8s.io",
                "v4.channel.k8s.io",
                "v4.base64.channel.k8s.io",
                "channel.k8s.io",
                "base64.channel.k8s.io",
            ],
            Self::PortForward => &[TUNNEL, "v4.channel.k8s.io", "v4.base64.channel.k8s.io"],
        }
    }
}

impl Upgrade {
    /// Reads the upgrade of an endpoint that streams.
    pub(super) fn parse(
        headers: Headers<'_>,
        method: Method,
        streams: Streams,
    ) -> Result<Self, InvalidUpgrade> {
        let kind = match headers.one("upgrade")? {
            None => return Err(InvalidUpgrade::Missing),
            Some(name) if name.eq_ignore_ascii_case("SPDY/3.1") => UpgradeKind::Spdy,
            Some(name) if name.eq_ignore_ascii_case("websocket") => UpgradeKind::WebSocket,
            Some(_) => return Err(InvalidUpgrade::Kind),
        };
        connection_is_upgrade(headers)?;
        let protocols = match kind {
            UpgradeKind::Spdy => spdy(headers, streams)?,
            UpgradeKind::WebSocket => websocket(headers, method, streams)?,
        };
        Ok(Self { kind, protocols })
    }

    /// Refuses an upgrade of an endpoint that doesn't stream.
    pub(super) fn refuse(headers: Headers<'_>) -> Result<(), InvalidUpgrade> {
        if headers.has("upgrade") { Err(InvalidUpgrade::Unwanted) } else { Ok(()) }
    }
}

fn connection_is_upgrade(headers: Headers<'_>) -> Result<(), InvalidUpgrade> {
    let tokens = headers.list("connection")?;
    let count = |name| tokens.iter().filter(|token| token.eq_ignore_ascii_case(name)).count();
    let (upgrade, keep_alive) = (count("upgrade"), count("keep-alive"));
    if upgrade == 1 && keep_alive <= 1 && upgrade + keep_alive == tokens.len() {
        Ok(())
    } else {
        Err(InvalidUpgrade::Connection)
    }
}

fn spdy(headers: Headers<'_>, streams: Streams) -> Result<Vec<String>, InvalidUpgrade> {
    let offered = headers.list("x-stream-protocol-version")?;
    if offered.is_empty() {
        return Err(InvalidUpgrade::Protocols);
    }
    known(&offered, streams.spdy())
}

fn websocket(
    headers: Headers<'_>,
    method: Method,
    streams: Streams,
) -> Result<Vec<String>, InvalidUpgrade> {
    let key = headers.one("sec-websocket-key")?;
    let is_handshake = method == Method::Get
        && headers.one("sec-websocket-version")? == Some("13")
        && key.is_some_and(|key| key.len() == 24 && key.is_ascii());
    if !is_handshake {
        return Err(InvalidUpgrade::Handshake);
    }
    // RFC 6455 lets the list run over several lines; the kubelet reads the first of them.
    headers.one("sec-websocket-protocol")?;
    let offered = headers.list("sec-websocket-protocol")?;
    // A tunnel has its ports in the stream, the others in the query: which of them the kubelet
    // picks would decide whether the ports that the policy sees are the ones that are used.
    if offered.len() > 1 && offered.contains(&TUNNEL) {
        return Err(InvalidUpgrade::Protocols);
    }
    known(&offered, streams.websocket())
}

fn known(offered: &[&str], known: &[&str]) -> Result<Vec<String>, InvalidUpgrade> {
    let mut protocols = Vec::with_capacity(offered.len());
    for &protocol in offered {
        if !known.contains(&protocol) || protocols.iter().any(|seen| seen == protocol) {
            return Err(InvalidUpgrade::Protocols);
        }
        protocols.push(protocol.to_owned());
    }
    Ok(protocols)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION: (&str, &str) = ("sec-websocket-version", "13");
    const CONNECTION: (&str, &str) = ("connection", "Upgrade");

    fn parse(
        method: Method,
        streams: Streams,
        lines: &[(&str, &str)],
    ) -> Result<Upgrade, InvalidUpgrade> {
        let lines: Vec<_> =
            lines.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
        Upgrade::parse(Headers::new(&lines), method, streams)
    }

    #[test]
    fn spdy_offers_known_versions_line_by_line_or_as_a_list() {
        let version = "x-stream-protocol-version";
        let spdy = ("upgrade", "SPDY/3.1");
        let want = Ok(Upgrade {
            kind: UpgradeKind::Spdy,
            protocols: vec!["v4.channel.k8s.io".to_owned(), "channel.k8s.io".to_owned()],
        });
        let (v4, v1) = ((version, "v4.channel.k8s.io"), (version, "channel.k8s.io"));
        let remote = |lines: &[_]| parse(Method::Post, Streams::RemoteCommand, lines);
        assert_eq!(remote(&[spdy, CONNECTION, v4, v1]), want);
        assert_eq!(
            remote(&[spdy, CONNECTION, (version, "v4.channel.k8s.io, channel.k8s.io")]),
            want
        );
        for (note, lines) in [
            ("none", vec![spdy, CONNECTION]),
            ("unknown", vec![spdy, CONNECTION, (version, "v9.channel.k8s.io")]),
            ("repeated", vec![spdy, CONNECTION, v4, v4]),
            ("empty member", vec![spdy, CONNECTION, (version, "v4.channel.k8s.io,")]),
            ("tab", vec![spdy, CONNECTION, (version, "v4.channel.k8s.io,\tchannel.k8s.io")]),
            ("port-forward's", vec![spdy, CONNECTION, (version, "portforward.k8s.io")]),
        ] {
            assert_eq!(remote(&lines), Err(InvalidUpgrade::Protocols), "{note}");
        }
    }

    #[test]
    fn websocket_is_a_get_with_a_key_and_known_protocols() {
        let websocket = ("upgrade", "WebSocket");
        let protocol = "sec-websocket-protocol";
        let remote = |method, lines: &[_]| parse(method, Streams::RemoteCommand, lines);
        for (offer, want) in [
            (vec![], vec![]),
            (vec![(protocol, "v5.channel.k8s.io")], vec!["v5.channel.k8s.io"]),
            (
                vec![(protocol, "v5.channel.k8s.io,v4.channel.k8s.io")],
                vec!["v5.channel.k8s.io", "v4.channel.k8s.io"],
            ),
        ] {
            let lines = [vec![websocket, CONNECTION, KEY, VERSION], offer].concat();
            let upgrade = remote(Method::Get, &lines).unwrap();
            assert_eq!(
                (upgrade.kind, upgrade.protocols),
                (UpgradeKind::WebSocket, want.into_iter().map(str::to_owned).collect())
            );
        }
        let full = [websocket, CONNECTION, KEY, VERSION];
        assert_eq!(remote(Method::Post, &full), Err(InvalidUpgrade::Handshake));
        assert_eq!(
            remote(Method::Get, &[websocket, CONNECTION, KEY]),
            Err(InvalidUpgrade::Handshake)
        );
        assert_eq!(
            remote(Method::Get, &[websocket, CONNECTION, VERSION]),
            Err(InvalidUpgrade::Handshake)
        );
        let protocols = [(protocol, "v5.channel.k8s.io"), (protocol, "v4.channel.k8s.io")];
        assert_eq!(
            remote(Method::Get, &[&full[..], &protocols].concat()),
            Err(InvalidHeader::Repeated(protocol).into())
        );
        for offer in [
            "v4.channel.k8s.io, v4.channel.k8s.io",
            "graphql-ws",
            "",
            "base64url.bearer.authorization.k8s.io.dG9rZW4, v4.channel.k8s.io",
        ] {
            let lines = [websocket, CONNECTION, KEY, VERSION, (protocol, offer)];
            assert_eq!(remote(Method::Get, &lines), Err(InvalidUpgrade::Protocols), "{offer}");
        }
    }

    #[test]
    fn a_tunnel_is_offered_alone() {
        let offer = |offer| {
            parse(
                Method::Get,
                Streams::PortForward,
                &[
                    ("upgrade", "websocket"),
                    CONNECTION,
                    KEY,
                    VERSION,
                    ("sec-websocket-protocol", offer),
                ],
            )
        };
        assert!(offer(TUNNEL).is_ok());
        assert_eq!(
            offer("SPDY/3.1+portforward.k8s.io, v4.channel.k8s.io"),
            Err(InvalidUpgrade::Protocols)
        );
    }

    #[test]
    fn connection_names_the_upgrade_and_at_most_keep_alive() {
        let upgrade = |lines: &[_]| {
            let spdy =
                [("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v4.channel.k8s.io")];
            parse(Method::Get, Streams::RemoteCommand, &[&spdy, lines].concat())
        };
        for value in ["Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade,Keep-Alive"] {
            assert!(upgrade(&[("connection", value)]).is_ok(), "{value}");
        }
        for value in
            ["", "keep-alive", "Upgrade, X-Foo", "Upgrade, Upgrade", "Upgrade,", "close, Upgrade"]
        {
            assert_eq!(
                upgrade(&[("connection", value)]),
                Err(InvalidUpgrade::Connection),
                "{value}"
            );
        }
        assert_eq!(upgrade(&[]), Err(InvalidUpgrade::Connection));
    }

    #[test]
    fn only_the_two_upgrades_of_the_kubelet_are_known() {
        let exec = |lines: &[_]| parse(Method::Get, Streams::RemoteCommand, lines);
        assert_eq!(exec(&[CONNECTION]), Err(InvalidUpgrade::Missing));
        assert_eq!(exec(&[("upgrade", "h2c"), CONNECTION]), Err(InvalidUpgrade::Kind));
        assert_eq!(
            exec(&[("upgrade", "SPDY/3.1, websocket"), CONNECTION]),
            Err(InvalidUpgrade::Kind)
        );
        let twice = [("upgrade", "SPDY/3.1"), ("upgrade", "SPDY/3.1"), CONNECTION];
        assert_eq!(exec(&twice), Err(InvalidHeader::Repeated("upgrade").into()));
    }
}
