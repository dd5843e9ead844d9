//! One run: everything side by side, and the results written down.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use gatelet_bench::policies;
use gatelet_certs::Cluster;
use gatelet_tests::machine::machine;
use gatelet_tests::{gate, policy};

use crate::bulk::{self, Stream, Throughput};
use crate::cost::{at_rate, saturated};
use crate::module;
use crate::process::Process;
use crate::report::{Bar, Spread, microseconds, plot, table};
use crate::requests::Kind;
use crate::rows::{Policy, ROWS, Row, Running};
use crate::schedstat::resident;
use crate::site::{Options, Site, Transport, Upstream};
use crate::variant::Variant;

/// Requests a second at which latency is measured: far from saturation.
const RATE: u32 = 300;

/// # Errors
/// When something doesn't start, or answers otherwise than it should.
pub(crate) async fn run(rounds: usize, requests: usize, to: &Path) -> anyhow::Result<()> {
    let cluster = gate::cluster()?;
    let policies = Policies {
        shipped: policy::extension_config(&policies::shipped()?)?,
        http: policy::extension_config(&policies::http())?,
    };
    let mut text = String::from("# Results\n\n`make bench` writes this file.\n\n");
    let (costs, bars) = costs(&cluster, &policies, rounds, requests).await?;
    text.push_str(&costs);
    text.push_str(&streams(&cluster, &policies, rounds).await?);
    text.push_str(&workers(&cluster, &policies).await?);
    text.push_str(&module::section(&policies::shipped()?)?);
    text.push_str("\n## Machine\n\n");
    text.push_str(&machine()?);
    std::fs::write(to.join("results.md"), text)?;
    let title = "containerLogs, allowed: time on a CPU over Envoy without a filter";
    std::fs::write(to.join("results.svg"), plot(title, &bars))?;
    Ok(())
}

struct Policies {
    shipped: String,
    http: String,
}

impl Policies {
    fn of(&self, row: &Row) -> &str {
        match row.policy {
            Policy::Shipped => &self.shipped,
            Policy::Http => &self.http,
        }
    }
}

async fn costs(
    cluster: &Cluster,
    policies: &Policies,
    rounds: usize,
    requests: usize,
) -> anyhow::Result<(String, Vec<Bar>)> {
    let mut running = Vec::new();
    for row in ROWS {
        running.push(Running::start(row, cluster, policies.of(&row), Upstream::Envoy).await?);
    }
    let mut spent: BTreeMap<(usize, Kind), Vec<Duration>> = BTreeMap::new();
    let mut rates: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    let mut number = 1;
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for kind in Kind::ALL {
            // These close their connection: a handshake each.
            let closes = matches!(kind, Kind::Exec | Kind::Malformed);
            let count = if closes { requests / 5 } else { requests };
            for (index, running) in running.iter().enumerate() {
                let cost = saturated(running, kind, number, count).await?;
                number += count;
                spent.entry((index, kind)).or_default().push(cost.on_cpu);
                if kind == Kind::Logs {
                    rates.entry(index).or_default().push(Duration::from_secs_f64(1.0 / cost.rate));
                }
            }
        }
    }
    let mut latencies: BTreeMap<usize, (Duration, Duration)> = BTreeMap::new();
    for (index, running) in running.iter().enumerate() {
        number += 10_000_000;
        let all = at_rate(running, Kind::Logs, number, RATE, Duration::from_secs(4)).await?;
        let at = |percent: usize| all.get(all.len() * percent / 100).copied().unwrap_or_default();
        latencies.insert(index, (at(50), at(99)));
    }
    let spread = |index: usize, kind: Kind| {
        Spread::of(spent.get(&(index, kind)).cloned().unwrap_or_default())
    };
    let mut text = String::new();
    let mut bars = Vec::new();
    for transport in [Transport::Plain, Transport::Mutual] {
        let of_transport = || ROWS.iter().enumerate().filter(|(_, row)| row.transport == transport);
        let base = of_transport().next().map_or(0, |(index, _)| index);
        let mut rows = Vec::new();
        for (index, row) in of_transport() {
            let mut cells = vec![row.name.to_owned()];
            for kind in Kind::ALL {
                let (this, base) = (spread(index, kind), spread(base, kind));
                cells.push(format!(
                    "{:+.1} / {:+.1} ({:.1})",
                    this.least - base.least,
                    this.median - base.median,
                    this.least
                ));
            }
            let (p50, p99) = latencies.get(&index).copied().unwrap_or_default();
            cells.push(format!("{:.0} / {:.0}", microseconds(p50), microseconds(p99)));
            let fastest = rates.get(&index).and_then(|all| all.iter().min()).copied();
            let rate = fastest.map_or(0.0, |each| 1.0 / each.as_secs_f64());
            cells.push(format!("{rate:.0}"));
            let site = running.get(index).map(|running| &running.site).context("no such row")?;
            cells.push(format!("{:.0}", megabytes(resident(site.process())?)));
            cells.push(format!("{:.2}", site.started_in().as_secs_f64()));
            rows.push(cells);
            let more = spread(index, Kind::Logs).least - spread(base, Kind::Logs).least;
            if transport == Transport::Mutual && index != base {
                let is_ours = row.variant == Variant::Gatelet;
                bars.push(Bar { name: row.name.to_owned(), value: more, is_ours });
            }
        }
        text.push_str(match transport {
            Transport::Plain => "## Plaintext\n\n",
            Transport::Mutual => "\n## Mutual TLS to Envoy\n\n",
        });
        text.push_str(&table(
            &[
                "",
                "containerLogs µs",
                "exec µs",
                "denied µs",
                "malformed µs",
                "p50 / p99 µs",
                "requests/s",
                "RSS MB",
                "start s",
            ],
            &rows,
        ));
    }
    Ok((text, bars))
}

