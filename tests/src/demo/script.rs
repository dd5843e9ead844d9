//! The requests of the demo, in order.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use gatelet_certs::Persona;

use super::{Policy, Row, Stage, told};
use crate::client::{
    Dialer, Follow, OpenError, PortForward, RemoteCommand, get, open_spdy, request,
};

const CONTAINER: &str = "default/web-0/app";
const DENIED: &str = "403 Denied by policy";
const MALFORMED: &str = "400 Malformed request";
const SPDY: &[&str] = &["v4.channel.k8s.io"];

/// What the log gets while somebody follows it.
pub(super) const LINE: &str = "a line written just now";
/// Where a server in the pod returns what it gets.
pub(super) const ECHO_PORT: u16 = 5432;

/// Who calls with a certificate.
pub(super) const CALLERS: [(&str, Persona); 4] = [APISERVER, PROMETHEUS, SCHEDULER, OTHER_NODE];

/// The callers, by the names that the table gives them.
const APISERVER: (&str, Persona) = ("apiserver", Persona::ApiserverKubeletClient);
const PROMETHEUS: (&str, Persona) = ("prometheus", Persona::Prometheus);
const SCHEDULER: (&str, Persona) = ("scheduler", Persona::Scheduler);
const OTHER_NODE: (&str, Persona) = ("another node", Persona::OtherNode);

/// Sends everything, one after the other.
pub(super) async fn play(stage: &mut Stage, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    denied_commands(stage, rows).await?;
    allowed(stage, rows).await?;
    refused(stage, rows).await?;
    strangers(stage, rows).await?;
    unchanged_policy(stage, rows).await?;
    policy_change(stage, rows).await
}

/// What everybody comes for: a shell that the control plane doesn't get, by no way that there is.
async fn denied_commands(stage: &mut Stage, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let shell = RemoteCommand::exec(CONTAINER, &["sh"]).with_tty();
    rows.push(spdy(stage, "exec sh, by SPDY (POST)", &shell.target()).await?);
    rows.push(command(stage, "exec sh, by WebSocket (GET)", &shell, b"", DENIED).await?);
    let run = format!("/run/{CONTAINER}?cmd=id");
    rows.push(plain(stage, APISERVER, "POST", &run, DENIED).await?);
    let attach = RemoteCommand::attach(CONTAINER);
    rows.push(command(stage, "attach with stdin, by WebSocket", &attach, b"", DENIED).await?);
    Ok(())
}

/// What the policy grants, and that it really arrives.
async fn allowed(stage: &mut Stage, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let script = "echo hello from $(basename $PWD)";
    let hello = RemoteCommand::exec(CONTAINER, &["sh", "-c", script]);
    let promise = "exit 0: hello from web-0";
    rows.push(command(stage, &format!("exec sh -c '{script}'"), &hello, b"", promise).await?);

    let logs = format!("/containerLogs/{CONTAINER}?tailLines=1");
    rows.push(plain(stage, APISERVER, "GET", &logs, "200").await?);
    rows.push(followed(stage).await?);
    rows.push(forwarded(stage).await?);
    rows.push(plain(stage, PROMETHEUS, "GET", "/metrics", "200").await?);
    Ok(())
}

/// What isn't granted, and what can't be read in one way.
async fn refused(stage: &mut Stage, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    rows.push(plain(stage, APISERVER, "GET", "/pods", DENIED).await?);
    rows.push(plain(stage, PROMETHEUS, "GET", "/configz", DENIED).await?);
    for trick in ["//exec", "/pods/../exec", "/%65xec"] {
        let target = format!("{trick}/{CONTAINER}?command=id&output=1");
        rows.push(plain(stage, APISERVER, "POST", &target, MALFORMED).await?);
    }
    Ok(())
}

