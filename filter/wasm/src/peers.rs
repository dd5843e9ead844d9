//! Who is at the other end of a connection, read once.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use foldhash::fast::RandomState;
use gatelet_core::peer::{InvalidPeer, Peer, PeerProperties};

use crate::host::Host;

/// What is known of a connection's peer, or why nothing is.
pub(crate) type Known = Rc<Result<Peer, InvalidPeer>>;

/// The peers of open connections, by Envoy's connection id, which it never uses twice. TLS 1.2
/// renegotiation is off in Envoy, so a connection keeps its peer.
#[derive(Debug, Default)]
pub(crate) struct Peers(RefCell<HashMap<u64, Known, RandomState>>);

/// Beyond this many connections the memory starts anew; at about a kilobyte each, it stays small.
const MOST: usize = 4096;

impl Peers {
    /// The peer of the connection at hand.
    pub(crate) fn of_connection(&self, host: &impl Host, with_address: bool) -> Known {
        let id = host.property(&["connection_id"]).ok().flatten();
        let Some(id) = id.and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes) else {
            return Rc::new(read(host, with_address));
        };
        if let Some(known) = self.0.borrow().get(&id) {
            return Rc::clone(known);
        }
        let known = Rc::new(read(host, with_address));
        let mut peers = self.0.borrow_mut();
        if peers.len() >= MOST {
            peers.clear();
        }
        peers.insert(id, Rc::clone(&known));
        known
    }
}

/// Reads what there is to know: a property costs more than half a microsecond.
fn read(host: &impl Host, with_address: bool) -> Result<Peer, InvalidPeer> {
    let property = |group, name: &'static str| {
        host.property(&[group, name]).map_err(|_| InvalidPeer::Property(name))
    };
    let mtls = property("connection", "mtls")?;
    // Whoever presented none has no further facts; any other value than these is refused below.
    let has_certificate = !matches!(mtls.as_deref(), None | Some([0]));
    let certificate = |name| {
        if has_certificate { property("connection", name) } else { Ok(None) }
    };
    let subject = certificate("subject_peer_certificate")?;
    let uri_san = certificate("uri_san_peer_certificate")?;
    let dns_san = certificate("dns_san_peer_certificate")?;
    let sha256 = certificate("sha256_peer_certificate_digest")?;
    let address = if with_address { property("source", "address")? } else { None };
    Peer::from_properties(
        &PeerProperties {
            mtls: mtls.as_deref(),
            subject: subject.as_deref(),
            uri_san: uri_san.as_deref(),
            dns_san: dns_san.as_deref(),
            sha256: sha256.as_deref(),
            address: address.as_deref(),
        },
        with_address,
    )
}
