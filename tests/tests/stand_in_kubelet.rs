//! The stand-in kubelet behaves like a kubelet, and records what reached it.

#[path = "support/kube_rs.rs"]
mod kube_rs;
#[path = "support/pki.rs"]
mod pki;

use std::fs::File;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use gatelet_tests::channel::{SPDY_TUNNEL, TerminalSize};
use gatelet_tests::client::{
    Dialer, Follow, OpenError, PortForward, RawClient, RemoteCommand, get, open_spdy,
    open_websocket, request,
};
use gatelet_tests::deadline::within;
use gatelet_tests::kubelet::{Account, Fault, Options, Recorded, StandInKubelet, User, Webhook};
use gatelet_tests::tls::Identity;
use hyper::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

use self::pki::Authority;

const NODE: &str = "worker-1";
const CONTAINER: &str = "default/web-0/app";

/// A stand-in kubelet, the certificates of it and its clients, and its scratch directory.
struct Fixture {
    kubelet: StandInKubelet,
    dialer: Dialer,
    authority: Authority,
    client: Identity,
    scratch: TempDir,
}

impl Fixture {
    fn start() -> anyhow::Result<Self> {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut Options)) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let authority = Authority::new()?;
        let client = authority.client("gate")?;
        let mut options =
            Options::new(authority.server(NODE)?, authority.pem(), scratch.path().to_owned());
        change(&mut options);
        let kubelet = StandInKubelet::start(options)?;
        let dialer = Dialer::new(kubelet.address(), NODE, &authority.pem(), Some(&client))?;
        Ok(Self { kubelet, dialer, authority, client, scratch })
    }

    /// Sends these bytes on a connection of its own.
    async fn send(&self, bytes: &str) -> anyhow::Result<RawClient> {
        let mut client = RawClient::connect(&self.dialer).await?;
        client.send(bytes.as_bytes()).await?;
        Ok(client)
    }
}

#[tokio::test]
async fn only_clients_of_its_ca_are_answered() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let stranger = Authority::new()?.client("gate")?;
    for (who, identity) in [("nobody", None), ("a stranger", Some(&stranger))] {
        let dialer =
            Dialer::new(fixture.kubelet.address(), NODE, &fixture.authority.pem(), identity)?;
        assert!(get(&dialer, "/healthz").await.is_err(), "{who} was answered");
    }
    assert!(fixture.kubelet.requests().is_empty());

    assert_eq!(get(&fixture.dialer, "/healthz").await?.text(), "ok");
    let requests = fixture.kubelet.requests();
    assert_eq!(requests.len(), 1);
    let User::Certificate(peer) = &requests[0].user else { panic!("{requests:?}") };
    assert_eq!(peer.subject, "CN=gate");
    assert_eq!(peer.certificate_sha256.len(), 64);
    Ok(())
}

