//! Requests over connections that are kept open, as fast as they are answered or at a fixed rate.

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Either end of a plain or an encrypted connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection, and what was read from it too much.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the server takes another request on the connection.
    pub(crate) keeps: bool,
}

impl Connection {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), unread: Vec::with_capacity(4096) }
    }

    /// Sends a request and reads the answer with its body, whose length has to be given.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.send(request).await?;
        loop {
            if let Some((length, answer)) = parse(&self.unread)? {
                while self.unread.len() < length {
                    ensure!(self.fill().await? > 0, "the connection ended within a body");
                }
                self.unread.drain(..length);
                return Ok(answer);
            }
            ensure!(self.fill().await? > 0, "the connection ended without an answer");
        }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the connection has ended.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads so many bytes, and forgets them.
    ///
    /// # Errors
    /// When the connection ends before.
    pub(crate) async fn skip(&mut self, bytes: u64) -> anyhow::Result<()> {
        let mut left = bytes.saturating_sub(self.unread.len().try_into()?);
        let mut buffer = vec![0; 256 << 10];
        self.unread.clear();
        while left > 0 {
            let length = self.stream.read(&mut buffer).await?;
            ensure!(length > 0, "the connection ended {left} bytes early");
            left = left.saturating_sub(length.try_into()?);
        }
        Ok(())
    }

    async fn fill(&mut self) -> anyhow::Result<usize> {
        Ok(self.stream.read_buf(&mut self.unread).await?)
    }
}

/// The length of head and body, once the head is there.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(usize, Answer)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else { return Ok(None) };
    let status = response.code.context("no status")?;
    let find = |name: &str| {
        response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    let keeps = find("connection") != Some(b"close") && status != 101;
    let body = match find("content-length") {
        Some(length) => std::str::from_utf8(length)?.parse::<usize>()?,
        None if status == 101 => 0,
        None => bail!("an answer of unknown length: {}", bytes.escape_ascii()),
    };
    Ok(Some((head + body, Answer { status, keeps })))
}
