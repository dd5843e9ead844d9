//! What a request costs: time on a CPU, latency at a fixed rate.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join_all;

use crate::requests::Kind;
use crate::rows::Running;
use crate::schedstat::on_cpu;

/// Connections that are kept open. One worker serves them all.
const CONNECTIONS: usize = 4;

/// What some requests came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// On a CPU, all processes of the variant, for one request.
    pub(crate) on_cpu: Duration,
    /// Requests a second.
    pub(crate) rate: f64,
}

/// Sends requests as fast as they are answered.
///
/// # Errors
/// When an answer is not the expected one.
pub(crate) async fn saturated(
    running: &Running,
    kind: Kind,
    first: usize,
    count: usize,
) -> anyhow::Result<Cost> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(running.site.connect().await?);
    }
    let each = count / CONNECTIONS;
    let (spent, began) = (total(running)?, Instant::now());
    let send = connections.into_iter().enumerate().map(|(number, mut connection)| async move {
        for index in 0..each {
            let request = running.row.request(kind, first + number * each + index);
            let answer = connection.exchange(request.as_bytes()).await?;
            ensure!(
                running.row.expects(kind, answer.status),
                "{}: {kind:?}: {answer:?}",
                running.row.name
            );
            if !answer.keeps {
                connection = running.site.connect().await?;
            }
        }
        Ok(())
    });
    try_join_all(send).await?;
    let took = began.elapsed();
    let requests = u32::try_from(each * CONNECTIONS)?;
    Ok(Cost {
        on_cpu: (total(running)? - spent) / requests,
        rate: f64::from(requests) / took.as_secs_f64(),
    })
}

/// Latencies at a fixed rate, ascending. Each counts from when the request was due, so that one slow
/// answer is seen in all that wait behind it.
///
/// # Errors
/// When an answer is not the expected one.
pub(crate) async fn at_rate(
    running: &Running,
    kind: Kind,
    first: usize,
    rate: u32,
    duration: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let period = Duration::from_secs(1) * u32::try_from(CONNECTIONS)? / rate;
    let began = Instant::now();
    let send = (0..CONNECTIONS).map(|number| async move {
        let mut connection = running.site.connect().await?;
        let offset = period * u32::try_from(number)? / u32::try_from(CONNECTIONS)?;
        let mut due = Instant::now() + offset;
        let mut latencies = Vec::new();
        let mut pod = first + number * 1_000_000;
        while began.elapsed() < duration {
            tokio::time::sleep_until(due.into()).await;
            let request = running.row.request(kind, pod);
            let answer = connection.exchange(request.as_bytes()).await?;
            latencies.push(due.elapsed());
            ensure!(running.row.expects(kind, answer.status), "{kind:?}: {answer:?}");
            if !answer.keeps {
                connection = running.site.connect().await?;
            }
            due += period;
            pod += 1;
        }
        anyhow::Ok(latencies)
    });
    let mut all: Vec<_> = try_join_all(send).await?.concat();
    all.sort();
    Ok(all)
}

fn total(running: &Running) -> anyhow::Result<Duration> {
    let authorizer = running.authorizer.as_ref().map(|process| on_cpu(process.id())).transpose()?;
    Ok(on_cpu(running.site.process())? + authorizer.unwrap_or_default())
}
