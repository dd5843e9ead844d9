//! Whatever is broken, no plaintext leaves a pod or comes in.

use std::net::SocketAddr;

use anyhow::Context as _;
use gatelet_tests::deadline::{eventually, within};
use gatelet_tests::net::{Application, HELLO, Namespace, Network, Rules, Wire, listen};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{PORT, Pods, SECRET, db_mesh, is_refused, web_mesh};

/// Every chain of the table that has rules for TCP.
const CHAINS: [&str; 10] = [
    "prerouting",
    "arriving",
    "opening",
    "looped",
    "input",
    "delivered",
    "output",
    "leaving",
    "postrouting",
    "guard",
];

#[tokio::test]
async fn nothing_comes_in_or_goes_out_while_envoy_is_down() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    pods.all_is_well().await?;
    let Pods { web, db, application, network, issuer: _issuer } = pods;
    let before = application.seen().len();
    let wire = Wire::record(&network).await?;

    let web = web.crash();
    for address in network.db.both(PORT) {
        let error = network.web.namespace.ask(address, SECRET).await.expect_err("out");
        assert!(format!("{error:#}").contains("refused"), "out to {address}: {error:#}");
    }
    let db = db.crash();
    for address in network.db.both(PORT) {
        let error = network.outsider.namespace.ask(address, SECRET).await.expect_err("in");
        assert!(format!("{error:#}").contains("refused"), "in at {address}: {error:#}");
    }
    wire.settle(&network.web).await?;
    wire.settle(&network.outsider).await?;
    assert!(!wire.has(SECRET));
    assert_eq!(application.seen().len(), before, "the application was reached");

    // After the crash, it is as it was.
    let _web = web.restart(&network.web.namespace).await?;
    let _db = db.restart(&network.db.namespace).await?;
    assert_eq!(network.web.namespace.ask(network.db.v4(PORT), SECRET).await?, HELLO);
    Ok(())
}

#[tokio::test]
async fn a_crash_loop_has_no_open_moment() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Pods { web: _web, mut db, application, network, issuer: _issuer } = pods;
    let outsider = &network.outsider.namespace;
    for _ in 0..3 {
        let stopped = db.crash();
        let target = network.db.v4(PORT);
        // Knocks all the time that Envoy takes to come back.
        let restart = stopped.restart(&network.db.namespace);
        tokio::pin!(restart);
        db = loop {
            tokio::select! {
                restarted = &mut restart => break restarted?,
                refused = is_refused(outsider, target) => assert!(refused, "the application answered"),
            }
        };
    }
    assert!(application.seen().iter().all(|seen| seen.bytes.is_empty()));
    assert_eq!(network.web.namespace.ask(network.db.v4(PORT), SECRET).await?, HELLO);
    drop(db);
    Ok(())
}

#[tokio::test]
async fn without_the_ip_rule_nothing_leaves() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { web, db, outsider, .. } = &pods.network;
    let wire = Wire::record(&pods.network).await?;
    for broken in [
        "rule del priority 15001",
        "-6 rule del priority 15001",
        "route flush table 15001",
        "-6 route flush table 15001",
    ] {
        Rules::new(&web.namespace, &web_mesh())?.up()?;
        Rules::new(&db.namespace, &db_mesh())?.up()?;
        pods.all_is_well().await?;
        let before = pods.arrived();
        let address = if broken.starts_with("-6") { db.v6(PORT) } else { db.v4(PORT) };
        web.namespace.ip(broken)?;
        ends_without_answer(&web.namespace, address, broken).await?;
        db.namespace.ip(broken)?;
        assert!(is_refused(&outsider.namespace, address).await, "in without {broken}");
        assert_eq!(pods.arrived(), before, "{broken}");
    }
    wire.settle(web).await?;
    assert!(!wire.has(SECRET));
    Ok(())
}

#[tokio::test]
async fn no_chain_is_the_only_one_that_keeps_plaintext_in() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { web, db, .. } = &pods.network;
    let wire = Wire::record(&pods.network).await?;
    let rules = Rules::new(&web.namespace, &web_mesh())?;
    for chain in CHAINS {
        for address in db.both(PORT) {
            web.namespace.nft(&format!("flush chain inet gatelet {chain}"))?;
            assert!(rules.check().is_err(), "{chain} is not missed");
            // Some are only the second lock. Encrypted, it may go.
            ends_without_answer_or_encrypted(&web.namespace, address)
                .await
                .with_context(|| format!("{chain}: {address}"))?;
            rules.up()?;
        }
    }
    wire.settle(web).await?;
    assert!(!wire.has(SECRET), "the secret is on the wire");
    pods.all_is_well().await
}

