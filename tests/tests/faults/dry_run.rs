//! A dry run forwards what the policy denies, and nothing else, up to its date.

use gatelet_certs::Persona;
use gatelet_tests::client::{get, request};
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{Fixture, LOG, LOGS};
use gatelet_tests::gate::Update;
use gatelet_tests::policy;
use serde_json::json;

#[tokio::test]
async fn a_dry_run_forwards_only_what_the_policy_denies_and_only_up_to_its_date()
-> anyhow::Result<()> {
    let fixture = Fixture::start(LOGS).await?;
    let apiserver = fixture.apiserver()?;
    // As its operator does, who takes the digest from the log.
    let stolen = fixture.apiserver()?;
    assert_eq!(get(&stolen, "/pods").await?.status, 403);
    let record = fixture.gate.decisions().wait_for("the denial", is_about("pods")).await?;
    let digest = record["decision"]["input"]["peer"]["certificate_sha256"].as_str();
    let dry_run = |until| {
        policy::extension_config(&serde_json::from_value(json!({
            "policy": {"modules": {"policy.rego": LOGS}},
            "mode": "dry_run",
            "dry_run_until": until,
            "peers": [{
                "common_name": "kube-apiserver-kubelet-client",
                "organization": "kubeadm:cluster-admins",
            }],
            "denied_certificates": [digest],
        }))?)
    };

    assert_eq!(
        fixture.gate.update_policy(&dry_run("2999-01-01T00:00:00Z")?).await?,
        Update::Applied
    );
    let other_node = fixture.caller(Persona::OtherNode)?;
    let twice = "/containerLogs/default/web-0/app?tailLines=1&tailLines=2";
    for (caller, method, target, status, reason) in [
        (&apiserver, "GET", LOG, 200, "allowed"),
        (&apiserver, "GET", "/pods", 200, "would_deny"),
        (&apiserver, "GET", twice, 400, "malformed"),
        (&apiserver, "GET", "/nothing", 403, "unknown_endpoint"),
        (&apiserver, "DELETE", "/pods", 403, "method"),
        (&other_node, "GET", "/pods", 403, "denied"),
        (&stolen, "GET", LOG, 403, "denied"),
    ] {
        let (log, before) = (fixture.gate.decisions().from_now_on()?, fixture.reached().len());
        let answer = request(caller, method, target).await?;
        assert_eq!(answer.status, status, "{method} {target}: {}", answer.text());
        let arrived = fixture.reached().len() - before;
        assert_eq!(arrived, usize::from(status == 200), "{method} {target}");
        let record = log.wait_for(reason, |record| record["decision"]["reason"] == reason).await?;
        assert_eq!(record["decision"]["result"], reason == "allowed", "{record}");
        assert_eq!(record["response_code"], status, "{record}");
    }
    assert_eq!(fixture.decided("pods", "would_deny").await?, 1);
    assert!(fixture.gate.envoy_log()?.contains("DRY RUN until 2999-01-01"));

    assert_eq!(
        fixture.gate.update_policy(&dry_run("2026-01-01T00:00:00Z")?).await?,
        Update::Applied
    );
    let log = fixture.gate.decisions().from_now_on()?;
    assert_eq!(get(&apiserver, "/pods").await?.status, 403);
    assert_eq!(fixture.reached(), [LOG, "/pods"]);
    let record = log.wait_for("the denial", is_about("pods")).await?;
    assert_eq!(record["decision"]["reason"], "denied", "{record}");
    Ok(())
}
