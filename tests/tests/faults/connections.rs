//! A connection lives for a time, because certificates are shown at its start.

use anyhow::Context as _;
use gatelet_tests::client::{Follow, RawClient, RemoteCommand};
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{ALL, Fixture, LOG, Setup};
use serde_json::{Value, json};

#[tokio::test]
async fn kept_alive_connections_are_cut_on_both_sides_and_what_is_open_stays() -> anyhow::Result<()>
{
    let shorter = |configuration: &mut Value| {
        let kubelet = "/static_resources/clusters/0/typed_extension_protocol_options\
                       /envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let kubelet = configuration.pointer_mut(kubelet).expect("the connections to the kubelet");
        let longest = &mut kubelet["common_http_protocol_options"]["max_connection_duration"];
        assert_eq!(*longest, json!("3600s"));
        *longest = json!("1s");
        let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
        let manager = configuration.pointer_mut(manager).expect("the connection manager");
        let longest = &mut manager["common_http_protocol_options"]["max_connection_duration"];
        assert_eq!(*longest, json!("3600s"));
        *longest = json!("2s");
        // After five seconds, the default, it would be too late to see that nothing is cut then.
        manager["drain_timeout"] = json!("0.1s");
    };
    let fixture = Fixture::start_as(ALL, Setup { change: shorter, ..Setup::default() }).await?;
    let apiserver = fixture.apiserver()?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let mut session = cat.start(&apiserver).await?;
    let mut follow =
        Follow::open(&apiserver, "/containerLogs/default/web-0/app?follow=true").await?;

    // The second begins when the first, and so what is open, has had its time.
    for connection in ["first", "second"] {
        let mut client = RawClient::connect(&apiserver).await?;
        client.send_request("GET", LOG).await?;
        assert_eq!(client.response().await?.status, 200, "{connection}");
        assert_eq!(client.rest().await?, b"", "{connection}");
    }
    let cut = "cluster.kubelet.upstream_cx_max_duration_reached";
    fixture.gate.admin().wait_for_stat(cut, |count| count >= 2).await?;
    fixture.kubelet.log("still written");
    while follow.line().await?.context("the log is over")? != "still written\n" {}
    session.send(b"undisturbed\n").await?;
    session.read_until("undisturbed").await?;
    let log = fixture.gate.decisions().from_now_on()?;
    session.close_stdin().await?;
    session.finish().await?;

    let end = log.wait_for("the end", is_about("exec")).await?;
    assert_eq!(end["log_type"], "DownstreamEnd", "{end}");
    let cut = "http.kubelet.downstream_cx_max_duration_reached";
    assert_eq!(fixture.gate.admin().stat(cut).await?, 4);
    assert_eq!(fixture.reached().len(), 4);
    Ok(())
}