/// Who is signed by the same CA and still nobody here, and who isn't signed at all.
async fn strangers(stage: &mut Stage, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let logs = format!("/containerLogs/{CONTAINER}");
    rows.push(plain(stage, SCHEDULER, "GET", &logs, DENIED).await?);
    rows.push(plain(stage, OTHER_NODE, "GET", &logs, DENIED).await?);

    let begin = Instant::now();
    let answer = get(&stage.dialer(None)?, &logs).await;
    let time = begin.elapsed();
    let is_refused = |record: &serde_json::Value| record.pointer("/refused/reason").is_some();
    let record = stage.decisions.wait_for("the refused handshake", is_refused).await?;
    rows.push(Row {
        who: "nobody".to_owned(),
        request: format!("GET {logs}"),
        answer: if answer.is_err() { "TLS handshake refused" } else { "an answer" }.to_owned(),
        rule: reason(&record).unwrap_or("no reason").to_owned(),
        time,
        as_promised: answer.is_err(),
    });
    Ok(())
}

/// BoringSSL's own word for it, out of what Envoy logs.
fn reason(record: &serde_json::Value) -> Option<&str> {
    record
        .pointer("/refused/reason")?
        .as_str()?
        .split("OPENSSL_internal:")
        .nth(1)?
        .split(':')
        .next()
}

/// A policy of kubelet-tls-proxy as it is, which knows nothing of WebSockets.
async fn unchanged_policy(stage: &mut Stage, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let time = stage.switch(Policy::KubeletTlsProxy).await?;
    rows.push(switched("an unchanged kubelet-tls-proxy policy goes live", time));
    let shell = RemoteCommand::exec(CONTAINER, &["sh"]);
    rows.push(spdy(stage, "exec sh, by SPDY (POST)", &shell.target()).await?);
    rows.push(command(stage, "exec sh, by WebSocket (GET)", &shell, b"", DENIED).await?);
    let logs = format!("/containerLogs/{CONTAINER}?tailLines=1");
    rows.push(plain(stage, APISERVER, "GET", &logs, "200").await?);
    let time = stage.switch(Policy::Demo).await?;
    rows.push(switched("the demo's policy is back", time));
    Ok(())
}

/// A session is open when its policy goes; the session stays, and the next one is denied.
async fn policy_change(stage: &mut Stage, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let cat = RemoteCommand::exec(CONTAINER, &["cat"]).with_stdin();
    let dialer = stage.dialer(Some(APISERVER.1))?;
    let begin = Instant::now();
    let mut session = cat.start(&dialer).await.context("exec cat, and leave it open")?;
    session.send(b"before\n").await?;
    let said = session.read_until("before").await?;
    let time = begin.elapsed();
    let rule = stage.rule().await?;
    rows.push(row(
        APISERVER.0,
        "exec cat, and leave it open",
        format!("session: {said}"),
        rule,
        time,
        "session: before",
    ));

    let time = stage.switch(Policy::Closed).await?;
    rows.push(switched("a policy that allows nothing goes live", time));
    rows.push(command(stage, "exec cat, again", &cat, b"", DENIED).await?);

    let begin = Instant::now();
    session.send(b"still here\n").await?;
    let said = session.read_until("still here").await?;
    session.close_stdin().await?;
    let finished = session.finish().await?;
    let answer = format!("session: {} (exit {})", said.trim(), finished.exit_code.unwrap_or(-1));
    let rule = "decided before".to_owned();
    rows.push(row(
        APISERVER.0,
        "the open session goes on",
        answer,
        rule,
        begin.elapsed(),
        "session: still here (exit 0)",
    ));
    Ok(())
}

/// A plain request; of a long answer the table has the status and the first line.
async fn plain(
    stage: &mut Stage,
    (who, persona): (&str, Persona),
    method: &str,
    target: &str,
    promise: &str,
) -> anyhow::Result<Row> {
    let dialer = stage.dialer(Some(persona))?;
    let begin = Instant::now();
    let response = request(&dialer, method, target).await?;
    let time = begin.elapsed();
    let text = response.text();
    let answer = format!("{} {}", response.status, text.lines().next().unwrap_or_default());
    let rule = stage.rule().await?;
    Ok(row(who, &format!("{method} {target}"), answer, rule, time, promise))
}

