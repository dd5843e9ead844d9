//! Many open sessions, and everything else at once: short requests, slow clients, policy updates.
//!
//! What has to hold: no session is lost, each still echoes at the end; no request is forwarded that
//! the policy in force denied; memory at the end is what it was after the sessions were opened.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::{join_all, try_join_all};
use gatelet_bench::policies;
use gatelet_tests::{gate, policy};

use crate::load::Connection;
use crate::process::Process;
use crate::requests::Kind;
use crate::schedstat::resident;
use crate::site::{Options, Site, Transport, Upstream};
use crate::variant::Variant;

/// Sessions that are opened at the same time.
const AT_ONCE: usize = 64;

/// # Errors
/// When something that has to hold doesn't.
pub(crate) async fn run(
    sessions: usize,
    rate: u32,
    slow_clients: usize,
    updates: usize,
) -> anyhow::Result<()> {
    let cluster = gate::cluster()?;
    let kubelet = Process::kubelet(&cluster)?;
    let open = policy::extension_config(&policies::shipped()?)?;
    let closed = policy::extension_config(&policies::closed())?;
    let site = Site::start(&Options {
        variant: Variant::Gatelet,
        transport: Transport::Mutual,
        upstream: Upstream::Kubelet(kubelet.address()),
        cluster: &cluster,
        policy: &open,
        authorizer: None,
        concurrency: 2,
    })
    .await?;
    let memory = |what: &str| -> anyhow::Result<()> {
        println!("{what}: Envoy has {} MB", resident(site.process())? / 1_000_000);
        Ok(())
    };
    memory("at the start")?;
    let began = Instant::now();
    let mut opened = Vec::with_capacity(sessions);
    while opened.len() < sessions {
        let count = AT_ONCE.min(sessions - opened.len());
        opened.extend(try_join_all((0..count).map(|_| session(&site))).await?);
    }
    println!("{sessions} sessions opened in {:.1} s", began.elapsed().as_secs_f64());
    memory("with the sessions")?;
    // They never finish their handshake, or their headers.
    let mut slow = Vec::new();
    for number in 0..slow_clients {
        slow.push(if number % 2 == 0 { site.half_open().await? } else { site.connect().await? });
    }
    println!("{slow_clients} slow clients");
    let traffic = traffic(&site, rate, updates);
    let updating = update(&site, &open, &closed, updates);
    let dawdling = dawdle(&mut slow);
    tokio::select! {
        both = async { tokio::try_join!(traffic, updating) } => { both?; }
        () = dawdling => {}
    }
    memory("after the traffic and the updates")?;
    let echoed = try_join_all(opened.iter_mut().map(echo)).await;
    echoed.context("a session was lost")?;
    println!("{sessions} sessions still echo");
    memory("at the end")?;
    drop(opened);
    Ok(())
}

async fn session(site: &Site) -> anyhow::Result<Connection> {
    let mut connection = site.connect().await?;
    let answer = connection.exchange(Kind::Exec.request(0).as_bytes()).await?;
    ensure!(answer.status == 101, "an exec was answered {answer:?}");
    echo(&mut connection).await?;
    Ok(connection)
}

async fn echo(connection: &mut Connection) -> anyhow::Result<()> {
    connection.send(b"x").await?;
    connection.skip(1).await
}

/// For about how long a policy is in force.
const PERIOD: Duration = Duration::from_millis(150);

/// Takes turns with a policy that allows and one that denies, and asks after each whether it is in
/// force: from then on no other decision may be made.
async fn update(site: &Site, open: &str, closed: &str, updates: usize) -> anyhow::Result<()> {
    const APPLIED: &str = "extension_config_discovery.http_filter.gatelet.update_success";
    let mut applied = site.admin()?.stat(APPLIED).await?;
    for number in 0..updates {
        let (text, status) = if number % 2 == 0 { (closed, 403) } else { (open, 200) };
        site.update_policy(text)?;
        applied = site.admin()?.wait_for_stat(APPLIED, |count| count > applied).await?;
        // A connection of its own, so that it meets whichever worker.
        for _ in 0..4 {
            let mut connection = site.connect().await?;
            let answer = connection.exchange(Kind::Logs.request(0).as_bytes()).await?;
            ensure!(answer.status == status, "update {number}: {answer:?} instead of {status}");
        }
        tokio::time::sleep(PERIOD).await;
    }
    println!("{updates} policy updates, each in force at once");
    Ok(())
}

/// Short requests at a fixed rate. While policies take turns, 200 and 403 are both right.
async fn traffic(site: &Site, rate: u32, updates: usize) -> anyhow::Result<()> {
    const CONNECTIONS: u32 = 16;
    let duration = (PERIOD + Duration::from_millis(50)) * u32::try_from(updates)?;
    let period = Duration::from_secs(1) * CONNECTIONS / rate;
    let began = Instant::now();
    let send = (0..CONNECTIONS).map(|number| async move {
        let mut connection = site.connect().await?;
        let mut due = Instant::now() + period * number / CONNECTIONS;
        let mut latencies = Vec::new();
        while began.elapsed() < duration {
            tokio::time::sleep_until(due.into()).await;
            let pod = latencies.len() % 100;
            let answer = connection.exchange(Kind::Logs.request(pod).as_bytes()).await?;
            ensure!(matches!(answer.status, 200 | 403), "{answer:?}");
            latencies.push(due.elapsed());
            due += period;
        }
        anyhow::Ok(latencies)
    });
    let mut all = try_join_all(send).await?.concat();
    all.sort();
    let at = |percent: usize| all.get(all.len() * percent / 100).copied().unwrap_or_default();
    println!(
        "{} short requests in {:.1} s, p50 {:.2} ms, p99 {:.2} ms, longest {:.0} ms",
        all.len(),
        began.elapsed().as_secs_f64(),
        at(50).as_secs_f64() * 1e3,
        at(99).as_secs_f64() * 1e3,
        all.last().copied().unwrap_or_default().as_secs_f64() * 1e3,
    );
    Ok(())
}

/// A byte each, every now and then, for as long as it goes; Envoy hangs up on them, as it should.
async fn dawdle(slow: &mut [Connection]) {
    let mut bytes = b"GET /containerLogs/default/web-0/app HTTP/1.1\r\n".iter().cycle();
    loop {
        let byte = bytes.next().copied().unwrap_or(b'x');
        join_all(
            slow.iter_mut().map(|connection| async move { connection.send(&[byte]).await.ok() }),
        )
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
