//! Cuts the bytes of a connection into requests *below* the HTTP parser.
//!
//! hyper drops a fragment, groups headers by name and answers by itself what it can't read. A test
//! that asserts "nothing reached the kubelet" must see those requests too, so the record is made
//! from the bytes, and hyper only answers.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::record::{Peer, Recorded, Recorder};

const MAX_HEADERS: usize = 128;

/// A stream whose incoming bytes are recorded.
pub(super) struct Tapped<S> {
    stream: S,
    wire: Wire,
}

impl<S> Tapped<S> {
    pub(super) fn new(stream: S, wire: Wire) -> Self {
        Self { stream, wire }
    }
}

/// What has arrived on one connection so far.
#[derive(Clone)]
pub(super) struct Wire(Arc<Mutex<Framing>>);

impl Wire {
    pub(super) fn new(recorder: Recorder, connection: u64, peer: Option<Peer>) -> Self {
        Self(Arc::new(Mutex::new(Framing {
            recorder,
            connection,
            peer,
            expecting: Expecting::Head,
            pending: Vec::new(),
            unanswered: VecDeque::new(),
        })))
    }

    /// The oldest request that was not taken yet: the one that the HTTP parser is handing over.
    pub(super) fn take(&self) -> Option<Recorded> {
        self.lock().unanswered.pop_front()
    }

    /// Tells how the upgrade `order` was answered: what follows is its tunnel, or the next request.
    pub(super) fn answered_upgrade(&self, order: usize, switched: bool) {
        let mut framing = self.lock();
        framing.expecting = if switched { Expecting::Tunnel { order } } else { Expecting::Head };
        framing.advance();
    }

    fn lock(&self) -> MutexGuard<'_, Framing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Framing {
    recorder: Recorder,
    connection: u64,
    peer: Option<Peer>,
    expecting: Expecting,
    pending: Vec<u8>,
    unanswered: VecDeque<Recorded>,
}

#[derive(Clone, Copy)]
enum Expecting {
    Head,
    Body {
        order: usize,
        rest: u64,
    },
    ChunkSize {
        order: usize,
    },
    Chunk {
        order: usize,
        rest: u64,
    },
    ChunkEnd {
        order: usize,
    },
    Trailers {
        order: usize,
    },
    /// An upgrade was asked for; its answer decides what the next bytes are.
    Answer,
    Tunnel {
        order: usize,
    },
    /// The parser has given up on this connection, and so does the record.
    Nothing,
}

