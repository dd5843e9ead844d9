//! A request as Envoy hands it on: to the filter as header lines, to the kubelet as bytes.

use serde::{Deserialize, Serialize};

/// Lines that Envoy joins when they repeat; it keeps the others apart.
const JOINED: &[&str] = &["connection", "content-length", "content-type", "upgrade", "user-agent"];

/// A request as it leaves Envoy: names in lower case, values trimmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: Vec<u8>,
    /// The header lines, without `host`.
    pub headers: Vec<(String, Vec<u8>)>,
    /// What follows the headers.
    pub body: Vec<u8>,
}

/// A request as a case of a file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// The header lines, without `host`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// What follows the headers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl Request {
    const HOST: &str = "worker-1:10250";

    /// The request as Envoy's HTTP/1 codec would let it through: without control characters in
    /// names and values, and with some lines joined.
    #[must_use]
    pub fn through_envoy(self) -> Self {
        let mut headers: Vec<(String, Vec<u8>)> = Vec::with_capacity(self.headers.len());
        for (name, value) in self.headers {
            let name = name.to_ascii_lowercase();
            let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
            let value: Vec<u8> = value.trim_ascii().iter().copied().filter(is_text).collect();
            let before = headers.iter_mut().find(|(other, _)| *other == name);
            match before {
                Some((_, before)) if JOINED.contains(&name.as_str()) => {
                    before.push(b',');
                    before.extend(value);
                }
                _ => headers.push((name, value)),
            }
        }
        let mut body = self.body;
        let is_chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
        if !is_chunked {
            // What is beyond the length is the connection's next request.
            body.truncate(length(&headers));
        }
        Self { headers, body, ..self }
    }

    /// The lines that the filter is asked about.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, Vec<u8>)> {
        let pseudo = [
            (":method", self.method.as_bytes()),
            (":path", &self.target),
            (":authority", Self::HOST.as_bytes()),
        ];
        let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.to_vec()));
        pseudo.into_iter().chain(self.headers.iter().cloned()).collect()
    }

    /// Whether nothing follows the header lines. An upgrade always goes on.
    #[must_use]
    pub fn ends(&self) -> bool {
        let goes_on = |name: &String| name == "upgrade" || name == "transfer-encoding";
        self.body.is_empty() && !self.headers.iter().any(|(name, _)| goes_on(name))
    }

    /// What the kubelet gets.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.target.len() + self.body.len() + 512);
        for part in [self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1\r\n"] {
            bytes.extend_from_slice(part);
        }
        let host = ("host".to_owned(), Self::HOST.as_bytes().to_vec());
        for (name, value) in std::iter::once(&host).chain(&self.headers) {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

fn length(headers: &[(String, Vec<u8>)]) -> usize {
    let value = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value);
    let text = value.and_then(|value| std::str::from_utf8(value).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

impl From<Written> for Request {
    fn from(written: Written) -> Self {
        let Written { method, target, headers, body } = written;
        let headers = headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        Self { method, target: target.into_bytes(), headers, body: body.into_bytes() }
            .through_envoy()
    }
}

impl From<&Request> for Written {
    /// Bytes that are no text are replaced: this is for people.
    fn from(request: &Request) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            method: request.method.clone(),
            target: text(&request.target),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            body: text(&request.body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_joins_some_lines_and_trims_all() {
        let line = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let request = Request {
            method: "GET".to_owned(),
            target: b"/pods".to_vec(),
            headers: vec![
                line("Connection", " keep-alive"),
                line("Accept", "a"),
                line("accept", "b\r\n"),
                line("connection", "Upgrade"),
            ],
            body: Vec::new(),
        };
        let want = "GET /pods HTTP/1.1\r\nhost: worker-1:10250\r\nconnection: keep-alive,Upgrade\r\n\
                    accept: a\r\naccept: b\r\n\r\n";
        assert_eq!(String::from_utf8(request.through_envoy().bytes()).unwrap(), want);
    }
}
