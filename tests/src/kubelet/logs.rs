//! The log of the container, which `containerLogs` reads and follows.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::Stream;
use futures_util::stream;
use hyper::body::Frame;
use tokio::sync::watch;

use super::query::Query;

/// One log for every container: lines are appended by tests, the demo, or on a timer.
#[derive(Clone, Debug)]
pub(super) struct Logs {
    lines: Arc<Mutex<Vec<Line>>>,
    length: watch::Sender<usize>,
}

#[derive(Clone, Debug)]
struct Line {
    at: SystemTime,
    text: String,
}

impl Logs {
    pub(super) fn new() -> Self {
        let logs = Self { lines: Arc::default(), length: watch::Sender::new(0) };
        for line in ["starting", "listening on :8080", "ready"] {
            logs.push(line);
        }
        logs
    }

    pub(super) fn push(&self, text: &str) {
        let length = {
            let mut lines = self.lock();
            lines.push(Line { at: SystemTime::now(), text: text.to_owned() });
            lines.len()
        };
        self.length.send_replace(length);
    }

    /// What these options select, as body frames; it goes on for ever if they say `follow`.
    pub(super) fn read(
        &self,
        options: LogOptions,
    ) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + use<> {
        let length = self.length.subscribe();
        let first = options.tail_lines.map_or(0, |tail| self.lock().len().saturating_sub(tail));
        let left = options.limit_bytes.unwrap_or(usize::MAX);
        stream::unfold(
            (self.clone(), length, first, left),
            move |(logs, mut length, next, left)| async move {
                loop {
                    length.mark_unchanged();
                    if left == 0 {
                        return None;
                    }
                    let line = logs.lock().get(next).map(|line| line.render(options.timestamps));
                    if let Some(mut line) = line {
                        line.truncate(left);
                        let left = left - line.len();
                        return Some((
                            Ok(Frame::data(line.into())),
                            (logs, length, next + 1, left),
                        ));
                    }
                    if !options.follow || length.changed().await.is_err() {
                        return None;
                    }
                }
            },
        )
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn render(&self, timestamps: bool) -> Vec<u8> {
        let text = &self.text;
        if timestamps {
            let at = DateTime::<Utc>::from(self.at).to_rfc3339_opts(SecondsFormat::Nanos, true);
            format!("{at} {text}\n").into_bytes()
        } else {
            format!("{text}\n").into_bytes()
        }
    }
}

/// The options of `v1.PodLogOptions` that a fresh container's log can honour.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogOptions {
    pub(super) follow: bool,
    timestamps: bool,
    tail_lines: Option<usize>,
    limit_bytes: Option<usize>,
}

impl LogOptions {
    /// # Errors
    /// The text of the 400 that a kubelet answers.
    pub(super) fn parse(query: &Query) -> Result<Self, &'static str> {
        Ok(Self {
            follow: query.is_true("follow"),
            timestamps: query.is_true("timestamps"),
            tail_lines: number(query, "tailLines", 0)?,
            limit_bytes: number(query, "limitBytes", 1)?,
        })
    }
}

fn number(query: &Query, name: &str, at_least: usize) -> Result<Option<usize>, &'static str> {
    match query.first(name).map(str::parse::<usize>) {
        None => Ok(None),
        Some(Ok(number)) if number >= at_least => Ok(Some(number)),
        Some(_) => Err("Unable to decode query."),
    }
}
