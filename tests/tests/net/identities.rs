//! Who is at the other end, in both directions.

use gatelet_tests::net::{HELLO, Issuer, Network, Svid, WebServer};

use crate::support::{DB, PORT, Pods, SECRET, WEB, db_mesh, is_taken_over, rotate, web_mesh};

/// What each side has to say before sessions are resumed.
const RESUMPTION: &str = "resumption\n";

/// The identities that the certificate of `id` at `host` could be mistaken for.
fn impostors(
    pods: &Pods,
    id: &str,
    addresses: &[std::net::IpAddr],
) -> anyhow::Result<Vec<(&'static str, Svid)>> {
    let own = &pods.issuer;
    let other = Issuer::create()?;
    let other_account = id.replace("/sa/", "/sa/other-");
    let other_domain = id.replace("cluster.local", "elsewhere.invalid");
    Ok(vec![
        ("right peer", own.issue(id, addresses)?),
        ("other service account", own.issue(&other_account, addresses)?),
        ("other trust domain", own.issue(&other_domain, addresses)?),
        ("longer ID", own.issue(&format!("{id}-2"), addresses)?),
        ("wrong CA", other.issue(id, addresses)?.trusting(own)),
        ("no IP SAN", own.issue(id, &[])?),
        ("another pod's IP SAN", own.issue(id, &[[10, 9, 0, 4].into()])?),
    ])
}

