//! UDP: left alone, but for ports that are listed.

use gatelet_tests::deadline::within;
use gatelet_tests::net::{Datagrams, Namespace, Network, Wire};

use crate::support::{DB, Pods, SECRET, db_mesh, web_mesh};

const LISTED: u16 = 5353;
const OTHER: u16 = 5354;

#[tokio::test]
async fn udp_is_left_alone_by_default() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { db, outsider, .. } = &pods.network;
    let server = Datagrams::start(&db.namespace, LISTED).await?;
    assert_eq!(exchange(&outsider.namespace, db.v4(LISTED)).await?, SECRET);
    assert_eq!(server.seen(), [SECRET]);
    Ok(())
}

#[tokio::test]
async fn a_listed_port_goes_through_the_tunnel_or_nowhere() -> anyhow::Result<()> {
    let pods = Pods::with(
        &format!("{}udp-out {LISTED} 10.9.0.3 {DB}\n", web_mesh()),
        &format!("{}udp-in {LISTED}\n", db_mesh()),
    )
    .await?;
    let Network { web, db, outsider, .. } = &pods.network;
    let server = Datagrams::start(&db.namespace, LISTED).await?;
    let unlisted = Datagrams::start(&db.namespace, OTHER).await?;
    let wire = Wire::record(&pods.network).await?;
    assert_eq!(exchange(&web.namespace, db.v4(LISTED)).await?, SECRET);
    wire.settle(web).await?;
    assert!(!wire.has(SECRET), "the secret is on the wire");

    // An outsider's datagram is dropped; the next one, to a port that is not listed, arrives.
    let socket = outsider.namespace.udp(([0, 0, 0, 0], 0).into()).await?;
    socket.send_to(b"plaintext", db.v4(LISTED)).await?;
    exchange(&outsider.namespace, db.v4(OTHER)).await?;
    assert_eq!(server.seen(), [SECRET]);
    assert_eq!(unlisted.seen(), [SECRET]);

    // With Envoy down there is no other way out.
    let Pods { web: sidecar, network, .. } = pods;
    let _down = sidecar.crash();
    let socket = network.web.namespace.udp(([0, 0, 0, 0], 0).into()).await?;
    let wire = Wire::record(&network).await?;
    let _refused = socket.send_to(SECRET, network.db.v4(LISTED)).await;
    wire.settle(&network.web).await?;
    assert!(!wire.has(SECRET));
    Ok(())
}

/// Sends the secret, and returns what comes back from that very address.
async fn exchange(from: &Namespace, to: std::net::SocketAddr) -> anyhow::Result<Vec<u8>> {
    let socket = from.udp(([0, 0, 0, 0], 0).into()).await?;
    socket.connect(to).await?;
    let mut buffer = [0; 1_024];
    socket.send(SECRET).await?;
    let length = within("a datagram", socket.recv(&mut buffer)).await??;
    Ok(buffer.into_iter().take(length).collect())
}
