//! A client that no one here wrote gets through the gate what the policy allows, and is told the rest.

#[path = "support/kube_rs.rs"]
mod kube_rs;

use gatelet_certs::{Ca, Persona};
use gatelet_tests::gate::{Gate, NODE, Options, Profile, cluster};
use gatelet_tests::kubelet::StandInKubelet;
use gatelet_tests::policy;

const POLICY: &str = r#"
package kubelet.authz

default decision := false

decision if input.endpoint == "containerLogs"

decision if {
	input.endpoint == "exec"
	input.exec.command == ["tr", "a-z", "A-Z"]
}
"#;

#[tokio::test]
async fn kube_rs_reads_logs_and_runs_the_allowed_command_only() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let cluster = cluster()?;
    let kubelet = StandInKubelet::start(Profile::Owned.kubelet(&cluster, scratch.path())?)?;
    let policy = policy::rego(POLICY)?;
    let gate = Gate::start(Options::new(&cluster, kubelet.address(), &policy)).await?;
    let apiserver = cluster.issue(Persona::ApiserverKubeletClient)?.into();
    let ca = cluster.authority(Ca::Cluster).certificate();
    let client = kube_rs::client(gate.address(), NODE, ca.as_bytes(), &apiserver)?;

    assert_eq!(kube_rs::logs(&client, 2).await?, "listening on :8080\nready\n");
    let (output, status) = kube_rs::exec(&client, &["tr", "a-z", "A-Z"], b"hello").await?;
    assert_eq!((output.as_str(), status.status.as_deref()), ("HELLO", Some("Success")));

    let arrived = kubelet.requests().len();
    let error = kube_rs::exec(&client, &["sh"], b"").await.expect_err("sh is not allowed");
    assert!(format!("{error:#}").contains("403"), "{error:#}");
    assert_eq!(kubelet.requests().len(), arrived, "the kubelet saw what was denied");
    gate.stop();
    Ok(())
}
