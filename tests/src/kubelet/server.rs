//! The listener, and what happens on a connection: TLS, the tap, HTTP, the tunnel after an upgrade.

use std::future::{pending, ready};
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;
use x509_parser::parse_x509_certificate;

use super::answer::{self, Answer, Body, text};
use super::record::{Peer, Recorded};
use super::wire::{Tapped, Wire};
use super::{Fault, Kubelet, Options, routes};
use crate::tls::{self, Demand};

const BACKLOG: u32 = 1024;

/// Before accepting again after a failure, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(5);

/// A bound port.
pub(super) struct Listener {
    socket: Bound,
    tls: TlsAcceptor,
}

enum Bound {
    Listening(TcpListener),
    /// Held, so that nobody else listens there, and connections are refused.
    Refusing(TcpSocket),
}

impl Listener {
    pub(super) fn bind(options: &Options) -> anyhow::Result<Self> {
        let demand = match options.webhook {
            Some(_) => Demand::Optional,
            None => Demand::Certificate,
        };
        let tls = TlsAcceptor::from(tls::server(&options.serving, &options.client_ca, demand)?);
        let socket =
            if options.listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket
            .bind(options.listen)
            .with_context(|| format!("can't listen on {}", options.listen))?;
        let socket = match options.fault {
            Some(Fault::RefuseConnections) => Bound::Refusing(socket),
            _ => Bound::Listening(
                socket.listen(BACKLOG).with_context(|| options.listen.to_string())?,
            ),
        };
        Ok(Self { socket, tls })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        match &self.socket {
            Bound::Listening(listener) => listener.local_addr(),
            Bound::Refusing(socket) => socket.local_addr(),
        }
    }

    /// Serves until it is told to stop. Then, or as soon as it happens, a panic on a connection is
    /// passed on.
    pub(super) async fn serve(self, kubelet: Kubelet, mut stop: oneshot::Receiver<()>) {
        let Bound::Listening(listener) = self.socket else {
            stop.await.ok();
            return;
        };
        let kubelet = Arc::new(kubelet);
        let mut tasks = JoinSet::new();
        if let Some(period) = kubelet.options.log_every {
            tasks.spawn(keep_logging(Arc::clone(&kubelet), period));
        }
        let mut connections = 0;
        loop {
            tokio::select! {
                _ = &mut stop => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let kubelet = Arc::clone(&kubelet);
                        tasks.spawn(connection(kubelet, self.tls.clone(), stream, connections));
                        connections += 1;
                    }
                    Err(error) => {
                        eprintln!("stand-in kubelet: can't accept a connection: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(finished) = tasks.join_next() => pass_on_panic(finished),
            }
        }
        while let Some(finished) = tasks.try_join_next() {
            pass_on_panic(finished);
        }
    }
}

fn pass_on_panic(finished: Result<(), JoinError>) {
    if let Err(error) = finished
        && let Ok(panic) = error.try_into_panic()
    {
        resume_unwind(panic);
    }
}

/// Serves a connection to its end. How it ends, and whether TLS succeeds, is the client's affair.
async fn connection(kubelet: Arc<Kubelet>, tls: TlsAcceptor, stream: TcpStream, number: u64) {
    // As Go does; a response would wait for the client's acknowledgement of what came before.
    stream.set_nodelay(true).ok();
    match kubelet.options.fault {
        // Closing is a reset then.
        Some(Fault::BreakOff | Fault::Reset) => drop(stream.set_zero_linger()),
        Some(Fault::NeverGreet) => return pending().await,
        _ => {}
    }
    let Ok(stream) = tls.accept(stream).await else { return };
    let peer = peer(stream.get_ref().1);
    let wire = Wire::new(kubelet.recorder.clone(), number, peer);
    let session: Slot = Slot::default();
    let service = service_fn(|request| respond(&kubelet, &wire, &session, request));
    let http = http1::Builder::new()
        .serve_connection(TokioIo::new(Tapped::new(stream, wire.clone())), service);
    http.with_upgrades().await.ok();
    let session = session.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(session) = session {
        session.await;
    }
}

/// Where a request leaves what has to run once its connection was upgraded.
type Slot = Mutex<Option<BoxFuture<'static, ()>>>;

/// An error ends the connection without an answer.
async fn respond(
    kubelet: &Kubelet,
    wire: &Wire,
    session: &Slot,
    mut request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let answer = match wire.take() {
        Some(_) if matches!(kubelet.options.fault, Some(Fault::Reset)) => {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(recorded) => {
            let answer = faulty_answer(kubelet, &recorded).await;
            if !recorded.header("upgrade").is_empty() {
                wire.answered_upgrade(recorded.order, matches!(answer, Answer::Switch(..)));
            }
            answer
        }
        None => text(StatusCode::INTERNAL_SERVER_ERROR, "the record has lost a request"),
    };
    Ok(match answer {
        Answer::Response(response) => {
            // hyper closes a connection whose body was left unread; Go reads it to the end.
            while let Some(Ok(_)) = request.body_mut().frame().await {}
            response
        }
        Answer::Switch(response, serve) => {
            let upgrade = hyper::upgrade::on(request);
            *session.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(async move {
                if let Ok(upgraded) = upgrade.await {
                    serve(TokioIo::new(upgraded)).await;
                }
            }));
            response
        }
    })
}

async fn faulty_answer(kubelet: &Kubelet, request: &Recorded) -> Answer {
    match &kubelet.options.fault {
        Some(Fault::NeverAnswer) => return pending().await,
        Some(Fault::Slow(delay)) => tokio::time::sleep(*delay).await,
        Some(Fault::RedirectTo(status, location)) => return answer::redirect(*status, location),
        Some(Fault::AnswerUpgradesWith(status)) if !request.header("upgrade").is_empty() => {
            return text(*status, "no upgrade today");
        }
        Some(Fault::BreakOff) => return answer::broken_off(),
        Some(
            Fault::AnswerUpgradesWith(_)
            | Fault::CloseUpgraded
            | Fault::NeverGreet
            | Fault::RefuseConnections
            | Fault::Reset,
        )
        | None => {}
    }
    match (routes::answer(kubelet, request).await, &kubelet.options.fault) {
        (Answer::Switch(response, _), Some(Fault::CloseUpgraded)) => {
            Answer::Switch(response, Box::new(|_upgraded| Box::pin(ready(()))))
        }
        (answer, _) => answer,
    }
}

async fn keep_logging(kubelet: Arc<Kubelet>, period: Duration) {
    let mut ticks = tokio::time::interval(period);
    for number in 1_u64.. {
        ticks.tick().await;
        kubelet.logs.push(&format!("request {number} served"));
    }
}

fn peer(connection: &rustls::ServerConnection) -> Option<Peer> {
    let certificate = connection.peer_certificates()?.first()?;
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    Some(Peer {
        subject: parsed.subject().to_string(),
        certificate_sha256: Sha256::digest(certificate)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    })
}
