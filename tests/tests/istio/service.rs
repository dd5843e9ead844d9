//! A service behind a sidecar, by HTTP/1.1 and HTTP/2, that records what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Answers everything, and a gRPC call with a status.
pub(crate) struct Service {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Asked>>>,
    _task: JoinSet<()>,
}

/// A request as the service saw it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) version: Version,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Service {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&requests);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let record = Arc::clone(&record);
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(request, Arc::clone(&record)));
                    // How a connection ends is its client's affair.
                    let _ended = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { address, requests, _task: task })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What arrived since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The targets of that.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.target).collect()
    }
}

async fn answer(
    request: Request<Incoming>,
    record: Arc<Mutex<Vec<Asked>>>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?;
    let is_grpc = head.headers.get("content-type").is_some_and(|kind| kind == "application/grpc");
    record.lock().unwrap_or_else(PoisonError::into_inner).push(Asked {
        version: head.version,
        target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: head.headers,
        trailers: body.trailers().cloned().unwrap_or_default(),
        body: body.to_bytes(),
    });
    let hello = Full::new(Bytes::from("hello"));
    if !is_grpc {
        return Ok(Response::new(hello.boxed()));
    }
    let mut status = HeaderMap::new();
    status.insert("grpc-status", HeaderValue::from_static("0"));
    let mut answer = Response::new(hello.with_trailers(async { Some(Ok(status)) }).boxed());
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(answer)
}
