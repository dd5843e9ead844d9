//! A policy that can't be used, or doesn't decide.

use gatelet_tests::client::{RemoteCommand, get};
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{ALL, Fixture, LOG, LOGS};
use gatelet_tests::gate::Update;
use gatelet_tests::policy;

const BROKEN: &str = "package kubelet.authz\n\ndecision := {";

/// A million instructions, which is beyond every limit.
const ENDLESS: &str = r#"
package kubelet.authz

decision := count([x | some x in numbers.range(1, 1000); some y in numbers.range(1, 1000); x == y]) > 0
"#;

#[tokio::test]
async fn whatever_is_not_true_is_a_denial() -> anyhow::Result<()> {
    let fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    assert_eq!(fixture.reached(), [LOG]);
    for (reason, rego) in [
        ("undefined", "package kubelet.authz\n\ndecision if input.endpoint == \"pods\""),
        ("not_boolean", "package kubelet.authz\n\ndecision := \"true\""),
        ("unknown_key", "package kubelet.authz\n\ndecision := {\"allow\": true, \"alow\": true}"),
        ("budget", ENDLESS),
    ] {
        assert_eq!(fixture.gate.update_policy(&policy::rego(rego)?).await?, Update::Applied);
        let log = fixture.gate.decisions().from_now_on()?;
        let answer = get(&apiserver, LOG).await?;
        assert_eq!((answer.status, &*answer.text()), (403, "Denied by policy"), "{reason}");
        let record = log.wait_for(reason, is_about("containerLogs")).await?;
        assert_eq!(record["decision"]["reason"], reason, "{record}");
        assert_eq!(fixture.decided("containerLogs", reason).await?, 1, "{reason}");
    }
    assert_eq!(fixture.reached(), [LOG]);
    Ok(())
}

#[tokio::test]
async fn a_new_policy_decides_at_once_a_bad_one_never_and_open_sessions_stay() -> anyhow::Result<()>
{
    let fixture = Fixture::start(ALL).await?;
    let apiserver = fixture.apiserver()?;
    let cat = RemoteCommand::exec("default/web-0/app", &["cat"]).with_stdin();
    let mut session = cat.start(&apiserver).await?;
    for (rego, update) in [(LOGS, Update::Applied), (BROKEN, Update::Rejected)] {
        assert_eq!(fixture.gate.update_policy(&policy::rego(rego)?).await?, update);
        assert_eq!(get(&apiserver, "/pods").await?.status, 403, "{update:?}");
        assert_eq!(get(&apiserver, LOG).await?.status, 200, "{update:?}");
        session.send(b"undisturbed\n").await?;
        session.read_until("undisturbed").await?;
    }
    session.close_stdin().await?;
    session.finish().await?;

    assert_eq!(fixture.reached(), [&*cat.target(), LOG, LOG]);
    assert!(fixture.gate.envoy_log()?.contains("policy.rego:3"), "the log says where");
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
    assert_eq!(fixture.reached(), Vec::<String>::new());
    assert_eq!(get(&fixture.prometheus()?, "/ready").await?.status, 503);
    assert_eq!(fixture.gate.admin().stat("wasmcustom.gatelet_policy_loaded").await?, 0);
    let refused = fixture
        .gate
        .decisions()
        .wait_for("the refusal", |record| record["response_code"] == 500)
        .await?;
    // "No filter config found".
    assert_eq!(refused["response_flags"], "NFCF", "{refused}");

    assert_eq!(fixture.gate.update_policy(&policy::rego(ALL)?).await?, Update::Applied);
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    let healthy = "cluster.policy.membership_healthy";
    fixture.gate.admin().wait_for_stat(healthy, |count| count == 1).await?;
    assert_eq!(get(&fixture.prometheus()?, "/ready").await?.status, 200);
    Ok(())
}
