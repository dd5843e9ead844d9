//! What runs in the pods, and knows nothing of a sidecar.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::namespace::Namespace;

/// What every application answers with.
pub const HELLO: &str = "hello from the application";

/// A server on all addresses that reads to the end and then says [`HELLO`].
#[derive(Debug)]
pub struct Application {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Ends with this.
    _task: JoinSet<()>,
}

/// One connection, as the application saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The other end.
    pub peer: SocketAddr,
    /// Its own end.
    pub local: SocketAddr,
    /// Everything that came.
    pub bytes: Vec<u8>,
}

impl Application {
    /// Listens on a port of a namespace.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(namespace: &Namespace, port: u16) -> anyhow::Result<Self> {
        let listener = listen(namespace, port).await?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, peer)) = listener.accept().await {
                connections.spawn(serve(stream, peer, Arc::clone(&record)));
            }
        });
        Ok(Self { seen, _task: task })
    }

    /// Every connection that has ended so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }
}

/// A server that speaks first, and then only.
#[derive(Debug)]
pub struct Greeter {
    _task: JoinSet<()>,
}

impl Greeter {
    /// Listens on a port of a namespace.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(namespace: &Namespace, port: u16) -> anyhow::Result<Self> {
        let listener = listen(namespace, port).await?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // Whoever is gone has not wanted to hear it.
                let _gone = stream.write_all(HELLO.as_bytes()).await;
            }
        });
        Ok(Self { _task: task })
    }
}

/// A server of UDP that returns what it gets.
#[derive(Debug)]
pub struct Datagrams {
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    _task: JoinSet<()>,
}

impl Datagrams {
    /// Listens on a port of a namespace, at its IPv4 addresses.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(namespace: &Namespace, port: u16) -> anyhow::Result<Self> {
        let socket = namespace.udp(SocketAddr::from(([0, 0, 0, 0], port))).await?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut buffer = vec![0; 65_536];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let datagram = buffer.get(..length).unwrap_or_default();
                lock(&record).push(datagram.to_vec());
                let _gone = socket.send_to(datagram, peer).await;
            }
        });
        Ok(Self { seen, _task: task })
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Vec<u8>> {
        lock(&self.seen).clone()
    }
}

impl Namespace {
    /// A UDP socket here.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn udp(&self, address: SocketAddr) -> anyhow::Result<UdpSocket> {
        let socket = self
            .within(move || {
                let socket = std::net::UdpSocket::bind(address)?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            })
            .await?;
        Ok(UdpSocket::from_std(socket)?)
    }
}

/// Listens on all addresses of both families, as applications do.
///
/// # Errors
/// When the port is taken.
pub async fn listen(namespace: &Namespace, port: u16) -> anyhow::Result<TcpListener> {
    let listener = namespace
        .within(move || {
            let listener = std::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        })
        .await?;
    Ok(TcpListener::from_std(listener)?)
}

async fn serve(mut stream: TcpStream, peer: SocketAddr, record: Arc<Mutex<Vec<Seen>>>) {
    let Ok(local) = stream.local_addr() else { return };
    let [peer, local] =
        [peer, local].map(|end| SocketAddr::new(end.ip().to_canonical(), end.port()));
    let mut bytes = Vec::new();
    // A reset ends it as well; what came before counts.
    let ended = stream.read_to_end(&mut bytes).await;
    lock(&record).push(Seen { peer, local, bytes });
    if ended.is_ok() {
        let _gone = stream.write_all(HELLO.as_bytes()).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