/// Whoever got the wrong one of these past the gate would be believed.
#[tokio::test]
async fn with_webhooks_it_believes_a_certificate_then_the_first_token() -> anyhow::Result<()> {
    let scraper = Account { name: "scraper".to_owned(), may_get: vec!["metrics".to_owned()] };
    let fixture = Fixture::start_with(|options| {
        options.webhook = Some(Webhook { tokens: [("t".to_owned(), scraper)].into() });
    })?;
    let anybody = Dialer::new(fixture.kubelet.address(), NODE, &fixture.authority.pem(), None)?;
    let gate = "CN=gate";
    for (dialer, lines, target, status, user) in [
        (&fixture.dialer, "Authorization: Bearer t\r\n", "/pods", 200, gate),
        (&fixture.dialer, "Authorization: Bearer x\r\n", "/metrics", 200, gate),
        (&anybody, "Authorization: Bearer t\r\n", "/metrics", 200, "scraper"),
        (&anybody, "authorization: bEARER t\r\n", "/metrics", 200, "scraper"),
        (&anybody, "Authorization: Bearer t\r\nAuthorization: x\r\n", "/metrics", 200, "scraper"),
        (&anybody, "Authorization: Bearer t\r\n", "/pods", 403, "scraper"),
        (&anybody, "Authorization: Bearer x\r\n", "/metrics", 401, "nobody"),
        (&anybody, "Authorization: x\r\nAuthorization: Bearer t\r\n", "/metrics", 401, "nobody"),
        (&anybody, "X-Remote-User: root\r\nImpersonate-User: root\r\n", "/metrics", 401, "nobody"),
        (&anybody, "", "/healthz", 401, "nobody"),
    ] {
        let mut client = RawClient::connect(dialer).await?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: n\r\n{lines}\r\n");
        client.send(request.as_bytes()).await?;
        assert_eq!(client.response().await?.status, status, "{target} {lines:?}");
        let arrived = fixture.kubelet.requests().pop().context("no request")?.user;
        let arrived = match &arrived {
            User::Certificate(peer) => &peer.subject,
            User::Token(name) => name,
            User::Nobody => "nobody",
        };
        assert_eq!(arrived, user, "{target} {lines:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_plain_endpoint_answers_in_a_kubelets_shape() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    for (target, content_type, part) in [
        ("/pods", "application/json", r#""kind":"PodList""#),
        ("/runningpods/", "application/json", r#""kind":"PodList""#),
        ("/stats/summary", "application/json", r#""nodeName": "worker-1""#),
        ("/configz", "application/json", r#"{"kubeletconfig":{"#),
        ("/metrics", "text/plain; version=0.0.4", "kubelet_running_pods 1\n"),
        ("/metrics/cadvisor", "text/plain; version=0.0.4", "container_cpu_usage_seconds_total{"),
        ("/metrics/resource", "text/plain; version=0.0.4", "node_memory_working_set_bytes "),
        ("/metrics/probes", "text/plain; version=0.0.4", "prober_probe_total{"),
        ("/metrics/slis", "text/plain; version=0.0.4", "kubernetes_healthcheck{"),
        ("/healthz", "text/plain", "ok"),
        ("/healthz/ping", "text/plain", "ok"),
        ("/healthz/log", "text/plain", "ok"),
        ("/healthz/syncloop", "text/plain", "ok"),
        ("/flagz", "text/plain", "kubelet flagz"),
        ("/statusz", "text/plain", "kubelet statusz"),
        ("/logs/", "text/html", r#"<a href="syslog">"#),
        ("/logs/syslog", "text/plain", "kubelet.service"),
        ("/debug/pprof/heap", "text/plain", "profile"),
    ] {
        let response = get(&fixture.dialer, target).await.context(target)?;
        assert_eq!(response.status, 200, "{target}");
        assert!(response.text().contains(part), "{target}: {}", response.text());
        let found = response.header("content-type").unwrap_or_default();
        assert!(found.starts_with(content_type), "{target}: {found}");
    }
    Ok(())
}

#[tokio::test]
async fn methods_and_paths_are_taken_as_a_kubelet_takes_them() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    for (method, target, status, body) in [
        ("POST", "/run/default/web-0/app?cmd=echo+hello", 200, "hello\n"),
        ("POST", "/run/default/web-0/uid/app?cmd=echo+hello&cmd=ls", 200, "hello\n"),
        ("POST", "/run/default/web-0/app?cmd=false", 500, "command exited with 1"),
        ("GET", "/run/default/web-0/app?cmd=id", 405, "405: Method Not Allowed"),
        (
            "POST",
            "/checkpoint/default/web-0/app",
            200,
            r#"{"items":["/var/lib/kubelet/checkpoints/"#,
        ),
        ("GET", "/checkpoint/default/web-0/app", 405, "405: Method Not Allowed"),
        ("POST", "/pods", 405, "405: Method Not Allowed"),
        ("DELETE", "/exec/default/web-0/app?command=id&output=1", 405, "405: Method Not Allowed"),
        ("POST", "/containerLogs/default/web-0/app", 405, "405: Method Not Allowed"),
        ("DELETE", "/metrics/slis", 200, "kubernetes_healthcheck"),
        ("FOO", "/metrics", 200, "kubelet_running_pods"),
        ("PUT", "/debug/flags/v", 200, "successfully set"),
        ("GET", "/exec/default/web-0/app?command=id&output=1", 500, "Upgrade request required"),
        ("POST", "/portForward/default/web-0", 500, "Upgrade request required"),
        ("POST", "/exec/default/web-0/app?command=id", 400, "you must specify at least 1 of"),
        ("GET", "/exec/default/web-0", 404, "404 page not found"),
        ("GET", "/portforward/default/web-0", 404, "404 page not found"),
        ("GET", "/metrics/", 404, "404 page not found"),
        ("GET", "/metrics/nothing", 404, "404 page not found"),
        ("GET", "/", 404, "404 page not found"),
        ("GET", "/exec/%zz", 400, "400 Bad Request"),
    ] {
        let row = format!("{method} {target}");
        let response = request(&fixture.dialer, method, target).await.context(row.clone())?;
        assert_eq!(response.status, status, "{row}");
        assert!(response.text().contains(body), "{row}: {}", response.text());
    }
    Ok(())
}

#[tokio::test]
async fn an_unclean_path_is_redirected_and_an_encoded_one_is_not() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    for (target, location) in [
        ("//pods", "/pods"),
        ("/healthz/../pods?a=b", "/pods?a=b"),
        ("/runningpods", "/runningpods/"),
    ] {
        let response = get(&fixture.dialer, target).await?;
        assert_eq!(
            (response.status, response.header("location").as_deref()),
            (307, Some(location)),
            "{target}"
        );
    }
    assert_eq!(get(&fixture.dialer, "/%70ods").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_record_has_what_the_http_parser_hides() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let head =
        "POST /healthz#/../pods HTTP/1.1\r\nHost: kubelet\r\nX-One: 1\r\nx-two: 2\r\nX-ONE: 3\r\n";
    let mut client = fixture.send(&format!("{head}Content-Length: 3\r\n\r\nabc")).await?;
    client.response().await?;
    let chunks =
        "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nTrailer: t\r\n\r\n";
    client
        .send(format!("{head}{chunks}GET /pods HTTP/1.1\r\nHost: kubelet\r\n\r\n").as_bytes())
        .await?;
    client.response().await?;
    client.response().await?;
    for refused in ["GET /pods HTTP/9.9\r\n\r\n", "GET /pods<exec HTTP/1.1\r\n\r\n"] {
        assert_eq!(fixture.send(refused).await?.response().await?.status, 400, "{refused}");
    }
    drop(fixture.send("GET /pods HT").await?);
    let half = |request: &Recorded| request.head == b"GET /pods HT";
    fixture.kubelet.wait_for_request("half a request", half).await?;

    let requests = fixture.kubelet.requests();
    assert_eq!(requests.len(), 6);
    assert_eq!(requests[0].target(), "/healthz#/../pods");
    let names: Vec<&str> = requests[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Host", "X-One", "x-two", "X-ONE", "Content-Length"]);
    assert_eq!(requests[0].header("x-one"), ["1", "3"]);
    assert_eq!(requests[0].body_length, 3);
    assert_eq!(requests[1].body_length, 5, "a chunked body");
    assert_eq!((requests[2].method.as_str(), requests[2].target().as_ref()), ("GET", "/pods"));
    assert_eq!(requests[2].connection, requests[0].connection);
    assert!(requests[3].is_malformed() && requests[3].head.starts_with(b"GET /pods HTTP/9.9"));
    assert_eq!(requests[4].target(), "/pods<exec");
    assert!(requests[5].is_malformed());
    Ok(())
}

#[tokio::test]
async fn exec_runs_a_process_and_reports_how_it_ended() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    for (script, stdout, stderr, exit_code) in [
        ("echo out; echo err >&2", "out\n", "err\n", 0),
        ("printf '%s|' 'a b' 'c;d&e+f%'; exit 3", "a b|c;d&e+f%|", "", 3),
        ("kill -TERM $$", "", "", 143),
    ] {
        let command = RemoteCommand::exec(CONTAINER, &["sh", "-c", script]);
        let finished = command.run(&fixture.dialer, b"").await?;
        assert_eq!(finished.exit_code, Some(exit_code), "{script}: {}", finished.status);
        assert_eq!(String::from_utf8(finished.stdout)?, stdout, "{script}");
        assert_eq!(String::from_utf8(finished.stderr)?, stderr, "{script}");
    }
    let missing =
        RemoteCommand::exec(CONTAINER, &["no-such-program"]).run(&fixture.dialer, b"").await?;
    assert_eq!((missing.exit_code, &missing.status["reason"]), (None, &"InternalError".into()));
    let directory =
        RemoteCommand::exec(CONTAINER, &["pwd", "-P"]).run(&fixture.dialer, b"").await?;
    assert_eq!(
        Path::new(String::from_utf8(directory.stdout)?.trim_end()),
        fixture.scratch.path().canonicalize()?
    );
    Ok(())
}

#[tokio::test]
async fn stdin_is_closed_by_half_and_the_output_still_comes() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let input: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 251) as u8).collect();
    let cat = RemoteCommand::exec(CONTAINER, &["cat"]).with_stdin();
    let finished = cat.run(&fixture.dialer, &input).await?;
    assert_eq!(finished.exit_code, Some(0));
    assert!(
        finished.stdout == input,
        "{} of {} bytes came back",
        finished.stdout.len(),
        input.len()
    );

    let mut session = RemoteCommand::exec(CONTAINER, &["sh", "-c", "cat; echo end"])
        .with_stdin()
        .start(&fixture.dialer)
        .await?;
    session.send(b"begin\n").await?;
    assert_eq!(session.read_until("begin\n").await?, "begin\n");
    session.close_stdin().await?;
    assert_eq!(session.finish().await?.stdout, b"end\n");
    Ok(())
}

#[tokio::test]
async fn a_terminal_has_the_size_that_the_client_says() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let script = "read go; stty size; read go; stty size; test -t 2 && exit 7";
    let mut session = RemoteCommand::exec(CONTAINER, &["sh", "-c", script])
        .with_tty()
        .start(&fixture.dialer)
        .await?;
    for (width, height) in [(132, 43), (80, 24)] {
        session.resize(TerminalSize { width, height }).await?;
        session.send(b"\n").await?;
        session.read_until(&format!("{height} {width}\r\n")).await?;
    }
    assert_eq!(session.finish().await?.exit_code, Some(7));
    Ok(())
}

#[tokio::test]
async fn attach_reaches_the_containers_own_process() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let finished = RemoteCommand::attach(CONTAINER).run(&fixture.dialer, b"hello").await?;
    assert_eq!((finished.stdout.as_slice(), finished.exit_code), (&b"hello"[..], Some(0)));
    assert!(fixture.kubelet.requests()[0].target().starts_with("/attach/default/web-0/app?"));
    Ok(())
}

