//! A request's header lines as Envoy hands them over: lower-case names, values as bytes.

use thiserror::Error;

/// Header lines in the order they arrived, with Envoy's pseudo headers (`:method`, `:path`,
/// `:authority`) among them. A name may repeat; values are bytes that the caller chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Headers<'a>(&'a [(String, Vec<u8>)]);

/// A header whose lines can't be read as one value.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum InvalidHeader {
    /// More lines than one.
    #[error("header `{0}` repeats")]
    Repeated(&'static str),
    /// Bytes which are no UTF-8.
    #[error("header `{0}` is not UTF-8")]
    NotText(&'static str),
}

impl<'a> Headers<'a> {
    /// Wraps the lines of one request.
    #[must_use]
    pub fn new(lines: &'a [(String, Vec<u8>)]) -> Self {
        Self(lines)
    }

    /// The lines as they are.
    pub(crate) fn lines(self) -> &'a [(String, Vec<u8>)] {
        self.0
    }

    /// The value of every line with this lower-case name.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_slice())
    }

    /// Whether there is a line with this name.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The value of the only line with this name, or `None` without one.
    ///
    /// # Errors
    /// When there are several lines, or the value is no UTF-8.
    pub fn one(self, name: &'static str) -> Result<Option<&'a str>, InvalidHeader> {
        let mut values = self.all(name);
        let value = values.next();
        if values.next().is_some() {
            return Err(InvalidHeader::Repeated(name));
        }
        value
            .map(|bytes| std::str::from_utf8(bytes).map_err(|_| InvalidHeader::NotText(name)))
            .transpose()
    }

    /// The members of a comma list, over all lines with this name, spaces trimmed. Not tabs: the
    /// kubelet keeps them in some lists.
    ///
    /// # Errors
    /// When a line is no UTF-8.
    pub fn list(self, name: &'static str) -> Result<Vec<&'a str>, InvalidHeader> {
        let mut members = Vec::new();
        for line in self.all(name) {
            let line = std::str::from_utf8(line).map_err(|_| InvalidHeader::NotText(name))?;
            members.extend(line.split(',').map(|member| member.trim_matches(' ')));
        }
        Ok(members)
    }

    /// Whether the caller sent what the kubelet could take for a bearer token. It trims all white
    /// space of Unicode off the header before it looks.
    #[must_use]
    pub fn has_bearer_token(self) -> bool {
        self.all("authorization").any(|value| {
            let value = String::from_utf8_lossy(value);
            let scheme = value.trim_start().get(..7);
            scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer "))
        })
    }

    /// Whether the caller sent one bearer token (RFC 6750), and nothing else that could be taken for
    /// one: of several, proxies and servers take different ones.
    #[must_use]
    pub fn has_one_bearer_token(self) -> bool {
        let mut values = self.all("authorization");
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        value.split_at_checked(7).is_some_and(|(scheme, token)| {
            scheme.eq_ignore_ascii_case(b"bearer ") && is_bearer_token(token)
        })
    }

    /// The names of the lines that carry credentials. They never ride along with the gate's own
    /// certificate: with it, `Impersonate-User` or `X-Remote-User` would speak for an administrator.
    pub fn credentials(self) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(|(name, value)| is_credential(name) || has_token_protocol(name, value))
            .map(|(name, _)| name.as_str())
    }
}

/// `b64token` of RFC 6750.
fn is_bearer_token(token: &[u8]) -> bool {
    let end = token.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
    let (token, _padding) = token.split_at_checked(end).unwrap_or_default();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    !token.is_empty() && token.iter().all(is_plain)
}

fn is_credential(name: &str) -> bool {
    matches!(name, "authorization" | "proxy-authorization" | "cookie" | "x-forwarded-client-cert")
        || name.starts_with("impersonate-")
        || name.starts_with("x-remote-")
}

/// A bearer token in the shape of a sub-protocol, which Kubernetes takes from browsers
/// (`k8s.io/apiserver/pkg/authentication/request/websocket`).
fn has_token_protocol(name: &str, value: &[u8]) -> bool {
    const PREFIX: &[u8] = b"base64url.bearer.authorization.k8s.io.";

    name == "sec-websocket-protocol" && value.windows(PREFIX.len()).any(|part| part == PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        lines.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect()
    }

    #[test]
    fn one_value_is_one_line_of_text() {
        let mut raw = lines(&[("host", "a"), ("upgrade", "x"), ("upgrade", "x")]);
        raw.push(("user-agent".to_owned(), vec![0xff]));
        let headers = Headers::new(&raw);
        assert_eq!(headers.one("host"), Ok(Some("a")));
        assert_eq!(headers.one("absent"), Ok(None));
        assert_eq!(headers.one("upgrade"), Err(InvalidHeader::Repeated("upgrade")));
        assert_eq!(headers.one("user-agent"), Err(InvalidHeader::NotText("user-agent")));
    }

    #[test]
    fn lists_run_over_lines_and_commas() {
        let raw = lines(&[("connection", "keep-alive,  Upgrade"), ("connection", "\tx")]);
        assert_eq!(Headers::new(&raw).list("connection"), Ok(vec!["keep-alive", "Upgrade", "\tx"]));
    }

    #[test]
    fn every_credential_is_named_and_nothing_else() {
        let raw = lines(&[
            ("authorization", "Bearer t"),
            ("impersonate-extra-scopes", "x"),
            ("x-remote-group", "system:masters"),
            ("x-forwarded-client-cert", "By=x"),
            (
                "sec-websocket-protocol",
                "v4.channel.k8s.io,base64url.bearer.authorization.k8s.io.dA",
            ),
            ("x-forwarded-for", "10.0.0.1"),
            ("user-agent", "kubectl"),
        ]);
        let headers = Headers::new(&raw);
        let credentials: Vec<_> = headers.credentials().collect();
        assert_eq!(
            credentials,
            [
                "authorization",
                "impersonate-extra-scopes",
                "x-remote-group",
                "x-forwarded-client-cert",
                "sec-websocket-protocol"
            ]
        );
        assert!(headers.has_bearer_token());
    }

    #[test]
    fn one_bearer_token_is_one_line_with_one_token() {
        for (values, want) in [
            (&["Bearer eyJhbGciOi.J9-_~+/x=="][..], true),
            (&["bearer t"], true),
            (&["BEARER t"], true),
            (&[], false),
            (&["Bearer t", "Bearer t"], false),
            (&["Bearer t", "Basic eA=="], false),
            // As Envoy joins two lines.
            (&["Bearer t,Bearer u"], false),
            (&["Bearer t, Basic eA=="], false),
            (&["Bearer  t"], false),
            (&["Bearer t "], false),
            (&["Bearer\tt"], false),
            (&[" Bearer t"], false),
            (&["Bearer"], false),
            (&["Bearer "], false),
            (&["Bearer =="], false),
            (&["Bearer t=t"], false),
            (&["Basic eA=="], false),
        ] {
            let raw: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
            assert_eq!(Headers::new(&lines(&raw)).has_one_bearer_token(), want, "{values:?}");
        }
    }

    #[test]
    fn basic_authentication_is_no_bearer_token() {
        assert!(!Headers::new(&lines(&[("authorization", "Basic eA==")])).has_bearer_token());
        for value in ["bearer t", "Bearer  t", "\u{a0}Bearer t"] {
            let lines = lines(&[("authorization", value)]);
            assert!(Headers::new(&lines).has_bearer_token(), "{value}");
        }
    }
}
