//! Envoy itself is killed.

use gatelet_tests::client::{RemoteCommand, get};
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{ALL, Fixture, LOG};

#[tokio::test]
async fn without_envoy_nobody_gets_in_and_it_starts_again_where_it_was() -> anyhow::Result<()> {
    let mut fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let session = cat.start(&apiserver).await?;
    let start = fixture.gate.decisions().wait_for("the exec", is_about("exec")).await?;

    fixture.gate.envoy().kill()?;
    assert!(session.finish().await.is_err());
    assert!(get(&apiserver, LOG).await.is_err());
    assert_eq!(fixture.reached(), [cat.target()]);
    assert!(fixture.gate.folder().join("admin.sock").exists());

    fixture.gate.start_again().await?;
    assert_eq!(get(&fixture.apiserver()?, LOG).await?.status, 200);
    let logs = fixture.gate.decisions().wait_for("the logs", is_about("containerLogs")).await?;
    // Appended; what ended with Envoy has no record of its end.
    assert_eq!(fixture.gate.decisions().records()?, [start, logs]);
    assert_eq!(fixture.decided("containerLogs", "allowed").await?, 1);
    Ok(())
}
