//! Who sees which address, and which addresses are the mesh's.

use gatelet_tests::net::{Application, HELLO, Issuer, Network, Sidecar, Wire, mesh};

use crate::support::{DB, PORT, Pods, SECRET, WEB, svids};

#[tokio::test]
async fn the_application_sees_its_callers_address_and_nobody_reads_along() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let wire = Wire::record(&pods.network).await?;
    pods.all_is_well().await?;
    wire.settle(&pods.network.web).await?;
    assert!(!wire.has(SECRET), "the secret is on the wire");
    let Network { web, db, .. } = &pods.network;
    let seen = pods.application.seen();
    let got: Vec<_> = seen.iter().map(|seen| (seen.peer.ip(), seen.local)).collect();
    assert_eq!(got, [(web.ipv4(), db.v4(PORT)), (web.ipv6(), db.v6(PORT))]);
    assert!(seen.iter().all(|seen| seen.bytes == SECRET));
    Ok(())
}

#[tokio::test]
async fn other_destinations_are_dialed_as_ever() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { web, outsider, .. } = &pods.network;
    let other = Application::start(&outsider.namespace, PORT).await?;
    let wire = Wire::record(&pods.network).await?;
    for address in outsider.both(PORT) {
        assert_eq!(web.namespace.ask(address, SECRET).await?, HELLO, "{address}");
    }
    wire.settle(web).await?;
    assert!(wire.has(SECRET), "it was touched");
    assert_eq!(
        other.seen().iter().map(|seen| seen.peer.ip()).collect::<Vec<_>>(),
        [web.ipv4(), web.ipv6()]
    );
    assert_eq!(pods.web.admin().stat("listener.127.0.0.1_15001.downstream_cx_total").await?, 0);
    Ok(())
}

#[tokio::test]
async fn ipv6_does_not_leak_when_only_ipv4_is_configured() -> anyhow::Result<()> {
    let destination = format!("destination 10.9.0.3/32 {DB}");
    let peer = format!("peer {DB}");
    for (lines, closed) in [
        (vec!["mode strict", &destination, &peer], true),
        (vec!["mode strict", &destination, &peer, "pass ipv6"], false),
        (vec!["mode audit", &destination, &peer], false),
    ] {
        let network = Network::create()?;
        let (web, _) = svids(&Issuer::create()?, &network)?;
        let application = Application::start(&network.db.namespace, PORT).await?;
        let _sidecar = Sidecar::start(&network.web.namespace, &mesh(&lines), &web).await?;
        let wire = Wire::record(&network).await?;
        let answer = network.web.namespace.ask(network.db.v6(PORT), SECRET).await;
        wire.settle(&network.web).await?;
        assert_eq!(answer.is_err(), closed, "{lines:?}");
        assert_eq!(wire.has(SECRET), !closed, "{lines:?}");
        assert_eq!(application.seen().is_empty(), closed, "{lines:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_pod_talks_to_itself_as_ever() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let db = &pods.network.db;
    for address in [db.v4(PORT), db.v6(PORT), ([127, 0, 0, 1], PORT).into()] {
        assert_eq!(db.namespace.ask(address, SECRET).await?, HELLO, "{address}");
    }
    Ok(())
}

#[tokio::test]
async fn pods_in_one_range_of_each_others_mesh_call_both_ways() -> anyhow::Result<()> {
    let destination = format!("destination 10.9.0.0/24 fd09::/64 {WEB} {DB}");
    let mesh = mesh(&["mode strict", &destination, &format!("peer {WEB}"), &format!("peer {DB}")]);
    let pods = Pods::with(&mesh, &mesh).await?;
    let Network { web, db, .. } = &pods.network;
    let _other = Application::start(&web.namespace, PORT).await?;
    pods.all_is_well().await?;
    for address in web.both(PORT) {
        assert_eq!(db.namespace.ask(address, SECRET).await?, HELLO, "{address}");
    }
    Ok(())
}

#[tokio::test]
async fn who_only_serves_may_still_call() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { db, outsider, .. } = &pods.network;
    let _other = Application::start(&outsider.namespace, PORT).await?;
    for address in outsider.both(PORT) {
        assert_eq!(db.namespace.ask(address, SECRET).await?, HELLO, "{address}");
    }
    Ok(())
}