/// A pipe that is at its end when the command, and whatever it started, has gone.
async fn held_pipe(
    fixture: &Fixture,
    tty: bool,
) -> anyhow::Result<(File, gatelet_tests::client::Session)> {
    let pipe = fixture.scratch.path().join("pipe");
    let script = "mkfifo pipe; echo ready; (sleep 60; true) > pipe";
    let command = RemoteCommand::exec(CONTAINER, &["sh", "-c", script]);
    let command = if tty { command.with_tty() } else { command };
    let mut session = command.start(&fixture.dialer).await?;
    session.read_until("ready").await?;
    let file =
        within("the command", tokio::task::spawn_blocking(move || File::open(pipe))).await???;
    Ok((file, session))
}

async fn end_of(mut pipe: File) -> anyhow::Result<()> {
    let read = tokio::task::spawn_blocking(move || pipe.read_to_end(&mut Vec::new()));
    assert_eq!(within("the command to be killed", read).await???, 0);
    Ok(())
}

#[tokio::test]
async fn a_command_dies_with_its_client() -> anyhow::Result<()> {
    for tty in [false, true] {
        let fixture = Fixture::start()?;
        let (pipe, session) = held_pipe(&fixture, tty).await?;
        session.disconnect();
        end_of(pipe).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_command_dies_with_the_kubelet() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let (pipe, _session) = held_pipe(&fixture, false).await?;
    drop(fixture);
    end_of(pipe).await
}

#[tokio::test]
async fn the_first_known_subprotocol_is_taken() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    for (offered, status, chosen) in [
        (
            "Sec-WebSocket-Protocol: v4.channel.k8s.io, v5.channel.k8s.io\r\n",
            101,
            Some("v5.channel.k8s.io"),
        ),
        ("Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n", 101, Some("v4.channel.k8s.io")),
        ("", 101, None),
        ("Sec-WebSocket-Protocol: v6.channel.k8s.io\r\n", 403, None),
    ] {
        let mut client = fixture
            .send(&format!(
                "GET /exec/default/web-0/app?command=true&output=1 HTTP/1.1\r\nHost: kubelet\r\n\
                 Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offered}\r\n"
            ))
            .await?;
        let response = client.response().await?;
        assert_eq!(response.status, status, "{offered}");
        assert_eq!(response.header("sec-websocket-protocol").as_deref(), chosen, "{offered}");
    }
    Ok(())
}

