//! Port-forward over a WebSocket, `v4.channel.k8s.io`, to one port.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};

use super::OpenError;
use super::dialer::Dialer;
use super::upgrade::{WebSocket, open_websocket};
use crate::channel::{V4, message, split};
use crate::deadline::within;

const DATA: u8 = 0;
const ERROR: u8 = 1;

/// A connection to a port of a pod.
#[derive(Debug)]
pub struct PortForward {
    socket: WebSocket,
}

impl PortForward {
    /// Connects to a port of `namespace/pod`.
    ///
    /// # Errors
    /// As [`open_websocket`], and when the kubelet doesn't announce the port on both channels.
    pub async fn open(dialer: &Dialer, pod: &str, port: u16) -> Result<Self, OpenError> {
        let mut forward = Self {
            socket: open_websocket(dialer, &format!("/portForward/{pod}?port={port}"), V4).await?,
        };
        for channel in [DATA, ERROR] {
            forward.announced(channel, port).await?;
        }
        Ok(forward)
    }

    /// Sends bytes to the port.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send(&mut self, data: &[u8]) -> anyhow::Result<()> {
        within("the server to take a message", self.socket.send(message(DATA, data)))
            .await?
            .context("send")
    }

    /// The next bytes from the port; none when the connection is over.
    ///
    /// # Errors
    /// When the kubelet reports one for the port.
    pub async fn receive(&mut self) -> anyhow::Result<Option<Bytes>> {
        match self.next().await? {
            Some((ERROR, error)) => anyhow::bail!("{}", String::from_utf8_lossy(&error)),
            Some((_, data)) => Ok(Some(data)),
            None => Ok(None),
        }
    }

    async fn announced(&mut self, channel: u8, port: u16) -> anyhow::Result<()> {
        let first =
            self.next().await?.context("the connection ended before the ports were announced")?;
        let want = (channel, Bytes::copy_from_slice(&port.to_le_bytes()));
        ensure!(first == want, "the first message of channel {channel} is {first:?}");
        Ok(())
    }

    async fn next(&mut self) -> anyhow::Result<Option<(u8, Bytes)>> {
        loop {
            match within("a message from the server", self.socket.next()).await? {
                None => return Ok(None),
                Some(received) => {
                    if let Some(found) = split(received?) {
                        return Ok(Some(found));
                    }
                }
            }
        }
    }
}
