//! The stop script lets requests finish, for a time.

use std::time::Duration;

use gatelet_tests::client::{RawClient, RemoteCommand, get};
use gatelet_tests::deadline::{eventually, within};
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{ALL, Fixture, LOG, Setup};
use gatelet_tests::kubelet::Fault;
use serde_json::Value;
use tokio::process::Child;

use crate::script::{folder, refused, script_command};

#[tokio::test]
async fn stop_lets_requests_and_sessions_finish_and_nobody_in() -> anyhow::Result<()> {
    let slow = Some(Fault::Slow(Duration::from_millis(500)));
    let setup = Setup { kubelet_fault: slow, ..Setup::default() };
    let mut fixture = Fixture::start_as(ALL, setup).await?;
    let apiserver = fixture.apiserver()?;
    let read = &["sh", "-c", "read word; echo $word"];
    let mut session =
        RemoteCommand::exec("default/web-0/app", read).with_stdin().start(&apiserver).await?;
    let mut client = RawClient::connect(&apiserver).await?;
    client.send_request("GET", LOG).await?;
    fixture.kubelet.wait_for_request("the log", |request| request.target() == LOG).await?;

    let mut stop = stop(&fixture, "60")?;
    eventually("new callers to be refused", async || {
        let error = apiserver.connect().await.err();
        Ok(error.filter(|error| error.to_string().starts_with("connect to")))
    })
    .await?;
    assert_eq!(get(&fixture.prometheus()?, "/ready").await?.status, 503);
    let answer = client.response().await?;
    assert_eq!((answer.status, &*answer.text()), (200, "ready\n"));
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
    session.send(b"unhurried\n").await?;
    assert_eq!(session.finish().await?.stdout, b"unhurried\n");

    assert!(within("stop to end", stop.wait()).await??.success());
    assert!(fixture.gate.envoy().ended().await?.success());
    for endpoint in ["exec", "containerLogs"] {
        let ended =
            |record: &Value| is_about(endpoint)(record) && record["log_type"] == "DownstreamEnd";
        fixture.gate.decisions().wait_for(endpoint, ended).await?;
    }
    Ok(())
}

#[tokio::test]
async fn stop_does_not_wait_for_ever() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let mut session = cat.start(&fixture.apiserver()?).await?;
    let mut stop = stop(&fixture, "1")?;
    fixture.gate.admin().wait_for_stat("server.live", |live| live == 0).await?;
    session.send(b"still open\n").await?;
    session.read_until("still open").await?;

    assert!(within("stop to end", stop.wait()).await??.success());
    assert!(fixture.gate.envoy().ended().await?.success());
    assert!(session.finish().await.is_err(), "cut, without a status");
    let ended = |record: &Value| record["log_type"] == "DownstreamEnd";
    fixture.gate.decisions().wait_for("the exec's end", ended).await?;
    Ok(())
}

#[test]
fn stop_says_that_nothing_runs() -> anyhow::Result<()> {
    let folder = folder()?;
    refused(script_command("stop", folder.path()).output()?, "nobody answers at admin.sock");
    Ok(())
}

fn stop(fixture: &Fixture, seconds: &str) -> anyhow::Result<Child> {
    let mut stop = tokio::process::Command::from(script_command("stop", fixture.gate.folder()));
    Ok(stop.arg(seconds).kill_on_drop(true).spawn()?)
}
