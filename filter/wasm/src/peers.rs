//! Who is at the other end of a connection, read once.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use gatelet_core::peer::{InvalidPeer, Peer, PeerProperties};

use crate::host::Host;

/// What is known of a connection's peer, or why nothing is.
pub(crate) type Known = Rc<Result<Peer, InvalidPeer>>;

/// The peers of open connections, by Envoy's connection id, which it never uses twice. TLS 1.2
/// renegotiation is off in Envoy, so a connection keeps its peer.
#[derive(Debug, Default)]
pub(crate) struct Peers(RefCell<HashMap<u64, Known>>);

/// Beyond this many connections the memory starts anew; at about a kilobyte each, it stays small.
const MOST: usize = 4096;

impl Peers {
    /// The peer of the connection at hand.
    pub(crate) fn of_connection(&self, host: &impl Host, with_address: bool) -> Known {
        let id = host.property(&["connection", "id"]).ok().flatten();
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

fn read(host: &impl Host, with_address: bool) -> Result<Peer, InvalidPeer> {
    let property = |group, name: &'static str| {
        host.property(&[group, name]).map_err(|_| InvalidPeer::Property(name))
    };
    let connection = |name| property("connection", name);
    let mtls = connection("mtls")?;
    let subject = connection("subject_peer_certificate")?;
    let uri_san = connection("uri_san_peer_certificate")?;
    let dns_san = connection("dns_san_peer_certificate")?;
    let sha256 = connection("sha256_peer_certificate_digest")?;
    let address = property("source", "address")?;
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
