//! What kube-apiserver 1.33 and 1.36 send, as it was recorded of them, on connections like theirs:
//! TLS 1.3, no SNI, HTTP/2 on offer for all but upgrades.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use anyhow::{Context as _, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use gatelet_tests::channel::{message, split};
use gatelet_tests::client::{RawClient, Response, Session, WebSocket};
use gatelet_tests::deadline::within;
use gatelet_tests::fixture::{ALL, Fixture};
use tokio_tungstenite::tungstenite::Message;

use crate::recording::{Recording, apiserver, recordings};

const VERSIONS: [&str; 2] = ["1.33", "1.36"];

/// Readable, and denied.
pub(crate) const NONE: &str = "package kubelet.authz\n\ndecision := false";

#[tokio::test]
async fn what_a_kube_apiserver_asks_for_works_in_full() -> anyhow::Result<()> {
    for version in VERSIONS {
        let mut fixture = Fixture::start(ALL).await?;
        let echo = echo()?;
        fixture.replace_kubelet(|options| options.ports = [(8080, echo)].into()).await?;
        let apiserver = apiserver(&fixture)?;
        for recorded in recordings(version)? {
            let about = || format!("{version}: {}", recorded.action);
            let reached = fixture.reached().len();
            let mut client = recorded.send(&apiserver).await.with_context(about)?;
            let head = client.head().await.with_context(about)?;
            works(&recorded, client, head, &fixture).await.with_context(about)?;
            let arrived = fixture.kubelet.requests().split_off(reached);
            let [arrived] = &arrived[..] else { panic!("{}: {arrived:?}", about()) };
            recorded.is_what_arrived(arrived).with_context(about)?;
        }
        fixture.gate.stop();
    }
    Ok(())
}

#[tokio::test]
async fn what_is_denied_a_kube_apiserver_is_told_so_that_kubectl_shows_it() -> anyhow::Result<()> {
    for version in VERSIONS {
        let fixture = Fixture::start(NONE).await?;
        let apiserver = apiserver(&fixture)?;
        for recorded in recordings(version)? {
            let about = format!("{version}: {}", recorded.action);
            let answer = recorded.send(&apiserver).await?.response().await?;
            // Text that is no map to YAML, of a length that is known; 401, 404 and 5xx would lose it.
            assert_eq!((answer.status, &*answer.text()), (403, "Denied by policy"), "{about}");
            let header = |name| answer.header(name).map(|value| value.into_owned());
            assert_eq!(
                header("content-type").as_deref(),
                Some("text/plain; charset=utf-8"),
                "{about}"
            );
            assert_eq!(header("content-length").as_deref(), Some("16"), "{about}");
            assert_eq!(header("upgrade"), None, "{about}");
            if recorded.is_upgrade() {
                assert_eq!(header("connection").as_deref(), Some("close"), "{about}");
            }
        }
        assert_eq!(fixture.reached(), Vec::<String>::new(), "{version}");
        fixture.gate.stop();
    }
    Ok(())
}

/// Uses what was asked for.
async fn works(
    recording: &Recording,
    mut client: RawClient,
    head: Response,
    fixture: &Fixture,
) -> anyhow::Result<()> {
    if recording.action.ends_with("base64") {
        // The stand-in doesn't speak it, and that answer is passed on.
        ensure!(head.status == 403, "answered {}", head.status);
        return Ok(());
    }
    let want = if recording.is_upgrade() { 101 } else { 200 };
    ensure!(head.status == want, "answered {}", head.status);
    if recording.is_upgrade() {
        recording.is_switched(&head)?;
    }
    if recording.header("upgrade") == ["SPDY/3.1"] {
        return tunnel(client).await;
    }
    match recording.action.as_str() {
        "exec" | "exec, WebSocket client v4" | "exec, WebSocket client none" => {
            let mut session = Session::over(client.into_websocket().await);
            session.send(b"hello\n").await?;
            let finished = session.finish().await?;
            let got = (finished.stdout.as_slice(), finished.exit_code);
            ensure!(got == (b"hello\n", Some(7)), "{finished:?}");
        }
        "attach" => {
            let mut session = Session::over(client.into_websocket().await);
            session.send(b"hello\n").await?;
            session.read_until("hello\n").await?;
            session.close_stdin().await?;
            ensure!(session.finish().await?.exit_code == Some(0));
        }
        "debug" => {
            let mut session = Session::over(client.into_websocket().await);
            session.send(b"hello\n").await?;
            session.read_until("hello\r\nhello\r\n").await?;
            session.send(&[END_OF_TRANSMISSION]).await?;
            ensure!(session.finish().await?.exit_code == Some(0));
        }
        "cp, is it a directory" => {
            let session = Session::over(client.into_websocket().await);
            ensure!(session.finish().await?.exit_code == Some(0));
        }
        "cp, into the container" => {
            let mut session = Session::over(client.into_websocket().await);
            session.send(&archive(REPORT)?).await?;
            session.close_stdin().await?;
            ensure!(session.finish().await?.exit_code == Some(0));
        }
        "cp, out of the container" => {
            let finished = Session::over(client.into_websocket().await).finish().await?;
            ensure!(finished.exit_code == Some(0), "{finished:?}");
            let found = finished.stdout.windows(REPORT.len()).any(|part| part == REPORT);
            ensure!(found, "not what was copied before");
        }
        "port-forward" => spdy_in_messages(client.into_websocket().await).await?,
        "port-forward, WebSocket client v4" => forward(client.into_websocket().await).await?,
        "logs --follow" => follow(client, fixture).await?,
        _ => ensure!(client.body(head).await?.text().contains(content(&recording.action)?)),
    }
    Ok(())
}

