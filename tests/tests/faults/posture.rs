//! A policy that depends on the kubelet's posture, and a kubelet whose posture changes.

use std::process::Command;

use gatelet_certs::{Persona, publish};
use gatelet_tests::client::get;
use gatelet_tests::command::gatelet;
use gatelet_tests::deadline::eventually;
use gatelet_tests::envoy::is_about;
use gatelet_tests::fixture::{Fixture, LOG, Setup};
use gatelet_tests::gate::{self, NODE, Profile};
use gatelet_tests::kubelet::{Fault, StandInKubelet};
use gatelet_tests::policy;
use serde_json::{Value, json};

/// Logs from a kubelet that is known to be sound.
const SOUND_ONLY: &str = r#"
package kubelet.authz

default decision := false

decision if {
	input.endpoint == "containerLogs"
	data.posture.status == "pass"
}
"#;

/// Looks every second.
fn watching(rego: &str) -> anyhow::Result<String> {
    policy::extension_config(&serde_json::from_value(json!({
        "policy": {"modules": {"policy.rego": rego}},
        "posture": {"profile": "cis", "interval_s": 1},
        "node": {"name": NODE},
    }))?)
}

/// Waits until the gate answers so, by each of its workers: connections are dealt out in turn, and
/// each worker looks for itself.
async fn answers(fixture: &Fixture, status: u16, what: &str) -> anyhow::Result<()> {
    let apiserver = fixture.apiserver()?;
    eventually(what, async || {
        for _ in 0..8 {
            if get(&apiserver, LOG).await?.status != status {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_decision_lasts_as_long_as_the_posture_that_it_depends_on() -> anyhow::Result<()> {
    let setup = Setup { kubelet_fault: Some(Fault::NeverAnswer), ..Setup::default() };
    let mut fixture = Fixture::start_with(&watching(SOUND_ONLY)?, setup).await?;
    let apiserver = fixture.apiserver()?;
    // Asked, and not answered yet.
    let asked = |request: &gatelet_tests::kubelet::Recorded| request.target() == "/configz";
    fixture.kubelet.wait_for_request("a look", asked).await?;
    assert_eq!(get(&apiserver, LOG).await?.status, 403);
    assert!(!fixture.reached().contains(&LOG.to_owned()));

    fixture.swap_kubelet(|_| {})?;
    answers(&fixture, 200, "the first look").await?;
    // Remembered, twice over.
    for _ in 0..3 {
        assert_eq!(get(&apiserver, LOG).await?.status, 200);
    }
    assert_eq!(fixture.decided("containerLogs", "undefined").await?, 0);

    fixture.swap_kubelet(|kubelet| kubelet.says_anonymous = true)?;
    answers(&fixture, 403, "the look at an open kubelet").await?;
    let log = fixture.gate.decisions().from_now_on()?;
    assert_eq!(get(&apiserver, LOG).await?.status, 403);
    let record = log.wait_for("the denial", is_about("containerLogs")).await?;
    assert_eq!(record["decision"]["reason"], "denied", "{record}");
    let metrics = get(&fixture.prometheus()?, "/metrics").await?.text().into_owned();
    for line in ["gatelet_posture_known{} 1", "gatelet_posture_failed{} 1"] {
        assert!(metrics.contains(line), "no {line} in\n{metrics}");
    }

    fixture.swap_kubelet(|_| {})?;
    answers(&fixture, 200, "a sound kubelet").await?;
    fixture.swap_kubelet(|kubelet| kubelet.fault = Some(Fault::RefuseConnections))?;
    answers(&fixture, 403, "a look at nothing").await?;
    fixture.swap_kubelet(|_| {})?;
    answers(&fixture, 200, "a kubelet that is back").await?;
    let said = fixture.gate.envoy_log()?;
    for line in [
        "the kubelet's posture is unknown: ",
        "the kubelet's posture fails; failed 4.2.1; warned 4.2.12, 4.2.13, 4.2.14",
        "the kubelet's posture passes; warned 4.2.12, 4.2.13, 4.2.14",
    ] {
        assert!(said.contains(line), "no {line} in\n{said}");
    }
    Ok(())
}

#[tokio::test]
async fn looks_are_counted_and_change_nothing_for_another_policy() -> anyhow::Result<()> {
    let rego = "package kubelet.authz\n\ndecision := input.endpoint == \"containerLogs\"\n";
    let setup = Setup { kubelet_fault: Some(Fault::NeverAnswer), ..Setup::default() };
    let mut fixture = Fixture::start_with(&watching(rego)?, setup).await?;
    let failed = "wasmcustom.gatelet_posture_looks.failed";
    fixture.gate.admin().wait_for_stat(failed, |count| count > 0).await?;
    assert_eq!(fixture.gate.admin().stat("wasmcustom.gatelet_posture_known").await?, 0);
    fixture.swap_kubelet(|_| {})?;
    let answered = "wasmcustom.gatelet_posture_looks.answered";
    fixture.gate.admin().wait_for_stat(answered, |count| count > 0).await?;
    assert_eq!(get(&fixture.apiserver()?, LOG).await?.status, 200);
    let metrics = get(&fixture.prometheus()?, "/metrics").await?.text().into_owned();
    assert!(metrics.contains(r#"gatelet_posture_looks{result="answered"} "#), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn the_command_judges_a_running_kubelet() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let cluster = gate::cluster()?;
    let options = Profile::Hardened.kubelet(&cluster, scratch.path())?;
    let certificates = scratch.path().join("certs");
    publish(&certificates, &cluster.issue(Persona::GateClientHardened)?)?;
    for (says_anonymous, status, code) in [(false, "pass", 0), (true, "fail", 1)] {
        let options = gatelet_tests::kubelet::Options { says_anonymous, ..options.clone() };
        let kubelet = StandInKubelet::start(options)?;
        let run = Command::new(gatelet()?)
            .args(["posture", "--format", "json", "--server-name", NODE])
            .args(["--live", &format!("https://{}", kubelet.address())])
            .args(["--cert", "tls.crt", "--key", "tls.key", "--ca", "ca.crt"])
            .current_dir(&certificates)
            .output()?;
        let report: Value = serde_json::from_slice(&run.stdout)?;
        assert_eq!(
            (&report["status"], run.status.code()),
            (&json!(status), Some(code)),
            "{report:#}"
        );
        let check = |id: &str| {
            let checks = report["checks"].as_array().into_iter().flatten();
            checks.filter(|check| check["id"] == id).map(|check| check["status"].clone()).next()
        };
        assert_eq!(check("probe.anonymous"), Some(json!("PASS")), "{report:#}");
        assert_eq!(check("probe.read-only-port"), Some(json!("PASS")), "{report:#}");
        // `/flagz` of the stand-in has the node's name.
        assert_eq!(check("4.2.7"), Some(json!("WARN")), "{report:#}");
        let targets: Vec<_> =
            kubelet.requests().iter().map(|request| request.target().into_owned()).collect();
        assert_eq!(targets, ["/configz", "/flagz", "/configz"]);
    }
    // A kubelet of another name isn't asked anything.
    let kubelet = StandInKubelet::start(options)?;
    let run = Command::new(gatelet()?)
        .args(["posture", "--live", &format!("https://{}", kubelet.address())])
        .args(["--cert", "tls.crt", "--key", "tls.key", "--ca", "ca.crt"])
        .args(["--server-name", "worker-2"])
        .current_dir(&certificates)
        .output()?;
    assert_eq!(run.status.code(), Some(3), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(kubelet.requests().is_empty());
    Ok(())
}