#[tokio::test]
async fn spdy_is_answered_with_101_and_carries_bytes_both_ways() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    for (target, offered, chosen) in [
        (
            "/exec/default/web-0/app?command=id&output=1",
            &["v5.channel.k8s.io", "v2.channel.k8s.io", "v4.channel.k8s.io"][..],
            "v4.channel.k8s.io",
        ),
        ("/attach/default/web-0/app?output=1", &["channel.k8s.io"], "channel.k8s.io"),
        ("/portForward/default/web-0", &["portforward.k8s.io"], "portforward.k8s.io"),
    ] {
        let versions: String =
            offered.iter().map(|offer| format!("X-Stream-Protocol-Version: {offer}\r\n")).collect();
        // The first bytes come with the request: they belong to the tunnel all the same.
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: kubelet\r\nContent-Length: 0\r\nConnection: Upgrade\r\n\
             Upgrade: SPDY/3.1\r\n{versions}\r\nearly\0"
        );
        let mut client = fixture.send(&request).await?;
        let response = client.head().await?;
        assert_eq!(response.status, 101, "{target}");
        assert_eq!(response.header("upgrade").as_deref(), Some("SPDY/3.1"), "{target}");
        assert_eq!(
            response.header("x-stream-protocol-version").as_deref(),
            Some(chosen),
            "{target}"
        );
        client.send(b"GET /pods HTTP/1.1\r\n\r\n").await?;
        assert_eq!(client.exactly(28).await?, b"early\0GET /pods HTTP/1.1\r\n\r\n", "{target}");

        let requests = fixture.kubelet.requests();
        let last = requests.last().context("nothing was recorded")?;
        assert_eq!(last.target(), target, "what came through the tunnel was taken for a request");
        assert_eq!(last.tunnel, b"early\0GET /pods HTTP/1.1\r\n\r\n", "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn spdy_needs_a_stream_protocol_that_the_kubelet_knows() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let target = "/exec/default/web-0/app?command=id&output=1";
    for (offered, want) in [
        (&[][..], Some(400)),
        (&["v9.channel.k8s.io"], Some(403)),
        (&["portforward.k8s.io"], Some(403)),
        (&["v9.channel.k8s.io", "v3.channel.k8s.io"], None),
    ] {
        let refused = match open_spdy(&fixture.dialer, target, offered).await {
            Ok(_) => None,
            Err(OpenError::Refused(response)) => Some(response.status),
            Err(OpenError::Failed(error)) => return Err(error),
        };
        assert_eq!(refused, want, "{offered:?}");
    }
    Ok(())
}

