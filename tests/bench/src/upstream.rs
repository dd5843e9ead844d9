//! A kubelet that does nothing but send: bytes without end, over TLS with the gate's certificate.

use std::io::Read as _;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::BytesMut;
use gatelet_tests::tls::{self, Demand, Identity};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What it serves with, on its standard input.
#[derive(Deserialize, Serialize)]
pub(crate) struct Serving {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// Whose certificate a client has to have.
    pub(crate) client_ca: String,
}

/// Serves on a port that the system picks, and prints its address.
///
/// # Errors
/// When there is no port, or no certificate on standard input.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let Serving { certificate, key, client_ca } = serde_json::from_str(&text)?;
    let identity = Identity { certificate: certificate.into_bytes(), key: key.into_bytes() };
    let acceptor =
        TlsAcceptor::from(tls::server(&identity, client_ca.as_bytes(), Demand::Certificate)?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let block: Arc<[u8]> = vec![b'x'; BLOCK].into();
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, block) = (acceptor.clone(), Arc::clone(&block));
        // How a connection ends is its client's affair.
        tokio::spawn(async move { connection(stream, acceptor, &block).await.ok() });
    }
}

const BLOCK: usize = 64 << 10;

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, block: &[u8]) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut unread = BytesMut::new();
    loop {
        let head = loop {
            if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break unread.split_to(end + 4);
            }
            if stream.read_buf(&mut unread).await? == 0 {
                return Ok(());
            }
        };
        let head = std::str::from_utf8(&head)?;
        let target = head.split(' ').nth(1).context("no target")?;
        if head.to_ascii_lowercase().contains("\r\nupgrade: ") {
            let protocol = if head.contains("SPDY") { SPDY } else { WEBSOCKET };
            stream.write_all(protocol.as_bytes()).await?;
            stream.flush().await?;
            return session(stream, block).await;
        }
        if let Some(bytes) = target.split("limitBytes=").nth(1) {
            let mut left: usize = bytes.parse()?;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            while left > 0 {
                let part = block.get(..left.min(BLOCK)).unwrap_or(block);
                stream.write_all(part).await?;
                left -= part.len();
            }
        } else if target.contains("follow=true") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            // Lines of a log, flushed as a kubelet does it: small.
            let chunk = [b"400\r\n", block.get(..0x400).unwrap_or_default(), b"\r\n"].concat();
            while stream.write_all(&chunk).await.is_ok() {}
            return Ok(());
        } else {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nready\n").await?;
        }
        stream.flush().await?;
    }
}

const SPDY: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                    Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n";
const WEBSOCKET: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                         Upgrade: websocket\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\
                         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Echoes, but for `go`, to which it answers with bytes without end.
async fn session(
    mut stream: tokio_rustls::server::TlsStream<TcpStream>,
    block: &[u8],
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        let length = stream.read(&mut buffer).await?;
        let received = buffer.get(..length).unwrap_or_default();
        match received {
            [] => return Ok(()),
            b"go" => while stream.write_all(block).await.is_ok() {},
            echo => stream.write_all(echo).await?,
        }
        stream.flush().await?;
    }
}
