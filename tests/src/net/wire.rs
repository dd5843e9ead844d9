//! Every frame on the node's bridge, as `tcpdump` would see it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with};

use super::network::{Host, Network};
use crate::deadline::eventually;

/// A recording of the wire, from when it was made.
#[derive(Debug)]
pub struct Wire {
    frames: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// All protocols, in network byte order.
const ETH_P_ALL: u32 = 0x0300;

impl Wire {
    /// Records what passes the bridge, until it is dropped.
    ///
    /// # Errors
    /// When this user may not open packet sockets.
    pub async fn record(network: &Network) -> anyhow::Result<Self> {
        let socket = network
            .node
            .namespace
            .within(|| {
                let all = Protocol::from_raw(ETH_P_ALL.try_into()?);
                let flags = SocketFlags::CLOEXEC;
                Ok(socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(all))?)
            })
            .await?;
        let frames = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::downgrade(&frames);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            let tick = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            // Looks up now and then whether anybody still wants to know.
            while let Some(frames) = record.upgrade() {
                let mut ready = [PollFd::new(&socket, PollFlags::IN)];
                if matches!(poll(&mut ready, Some(&tick)), Ok(0)) {
                    continue;
                }
                let Ok((frame, _)) = recv(&socket, &mut *buffer, RecvFlags::empty()) else {
                    return;
                };
                frames
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(buffer.get(..frame).unwrap_or_default().to_vec());
            }
        });
        Ok(Self { frames })
    }

    /// Whether these bytes went over the wire within one frame. Call [`Wire::settle`] first.
    pub fn has(&self, needle: &[u8]) -> bool {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.iter().any(|frame| frame.windows(needle.len()).any(|window| window == needle))
    }

    /// Waits until everything is recorded that `host` has sent until now.
    ///
    /// # Errors
    /// When the wire is cut.
    pub async fn settle(&self, host: &Host) -> anyhow::Result<()> {
        // Frames stay in their order, so that this is behind all of them.
        let mark = format!("settled {}", number());
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let socket = host.namespace.udp(any).await?;
        let node = SocketAddr::from(([10, 9, 0, 1], 9));
        socket.send_to(mark.as_bytes(), node).await.context("mark the wire")?;
        eventually("the mark on the wire", async || Ok(self.has(mark.as_bytes()).then_some(())))
            .await
    }
}

/// No two marks are the same.
fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
