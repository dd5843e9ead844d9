//! Envoy's admin interface, on its Unix socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;

use crate::deadline::{eventually, within};

/// The admin interface of one Envoy.
#[derive(Clone, Debug)]
pub struct Admin {
    socket: PathBuf,
}

#[derive(Deserialize)]
struct Listeners {
    #[serde(default)]
    listener_statuses: Vec<Listener>,
}

#[derive(Deserialize)]
struct Listener {
    name: String,
    local_address: Address,
}

#[derive(Deserialize)]
struct Address {
    /// `None` of a Unix socket.
    socket_address: Option<SocketAddress>,
}

#[derive(Deserialize)]
struct SocketAddress {
    address: std::net::IpAddr,
    port_value: u16,
}

#[derive(Deserialize)]
struct Stats {
    stats: Vec<serde_json::Value>,
}

impl Admin {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks for a page.
    ///
    /// # Errors
    /// When Envoy doesn't answer, or not with a 200.
    pub async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.request(Method::GET, path).await
    }

    /// Does something, such as `/reopen_logs`.
    ///
    /// # Errors
    /// As [`Admin::get`].
    pub async fn post(&self, path: &str) -> anyhow::Result<String> {
        self.request(Method::POST, path).await
    }

    /// The address that each listener got; those on Unix sockets aren't among them.
    ///
    /// # Errors
    /// As [`Admin::get`].
    pub async fn listeners(&self) -> anyhow::Result<BTreeMap<String, SocketAddr>> {
        let page = self.get("/listeners?format=json").await?;
        let page: Listeners = serde_json::from_str(&page)?;
        let address = |listener: Listener| {
            let SocketAddress { address, port_value } = listener.local_address.socket_address?;
            Some((listener.name, SocketAddr::new(address, port_value)))
        };
        Ok(page.listener_statuses.into_iter().filter_map(address).collect())
    }

    /// A counter or gauge by its full name; 0 when nothing was counted yet.
    ///
    /// # Errors
    /// As [`Admin::get`].
    pub async fn stat(&self, name: &str) -> anyhow::Result<u64> {
        let page =
            self.get(&format!("/stats?format=json&filter=^{}$", name.replace('.', "\\."))).await?;
        let page: Stats = serde_json::from_str(&page)?;
        let value = page.stats.iter().find(|stat| stat["name"] == name);
        Ok(value.and_then(|stat| stat["value"].as_u64()).unwrap_or(0))
    }

    /// Waits until a counter or gauge satisfies `wanted`, and returns it.
    ///
    /// # Errors
    /// When it doesn't in time, or Envoy doesn't answer.
    pub async fn wait_for_stat(
        &self,
        name: &str,
        wanted: impl Fn(u64) -> bool,
    ) -> anyhow::Result<u64> {
        eventually(name, async || Ok(Some(self.stat(name).await?).filter(|value| wanted(*value))))
            .await
    }

    async fn request(&self, method: Method, path: &str) -> anyhow::Result<String> {
        let exchange = async {
            let stream = UnixStream::connect(&self.socket).await?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let request = Request::builder().method(method).uri(path).header("host", "envoy");
            let answer = async {
                let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                ensure!(status.is_success(), "{status}: {}", body.escape_ascii());
                Ok(String::from_utf8(body.to_vec())?)
            };
            tokio::select! {
                answer = answer => answer,
                Err(error) = connection => Err(error.into()),
            }
        };
        within(path, exchange)
            .await?
            .with_context(|| format!("{path} at {}", self.socket.display()))
    }
}