/// Throughput through the filter and without it, interleaved.
async fn streams(cluster: &Cluster, policies: &Policies, rounds: usize) -> anyhow::Result<String> {
    let kubelet = Process::kubelet(cluster)?;
    let mut sites = Vec::new();
    for variant in [Variant::Nothing, Variant::Gatelet] {
        sites.push(
            Site::start(&Options {
                variant,
                transport: Transport::Mutual,
                upstream: Upstream::Kubelet(kubelet.address()),
                cluster,
                policy: &policies.shipped,
                authorizer: None,
                concurrency: 1,
            })
            .await?,
        );
    }
    let mut all: BTreeMap<(usize, Stream), Vec<Throughput>> = BTreeMap::new();
    let mut first: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    for round in 0..rounds.min(5) {
        for stream in Stream::ALL {
            // A whole GiB once, as a file is; a quarter of it is as telling in the other rounds.
            let whole = stream == Stream::Download && round == 0;
            let bytes = if whole { 1 << 30 } else { 1 << 28 };
            for (index, site) in sites.iter().enumerate() {
                let throughput = bulk::read(site, stream, bytes).await?;
                all.entry((index, stream)).or_default().push(throughput);
            }
        }
        for pod in 0..20 {
            for (index, site) in sites.iter().enumerate() {
                let took = bulk::first_byte(site, round * 20 + pod).await?;
                first.entry(index).or_default().push(took);
            }
        }
    }
    let best = |index: usize, stream: Stream| {
        let all = all.get(&(index, stream)).map_or(&[][..], Vec::as_slice);
        let on_cpu = all.iter().map(|it| it.on_cpu).fold(f64::INFINITY, f64::min);
        (on_cpu, all.iter().map(|it| it.rate).fold(0.0, f64::max))
    };
    let mut rows = Vec::new();
    for stream in Stream::ALL {
        let ((without_cpu, without), (with_cpu, with)) = (best(0, stream), best(1, stream));
        rows.push(vec![
            stream.name().to_owned(),
            format!("{without:.0}"),
            format!("{with:.0}"),
            format!("{:.2}", with / without),
            format!("{without_cpu:.2}"),
            format!("{with_cpu:.2}"),
            format!("{:.2}", without_cpu / with_cpu),
        ]);
    }
    let head =
        ["", "MiB/s without", "with", "ratio", "CPU s/GiB without", "with", "ratio of 1/CPU"];
    let [without, with] =
        [0, 1].map(|index| Spread::of(first.get(&index).cloned().unwrap_or_default()));
    Ok(format!(
        "\n## Streams, mutual TLS on both sides\n\n{}\nFirst byte of an exec, from the connection on: \
         {:.2} ms without the filter, {:.2} ms with it (median; least {:.2} and {:.2}).\n",
        table(&head, &rows),
        without.median / 1000.0,
        with.median / 1000.0,
        without.least / 1000.0,
        with.least / 1000.0,
    ))
}

/// What workers cost: memory at several numbers of them, and what more would.
async fn workers(cluster: &Cluster, policies: &Policies) -> anyhow::Result<String> {
    let mut rows = Vec::new();
    let mut measured: Vec<(f64, f64)> = Vec::new();
    for concurrency in [1, 2, 4, 8] {
        let mut cells = vec![concurrency.to_string()];
        let mut memory = Vec::new();
        for variant in [Variant::Nothing, Variant::Gatelet] {
            let site = Site::start(&Options {
                variant,
                transport: Transport::Mutual,
                upstream: Upstream::Envoy,
                cluster,
                policy: &policies.shipped,
                authorizer: None,
                concurrency,
            })
            .await?;
            memory.push(megabytes(resident(site.process())?));
        }
        let [without, with] = memory.as_slice() else { continue };
        cells.extend([without, with, &(with - without)].map(|megabytes| format!("{megabytes:.0}")));
        measured.push((f64::from(u32::try_from(concurrency)?), with - without));
        rows.push(cells);
    }
    let (Some(first), Some(last)) = (measured.first(), measured.last()) else {
        anyhow::bail!("nothing was measured");
    };
    let each = (last.1 - first.1) / (last.0 - first.0);
    Ok(format!(
        "\n## Memory by workers\n\n{}\nA worker more costs {each:.1} MB; 64 of them would take {:.0} MB \
         over Envoy without the filter.\n",
        table(&["workers", "without MB", "with MB", "more MB"], &rows),
        first.1 + each * 63.0,
    ))
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
