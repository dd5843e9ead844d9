//! Whatever the API server does wrong, the next good request is approved.

use std::time::Duration;

use gatelet_tests::api_server::{EVENTS, Fault, NODES, REQUESTS};
use gatelet_tests::gate;
use serde_json::json;

use crate::support::{Fixture, READABLE, Setup, api_server, conditions, worker};

const APPROVAL: &str = "certificatesigningrequests/approval";
const REVIEWS: &str = "subjectaccessreviews";

#[tokio::test]
async fn every_fault_is_survived() -> anyhow::Result<()> {
    let fixture = Fixture::start(READABLE).await?;
    // More than is read of any answer.
    let oversize = Fault::Oversize(9 * 1024 * 1024);
    for (number, (verb, resource, fault)) in [
        ("list", REQUESTS, Fault::InternalError),
        ("list", REQUESTS, Fault::TooManyRequests(1)),
        ("list", REQUESTS, Fault::Truncated),
        ("list", REQUESTS, oversize.clone()),
        ("list", REQUESTS, Fault::Expired),
        ("list", REQUESTS, Fault::Hangup),
        ("list", REQUESTS, Fault::Slow(Duration::from_millis(300))),
        ("watch", REQUESTS, Fault::InternalError),
        ("watch", REQUESTS, Fault::TooManyRequests(1)),
        ("watch", REQUESTS, Fault::Expired),
        ("watch", REQUESTS, Fault::Hangup),
        ("get", REQUESTS, Fault::InternalError),
        ("get", REQUESTS, Fault::TooManyRequests(1)),
        ("get", REQUESTS, Fault::Truncated),
        ("get", REQUESTS, Fault::Slow(Duration::from_millis(300))),
        ("get", REQUESTS, Fault::Hangup),
        ("get", REQUESTS, oversize.clone()),
        ("get", NODES, Fault::InternalError),
        ("get", NODES, Fault::Truncated),
        ("create", REVIEWS, Fault::InternalError),
        ("create", REVIEWS, Fault::TooManyRequests(1)),
        ("create", REVIEWS, Fault::Truncated),
        ("update", APPROVAL, Fault::OvertakenUpdate),
        ("update", APPROVAL, Fault::InternalError),
        ("update", APPROVAL, Fault::TooManyRequests(1)),
        // It was carried out, but the answer doesn't say so.
        ("update", APPROVAL, Fault::Truncated),
        ("update", APPROVAL, Fault::Hangup),
        ("create", EVENTS, Fault::InternalError),
        ("create", EVENTS, Fault::Hangup),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("csr-{number}");
        if verb == "list" {
            // After a watch that failed, there is another list.
            fixture.server.fail("watch", REQUESTS, Fault::Expired, 1);
        }
        fixture.server.fail(verb, resource, fault.clone(), 1);
        fixture.ask(&name)?;
        let issued = fixture.issued(&name).await?;
        let row = format!("{verb} {resource}: {fault:?}");
        assert_eq!(conditions(&issued).len(), 1, "{row}");
        fixture.server.wait_for_requests(&row, |_| fixture.server.faults_left() == 0).await?;
    }
    Ok(())
}

/// Twenty pages of what nobody has to decide, and one request behind them.
#[tokio::test]
async fn ten_thousand_decided_requests_hide_no_new_one() -> anyhow::Result<()> {
    let cluster = gate::cluster()?;
    let server = api_server(&cluster)?;
    let spec = worker(2).request()?.spec;
    let issued = json!({"certificate": "eA=="});
    for number in 0..10_000 {
        server.add_request_with(&format!("old-{number}"), &spec, &issued);
    }
    let fixture = Fixture::start_before(cluster, server, Setup::rego(READABLE)?).await?;
    fixture.ask("zzz")?;
    fixture.issued("zzz").await?;
    Ok(())
}

#[tokio::test]
async fn a_thousand_pending_requests_are_all_decided() -> anyhow::Result<()> {
    let cluster = gate::cluster()?;
    let server = api_server(&cluster)?;
    let count = pending();
    for number in 0..count {
        let requested = worker(1 + u8::try_from(number % 3)?).request()?;
        server.add_request(&format!("csr-{number}"), &requested.spec);
    }
    let begin = std::time::Instant::now();
    let fixture = Fixture::start_before(cluster, server, Setup::rego(READABLE)?).await?;
    let approved = |approved| approved >= count;
    while fixture.approver.wait_for("gatelet_approver_approved", approved).await.is_err() {
        anyhow::ensure!(count > 1_000, "a thousand take longer than the deadline");
    }
    println!("{count} requests: {:?}", begin.elapsed());
    for number in 0..count {
        let object = fixture.server.object(REQUESTS, &format!("csr-{number}"));
        assert_eq!(conditions(&object.unwrap_or_default()).len(), 1, "{number}");
    }
    Ok(())
}

/// More of them by hand: `PENDING=10000`.
fn pending() -> u64 {
    std::env::var("PENDING").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000)
}