/// What the answer of a plain request has in it.
fn content(action: &str) -> anyhow::Result<&'static str> {
    Ok(match action {
        "logs" => "listening on :8080\nready\n",
        "nodes/proxy /pods" | "nodes/proxy /runningpods/" => "PodList",
        "nodes/proxy /configz" => "kubeletconfig",
        "nodes/proxy /healthz" => "ok",
        "nodes/proxy /metrics" => "kubelet_node_name",
        "nodes/proxy /metrics/cadvisor" => "container_",
        "nodes/proxy /stats/summary" => "nodeName",
        "nodes/proxy /logs/" => "<pre>",
        "nodes/proxy /run/default/web-0/app" => "hello\n",
        "nodes/proxy /checkpoint/default/web-0/app" => "checkpoint-web-0_default-app",
        other => anyhow::bail!("no content is known of {other}"),
    })
}

const END_OF_TRANSMISSION: u8 = 4;

const REPORT: &[u8] = b"name,count\nweb,3\n";

/// What `kubectl cp` sends of a file `report.csv`.
fn archive(content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("report.csv"), content)?;
    let tar = std::process::Command::new("tar")
        .args(["cf", "-", "report.csv"])
        .current_dir(folder.path())
        .output()?;
    ensure!(tar.status.success(), "tar: {}", String::from_utf8_lossy(&tar.stderr));
    Ok(tar.stdout)
}

/// Every byte arrives, and comes back.
async fn tunnel(mut client: RawClient) -> anyhow::Result<()> {
    let frames: Vec<u8> = (0..=u8::MAX).cycle().take(70_000).collect();
    client.send(&frames).await?;
    ensure!(client.exactly(frames.len()).await? == frames, "other bytes came back");
    Ok(())
}

/// SPDY frames are cut anywhere, also into messages without a byte.
async fn spdy_in_messages(mut socket: WebSocket) -> anyhow::Result<()> {
    for length in [4, 0, 1, 3, 8, 2] {
        let part = vec![0x80; length];
        socket.send(Message::binary(part.clone())).await?;
        let back = within("the same message", socket.next()).await?.context("closed")??;
        ensure!(back == Message::binary(part), "{back:?} came back");
    }
    Ok(())
}

/// Two channels: each begins with the port, and the first one carries the bytes.
async fn forward(mut socket: WebSocket) -> anyhow::Result<()> {
    socket.send(message(0, b"ping")).await?;
    let port = 8080_u16.to_le_bytes();
    for want in [(0, &port[..]), (1, &port), (0, b"ping")] {
        let next = within("a message", socket.next()).await?.context("closed")??;
        let (channel, data) = split(next).context("a message without a channel")?;
        ensure!((channel, &data[..]) == want, "channel {channel} has {data:?}");
    }
    Ok(())
}

/// Lines come as they are written.
async fn follow(mut client: RawClient, fixture: &Fixture) -> anyhow::Result<()> {
    let mut log = Vec::new();
    for line in ["ready", "written just now"] {
        fixture.kubelet.log("written just now");
        while !String::from_utf8_lossy(&log).contains(line) {
            log.extend(client.chunk().await?.context("the log has ended")?);
        }
    }
    Ok(())
}

/// A port of this machine that sends back what it is sent.
pub(crate) fn echo() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut reader, mut writer) = (&stream, &stream);
            std::io::copy(&mut reader, &mut writer).ok();
            writer.flush().ok();
        }
    });
    Ok(port)
}
