//! A new policy is a new file, and nobody is disturbed.

use gatelet_tests::client::{RemoteCommand, get};
use gatelet_tests::fixture::{ALL, Fixture, LOG, LOGS};
use gatelet_tests::gate::Update;
use gatelet_tests::policy;

const BROKEN: &str = "package kubelet.authz\n\ndecision := {";

#[tokio::test]
async fn a_new_policy_decides_at_once_and_open_sessions_stay() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let mut session = cat.start(&apiserver).await?;

    assert_eq!(fixture.gate.update_policy(&policy::rego(LOGS)?).await?, Update::Applied);
    assert_eq!(get(&apiserver, "/pods").await?.status, 403);
    assert_eq!(get(&apiserver, LOG).await?.status, 200);

    session.send(b"undisturbed\n").await?;
    session.read_until("undisturbed").await?;
    session.close_stdin().await?;
    session.finish().await?;
    Ok(())
}

#[tokio::test]
async fn a_bad_policy_is_rejected_and_the_old_one_stays() -> anyhow::Result<()> {
    let fixture = Fixture::start(LOGS).await?;
    let apiserver = fixture.apiserver()?;

    assert_eq!(fixture.gate.update_policy(&policy::rego(BROKEN)?).await?, Update::Rejected);
    assert_eq!(get(&apiserver, "/pods").await?.status, 403);
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    assert_eq!(get(&fixture.prometheus()?, "/ready").await?.status, 200);
    let metrics = get(&fixture.prometheus()?, "/metrics").await?;
    let rejected = r#"gatelet_policy_updates{result="rejected"} 1"#;
    assert!(metrics.text().contains(rejected), "{}", metrics.text());
    Ok(())
}

#[tokio::test]
async fn without_a_policy_nothing_is_forwarded_until_there_is_one() -> anyhow::Result<()> {
    let fixture = Fixture::start(BROKEN).await?;
    let apiserver = fixture.apiserver()?;
    assert_eq!(get(&apiserver, LOG).await?.status, 500);
    assert_eq!(get(&fixture.prometheus()?, "/ready").await?.status, 503);
    assert_eq!(fixture.reached(), Vec::<String>::new());

    assert_eq!(fixture.gate.update_policy(&policy::rego(ALL)?).await?, Update::Applied);
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    let healthy = "cluster.policy.membership_healthy";
    fixture.gate.admin().wait_for_stat(healthy, |count| count == 1).await?;
    assert_eq!(get(&fixture.prometheus()?, "/ready").await?.status, 200);
    Ok(())
}
