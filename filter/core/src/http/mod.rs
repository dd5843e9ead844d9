//! Requests to any HTTP service: profile `http`, for sidecars and meshes.
//!
//! The kubelet's rules on bodies, query keys and upgrades don't apply here. What a policy decides
//! on is still read in one way or refused.

use std::{collections::BTreeMap, net::Ipv6Addr, num::NonZeroU16};

use serde::Serialize;
use thiserror::Error;

use crate::{
    headers::{Headers, InvalidHeader},
    kubelet::Node,
    peer::{Peer, PeerInput},
    percent,
};

/// The name and version of the document.
pub const SCHEMA: &str = "gatelet/http/v1";

/// A request with one reading.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    method: String,
    authority: String,
    path: String,
    segments: Vec<String>,
    query: BTreeMap<String, Vec<String>>,
    headers: BTreeMap<String, Vec<String>>,
}

/// Why a request can't be read.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Envoy's pseudo headers are missing, or aren't ASCII.
    #[error("no method, path or authority")]
    NoTarget,
    /// A header has no single value.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// A header that the configuration lets policies read, of no UTF-8.
    #[error("header `{0}` is not UTF-8")]
    NotText(String),
    /// No `host`, `host:port` or `[IPv6]:port`, for one because Envoy joined two of them by a comma.
    #[error("an authority with two readings")]
    Authority,
    /// A byte that has, or makes, a second spelling.
    #[error("byte 0x{byte:02x} at offset {at} of the path")]
    Byte {
        /// Offset into the path, in bytes.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// An empty segment, a dot segment, or an escape that services disagree on.
    #[error("a path with two readings")]
    Path,
    /// A pair that some services read otherwise than others.
    #[error("a query with two readings")]
    Query,
}

/// The input document of profile `http`.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Input<'a> {
    /// `gatelet/http/v1`.
    pub schema: &'static str,
    /// The method.
    pub method: &'a str,
    /// The `Host`, or HTTP/2's `:authority`.
    pub authority: &'a str,
    /// The path without the query, which the service gets byte for byte.
    pub path: &'a str,
    /// The path's segments, decoded; a trailing slash gives an empty last one.
    pub segments: &'a [String],
    /// The query, decoded; a key's values are in their order.
    pub query: &'a BTreeMap<String, Vec<String>>,
    /// The headers that the configuration names, lower-case, each with its lines in their order.
    pub headers: &'a BTreeMap<String, Vec<String>>,
    /// Who asks.
    pub peer: PeerInput<'a>,
    /// The node it runs on.
    pub node: &'a Node,
}

impl Request {
    /// Reads a request from its header lines; policies see the headers in `shown`.
    ///
    /// # Errors
    /// When services could read what a policy sees of the request in different ways.
    pub fn parse(headers: Headers<'_>, shown: &[String]) -> Result<Self, Malformed> {
        let method = headers.one(":method")?.ok_or(Malformed::NoTarget)?;
        let authority = headers.one(":authority")?.ok_or(Malformed::NoTarget)?;
        if !is_authority(authority) {
            return Err(Malformed::Authority);
        }
        let target = headers.all(":path").next().ok_or(Malformed::NoTarget)?;
        let mut halves = target.splitn(2, |&byte| byte == b'?');
        let path = halves.next().unwrap_or_default();
        let segments = segments(path)?;
        let query = halves.next().map_or_else(|| Ok(BTreeMap::new()), query)?;
        Ok(Self {
            method: method.to_owned(),
            authority: authority.to_owned(),
            path: path.iter().map(|&byte| char::from(byte)).collect(),
            segments,
            query,
            headers: shown_headers(headers, shown)?,
        })
    }
}

impl<'a> Input<'a> {
    /// The document of one request.
    #[must_use]
    pub fn new(request: &'a Request, peer: &'a Peer, bearer_token: bool, node: &'a Node) -> Self {
        let Request { method, authority, path, segments, query, headers } = request;
        Self {
            schema: SCHEMA,
            method,
            authority,
            path,
            segments,
            query,
            headers,
            peer: PeerInput::new(peer, bearer_token),
            node,
        }
    }
}

/// RFC 3986's host with an optional port, without the user, the escapes and the delimiters that it
/// allows besides.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => (None, port),
        Some(_) => return false,
        None => text.find(':').map_or((Some(text), ""), |colon| {
            let (host, port) = text.split_at(colon);
            (Some(host), port)
        }),
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<NonZeroU16>().is_ok()
    };
    host.is_none_or(|host| !host.is_empty() && host.bytes().all(is_plain))
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn segments(path: &[u8]) -> Result<Vec<String>, Malformed> {
    // `;` begins parameters that some services cut off, `\` is a slash to some.
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"#;\\".contains(&byte);
    if let Some((at, &byte)) = path.iter().enumerate().find(|(_, byte)| !is_plain(**byte)) {
        return Err(Malformed::Byte { at, byte });
    }
    let rest = path.strip_prefix(b"/").ok_or(Malformed::Path)?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let mut segments: Vec<_> =
        rest.split(|&byte| byte == b'/').map(segment).collect::<Result<_, _>>()?;
    let last = segments.pop();
    if segments.iter().any(String::is_empty) {
        return Err(Malformed::Path);
    }
    segments.extend(last);
    Ok(segments)
}