#[tokio::test]
async fn port_forward_reaches_the_ports_of_its_map_only() -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let local = listener.local_addr()?.port();
    let fixture = Fixture::start_with(|options| {
        options.ports.insert(8080, local);
    })?;
    let mut forward = PortForward::open(&fixture.dialer, "default/web-0", 8080).await?;
    let (mut server, _) = within("a connection", listener.accept()).await??;
    forward.send(b"ping").await?;
    let mut received = [0; 4];
    within("ping", server.read_exact(&mut received)).await??;
    assert_eq!(&received, b"ping");
    server.write_all(b"pong").await?;
    assert_eq!(forward.receive().await?.as_deref(), Some(&b"pong"[..]));
    drop(server);
    assert_eq!(forward.receive().await?, None);

    let mut unmapped = PortForward::open(&fixture.dialer, "default/web-0", local).await?;
    let error = unmapped.receive().await.expect_err("an unmapped port was reached");
    assert!(error.to_string().contains("connection refused"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_port_forward_tunnel_sends_back_each_message() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let mut socket =
        open_websocket(&fixture.dialer, "/portForward/default/web-0", SPDY_TUNNEL).await?;
    for part in [&b"\x80\x03"[..], b"", b"\0\x01"] {
        socket.send(Message::binary(part.to_vec())).await?;
        let back = within("the message", socket.next()).await?.context("closed")??;
        assert_eq!(back.into_data(), part);
    }
    Ok(())
}

#[tokio::test]
async fn logs_are_selected_by_the_query() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    for (query, status, body) in [
        ("", 200, "starting\nlistening on :8080\nready\n"),
        ("?tailLines=2", 200, "listening on :8080\nready\n"),
        ("?tailLines=0", 200, ""),
        ("?limitBytes=10", 200, "starting\nl"),
        ("?follow=false", 200, "starting\nlistening on :8080\nready\n"),
        ("?tailLines=-1", 400, "Unable to decode query."),
        ("?previous=true", 400, "previous terminated container not found"),
    ] {
        let response =
            get(&fixture.dialer, &format!("/containerLogs/default/web-0/app{query}")).await?;
        assert_eq!((response.status, response.text().as_ref()), (status, body), "{query}");
    }
    let stamped =
        get(&fixture.dialer, "/containerLogs/default/web-0/app?tailLines=1&timestamps=true")
            .await?;
    let text = stamped.text();
    assert!(text.starts_with("20") && text.ends_with("Z ready\n"), "{text}");
    Ok(())
}