/// An exec as a kube-apiserver up to 1.35 sends it; this demo only has them denied.
async fn spdy(stage: &mut Stage, what: &str, target: &str) -> anyhow::Result<Row> {
    let dialer = stage.dialer(Some(APISERVER.1))?;
    let begin = Instant::now();
    let answer = match open_spdy(&dialer, target, SPDY).await {
        Ok(_) => "101: a tunnel".to_owned(),
        Err(error) => told(error)?,
    };
    let time = begin.elapsed();
    let rule = stage.rule().await?;
    Ok(row(APISERVER.0, what, answer, rule, time, DENIED))
}

/// A command by WebSocket, as a kube-apiserver from 1.36 on sends it, run to its end.
async fn command(
    stage: &mut Stage,
    what: &str,
    command: &RemoteCommand,
    stdin: &[u8],
    promise: &str,
) -> anyhow::Result<Row> {
    let dialer = stage.dialer(Some(APISERVER.1))?;
    let begin = Instant::now();
    let answer = match command.run(&dialer, stdin).await {
        Ok(finished) => {
            let stdout = String::from_utf8_lossy(&finished.stdout);
            format!("exit {}: {}", finished.exit_code.unwrap_or(-1), stdout.trim())
        }
        Err(error) => told(error)?,
    };
    let time = begin.elapsed();
    let rule = stage.rule().await?;
    Ok(row(APISERVER.0, what, answer, rule, time, promise))
}

/// `kubectl logs -f`: the line is written after the request was allowed.
async fn followed(stage: &mut Stage) -> anyhow::Result<Row> {
    let target = format!("/containerLogs/{CONTAINER}?follow=true&tailLines=0");
    let dialer = stage.dialer(Some(APISERVER.1))?;
    let begin = Instant::now();
    let answer = match follow(&dialer, &target).await {
        Ok(line) => format!("200 {}", line.trim()),
        Err(error) => told(error)?,
    };
    let time = begin.elapsed();
    let rule = stage.rule().await?;
    let promise = format!("200 {LINE}");
    Ok(row(APISERVER.0, &format!("GET {target}"), answer, rule, time, &promise))
}

async fn follow(dialer: &Dialer, target: &str) -> Result<String, OpenError> {
    let mut follow = Follow::open(dialer, target).await?;
    Ok(follow.line().await?.context("the log ended")?)
}

/// `kubectl port-forward` to a server that returns what it gets.
async fn forwarded(stage: &mut Stage) -> anyhow::Result<Row> {
    let dialer = stage.dialer(Some(APISERVER.1))?;
    let begin = Instant::now();
    let answer = match forward(&dialer, ECHO_PORT).await {
        Ok(echo) => format!("echo: {echo}"),
        Err(error) => told(error)?,
    };
    let time = begin.elapsed();
    let rule = stage.rule().await?;
    let what = format!("port-forward to {ECHO_PORT} of web-0");
    Ok(row(APISERVER.0, &what, answer, rule, time, "echo: ping"))
}

async fn forward(dialer: &Dialer, port: u16) -> Result<String, OpenError> {
    let mut forward = PortForward::open(dialer, "default/web-0", port).await?;
    forward.send(b"ping").await?;
    let echo = forward.receive().await?.context("the port closed")?;
    Ok(String::from_utf8_lossy(&echo).into_owned())
}

fn row(
    who: &str,
    request: &str,
    answer: String,
    rule: String,
    time: Duration,
    promise: &str,
) -> Row {
    let as_promised = answer.starts_with(promise);
    Row { who: who.to_owned(), request: request.to_owned(), answer, rule, time, as_promised }
}

fn switched(what: &str, time: Duration) -> Row {
    Row {
        who: "the node's owner".to_owned(),
        request: what.to_owned(),
        answer: "in force".to_owned(),
        rule: String::new(),
        time,
        // Envoy has said so; how long it takes depends on what else the machine does.
        as_promised: true,
    }
}