#[tokio::test]
async fn no_chain_is_the_only_one_that_keeps_plaintext_out() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { db, outsider, .. } = &pods.network;
    let rules = Rules::new(&db.namespace, &db_mesh())?;
    for chain in CHAINS {
        for address in db.both(PORT) {
            db.namespace.nft(&format!("flush chain inet gatelet {chain}"))?;
            assert!(is_refused(&outsider.namespace, address).await, "{chain}: {address}");
            rules.up()?;
        }
    }
    assert_eq!(pods.arrived(), 0);
    pods.all_is_well().await
}

#[tokio::test]
async fn rules_that_cannot_be_loaded_change_nothing() -> anyhow::Result<()> {
    let network = Network::create()?;
    let rules = Rules::new(&network.db.namespace, &db_mesh())?;
    rules.up()?;
    let before = network.db.namespace.nft("list ruleset")?;
    // Its last line names an address that nftables can't take.
    let broken = Rules::new(&network.db.namespace, &format!("{}node 1:2\n", db_mesh()))?;
    let said = broken.up().unwrap_err().to_string();
    assert!(said.contains("nothing has changed"), "{said}");
    assert_eq!(network.db.namespace.nft("list ruleset")?, before);
    Ok(())
}

#[tokio::test]
async fn a_pod_is_closed_from_its_init_container_on() -> anyhow::Result<()> {
    let network = Network::create()?;
    let application = Application::start(&network.db.namespace, PORT).await?;
    let db = network.db.v4(PORT);
    assert_eq!(network.outsider.namespace.ask(db, SECRET).await?, HELLO, "before there are rules");
    Rules::new(&network.db.namespace, &db_mesh())?.up()?;
    assert!(is_refused(&network.outsider.namespace, db).await);
    assert_eq!(application.seen().len(), 1);
    Ok(())
}

#[tokio::test]
async fn connections_older_than_the_rules_end_with_them() -> anyhow::Result<()> {
    let network = Network::create()?;
    let rules = Rules::new(&network.db.namespace, &db_mesh())?;
    let listener = listen(&network.db.namespace, PORT).await?;
    for address in network.db.both(PORT) {
        let mut caller = network.outsider.namespace.dial(address).await?;
        let (mut server, _) = listener.accept().await?;
        rules.up()?;
        // The first packet that connection tracking sees: to it, the server is the caller.
        server.write_all(HELLO.as_bytes()).await?;
        // Its answer is refused, and that is the end.
        let mut heard = String::new();
        let _ended = within("the end", caller.read_to_string(&mut heard)).await?;
        let _reset = caller.write_all(SECRET).await;
        let mut arrived = [0; SECRET.len()];
        assert!(server.try_read(&mut arrived).is_err(), "{address}: the server heard it");
        rules.down()?;
    }
    Ok(())
}

/// Asks, until there is an end or the guard has dropped it.
async fn ends_without_answer(from: &Namespace, to: SocketAddr, about: &str) -> anyhow::Result<()> {
    tokio::select! {
        answer = from.ask(to, SECRET) => assert!(answer.is_err(), "{about}: {answer:?}"),
        dropped = has_dropped(from) => dropped?,
    }
    Ok(())
}

async fn ends_without_answer_or_encrypted(from: &Namespace, to: SocketAddr) -> anyhow::Result<()> {
    tokio::select! {
        // What the answer is, is not the question here.
        _answer = from.ask(to, SECRET) => {}
        dropped = has_dropped(from) => dropped?,
    }
    Ok(())
}

/// The guard counts what it drops, from zero at every load.
async fn has_dropped(namespace: &Namespace) -> anyhow::Result<()> {
    eventually("the guard to drop it", async || {
        let guard = namespace.nft("list chain inet gatelet guard")?;
        let counts = guard.split("counter packets ").skip(1);
        Ok(counts.into_iter().any(|count| !count.starts_with("0 ")).then_some(()))
    })
    .await
}