#[tokio::test]
async fn followed_logs_come_line_by_line() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let target = "/containerLogs/default/web-0/app?follow=true&tailLines=1";
    let mut log = Follow::open(&fixture.dialer, target).await?;
    assert_eq!(log.line().await?.as_deref(), Some("ready\n"));
    for line in ["one", "two"] {
        fixture.kubelet.log(line);
        assert_eq!(log.line().await?, Some(format!("{line}\n")));
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_upgrade_leaves_the_connection_open_for_what_was_smuggled() -> anyhow::Result<()>
{
    for status in [StatusCode::OK, StatusCode::FORBIDDEN] {
        let fixture =
            Fixture::start_with(|options| options.fault = Some(Fault::AnswerUpgradesWith(status)))?;
        let error = RemoteCommand::exec(CONTAINER, &["id"]).run(&fixture.dialer, b"").await;
        let Err(OpenError::Refused(response)) = error else { anyhow::bail!("{error:?}") };
        assert_eq!(response.status, status.as_u16());

        let mut client = fixture
            .send(
                "GET /exec/default/web-0/app?command=id&output=1 HTTP/1.1\r\nHost: kubelet\r\n\
                 Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
                 POST /run/default/web-0/app?cmd=echo+smuggled HTTP/1.1\r\nHost: kubelet\r\n\r\n",
            )
            .await?;
        assert_eq!(client.response().await?.status, status.as_u16());
        assert_eq!(client.response().await?.text(), "smuggled\n");
        let last = fixture.kubelet.requests().pop().context("nothing was recorded")?;
        assert_eq!(last.method, "POST");
    }
    Ok(())
}

#[tokio::test]
async fn the_other_faults_are_what_they_say() -> anyhow::Result<()> {
    let refusing = Fixture::start_with(|options| options.fault = Some(Fault::RefuseConnections))?;
    let error = get(&refusing.dialer, "/healthz").await.expect_err("somebody listens");
    assert!(format!("{error:#}").contains("Connection refused"), "{error:#}");

    let silent = Fixture::start_with(|options| options.fault = Some(Fault::NeverAnswer))?;
    let _client = silent.send("GET /pods HTTP/1.1\r\nHost: kubelet\r\n\r\n").await?;
    silent.kubelet.wait_for_request("the request", |request| request.target() == "/pods").await?;

    let delay = Duration::from_millis(50);
    let slow = Fixture::start_with(|options| options.fault = Some(Fault::Slow(delay)))?;
    let started = Instant::now();
    assert_eq!(get(&slow.dialer, "/healthz").await?.text(), "ok");
    assert!(started.elapsed() >= delay);

    let elsewhere = "https://10.0.0.1:10250/exec";
    let redirecting = Fixture::start_with(|options| {
        options.fault = Some(Fault::RedirectTo(StatusCode::FOUND, elsewhere.to_owned()))
    })?;
    let response = get(&redirecting.dialer, "/pods").await?;
    assert_eq!((response.status, response.header("location").as_deref()), (302, Some(elsewhere)));

    let resetting = Fixture::start_with(|options| options.fault = Some(Fault::Reset))?;
    let mut client = resetting.send("GET /pods HTTP/1.1\r\nHost: kubelet\r\n\r\n").await?;
    let error = client.head().await.expect_err("an answer");
    assert!(format!("{error:#}").contains("ended without a response"), "{error:#}");
    assert_eq!(resetting.kubelet.requests().len(), 1);
    Ok(())
}

#[tokio::test]
async fn kube_rs_reads_logs_and_runs_commands() -> anyhow::Result<()> {
    let fixture = Fixture::start()?;
    let client = kube_rs::client(
        fixture.kubelet.address(),
        NODE,
        &fixture.authority.pem(),
        &fixture.client,
    )?;
    assert_eq!(kube_rs::logs(&client, 2).await?, "listening on :8080\nready\n");

    let (output, status) = kube_rs::exec(&client, &["tr", "a-z", "A-Z"], b"hello").await?;
    assert_eq!((output.as_str(), status.status.as_deref()), ("HELLO", Some("Success")));
    let (_, status) = kube_rs::exec(&client, &["sh", "-c", "exit 4"], b"").await?;
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    Ok(())
}

#[tokio::test]
async fn the_binary_serves_records_and_stops_when_told() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let path = |name: &str| scratch.path().join(name);
    let authority = Authority::new()?;
    let serving = authority.server(NODE)?;
    std::fs::write(path("tls.crt"), &serving.certificate)?;
    std::fs::write(path("tls.key"), &serving.key)?;
    std::fs::write(path("ca.crt"), authority.pem())?;
    let mut kubelet = Command::new(env!("CARGO_BIN_EXE_stand-in-kubelet"))
        .current_dir(&scratch)
        .args(["--tls-cert-file", "tls.crt", "--tls-private-key-file", "tls.key"])
        .args(["--client-ca-file", "ca.crt", "--directory", ".", "--record", "requests.jsonl"])
        .args(["--log-every", "1"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(kubelet.stdout.take().context("no stdout")?).lines();
    let address = within("the address", lines.next_line()).await??.context("no address")?;
    let client = authority.client("gate")?;
    let dialer = Dialer::new(address.parse()?, NODE, &authority.pem(), Some(&client))?;

    let target = "/containerLogs/default/web-0/app?follow=true&tailLines=0";
    let line = Follow::open(&dialer, target).await?.line().await?;
    assert!(line.is_some_and(|line| line.ends_with(" served\n")));
    let cat = RemoteCommand::exec(CONTAINER, &["cat", "requests.jsonl"]).run(&dialer, b"").await?;
    let recorded: Vec<serde_json::Value> =
        serde_json::Deserializer::from_slice(&cat.stdout).into_iter().collect::<Result<_, _>>()?;
    assert_eq!(recorded.len(), 2);
    assert_eq!(
        recorded[1]["target"],
        "/exec/default/web-0/app?command=cat&command=requests.jsonl&error=1&output=1"
    );
    assert_eq!(recorded[1]["user"]["certificate"]["subject"], "CN=gate");

    let pid = kubelet
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
        .context("no pid")?;
    kill_process(pid, Signal::TERM)?;
    assert!(within("the end of the kubelet", kubelet.wait()).await??.success());
    Ok(())
}
