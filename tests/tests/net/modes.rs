//! From plaintext to mutual TLS in three steps, none of which breaks anybody.

use std::net::SocketAddr;

use gatelet_tests::deadline::{eventually, within};
use gatelet_tests::net::{Greeter, HELLO, Host, Network, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{PORT, Pods, SECRET, db_mesh, is_refused, web_mesh};

const INGRESS_PLAINTEXT: &str = "tcp.ingress_plaintext.downstream_cx_total";
const INGRESS: &str = "tcp.ingress.downstream_cx_total";
const EGRESS: &str = "tcp.destination-1.downstream_cx_total";

fn in_mode(mode: &str, mesh: &str) -> String {
    mesh.replace("mode strict", &format!("mode {mode}"))
}

/// Asks, as the plaintext connection of this number. Envoy resets what is half-closed before it has
/// seen that it is no TLS, so this waits until it has.
async fn ask_in_plaintext(
    pods: &Pods,
    from: &Host,
    to: SocketAddr,
    number: u64,
) -> anyhow::Result<String> {
    let mut stream = from.namespace.dial(to).await?;
    stream.write_all(SECRET).await?;
    pods.db.admin().wait_for_stat(INGRESS_PLAINTEXT, |count| count == number).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}

#[tokio::test]
async fn strict_takes_no_plaintext() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { db, outsider, .. } = &pods.network;
    for address in db.both(PORT) {
        assert!(is_refused(&outsider.namespace, address).await, "{address}");
    }
    assert_eq!(pods.arrived(), 0);
    pods.all_is_well().await
}

#[tokio::test]
async fn permissive_takes_both_and_counts_plaintext() -> anyhow::Result<()> {
    let pods = Pods::with(&web_mesh(), &in_mode("permissive", &db_mesh())).await?;
    let Network { db, outsider, .. } = &pods.network;
    pods.all_is_well().await?;
    for (address, count) in db.both(PORT).into_iter().zip(1..) {
        assert_eq!(ask_in_plaintext(&pods, outsider, address, count).await?, HELLO, "{address}");
    }
    let admin = pods.db.admin();
    assert_eq!((admin.stat(INGRESS).await?, admin.stat(INGRESS_PLAINTEXT).await?), (2, 2));
    let last = pods.application.seen().pop().unwrap();
    assert_eq!(last.peer.ip(), outsider.ipv6(), "plaintext has its address, too");
    Ok(())
}

#[tokio::test]
async fn audit_changes_nothing_but_counts() -> anyhow::Result<()> {
    let mut pods =
        Pods::with(&in_mode("audit", &web_mesh()), &in_mode("audit", &db_mesh())).await?;
    let wire = Wire::record(&pods.network).await?;
    let web = &pods.network.web;
    for (address, count) in pods.network.db.both(PORT).into_iter().zip(1..) {
        assert_eq!(ask_in_plaintext(&pods, web, address, count).await?, HELLO, "{address}");
    }
    wire.settle(web).await?;
    assert!(wire.has(SECRET), "it was encrypted");
    let seen = pods.application.seen();
    let callers: Vec<_> = seen.iter().map(|seen| seen.peer.ip()).collect();
    assert_eq!(callers, [pods.network.web.ipv4(), pods.network.web.ipv6()]);
    assert_eq!(pods.web.admin().stat(EGRESS).await?, 2);
    assert_eq!(pods.db.admin().stat(INGRESS_PLAINTEXT).await?, 2);
    // Both sides say who it was.
    let destination = pods.network.db.v4(PORT).to_string();
    for sidecar in [&mut pods.web, &mut pods.db] {
        eventually("the plaintext in the log", async || {
            let log = sidecar.envoy().log()?;
            let mut records = log.lines().filter(|line| line.starts_with("{\"plaintext\""));
            Ok(records.any(|line| line.contains(&destination)).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_has_no_sidecar_yet_is_called_in_audit_and_not_in_strict() -> anyhow::Result<()> {
    for (mode, answers) in [("audit", true), ("strict", false)] {
        let pods = Pods::with(&in_mode(mode, &web_mesh()), &db_mesh()).await?;
        let Network { web, db, .. } = &pods.network;
        gatelet_tests::net::Rules::new(&db.namespace, &db_mesh())?.down()?;
        assert_eq!(web.namespace.ask(db.v4(PORT), SECRET).await.is_ok(), answers, "{mode}");
        let arrived = pods.application.seen().iter().any(|seen| seen.bytes == SECRET);
        assert_eq!(arrived, answers, "{mode}");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() -> anyhow::Result<()> {
    let pods = Pods::with(&web_mesh(), &in_mode("permissive", &db_mesh())).await?;
    let Network { web, db, outsider, .. } = &pods.network;
    let _greeter = Greeter::start(&db.namespace, 2525).await?;
    for (who, caller) in [("mutual TLS", web), ("plaintext", outsider)] {
        let mut stream = caller.namespace.dial(db.v4(2525)).await?;
        let mut greeting = vec![0; HELLO.len()];
        within(who, stream.read_exact(&mut greeting)).await??;
        assert_eq!(greeting, HELLO.as_bytes(), "{who}");
    }
    Ok(())
}
