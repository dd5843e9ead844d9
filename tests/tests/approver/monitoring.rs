//! What an operator sees.

use bytes::Bytes;
use gatelet_tests::deadline::within;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::{Fixture, READABLE, Setup, worker};

#[tokio::test]
async fn metrics_tell_what_was_decided() -> anyhow::Result<()> {
    let fixture = Fixture::start(READABLE).await?;
    fixture.ask("good")?;
    let mut bad = worker(1).request()?.spec;
    bad["request"] = json!("");
    fixture.server.add_request("bad", &bad);
    fixture.issued("good").await?;
    fixture.decided("bad").await?;
    fixture.approver.wait_for("gatelet_approver_denied", |denied| denied == 1).await?;
    fixture.approver.wait_for("gatelet_approver_approved", |approved| approved == 1).await?;
    fixture.approver.wait_for("gatelet_approver_pending", |pending| pending == 0).await?;

    let (status, metrics) = ask(&fixture, Method::GET, "/metrics").await?;
    assert_eq!(status, 200);
    for line in [
        "gatelet_approver_approved{} 1",
        "gatelet_approver_denied{} 1",
        "gatelet_approver_left{} 0",
        "gatelet_approver_malformed{} 1",
        "gatelet_approver_errors{} 0",
        "gatelet_approver_conflicts{} 0",
        "gatelet_approver_pending{} 0",
        "gatelet_approver_oldest_pending_seconds{} 0",
        "gatelet_approver_policy_loaded{} 1",
        r#"gatelet_approver_policy_updates{result="accepted"} 1"#,
        // It is filled every five seconds.
        "gatelet_approver_decision_time_ms_count{} ",
    ] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_policy_is_rejected_and_the_old_one_decides() -> anyhow::Result<()> {
    let fixture = Fixture::start(READABLE).await?;
    let broken = Setup::rego("package csr.approval\n\ndecision := {")?.policy;
    fixture.approver.update_policy(&broken).await?;
    let (_, metrics) = ask(&fixture, Method::GET, "/metrics").await?;
    let line = r#"gatelet_approver_policy_updates{result="rejected"} 1"#;
    assert!(metrics.contains(line), "no {line} in\n{metrics}");
    fixture.ask("good")?;
    fixture.issued("good").await?;
    Ok(())
}

#[tokio::test]
async fn nothing_else_of_the_admin_interface_is_reachable() -> anyhow::Result<()> {
    let fixture = Fixture::start(READABLE).await?;
    fixture
        .approver
        .admin()
        .wait_for_stat("cluster.policy.membership_healthy", |count| count == 1)
        .await?;
    for (method, target, status) in [
        (Method::GET, "/metrics", 200),
        (Method::GET, "/ready", 200),
        (Method::POST, "/metrics", 404),
        (Method::GET, "/metrics?usedonly", 404),
        (Method::GET, "/config_dump", 404),
        (Method::POST, "/quitquitquit", 404),
    ] {
        let (got, _) = ask(&fixture, method.clone(), target).await?;
        assert_eq!(got, status, "{method} {target}");
    }
    Ok(())
}

async fn ask(fixture: &Fixture, method: Method, target: &str) -> anyhow::Result<(u16, String)> {
    let exchange = async {
        let stream = TcpStream::connect(fixture.approver.monitoring()).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder().method(method).uri(target).header("host", "approver");
        let answer = async {
            let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            Ok((status, String::from_utf8(body.to_vec())?))
        };
        tokio::select! {
            answer = answer => answer,
            Err(error) = connection => Err(error.into()),
        }
    };
    within(target, exchange).await?
}
