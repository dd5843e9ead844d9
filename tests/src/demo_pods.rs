//! What the sidecar does, as a table: plain `curl` between two pods, and what the wire shows of it.

use std::net::SocketAddr;
use std::time::Instant;

use crate::demo::{Row, Table};
use crate::net::{Host, Issuer, Network, Rules, Sidecar, Svid, WebServer, Wire, mesh};

const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const DB: &str = "spiffe://cluster.local/ns/shop/sa/db";
const PORT: u16 = 8080;

/// Runs the whole demo.
///
/// # Errors
/// When something can't be started, for one because this is not root.
pub async fn run() -> anyhow::Result<Table> {
    let stage = Stage::build().await?;
    let mut rows = Vec::new();
    let broken_off = stage.play(&mut rows).await.err();
    Ok(Table { rows, broken_off, longest: 46, columns: None })
}

/// Two pods, a node and an outsider; the pods have no sidecar yet.
struct Stage {
    server: WebServer,
    web: Svid,
    db: Svid,
    network: Network,
}

/// What a row promises.
#[derive(Clone, Copy)]
struct Promise {
    answer: &'static str,
    seen: &'static str,
}

impl Stage {
    async fn build() -> anyhow::Result<Self> {
        let network = Network::create()?;
        let issuer = Issuer::create()?;
        Ok(Self {
            server: WebServer::start(&network.db.namespace, PORT).await?,
            web: issuer.issue(WEB, &[network.web.ipv4(), network.web.ipv6()])?,
            db: issuer.issue(DB, &[network.db.ipv4(), network.db.ipv6()])?,
            network,
        })
    }

    async fn play(&self, rows: &mut Vec<Row>) -> anyhow::Result<()> {
        let Network { web, db, outsider, node } = &self.network;
        let (v4, v6) = (db.v4(PORT), db.v6(PORT));
        let plaintext = Promise { answer: "200", seen: "plaintext on the wire" };
        rows.push(self.curl("web, without sidecars", web, v4, plaintext).await?);

        let sidecar = Sidecar::start(&web.namespace, &web_mesh(), &self.web).await?;
        let server = Sidecar::start(&db.namespace, &db_mesh(), &self.db).await?;
        let encrypted = Promise { answer: "200", seen: "TLS on the wire" };
        rows.push(self.curl("web", web, v4, encrypted).await?);
        rows.push(self.curl("web", web, v6, encrypted).await?);
        let refused = Promise { answer: "refused", seen: "nothing arrived" };
        rows.push(self.curl("an outsider", outsider, v4, refused).await?);
        rows.push(self.curl("an outsider", outsider, v6, refused).await?);
        rows.push(self.curl("the node: a probe", node, v4, plaintext).await?);
        rows.push(self.curl("the node: a dead port", node, db.v4(8081), refused).await?);
        rows.push(self.curl("the node: another port", node, db.v4(9090), refused).await?);

        let stopped = server.crash();
        rows.push(self.curl("db's Envoy is killed: web", web, v4, refused).await?);
        rows.push(self.curl("an outsider", outsider, v4, refused).await?);
        let server = stopped.restart(&db.namespace).await?;
        rows.push(self.curl("it is back: web", web, v4, encrypted).await?);
        drop(sidecar.crash());
        rows.push(self.curl("web's Envoy is killed: web", web, v4, refused).await?);
        Rules::new(&web.namespace, &web_mesh())?.down()?;
        rows.push(self.curl("web without its rules", web, v4, refused).await?);
        drop(server.crash());
        Ok(())
    }

    /// One `curl`, what it got, and what the application and the wire saw of it.
    async fn curl(
        &self,
        who: &str,
        from: &Host,
        to: SocketAddr,
        promise: Promise,
    ) -> anyhow::Result<Row> {
        let wire = Wire::record(&self.network).await?;
        let path = format!("/hello-from-{}", from.ipv4());
        let url = format!("http://{to}{path}");
        let before = self.server.requests().len();
        let mut command = from.namespace.command("curl");
        command.args(["--silent", "--output", "/dev/null", "--max-time", "10"]);
        command.args(["--write-out", "%{http_code}", &url]);
        let begin = Instant::now();
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let time = begin.elapsed();
        wire.settle(from).await?;

        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        let answer = if output.status.success() { status } else { "refused".to_owned() };
        // A handshake names its server, and is all that can be read of what is encrypted.
        let (plaintext, handshake) = (wire.has(path.as_bytes()), wire.has(b"gatelet.invalid"));
        let seen = match (self.server.requests().get(before), plaintext, handshake) {
            (None, ..) => "nothing arrived".to_owned(),
            (Some(asked), false, true) => format!("TLS on the wire, from {}", asked.peer),
            (Some(asked), true, _) => format!("plaintext on the wire, from {}", asked.peer),
            (Some(asked), false, false) => format!("nothing on the wire, from {}", asked.peer),
        };
        let from_caller = self
            .server
            .requests()
            .get(before)
            .is_none_or(|asked| [from.ipv4(), from.ipv6()].contains(&asked.peer));
        Ok(Row {
            who: who.to_owned(),
            request: format!("curl {url}"),
            as_promised: answer == promise.answer && seen.starts_with(promise.seen) && from_caller,
            answer,
            rule: seen,
            time,
        })
    }
}

fn web_mesh() -> String {
    mesh(&[
        "mode strict",
        &format!("destination 10.9.0.3/32 fd09::3/128 ip-san {DB}"),
        &format!("peer {DB}"),
    ])
}

fn db_mesh() -> String {
    mesh(&["mode strict", &format!("peer {WEB}"), "node 10.9.0.1 fd09::1", "probe 8080 8081"])
}