#[tokio::test]
async fn a_caller_talks_to_the_exact_identity_at_the_exact_address() -> anyhow::Result<()> {
    for (destination, binds_addresses) in [("ip-san ", true), ("", false)] {
        let pods = Pods::with(&web_mesh().replace("ip-san ", destination), &db_mesh()).await?;
        let Network { web, db, .. } = &pods.network;
        for (who, svid) in impostors(&pods, DB, &[db.ipv4(), db.ipv6()])? {
            rotate(&pods.db, &svid).await?;
            let right = who == "right peer" || (who.contains("IP SAN") && !binds_addresses);
            for address in db.both(PORT) {
                let answer = web.namespace.ask(address, SECRET).await;
                assert_eq!(
                    answer.ok().as_deref(),
                    right.then_some(HELLO),
                    "{who} at {address}, {destination:?}"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_server_is_called_by_the_exact_identities() -> anyhow::Result<()> {
    let pods = Pods::start().await?;
    let Network { web, db, .. } = &pods.network;
    for (who, svid) in impostors(&pods, WEB, &[web.ipv4()])? {
        rotate(&pods.web, &svid).await?;
        let before = pods.application.seen().len();
        let answer = web.namespace.ask(db.v4(PORT), SECRET).await;
        // A server does not know which address a caller should have.
        let right = who == "right peer" || who.contains("IP SAN");
        assert_eq!(answer.ok().as_deref(), right.then_some(HELLO), "{who}");
        assert_eq!(pods.application.seen().len() - before, usize::from(right), "{who}");
    }
    Ok(())
}

#[tokio::test]
async fn a_peer_that_ends_in_a_slash_is_everybody_below() -> anyhow::Result<()> {
    let everybody = db_mesh().replace(WEB, "spiffe://cluster.local/ns/shop/");
    let pods = Pods::with(&web_mesh(), &everybody).await?;
    let Network { web, db, .. } = &pods.network;
    for (id, right) in [
        ("spiffe://cluster.local/ns/shop/sa/cart", true),
        ("spiffe://cluster.local/ns/shopping/sa/cart", false),
        ("spiffe://elsewhere.invalid/ns/shop/sa/cart", false),
    ] {
        rotate(&pods.web, &pods.issuer.issue(id, &[])?).await?;
        let answer = web.namespace.ask(db.v4(PORT), SECRET).await;
        assert_eq!(answer.is_ok(), right, "{id}");
    }
    Ok(())
}

#[tokio::test]
async fn certificates_are_rotated_without_a_restart() -> anyhow::Result<()> {
    let mut pods = Pods::start().await?;
    let process = pods.db.envoy().id();
    let mut open = pods.network.web.namespace.dial(pods.network.db.v4(PORT)).await?;
    // As the kubelet projects a certificate.
    let new = pods.issuer.issue(DB, &[pods.network.db.ipv4(), pods.network.db.ipv6()])?;
    rotate(&pods.db, &new).await?;
    pods.all_is_well().await?;
    // Another CA on both sides, as SPIRE's helper writes it.
    pods.issuer = Issuer::create()?;
    let (web, db) = crate::support::svids(&pods.issuer, &pods.network)?;
    for (sidecar, svid) in [(&pods.web, &web), (&pods.db, &db)] {
        svid.overwrite(&sidecar.certificates())?;
        is_taken_over(sidecar, svid).await?;
    }
    pods.all_is_well().await?;
    assert_eq!(pods.db.envoy().id(), process);
    // What was open has stayed so.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    open.write_all(SECRET).await?;
    open.shutdown().await?;
    let mut answer = String::new();
    open.read_to_string(&mut answer).await?;
    assert_eq!(answer, HELLO);
    Ok(())
}

#[tokio::test]
async fn a_session_is_resumed_only_where_both_sides_ask_for_it() -> anyhow::Result<()> {
    for (web, db) in [("", ""), (RESUMPTION, ""), ("", RESUMPTION), (RESUMPTION, RESUMPTION)] {
        let pages = Pages::start(web, db).await?;
        pages.are_read().await?;
        pages.are_read().await?;
        let both = [web, db] == [RESUMPTION; 2];
        assert_eq!(pages.resumed().await?, u64::from(both), "{web:?} {db:?}");
    }
    Ok(())
}

#[tokio::test]
async fn no_session_outlives_the_certificate_of_either_side() -> anyhow::Result<()> {
    let pages = Pages::start(RESUMPTION, RESUMPTION).await?;
    let Pods { web, db, issuer, network, .. } = &pages.pods;
    let addresses = [network.db.ipv4()];
    pages.are_read().await?;
    pages.are_read().await?;
    assert_eq!(pages.resumed().await?, 1);

    rotate(db, &issuer.issue(DB, &addresses)?).await?;
    pages.are_read().await?;
    assert_eq!(pages.resumed().await?, 1, "after the server's");
    rotate(web, &issuer.issue(WEB, &[])?).await?;
    pages.are_read().await?;
    assert_eq!(pages.resumed().await?, 1, "after the caller's");

    rotate(web, &issuer.issue(&format!("{WEB}-2"), &[])?).await?;
    assert!(pages.are_read().await.is_err(), "another caller");
    rotate(web, &issuer.issue(WEB, &[])?).await?;
    pages.are_read().await?;
    rotate(db, &issuer.issue(&format!("{DB}-2"), &addresses)?).await?;
    assert!(pages.are_read().await.is_err(), "another server");
    Ok(())
}

/// Two pods, and what answers before its callers have said their last: who half-closes first gets no
/// session to resume.
struct Pages {
    pods: Pods,
    _server: WebServer,
}

impl Pages {
    const PORT: u16 = 8082;

    /// With these lines more in the files of web and db.
    async fn start(web: &str, db: &str) -> anyhow::Result<Self> {
        let pods = Pods::with(&(web_mesh() + web), &(db_mesh() + db)).await?;
        let server = WebServer::start(&pods.network.db.namespace, Self::PORT).await?;
        Ok(Self { pods, _server: server })
    }

    async fn are_read(&self) -> anyhow::Result<()> {
        let Network { web, db, .. } = &self.pods.network;
        let answer = web.namespace.get(db.v4(Self::PORT), "/").await?;
        anyhow::ensure!(answer.ends_with(HELLO), "{answer}");
        Ok(())
    }

    async fn resumed(&self) -> anyhow::Result<u64> {
        self.pods.db.admin().stat("listener.127.0.0.1_15006.ssl.session_reused").await
    }
}
