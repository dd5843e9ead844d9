//! Two pods with their sidecars.

use std::net::SocketAddr;

use gatelet_tests::deadline::eventually;
use gatelet_tests::net::{
    Application, HELLO, Host, Issuer, Namespace, Network, Sidecar, Svid, mesh,
};

pub(crate) const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
pub(crate) const DB: &str = "spiffe://cluster.local/ns/shop/sa/db";

/// The port of every application here.
pub(crate) const PORT: u16 = 8080;

/// What nobody but the application may read.
pub(crate) const SECRET: &[u8] = b"the secret of this test";

/// web's: it calls db, and has its addresses in its certificate.
pub(crate) fn web_mesh() -> String {
    mesh(&[
        "mode strict",
        &format!("destination 10.9.0.3/32 fd09::3/128 ip-san {DB}"),
        &format!("peer {DB}"),
        "node 10.9.0.1 fd09::1",
    ])
}

/// db's: web may call it, and its kubelet probes 8080 and 8081.
pub(crate) fn db_mesh() -> String {
    mesh(&["mode strict", &format!("peer {WEB}"), "node 10.9.0.1 fd09::1", "probe 8080 8081"])
}

/// web and db with their sidecars, and an application in db.
pub(crate) struct Pods {
    pub(crate) web: Sidecar,
    pub(crate) db: Sidecar,
    pub(crate) application: Application,
    pub(crate) issuer: Issuer,
    /// Last: everything else is in it.
    pub(crate) network: Network,
}

impl Pods {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::with(&web_mesh(), &db_mesh()).await
    }

    pub(crate) async fn with(web: &str, db: &str) -> anyhow::Result<Self> {
        Self::inside(Network::create()?, web, db).await
    }

    pub(crate) async fn inside(network: Network, web: &str, db: &str) -> anyhow::Result<Self> {
        let issuer = Issuer::create()?;
        let (web_svid, db_svid) = svids(&issuer, &network)?;
        Ok(Self {
            application: Application::start(&network.db.namespace, PORT).await?,
            web: Sidecar::start(&network.web.namespace, web, &web_svid).await?,
            db: Sidecar::start(&network.db.namespace, db, &db_svid).await?,
            issuer,
            network,
        })
    }

    /// web asks db at both its addresses.
    pub(crate) async fn all_is_well(&self) -> anyhow::Result<()> {
        for address in self.network.db.both(PORT) {
            assert_eq!(self.network.web.namespace.ask(address, SECRET).await?, HELLO, "{address}");
        }
        Ok(())
    }

    /// How often something was said to db's application.
    pub(crate) fn arrived(&self) -> usize {
        self.application.seen().iter().filter(|seen| !seen.bytes.is_empty()).count()
    }
}

/// Those of web and db, with their addresses.
pub(crate) fn svids(issuer: &Issuer, network: &Network) -> anyhow::Result<(Svid, Svid)> {
    let addresses = |host: &Host| [host.ipv4(), host.ipv6()];
    Ok((issuer.issue(WEB, &addresses(&network.web))?, issuer.issue(DB, &addresses(&network.db))?))
}

/// Nobody answers in plaintext there.
pub(crate) async fn is_refused(from: &Namespace, to: SocketAddr) -> bool {
    from.ask(to, b"plaintext").await.is_err()
}

/// Gives a sidecar another identity, and waits until Envoy has it.
pub(crate) async fn rotate(sidecar: &Sidecar, svid: &Svid) -> anyhow::Result<()> {
    svid.project(&sidecar.certificates())?;
    is_taken_over(sidecar, svid).await
}

pub(crate) async fn is_taken_over(sidecar: &Sidecar, svid: &Svid) -> anyhow::Result<()> {
    let serial = svid.serial()?;
    eventually("Envoy to take over the certificate", async || {
        Ok(sidecar.admin().get("/certs").await?.contains(&serial).then_some(()))
    })
    .await
}