fn segment(bytes: &[u8]) -> Result<String, Malformed> {
    let text = percent::decode(bytes, false).map_err(|_| Malformed::Path)?;
    let is_odd = text.bytes().any(|byte| byte.is_ascii_control() || b"/\\%".contains(&byte))
        || text == "."
        || text == ".."
        || percent::escaped(bytes).any(is_unreserved);
    if is_odd { Err(Malformed::Path) } else { Ok(text) }
}

/// RFC 3986's unreserved characters: escaped, they are a second spelling of themselves.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn query(bytes: &[u8]) -> Result<BTreeMap<String, Vec<String>>, Malformed> {
    if !bytes.iter().all(|&byte| byte.is_ascii_graphic() && !b"#;".contains(&byte)) {
        return Err(Malformed::Query);
    }
    let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in bytes.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let mut halves =
            pair.splitn(2, |&byte| byte == b'=').map(|half| percent::decode(half, true));
        let mut half = || halves.next().transpose().map_err(|_| Malformed::Query);
        let (key, value) = (half()?.unwrap_or_default(), half()?.unwrap_or_default());
        map.entry(key).or_default().push(value);
    }
    Ok(map)
}

fn shown_headers(
    headers: Headers<'_>,
    shown: &[String],
) -> Result<BTreeMap<String, Vec<String>>, Malformed> {
    let mut map = BTreeMap::new();
    for name in shown {
        let lines: Vec<_> = headers
            .all(name)
            .map(|line| std::str::from_utf8(line).map(str::to_owned))
            .collect::<Result<_, _>>()
            .map_err(|_| Malformed::NotText(name.clone()))?;
        if !lines.is_empty() {
            map.insert(name.clone(), lines);
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(target: &str) -> Result<Request, Malformed> {
        let lines =
            [(":method", "GET"), (":authority", "web"), (":path", target), ("x-tenant", "a")];
        let lines: Vec<_> =
            lines.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect();
        Request::parse(Headers::new(&lines), &["x-tenant".to_owned(), "x-other".to_owned()])
    }

    #[test]
    fn an_authority_is_one_host() {
        for text in [
            "web",
            "web:8080",
            "web.shop.svc",
            "10.0.0.1:80",
            "[2001:db8::1]",
            "[::1]:65535",
            "a_b-c.",
        ] {
            assert!(is_authority(text), "{text}");
        }
        for text in [
            "",
            ":80",
            "web,db",
            "web, db",
            "user@web",
            "web:",
            "web:0",
            "web:65536",
            "web:+80",
            "web:80:80",
            "::1",
            "[::1",
            "[::1]80",
            "[::1]:",
            "[web]",
            "[]",
            "we b",
            "web/",
            "web%2e",
            "w\u{f6}b",
            "web\\a",
        ] {
            assert!(!is_authority(text), "{text}");
        }
    }

    #[test]
    fn segments_are_decoded_once() {
        for (target, want) in [
            ("/", vec![]),
            ("/a", vec!["a"]),
            ("/a/", vec!["a", ""]),
            ("/a%20b/%C3%B6", vec!["a b", "ö"]),
            ("/a:b@c,d=e+f", vec!["a:b@c,d=e+f"]),
            ("/%2Bx?a/../b", vec!["+x"]),
        ] {
            assert_eq!(parse(target).unwrap().segments, want, "{target}");
        }
    }

    #[test]
    fn a_path_with_two_readings_is_refused() {
        for target in [
            "",
            "a",
            "//a",
            "/a//b",
            "/./a",
            "/a/..",
            "/a/%2e%2e/b",
            "/%61dmin",
            "/a:%61",
            "/a%2Fb",
            "/a%5Cb",
            "/a%00",
            "/a%0a",
            "/a%2541",
            "/a%",
            "/a%zz",
            "/a%ff",
            "/a;b",
            "/a\\b",
            "/a#b",
            "/\u{f6}",
        ] {
            assert!(parse(target).is_err(), "{target}");
        }
    }

    #[test]
    fn queries_and_named_headers_are_read() {
        let request = parse("/a?x=1&x=2&y=a+b%2B&z&").unwrap();
        let values = |key: &str| request.query.get(key).cloned();
        assert_eq!(values("x"), Some(vec!["1".to_owned(), "2".to_owned()]));
        assert_eq!(values("y"), Some(vec!["a b+".to_owned()]));
        assert_eq!(values("z"), Some(vec![String::new()]));
        assert_eq!(request.headers.keys().collect::<Vec<_>>(), ["x-tenant"]);
        for target in ["/a?x=1;y=2", "/a?x=%zz", "/a?x=%ff", "/a?x=%00"] {
            assert_eq!(parse(target), Err(Malformed::Query), "{target}");
        }
    }
}
