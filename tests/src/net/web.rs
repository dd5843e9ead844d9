//! An HTTP server in a pod, by HTTP/1.1 and HTTP/2, that records what it was asked.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, Version, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::task::JoinSet;

use super::application::{HELLO, listen};
use super::namespace::Namespace;

/// A server on all addresses that answers everything with [`HELLO`].
#[derive(Debug)]
pub struct WebServer {
    requests: Arc<Mutex<Vec<Asked>>>,
    _task: JoinSet<()>,
}

/// A request, as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Who is at the other end of the connection.
    pub peer: IpAddr,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// Path and query.
    pub target: String,
}

impl WebServer {
    /// Listens on a port of a namespace.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(namespace: &Namespace, port: u16) -> anyhow::Result<Self> {
        let listener = listen(namespace, port).await?;
        let requests = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&requests);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, peer)) = listener.accept().await {
                let record = Arc::clone(&record);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        lock(&record).push(asked(peer, &request));
                        let answer = Response::new(Full::new(Bytes::from(HELLO)));
                        std::future::ready(Ok::<_, Infallible>(answer))
                    });
                    // How a connection ends is its client's affair.
                    let _ended = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { requests, _task: task })
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Asked> {
        lock(&self.requests).clone()
    }
}

fn asked(peer: SocketAddr, request: &Request<Incoming>) -> Asked {
    Asked {
        peer: peer.ip().to_canonical(),
        version: request.version(),
        target: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
