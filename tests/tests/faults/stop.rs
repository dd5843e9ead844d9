//! The stop script lets requests finish, for a time.

use gatelet_tests::client::{RawClient, RemoteCommand, get};
use gatelet_tests::deadline::within;
use gatelet_tests::fixture::{ALL, Fixture, LOG};

use crate::script::{folder, refused, script_command};

#[tokio::test]
async fn stop_lets_a_session_finish() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    // Longer than it would take to stop.
    let slow_echo = &["sh", "-c", "read word; sleep 1.2; echo $word"];
    let mut session =
        RemoteCommand::exec("default/web-0/app", slow_echo).with_stdin().start(&apiserver).await?;

    let mut stop = tokio::process::Command::from(script_command("stop", fixture.gate.folder()))
        .kill_on_drop(true)
        .spawn()?;
    fixture.gate.admin().wait_for_stat("server.live", |live| live == 0).await?;
    let mut client = RawClient::connect(&apiserver).await?;
    client.send_request("GET", LOG).await?;
    assert_eq!(client.response().await?.header("connection").as_deref(), Some("close"),);
    session.send(b"unhurried\n").await?;
    assert_eq!(session.finish().await?.stdout, b"unhurried\n");

    assert!(within("stop to end", stop.wait()).await??.success());
    assert!(fixture.gate.envoy().ended().await?.success());
    Ok(())
}

#[tokio::test]
async fn stop_does_not_wait_for_ever() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let _session = cat.start(&fixture.apiserver()?).await?;
    let mut stop = tokio::process::Command::from(script_command("stop", fixture.gate.folder()));
    let stop = stop.arg("1").kill_on_drop(true).status();
    assert!(within("stop to end", stop).await??.success());
    assert!(fixture.gate.envoy().ended().await?.success());
    Ok(())
}

#[test]
fn stop_says_that_nothing_runs() -> anyhow::Result<()> {
    let folder = folder()?;
    refused(script_command("stop", folder.path()).output()?, "nobody answers at admin.sock");
    Ok(())
}
