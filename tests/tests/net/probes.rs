//! The kubelet's probes, from the node's address.

use gatelet_tests::net::{Application, HELLO, Network};

use crate::support::{PORT, Pods, SECRET, is_refused};

#[tokio::test]
async fn probes_get_to_listed_ports_and_to_no_other() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { db, node, outsider, .. } = &pods.network;
    let _unlisted = Application::start(&db.namespace, 9090).await?;
    for address in db.both(PORT) {
        assert_eq!(node.namespace.ask(address, SECRET).await?, HELLO, "{address}");
        assert!(is_refused(&outsider.namespace, address).await, "an outsider at {address}");
    }
    for address in db.both(9090) {
        assert!(is_refused(&node.namespace, address).await, "the node at {address}");
    }
    Ok(())
}

#[tokio::test]
async fn a_tcp_probe_of_a_dead_port_fails() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { db, node, .. } = &pods.network;
    for address in db.both(8081) {
        let error = node.namespace.dial(address).await.expect_err("nobody listens there");
        assert!(format!("{error:#}").contains("refused"), "{error:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_grpc_probe_is_http2_to_the_application_itself() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let address = pods.network.db.v4(PORT);
    assert_eq!(pods.network.node.namespace.ask(address, preface).await?, HELLO);
    let seen = pods.application.seen();
    assert_eq!(seen[0].bytes, preface);
    assert_eq!(seen[0].peer.ip(), pods.network.node.ipv4());
    Ok(())
}

#[tokio::test]
async fn readiness_is_for_the_node_and_metrics_for_the_mesh() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { web, db, node, outsider } = &pods.network;
    let ready = node.namespace.get(db.v4(15021), "/ready").await?;
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    let metrics = web.namespace.get(db.v4(15021), "/metrics").await?;
    assert!(metrics.contains("envoy_tcp_downstream_cx_total"), "{metrics}");
    let query = web.namespace.get(db.v4(15021), "/metrics?x").await?;
    assert!(query.starts_with("HTTP/1.1 404"), "{query}");
    assert!(outsider.namespace.get(db.v4(15021), "/metrics").await.is_err());
    Ok(())
}
