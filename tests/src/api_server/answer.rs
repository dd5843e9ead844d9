//! Responses.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::status::Status;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a request gets.
pub(super) enum Answer {
    /// An object.
    Object(StatusCode, Value),
    /// A watch: one JSON object a line, until its time is over.
    Watch(Response<Body>),
}

impl Answer {
    pub(super) fn ok(object: Value) -> Self {
        Self::Object(StatusCode::OK, object)
    }

    pub(super) fn watch(
        events: impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static,
    ) -> Self {
        let mut response = Response::new(StreamBody::new(events).boxed_unsync());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        Self::Watch(response)
    }
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        Self::Object(status.code, status.object())
    }
}

const JSON: &str = "application/json";

pub(super) fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    document(status, JSON, body)
}

/// What a server says that has too much to do: no `Status`, and so many seconds to wait.
pub(super) fn too_many_requests(seconds: u64) -> Response<Body> {
    let text = "Too many requests, please try again later.\n";
    let mut response = document(StatusCode::TOO_MANY_REQUESTS, "text/plain; charset=utf-8", text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn document(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
