//! HTTP/1.1 with nothing in between: the bytes that a test writes are the bytes that are sent.

use std::borrow::Cow;
use std::io::ErrorKind;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::dialer::{Dialer, TlsStream};
use crate::deadline::within;

const MAX_HEADERS: usize = 128;

/// A response, or its head only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, without the framing of chunks.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The first value of a header; the name's case doesn't matter.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| String::from_utf8_lossy(value))
    }
}

/// Asks for a target with a GET, on a connection of its own.
///
/// # Errors
/// When there is no connection, or no whole response.
pub async fn get(dialer: &Dialer, target: &str) -> anyhow::Result<Response> {
    request(dialer, "GET", target).await
}

/// Sends a request without a body on a connection of its own.
///
/// # Errors
/// When there is no connection, or no whole response.
pub async fn request(dialer: &Dialer, method: &str, target: &str) -> anyhow::Result<Response> {
    let mut client = RawClient::connect(dialer).await?;
    client.send_request(method, target).await?;
    client.response().await
}

/// A connection on which bytes are written and responses are read.
#[derive(Debug)]
pub struct RawClient {
    stream: TlsStream,
    /// What was read and not yet handed out.
    unread: Vec<u8>,
}

impl RawClient {
    /// # Errors
    /// As [`Dialer::connect`].
    pub async fn connect(dialer: &Dialer) -> anyhow::Result<Self> {
        Ok(Self { stream: dialer.connect().await?, unread: Vec::new() })
    }

    /// What was negotiated.
    pub fn tls(&self) -> &rustls::ClientConnection {
        self.stream.get_ref().1
    }

    /// Writes these bytes.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        within("the server to take bytes", async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await?
        .context("send")
    }

    /// Writes a request without a body, as a kube-apiserver asks for logs.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send_request(&mut self, method: &str, target: &str) -> anyhow::Result<()> {
        let host = self.stream.get_ref().0.peer_addr()?;
        let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
        let request = format!(
            "{method} {target} HTTP/1.1\r\n\
             Host: {host}\r\n\
             User-Agent: Go-http-client/1.1\r\n\
             {length}\
             Accept-Encoding: gzip\r\n\r\n"
        );
        self.send(request.as_bytes()).await
    }

    /// Reads a response with its body.
    ///
    /// # Errors
    /// When the connection ends before the response does, or the response is unreadable.
    pub async fn response(&mut self) -> anyhow::Result<Response> {
        let head = self.head().await?;
        self.body(head).await
    }

    /// Reads the body that belongs to this head.
    ///
    /// # Errors
    /// When the connection ends before the body does, or the body is unreadable.
    pub async fn body(&mut self, mut response: Response) -> anyhow::Result<Response> {
        if matches!(response.status, 100..200 | 204 | 304) {
            return Ok(response);
        }
        if response
            .header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
        {
            while let Some(chunk) = self.chunk().await? {
                response.body.extend(chunk);
            }
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().context("content-length")?;
            response.body = self.exactly(length).await?;
        } else {
            response.body = self.rest().await?;
        }
        Ok(response)
    }

    /// Reads a response up to its blank line: what follows a 101, or is streamed, is read separately.
    ///
    /// # Errors
    /// When the connection ends before the head does, or the head is unreadable.
    pub async fn head(&mut self) -> anyhow::Result<Response> {
        self.next_head().await?.context("the connection ended without a response")
    }

    /// As [`RawClient::head`]; none where the connection ends instead.
    ///
    /// # Errors
    /// When the connection ends within a head, or the head is unreadable.
    pub async fn next_head(&mut self) -> anyhow::Result<Option<Response>> {
        loop {
            if let Some((length, head)) = parse_head(&self.unread)? {
                self.unread.drain(..length);
                return Ok(Some(head));
            }
            if self.fill().await? == 0 {
                ensure!(self.unread.is_empty(), "the connection ended within a head");
                return Ok(None);
            }
        }
    }

    /// Reads one chunk of a body whose transfer encoding is chunked; none at its end.
    ///
    /// # Errors
    /// When the connection ends before the body does, or the chunk is unreadable.
    pub async fn chunk(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let length = loop {
            match httparse::parse_chunk_size(&self.unread) {
                Ok(httparse::Status::Complete((consumed, length))) => {
                    self.unread.drain(..consumed);
                    break usize::try_from(length)?;
                }
                Ok(httparse::Status::Partial) => {
                    ensure!(self.fill().await? > 0, "the connection ended within a body");
                }
                Err(_) => bail!("unreadable chunk: {}", self.unread.escape_ascii()),
            }
        };
        let mut chunk = self.exactly(length + 2).await?;
        chunk.truncate(length);
        Ok((length > 0).then_some(chunk))
    }

    /// Reads this many bytes.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn exactly(&mut self, length: usize) -> anyhow::Result<Vec<u8>> {
        while self.unread.len() < length {
            ensure!(
                self.fill().await? > 0,
                "the connection ended {} bytes early",
                length - self.unread.len()
            );
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Reads until the server closes the connection, however it does that.
    ///
    /// # Errors
    /// When it doesn't close it.
    pub async fn rest(&mut self) -> anyhow::Result<Vec<u8>> {
        while self.fill().await? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// The connection, and what was read from it too much.
    pub(super) fn into_parts(self) -> (TlsStream, Vec<u8>) {
        (self.stream, self.unread)
    }

    /// Reads what there is; 0 at the end of the connection.
    async fn fill(&mut self) -> anyhow::Result<usize> {
        match within("bytes from the server", self.stream.read_buf(&mut self.unread)).await? {
            Ok(length) => Ok(length),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                Ok(0)
            }
            Err(error) => Err(error).context("read"),
        }
    }
}

fn parse_head(bytes: &[u8]) -> anyhow::Result<Option<(usize, Response)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) => Ok(Some((
            length,
            Response {
                status: parsed.code.context("a response without a status")?,
                headers: parsed
                    .headers
                    .iter()
                    .map(|header| (header.name.to_owned(), header.value.to_vec()))
                    .collect(),
                body: Vec::new(),
            },
        ))),
        Err(error) => bail!("unreadable response ({error}): {}", bytes.escape_ascii()),
    }
}