impl Framing {
    fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        self.advance();
    }

    fn advance(&mut self) {
        while !self.pending.is_empty() {
            let Some(next) = self.step() else { return };
            self.expecting = next;
        }
    }

    /// Consumes what it can of `pending`; none when more bytes, or an answer, are needed.
    fn step(&mut self) -> Option<Expecting> {
        match self.expecting {
            Expecting::Head => self.head(),
            Expecting::Body { order, rest } => {
                let rest = self.body(order, rest);
                Some(if rest == 0 { self.end(order) } else { Expecting::Body { order, rest } })
            }
            Expecting::ChunkSize { order } => match httparse::parse_chunk_size(&self.pending) {
                Ok(httparse::Status::Partial) => None,
                Ok(httparse::Status::Complete((length, 0))) => {
                    self.pending.drain(..length);
                    Some(Expecting::Trailers { order })
                }
                Ok(httparse::Status::Complete((length, rest))) => {
                    self.pending.drain(..length);
                    Some(Expecting::Chunk { order, rest })
                }
                Err(_) => Some(Expecting::Nothing),
            },
            Expecting::Chunk { order, rest } => {
                let rest = self.body(order, rest);
                Some(if rest == 0 {
                    Expecting::ChunkEnd { order }
                } else {
                    Expecting::Chunk { order, rest }
                })
            }
            Expecting::ChunkEnd { order } => self.line().map(|_| Expecting::ChunkSize { order }),
            Expecting::Trailers { order } => {
                let line = self.line()?;
                Some(if line.is_empty() { self.end(order) } else { Expecting::Trailers { order } })
            }
            Expecting::Answer => None,
            Expecting::Tunnel { order } => {
                let bytes = std::mem::take(&mut self.pending);
                self.recorder.update(order, |request| {
                    let room = Recorded::TUNNEL - request.tunnel.len();
                    request.tunnel.extend(bytes.into_iter().take(room));
                });
                Some(Expecting::Tunnel { order })
            }
            Expecting::Nothing => {
                self.pending.clear();
                Some(Expecting::Nothing)
            }
        }
    }

    fn head(&mut self) -> Option<Expecting> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let length = match parsed.parse(&self.pending) {
            Ok(httparse::Status::Partial) => return None,
            Ok(httparse::Status::Complete(length)) => length,
            Err(_) => {
                let head = std::mem::take(&mut self.pending);
                let order = self.record("", &[], Vec::new(), head).order;
                self.recorder.complete(order);
                return Some(Expecting::Nothing);
            }
        };
        let method = parsed.method.unwrap_or_default().to_owned();
        let target = parsed.path.unwrap_or_default().as_bytes().to_vec();
        let headers: Vec<_> = parsed
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), header.value.to_vec()))
            .collect();
        let head: Vec<u8> = self.pending.drain(..length).collect();

        let request = self.record(&method, &target, headers, head);
        let order = request.order;
        let next = if request
            .header("transfer-encoding")
            .iter()
            .any(|coding| coding.contains("chunked"))
        {
            Expecting::ChunkSize { order }
        } else {
            match request
                .header("content-length")
                .first()
                .and_then(|length| length.trim().parse().ok())
            {
                Some(rest) if rest > 0 => Expecting::Body { order, rest },
                _ if !request.header("upgrade").is_empty() => {
                    self.recorder.complete(order);
                    Expecting::Answer
                }
                _ => self.end(order),
            }
        };
        self.unanswered.push_back(request);
        Some(next)
    }

    fn record(
        &self,
        method: &str,
        target: &[u8],
        headers: Vec<(String, Vec<u8>)>,
        head: Vec<u8>,
    ) -> Recorded {
        self.recorder.add(Recorded {
            order: 0,
            connection: self.connection,
            user: self.recorder.user(self.peer.as_ref(), &headers),
            method: method.to_owned(),
            target: target.to_vec(),
            headers,
            head,
            body_length: 0,
            tunnel: Vec::new(),
        })
    }

    /// Counts and drops up to `rest` bytes of body; returns how many are still to come.
    fn body(&mut self, order: usize, rest: u64) -> u64 {
        let arrived = usize::try_from(rest).unwrap_or(usize::MAX).min(self.pending.len());
        self.pending.drain(..arrived);
        let arrived = u64::try_from(arrived).unwrap_or(u64::MAX);
        self.recorder.update(order, |request| request.body_length += arrived);
        rest - arrived
    }

    fn end(&self, order: usize) -> Expecting {
        self.recorder.complete(order);
        Expecting::Head
    }

    /// The next line, without its end.
    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.pending.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.pending.drain(..=end).collect();
        line.truncate(end);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }
}

/// A connection that ends in the middle of a request still brought that much of it.
impl Drop for Framing {
    fn drop(&mut self) {
        match self.expecting {
            Expecting::Head if !self.pending.is_empty() => {
                let head = std::mem::take(&mut self.pending);
                let order = self.record("", &[], Vec::new(), head).order;
                self.recorder.complete(order);
            }
            Expecting::Body { order, .. }
            | Expecting::ChunkSize { order }
            | Expecting::Chunk { order, .. }
            | Expecting::ChunkEnd { order }
            | Expecting::Trailers { order } => self.recorder.complete(order),
            Expecting::Head | Expecting::Answer | Expecting::Tunnel { .. } | Expecting::Nothing => {
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(arrived) = buffer.filled().get(before..)
            && !arrived.is_empty()
        {
            self.wire.lock().feed(arrived);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
