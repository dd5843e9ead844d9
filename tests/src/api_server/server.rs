//! The listener, and what happens on a connection: TLS, HTTP, authentication, authorization.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Body, json, too_many_requests};
use super::request::Asked;
use super::status::Status;
use super::{ApiServer, Caller, Fault, Permission, Recorded, resources};
use crate::tls::{self, Demand, Identity};

/// `--max-request-body-bytes`, as it is in the real one.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

/// Before accepting again after a failure, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

/// A bound port.
pub(super) struct Listener {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl Listener {
    pub(super) async fn bind(
        listen: SocketAddr,
        serving: &Identity,
        client_ca: &[u8],
    ) -> anyhow::Result<Self> {
        let tls = TlsAcceptor::from(tls::server(serving, client_ca, Demand::Optional)?);
        let listener = TcpListener::bind(listen);
        let listener = listener.await.with_context(|| format!("can't listen on {listen}"))?;
        Ok(Self { listener, tls })
    }

    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until it is told to stop. A panic on a connection is passed on.
    pub(super) async fn serve(self, server: Arc<ApiServer>, mut stop: oneshot::Receiver<()>) {
        let mut tasks = JoinSet::new();
        let mut hangups = server.hangups.subscribe();
        loop {
            tokio::select! {
                _ = &mut stop => break,
                Ok(()) = hangups.changed() => tasks.abort_all(),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        tasks.spawn(connection(Arc::clone(&server), self.tls.clone(), stream));
                    }
                    Err(error) => {
                        eprintln!("stand-in API server: can't accept a connection: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(finished) = tasks.join_next() => {
                    if let Err(error) = finished && let Ok(panic) = error.try_into_panic() {
                        resume_unwind(panic);
                    }
                }
            }
        }
    }
}

/// Serves a connection to its end. How it ends, and whether TLS succeeds, is the client's affair.
async fn connection(server: Arc<ApiServer>, tls: TlsAcceptor, stream: TcpStream) {
    stream.set_nodelay(true).ok();
    let Ok(stream) = tls.accept(stream).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let owner = certificate.and_then(Caller::of_certificate);
    let service = service_fn(|request| respond(&server, owner.as_ref(), request));
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

/// A request's connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("hung up")]
struct Hangup;

async fn respond(
    server: &Arc<ApiServer>,
    owner: Option<&Caller>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Hangup> {
    let asked = Asked::parse(
        request.method(),
        request.uri().path_and_query().map_or("/", |target| target.as_str()),
    );
    let fault = asked
        .as_ref()
        .ok()
        .and_then(|asked| server.faults.take(asked.verb, &asked.permission().resource));
    match &fault {
        Some(Fault::Hangup) => return Err(Hangup),
        Some(Fault::Slow(delay)) => tokio::time::sleep(*delay).await,
        _ => {}
    }
    let answer = authorized(server, owner, request, asked, fault.as_ref()).await;
    let (status, mut text) = match answer.unwrap_or_else(Answer::from) {
        Answer::Watch(response) => return Ok(response),
        Answer::Object(status, object) => (status, object.to_string()),
    };
    Ok(match fault {
        Some(Fault::TooManyRequests(seconds)) => too_many_requests(seconds),
        Some(Fault::Truncated) => {
            text.truncate(text.floor_char_boundary(text.len() / 2));
            json(status, text)
        }
        Some(Fault::Oversize(bytes)) => {
            text.extend(std::iter::repeat_n(' ', bytes));
            json(status, text)
        }
        _ => json(status, text),
    })
}

/// Authenticates, asks RBAC, and serves.
async fn authorized(
    server: &Arc<ApiServer>,
    owner: Option<&Caller>,
    request: Request<Incoming>,
    asked: Result<Asked, Status>,
    fault: Option<&Fault>,
) -> Result<Answer, Status> {
    let token = request.headers().get(AUTHORIZATION).map(|value| value.to_str());
    let caller = match (owner, token) {
        (Some(owner), _) => Some(owner.clone()),
        (None, Some(Ok(value))) => {
            let token = value.strip_prefix("Bearer ");
            token.and_then(|token| Caller::of_token(token, &server.tokens))
        }
        (None, _) => None,
    };
    let caller = caller.ok_or_else(Status::unauthorized)?;
    let target = request.uri().to_string();
    let asked = asked?;
    let permission = asked.permission();
    let allowed = server.rbac.allows(&caller.user, &permission);
    server.record(&caller, permission.clone(), allowed, target);
    if !allowed {
        return Err(Status::forbidden(&caller.user.name, &permission));
    }
    match fault {
        Some(Fault::InternalError) => {
            return Err(Status::internal("etcdserver: request timed out"));
        }
        // It was turned away before it was looked at.
        Some(Fault::TooManyRequests(_)) => return Ok(Answer::ok(Value::Null)),
        _ => {}
    }
    let body = Limited::new(request.into_body(), LARGEST_BODY).collect().await;
    let body = body.map_err(|_| Status::bad_request("the request body can't be read"))?.to_bytes();
    let body: Option<Value> = if body.is_empty() {
        None
    } else {
        let object = serde_json::from_slice(&body);
        Some(object.map_err(|error| Status::bad_request(error.to_string()))?)
    };
    resources::serve(server, &caller, &asked, body, fault)
}

impl ApiServer {
    /// Records a question to RBAC; one that came up while a request was served has no target.
    pub(super) fn record(
        &self,
        caller: &Caller,
        permission: Permission,
        allowed: bool,
        target: String,
    ) {
        self.recorder.add(Recorded {
            at: Instant::now(),
            user: caller.user.name.clone(),
            permission,
            allowed,
            target,
            credential: caller.credential.clone(),
        });
    }
}
