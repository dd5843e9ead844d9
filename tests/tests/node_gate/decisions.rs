//! What the policy decides is what happens, and is on record when it does.

use std::slice::from_ref;
use std::time::Duration;

use anyhow::Context as _;
use gatelet_tests::client::{Follow, OpenError, RawClient, RemoteCommand, get, open_spdy};
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{ALL, EXEC, Fixture, LOG, LOGS};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

#[tokio::test]
async fn a_denied_exec_never_reaches_the_kubelet_and_allowed_logs_do() -> anyhow::Result<()> {
    let fixture = Fixture::start(LOGS).await?;
    let apiserver = fixture.apiserver()?;

    let exec = open_spdy(&apiserver, EXEC, &["v4.channel.k8s.io"]).await;
    let Err(OpenError::Refused(refusal)) = exec else { panic!("the exec was not refused") };
    assert_eq!((refusal.status, &*refusal.text()), (403, "Denied by policy"));
    assert_eq!(fixture.reached(), Vec::<String>::new());
    let record = fixture.gate.decisions().wait_for("the denial", is_about("exec")).await?;
    assert_eq!(record["decision"]["result"], false, "{record}");
    assert_eq!(record["decision"]["reason"], "denied", "{record}");
    assert_eq!(record["response_code"], 403, "{record}");

    let logs = get(&apiserver, LOG).await?;
    assert_eq!(logs.status, 200, "{}", logs.text());
    assert_eq!(fixture.reached(), [LOG]);
    let record = fixture.gate.decisions().wait_for("the logs", is_about("containerLogs")).await?;
    assert_eq!(record["decision"]["result"], true, "{record}");
    assert_eq!(record["decision"]["rule"], "logs", "{record}");
    assert_eq!(record["bytes_sent"], logs.body.len(), "{record}");
    Ok(())
}

#[tokio::test]
async fn an_exec_is_on_record_when_it_starts_and_when_it_ends() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let decisions = fixture.gate.decisions();
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let mut session = cat.start(&fixture.apiserver()?).await?;

    let start = decisions.wait_for("the start", is_about("exec")).await?;
    assert_eq!(start["log_type"], "DownstreamTunnelSuccessfullyEstablished", "{start}");
    session.send(b"still open\n").await?;
    session.read_until("still open").await?;
    assert_eq!(decisions.records()?, from_ref(&start), "while it is open");

    session.close_stdin().await?;
    session.finish().await?;
    let end = decisions.wait_for("the end", |record| record["log_type"] == "DownstreamEnd").await?;
    assert_eq!(end["decision"], start["decision"]);
    assert!(end["bytes_sent"].as_u64() > Some(0), "{end}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_lasts_is_on_record_after_a_second_and_when_it_ends() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let decisions = fixture.gate.decisions();
    let target = "/containerLogs/default/web-0/app?follow=true";
    let mut follow = Follow::open(&fixture.apiserver()?, target).await?;

    let during = decisions.wait_for("a record", is_about("containerLogs")).await?;
    assert_eq!(during["log_type"], "DownstreamPeriodic", "{during}");
    // Envoy offers another record every second. By the time of this one, it has offered a second.
    let exec = RemoteCommand::exec("default/web-0/app", &["sleep", "1.2"]);
    exec.run(&fixture.apiserver()?, b"").await?;
    let ended = |record: &Value| is_about("exec")(record) && record["log_type"] == "DownstreamEnd";
    decisions.wait_for("the exec's end", ended).await?;
    let of_exec = decisions.records()?.into_iter().filter(is_about("exec")).count();
    assert_eq!(of_exec, 2, "its start was on record when the second was over");
    fixture.kubelet.log("last words");
    while follow.line().await?.is_some_and(|line| !line.contains("last words")) {}
    drop(follow);

    let end =
        |record: &Value| is_about("containerLogs")(record) && record["log_type"] == "DownstreamEnd";
    let end = decisions.wait_for("the end", end).await?;
    assert_eq!(end["decision"], during["decision"]);
    Ok(())
}

/// A stopped Envoy stands for a worker that is busy: neither flushes when the first second is over.
#[tokio::test]
async fn a_record_that_is_missed_while_envoy_stands_still_is_made_up_for() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let target = "/containerLogs/default/web-0/app?follow=true";
    let _follow = Follow::open(&fixture.apiserver()?, target).await?;
    let envoy = i32::try_from(fixture.gate.envoy().id())?;
    let envoy = Pid::from_raw(envoy).context("a process has a number")?;
    kill_process(envoy, Signal::STOP)?;
    // What is waited for is the time itself: that in which a first record is written.
    tokio::time::sleep(Duration::from_millis(1600)).await;
    kill_process(envoy, Signal::CONT)?;

    let decisions = fixture.gate.decisions();
    let during = decisions.wait_for("a record", is_about("containerLogs")).await?;
    assert_eq!(during["log_type"], "DownstreamPeriodic", "{during}");
    assert!(during["duration_ms"].as_u64() >= Some(5000), "{during}");
    assert!(during["bytes_sent"].as_u64() > Some(0), "{during}");
    Ok(())
}

#[tokio::test]
async fn what_envoy_refuses_has_a_record_without_a_decision() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    for (request, status, reason, path) in [
        (
            "GET http://elsewhere/pods?a=secret HTTP/1.1\r\nHost: n\r\n\r\n",
            400,
            "absolute_path_rejected",
            json!("http://elsewhere/pods"),
        ),
        (
            "GET /pods\"#x HTTP/1.1\r\nHost: n\r\n\r\n",
            400,
            "path_normalization_failed",
            json!("/pods\"#x"),
        ),
        (
            "GET /pods HTTP/1.1\r\nHost: n\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n",
            403,
            "upgrade_failed",
            json!("/pods"),
        ),
        ("FOO /pods HTTP/1.1\r\nHost: n\r\n\r\n", 400, "http1.codec_error", Value::Null),
        (
            "GET /pods HTTP/1.1\r\nHost: n\r\nX_a: b\r\n\r\n",
            400,
            "http1.unexpected_underscore",
            Value::Null,
        ),
        ("GET /pods HTTP/1.0\r\nHost: n\r\n\r\n", 426, "low_version", Value::Null),
        // Its decision would come too late for the flush after a second.
        ("GET /pods HTTP/1.1\r\nHost: n\r\n", 408, "request_header_timeout", Value::Null),
    ] {
        let mut client = RawClient::connect(&fixture.apiserver()?).await?;
        client.send(request.as_bytes()).await?;
        let answer = client.response().await?;
        assert_eq!(answer.status, status, "{request}");
        if let Some(body) = match status {
            400 => Some("Malformed request"),
            403 => Some("Denied by policy"),
            _ => None,
        } {
            assert_eq!(answer.text(), body, "{request}");
        }
        let refused = |record: &Value| record["refused"]["reason"] == reason;
        let record = fixture.gate.decisions().wait_for(reason, refused).await?;
        assert_eq!(record["refused"]["path"], path, "{record}");
        assert_eq!(record["response_code"], status, "{record}");
        assert_eq!(
            record["refused"]["subject"],
            "CN=kube-apiserver-kubelet-client,O=kubeadm:cluster-admins",
            "{record}"
        );
    }
    assert_eq!(fixture.reached(), Vec::<String>::new());

    assert_eq!(get(&fixture.apiserver()?, LOG).await?.status, 200);
    let record = fixture.gate.decisions().wait_for("a decision", is_about("containerLogs")).await?;
    assert_eq!(record.get("refused"), None, "{record}");
    Ok(())
}
