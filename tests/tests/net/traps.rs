//! What has gone wrong in proxies of this kind before.

use std::time::Instant;

use gatelet_tests::deadline::eventually;
use gatelet_tests::net::{HELLO, Network};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::support::{PORT, Pods, SECRET, WEB, db_mesh, web_mesh};

#[tokio::test]
async fn envoy_dialed_directly_does_not_dial_itself() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { web, db, outsider, .. } = &pods.network;
    for port in [15001, 15006] {
        for address in [
            db.v4(port),
            db.v6(port),
            ([127, 0, 0, 1], port).into(),
            ([0, 0, 0, 0, 0, 0, 0, 1], port).into(),
        ] {
            let error = db.namespace.dial(address).await.expect_err("a direct dial");
            assert!(format!("{error:#}").contains("refused"), "{address}: {error:#}");
        }
        for caller in [web, outsider] {
            let answer = caller.namespace.ask(db.v4(port), SECRET).await;
            assert!(answer.is_err(), "{port}: {answer:?}");
        }
    }
    // One connection to each port by the peer, and none that Envoy made of them.
    let counted = pods.db.admin().stat("listener.127.0.0.1_15006.downstream_cx_total").await?;
    assert_eq!(counted, 2);
    assert_eq!(pods.db.admin().stat("listener.127.0.0.1_15001.downstream_cx_total").await?, 0);
    Ok(())
}

#[tokio::test]
async fn half_closed_both_sides_still_hear_each_other() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let much = vec![b'x'; 4_000_000];
    let db = pods.network.db.v4(PORT);
    assert_eq!(pods.network.web.namespace.ask(db, &much).await?, HELLO);
    assert_eq!(pods.application.seen()[0].bytes.len(), much.len());
    Ok(())
}

#[tokio::test]
async fn envoys_ports_are_not_those_of_callers() -> anyhow::Result<()> {
    for (range, middle) in
        [("32768 60999", 39_825), ("16384 60999", 32_768), ("1024 65535", 32_768)]
    {
        let network = gatelet_tests::net::Network::create()?;
        for host in [&network.web, &network.db] {
            let status = host
                .namespace
                .command("sysctl")
                .args(["-q", "-w"])
                .arg(format!("net.ipv4.ip_local_port_range={range}"))
                .status()?;
            assert!(status.success());
        }
        let pods = Pods::inside(network, &web_mesh(), &db_mesh()).await?;
        pods.all_is_well().await?;
        for seen in pods.application.seen() {
            let port = seen.peer.port();
            assert!((16_384..middle).contains(&port), "{range}: the application saw port {port}");
        }
        // Envoy's own dials are in web's table of sockets.
        let db = pods.network.db.v4(PORT);
        let _open = pods.network.web.namespace.dial(db).await?;
        let ports = eventually("Envoy's connection", async || {
            let sockets =
                pods.network.web.namespace.command("cat").arg("/proc/net/tcp").output()?;
            let ports = from_ports(&String::from_utf8_lossy(&sockets.stdout), "0300090A:1F90");
            Ok((ports.len() > 1).then_some(ports))
        })
        .await?;
        // The application's and Envoy's.
        assert!(ports.iter().any(|&port| port >= middle), "{range}: {ports:?}");
    }
    Ok(())
}

/// The local ports of connections to an address, from `/proc/net/tcp`.
fn from_ports(table: &str, to: &str) -> Vec<u16> {
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(2) == Some(&to))
        .filter_map(|row| u16::from_str_radix(row.get(1)?.split(':').nth(1)?, 16).ok())
        .collect()
}

#[tokio::test]
async fn many_connections_at_once_all_get_through() -> anyhow::Result<()> {
    // More than Envoy's breaker lets through, unless it is told otherwise.
    const MANY: usize = 1_100;
    raise_file_limit()?;
    let pods = Pods::start().await?;
    let db = pods.network.db.v4(PORT);
    let mut open = Vec::new();
    for _ in 0..MANY {
        let mut stream = pods.network.web.namespace.dial(db).await?;
        stream.write_all(SECRET).await?;
        open.push(stream);
    }
    let mut answers = JoinSet::new();
    for mut stream in open {
        answers.spawn(async move {
            stream.shutdown().await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        });
    }
    let begin = Instant::now();
    while let Some(answer) = answers.join_next().await {
        assert_eq!(answer??, HELLO, "after {:?}", begin.elapsed());
    }
    assert_eq!(pods.application.seen().len(), MANY);
    Ok(())
}

/// The test holds both ends of each connection.
fn raise_file_limit() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(())
}

#[tokio::test]
async fn an_application_with_tls_of_its_own_is_no_peer() -> anyhow::Result<()> {
    // A ClientHello without the mesh's name, by somebody who even has a certificate of the mesh.
    let pods = Pods::start().await?;
    let Network { db, outsider, .. } = &pods.network;
    let svid = pods.issuer.issue(WEB, &[])?;
    let stream = outsider.namespace.dial(db.v4(PORT)).await?;
    let connector = tokio_rustls::TlsConnector::from(svid.client()?);
    let refused = connector.connect("db.shop.svc".try_into()?, stream).await;
    assert!(refused.is_err());
    Ok(())
}
