//! Whom to connect to, and as whom.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::deadline::within;
use crate::tls::{self, Identity};

/// A TLS connection to a server.
pub type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

/// Makes connections to one server, all with the same client certificate.
#[derive(Clone, Debug)]
pub struct Dialer {
    address: SocketAddr,
    source: Option<IpAddr>,
    server_name: ServerName<'static>,
    tls: Arc<ClientConfig>,
}

impl Dialer {
    /// The server at `address` has to prove `server_name`, a DNS name or an IP address, to `ca` (PEM).
    ///
    /// # Errors
    /// When the name, a certificate or the key is unreadable.
    pub fn new(
        address: SocketAddr,
        server_name: &str,
        ca: &[u8],
        identity: Option<&Identity>,
    ) -> anyhow::Result<Self> {
        let server_name = ServerName::try_from(server_name.to_owned())?;
        Ok(Self { address, source: None, server_name, tls: tls::client(identity, ca)? })
    }

    /// The same, but from this address of this machine.
    #[must_use]
    pub fn from(&self, source: IpAddr) -> Self {
        Self { source: Some(source), ..self.clone() }
    }

    /// The same, but offering these protocols by ALPN.
    #[must_use]
    pub fn offering(&self, protocols: &[&str]) -> Self {
        let mut tls = ClientConfig::clone(&self.tls);
        tls.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { tls: Arc::new(tls), ..self.clone() }
    }

    /// Where it connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects and does the handshake. With TLS 1.3 a server refuses the client's certificate only
    /// afterwards: then the first read fails.
    ///
    /// # Errors
    /// When nothing listens, the server can't prove its name, or it refuses the handshake.
    pub async fn connect(&self) -> anyhow::Result<TlsStream> {
        let connect = async {
            let tcp = self.tcp().await.with_context(|| format!("connect to {}", self.address))?;
            tcp.set_nodelay(true)?;
            let connector = TlsConnector::from(Arc::clone(&self.tls));
            connector.connect(self.server_name.clone(), tcp).await.context("TLS handshake")
        };
        within("a TLS connection", connect).await?
    }

    async fn tcp(&self) -> std::io::Result<TcpStream> {
        let Some(source) = self.source else { return TcpStream::connect(self.address).await };
        let socket =
            if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(source, 0))?;
        socket.connect(self.address).await
    }
}
