//! What callers get when the kubelet doesn't do its part.

use std::time::Duration;

use gatelet_tests::client::{RawClient, get};
use gatelet_tests::fixture::{ALL, EXEC, Fixture, LOG, Setup};
use gatelet_tests::kubelet::Fault;
use hyper::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_kubelet_that_is_down_is_unavailable() -> anyhow::Result<()> {
    let fixture = faulty(Fault::RefuseConnections).await?;
    let answer = get(&fixture.apiserver()?, LOG).await?;
    assert_eq!((answer.status, &*answer.text()), (503, "Kubelet unavailable"));
    Ok(())
}

#[tokio::test]
async fn a_slow_kubelet_has_a_minute_unless_it_streams() -> anyhow::Result<()> {
    let shorter = |configuration: &mut serde_json::Value| {
        let routes = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config\
                      /route_config/virtual_hosts/0/routes/0/route/timeout";
        let timeout = configuration.pointer_mut(routes).expect("the route of quick answers");
        assert_eq!(*timeout, json!("60s"));
        *timeout = json!("0.2s");
    };
    let setup = Setup {
        kubelet_fault: Some(Fault::Slow(Duration::from_millis(400))),
        change: shorter,
        ..Setup::default()
    };
    let fixture = Fixture::start_as(ALL, setup).await?;
    for (target, status) in [
        ("/metrics", 504),
        ("/metrics/cadvisor", 504),
        ("/stats/summary", 504),
        ("/healthz", 504),
        ("/pods", 504),
        ("/configz", 504),
        (LOG, 200),
        ("/runningpods/", 200),
    ] {
        let answer = get(&fixture.apiserver()?, target).await?;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
    }
    Ok(())
}

#[tokio::test]
async fn a_redirect_leads_nowhere() -> anyhow::Result<()> {
    let fixture = faulty(Fault::RedirectTo("https://elsewhere.invalid/".to_owned())).await?;
    let answer = get(&fixture.apiserver()?, LOG).await?;
    assert_eq!((answer.status, answer.header("location")), (307, None));
    Ok(())
}

#[tokio::test]
async fn an_upgrade_that_the_kubelet_refuses_ends_the_connection() -> anyhow::Result<()> {
    let fixture = faulty(Fault::AnswerUpgradesWith(StatusCode::FORBIDDEN)).await?;
    let mut client = RawClient::connect(&fixture.apiserver()?).await?;
    let upgrade = format!(
        "POST {EXEC} HTTP/1.1\r\nHost: n\r\nContent-Length: 0\r\nConnection: Upgrade\r\n\
         Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
    );
    // What follows was never judged: once the connection is no tunnel, it must not become a request.
    client.send(format!("{upgrade}GET /pods HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).await?;
    assert_eq!(client.response().await?.status, 403);
    assert_eq!(client.rest().await?, b"");
    assert_eq!(fixture.reached(), [EXEC]);
    Ok(())
}

async fn faulty(fault: Fault) -> anyhow::Result<Fixture> {
    Fixture::start_as(ALL, Setup { kubelet_fault: Some(fault), ..Setup::default() }).await
}
