//! Responses, in the words of a kubelet.

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};

use super::upgrade::Session;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a request gets.
pub(super) enum Answer {
    /// A response, after which the connection serves the next request.
    Response(Response<Body>),
    /// A 101, and what happens afterwards.
    Switch(Response<Body>, Session),
}

pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    document(status, "text/plain; charset=utf-8", body)
}

pub(super) fn document(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Answer::Response(response)
}

/// A body of unknown length, in chunks, without a content type: so do the kubelet's logs come.
pub(super) fn streamed(
    frames: impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + 'static,
) -> Answer {
    Answer::Response(Response::new(StreamBody::new(frames).boxed_unsync()))
}

/// Promises more than it sends, which makes hyper give the connection up.
pub(super) fn broken_off() -> Answer {
    let first = stream::once(ready(Ok(Frame::data(Bytes::from_static(b"the first bytes")))));
    // Time to send them.
    let end = stream::once(tokio::task::yield_now()).filter_map(|()| ready(None));
    let mut response = Response::new(StreamBody::new(first.chain(end)).boxed_unsync());
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1000"));
    Answer::Response(response)
}

pub(super) fn redirect(status: StatusCode, location: &str) -> Answer {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    match HeaderValue::from_str(location) {
        Ok(location) => {
            response.headers_mut().insert(LOCATION, location);
            Answer::Response(response)
        }
        Err(_) => text(StatusCode::BAD_REQUEST, "400 Bad Request"),
    }
}

/// go-restful's 405.
pub(super) fn method_not_allowed(allowed: &[&str]) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
    if let (Answer::Response(response), Ok(allowed)) =
        (&mut answer, HeaderValue::from_str(&allowed.join(", ")))
    {
        response.headers_mut().insert(ALLOW, allowed);
    }
    answer
}

pub(super) fn empty() -> Body {
    Empty::new().boxed_unsync()
}
