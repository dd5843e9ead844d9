//! Sessions in which nothing happens for twenty minutes, in a gate whose time runs faster.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

use anyhow::Context as _;
use gatelet_tests::client::{Follow, PortForward, RemoteCommand, open_spdy};
use gatelet_tests::fixture::{ALL, EXEC, Fixture, Setup};
use serde_json::{Value, json};

/// How much faster: twenty minutes take four seconds.
const HASTE: f64 = 300.0;

#[tokio::test]
async fn a_session_of_twenty_idle_minutes_survives() -> anyhow::Result<()> {
    let setup = Setup { change: hasten, ..Setup::default() };
    let mut fixture = Fixture::start_as(ALL, setup).await?;
    let port = super::recorded::echo()?;
    fixture.replace_kubelet(|options| options.ports = [(8080, port)].into()).await?;
    let apiserver = fixture.apiserver()?;

    let sleeper = RemoteCommand::exec("default/web-0/app", &["sh", "-c", "sleep 4; echo awake"]);
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let mut cat = cat.start(&apiserver).await?;
    let mut spdy = open_spdy(&apiserver, EXEC, &["v4.channel.k8s.io"]).await?;
    let mut forward = PortForward::open(&apiserver, "default/web-0", 8080).await?;
    let log = "/containerLogs/default/web-0/app?follow=true&tailLines=1";
    let mut log = Follow::open(&apiserver, log).await?;
    log.line().await?;
    // The last one to be opened, and silent for as long itself.
    let finished = sleeper.run(&apiserver, b"").await.context("the exec that sleeps")?;
    assert_eq!(finished.stdout, b"awake\n");

    cat.send(b"still here\n").await?;
    cat.read_until("still here\n").await.context("the exec by WebSocket")?;
    spdy.send(b"still here").await?;
    assert_eq!(spdy.exactly(10).await.context("the exec by SPDY")?, b"still here");
    forward.send(b"still here").await?;
    let back = forward.receive().await.context("the port-forward")?;
    assert_eq!(back.as_deref(), Some(&b"still here"[..]));
    fixture.kubelet.log("still here");
    assert_eq!(log.line().await.context("the log")?.as_deref(), Some("still here\n"));
    Ok(())
}

/// Makes every limit on a silent stream or connection, set or Envoy's default, that much shorter.
fn hasten(configuration: &mut Value) {
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let manager = configuration.pointer_mut(manager).expect("the connection manager");
    shorten(&mut manager["stream_idle_timeout"], "300s");
    shorten(&mut manager["request_timeout"], "0s");
    for name in ["idle_timeout", "max_stream_duration"] {
        shorten(&mut manager["common_http_protocol_options"][name], "0s");
    }
    let routes = manager.pointer_mut("/route_config/virtual_hosts/0/routes");
    for route in routes.and_then(Value::as_array_mut).expect("routes") {
        let route = &mut route["route"];
        shorten(&mut route["timeout"], "15s");
        if route.get("idle_timeout").is_some() {
            shorten(&mut route["idle_timeout"], "0s");
        }
    }
    let upstream = "/static_resources/clusters/0/typed_extension_protocol_options\
                    /envoy.extensions.upstreams.http.v3.HttpProtocolOptions\
                    /common_http_protocol_options/idle_timeout";
    shorten(configuration.pointer_mut(upstream).expect("the idle time of the kubelet's"), "3600s");
}

/// Not to less than a second: a handshake may take its time, and four seconds are longer still.
fn shorten(limit: &mut Value, default: &str) {
    let text = limit.as_str().unwrap_or(default);
    let seconds: f64 = text.trim_end_matches('s').parse().expect("a duration in seconds");
    // Zero is no limit.
    let shortened = if seconds > 0.0 { (seconds / HASTE).max(1.0) } else { 0.0 };
    *limit = json!(format!("{shortened:.3}s"));
}
