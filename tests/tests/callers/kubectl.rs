//! What kubectl does beyond the usual, and what strictness must not take from it.

use anyhow::Context as _;
use gatelet_tests::client::{Dialer, Follow, RawClient, Response, Session, get};
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{ALL, Fixture, LOG};
use serde_json::{Value, json};

use crate::recorded::NONE;
use crate::recording::{apiserver, recordings};

const SESSION: &str = "6a6d1a6e-6a2b-4f0e-9d5c-0f6c2f1f7f10";

#[tokio::test]
async fn one_command_that_is_denied_twice_is_recognisable_in_the_log() -> anyhow::Result<()> {
    let fixture = Fixture::start(NONE).await?;
    let apiserver = apiserver(&fixture)?;
    for action in ["exec", "exec, SPDY client"] {
        let recordings = recordings("1.36")?;
        let recorded = recordings.iter().find(|it| it.action == action).context(action)?;
        assert_eq!(recorded.send(&apiserver).await?.response().await?.status, 403, "{action}");
    }
    assert_eq!(fixture.reached(), Vec::<String>::new());

    let by = |upgrade: &'static str| {
        move |record: &Value| record.pointer("/decision/input/upgrade") == Some(&json!(upgrade))
    };
    let log = fixture.gate.decisions();
    let websocket = log.wait_for("the WebSocket's decision", by("websocket")).await?;
    let spdy = log.wait_for("the decision on SPDY", by("spdy")).await?;
    for same in
        ["kubectl_session", "input/user_agent", "input/path", "input/exec/command", "input/peer"]
    {
        let pointer = format!("/decision/{same}");
        assert!(websocket.pointer(&pointer).is_some(), "no {same} in {websocket}");
        assert_eq!(websocket.pointer(&pointer), spdy.pointer(&pointer), "{same}");
    }
    assert_eq!(websocket["decision"]["kubectl_session"], SESSION);
    for other in ["/decision/decision_id", "/connection_id", "/decision/input/method"] {
        assert_ne!(websocket.pointer(other), spdy.pointer(other), "{other}");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_timeout_goes_on_and_is_no_matter_of_the_policy() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    for (target, status) in [
        (format!("{LOG}&timeout=30s"), 200),
        ("/metrics?timeout=1m30s".to_owned(), 200),
        ("/metrics?timeout=1m30s&timeout=1s".to_owned(), 400),
        ("/metrics?timeout=%00".to_owned(), 400),
    ] {
        assert_eq!(get(&apiserver, &target).await?.status, status, "{target}");
        assert_eq!(fixture.reached().contains(&target), status == 200, "{target}");
    }
    let record = fixture.gate.decisions().wait_for("the log's", is_about("containerLogs")).await?;
    assert_eq!(record["decision"]["input"]["query"], json!({"tailLines": ["1"]}), "{record}");
    Ok(())
}

/// Kubernetes 1.37 adds it to every exec.
#[tokio::test]
async fn an_audit_id_reaches_the_process_and_is_masked_in_the_log() -> anyhow::Result<()> {
    const ID: &str = "f4a3b2c1-1234-5678-9abc-def012345678";
    let fixture = Fixture::start(ALL).await?;
    let target = format!(
        "/exec/default/web-0/app?command=printenv&command=KUBERNETES_EXEC_AUDIT_ID\
         &env=KUBERNETES_EXEC_AUDIT_ID%3D{ID}&error=1&output=1"
    );
    let (client, head) = upgrade(&fixture.apiserver()?, &target, "Upgrade").await?;
    assert_eq!(head.status, 101);
    let finished = Session::over(client.into_websocket().await).finish().await?;
    assert_eq!((&*finished.stdout, finished.exit_code), (format!("{ID}\n").as_bytes(), Some(0)));
    assert_eq!(fixture.reached(), [target]);

    let record = fixture.gate.decisions().wait_for("the exec's", is_about("exec")).await?;
    let env = &record["decision"]["input"]["exec"]["env"];
    assert_eq!(*env, json!({"KUBERNETES_EXEC_AUDIT_ID": "**"}), "{record}");
    assert!(!record.to_string().contains(ID), "{record}");
    Ok(())
}

#[tokio::test]
async fn keep_alive_may_stand_beside_upgrade_and_nothing_else_may() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    let target = "/exec/default/web-0/app?command=echo&command=hello&output=1";
    let (client, head) = upgrade(&apiserver, target, "keep-alive, Upgrade").await?;
    assert_eq!(head.status, 101);
    let finished = Session::over(client.into_websocket().await).finish().await?;
    assert_eq!((&*finished.stdout, finished.exit_code), (&b"hello\n"[..], Some(0)));

    let (mut client, head) = upgrade(&apiserver, target, "Upgrade, X-Remote-User").await?;
    assert_eq!(client.body(head).await?.text(), "Malformed request");
    assert_eq!(fixture.reached(), [target]);
    Ok(())
}

/// Ctrl-C closes the connection, and nothing goes on behind it.
#[tokio::test]
async fn a_log_that_nobody_follows_any_more_ends_at_the_kubelet() -> anyhow::Result<()> {
    const ACTIVE: &str = "cluster.kubelet.upstream_rq_active";
    let fixture = Fixture::start(ALL).await?;
    let target = "/containerLogs/default/web-0/app?follow=true";
    let mut follow = Follow::open(&fixture.apiserver()?, target).await?;
    assert_eq!(follow.line().await?.as_deref(), Some("starting\n"));
    assert_eq!(fixture.gate.admin().stat(ACTIVE).await?, 1);
    drop(follow);
    fixture.gate.admin().wait_for_stat(ACTIVE, |active| active == 0).await?;
    let connections = "cluster.kubelet.upstream_cx_active";
    fixture.gate.admin().wait_for_stat(connections, |open| open == 0).await?;
    Ok(())
}

#[tokio::test]
async fn http_2_is_offered_and_not_taken() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    for (offer, taken) in [(&["h2", "http/1.1"][..], Some(&b"http/1.1"[..])), (&[], None)] {
        let mut client = RawClient::connect(&apiserver.offering(offer)).await?;
        assert_eq!(client.tls().alpn_protocol(), taken, "{offer:?}");
        client.send_request("GET", LOG).await?;
        assert_eq!(client.response().await?.status, 200, "{offer:?}");
    }
    Ok(())
}

/// Asks for a WebSocket with this `Connection`.
async fn upgrade(
    dialer: &Dialer,
    target: &str,
    connection: &str,
) -> anyhow::Result<(RawClient, Response)> {
    let mut client = RawClient::connect(dialer).await?;
    let request = format!(
        "GET {target} HTTP/1.1\r\n\
         Host: kube-apiserver:6443\r\n\
         Connection: {connection}\r\n\
         Sec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-Websocket-Protocol: v5.channel.k8s.io\r\n\
         Sec-Websocket-Version: 13\r\n\
         Upgrade: websocket\r\n\r\n"
    );
    client.send(request.as_bytes()).await?;
    let head = client.head().await?;
    Ok((client, head))
}
