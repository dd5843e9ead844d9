//! The pods at work: what their manifests say, as processes here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, ensure};
use gatelet_certs::{Ca, Cluster, Persona, publish};
use gatelet_tests::api_server::{self, REQUESTS, StandInApiServer};
use gatelet_tests::approver::{Credential, roles, user};
use gatelet_tests::client::{Dialer, get, request};
use gatelet_tests::command::render;
use gatelet_tests::csr::Kubelet;
use gatelet_tests::envoy::{Envoy, Shipped, is_about, project};
use gatelet_tests::gate::{NODE, Profile, cluster};
use gatelet_tests::kubelet::StandInKubelet;
use gatelet_tests::module::Module;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::container::{Container, Surroundings};
use crate::manifests::{self, the};

const LOG: &str = "/containerLogs/default/web-0/app";
const COMMAND: &str = "/run/default/web-0/app?cmd=id";

#[tokio::test]
async fn the_static_pod_is_a_gate() -> anyhow::Result<()> {
    let manifest = fs::read_to_string(project().join("envoy/kubernetes/static-pod.yaml"))?;
    // What its first lines say to do.
    let manifest =
        manifest.replacen("192.0.2.10", "127.0.0.1", 1).replacen("node.invalid", NODE, 1);
    let pod: Value = serde_saphyr::from_str(&manifest)?;
    is_a_gate(&pod["spec"], Profile::Owned).await
}

#[tokio::test]
async fn the_daemonset_is_a_gate() -> anyhow::Result<()> {
    for (name, profile) in [("owned", Profile::Owned), ("hardened", Profile::Hardened)] {
        let objects = manifests::kustomization(name)?;
        is_a_gate(&the("DaemonSet", &objects)?["spec"]["template"]["spec"], profile).await?;
    }
    Ok(())
}

async fn is_a_gate(pod: &Value, profile: Profile) -> anyhow::Result<()> {
    let (cluster, folder) = (cluster()?, tempfile::tempdir()?);
    let kubelet = StandInKubelet::start(profile.kubelet(&cluster, folder.path())?)?;
    let node = Node::new(&cluster, profile)?;
    let container = node.container(pod, &kubelet)?;
    let spec = container.spec().clone();

    assert!(!is_well(&container.probe(spec.startup_probe.as_ref())?), "nothing runs yet");
    let mut envoy = container.start().await?;
    envoy.admin().wait_for_stat("wasmcustom.gatelet_policy_loaded", |loaded| loaded == 1).await?;
    for probe in [&spec.startup_probe, &spec.readiness_probe, &spec.liveness_probe] {
        let output = container.probe(probe.as_ref())?;
        assert!(is_well(&output), "{probe:?}: {output:?}");
    }

    let apiserver = apiserver(&envoy, &cluster).await?;
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    let denied = request(&apiserver, "POST", COMMAND).await?;
    assert_eq!((denied.status, &*denied.text()), (403, "Denied by policy"));
    container.decisions().wait_for("the denial", is_about("run")).await?;

    let stopped = container.pre_stop()?;
    assert!(is_well(&stopped), "{stopped:?}");
    assert!(envoy.ended().await?.success());
    assert!(!is_well(&container.probe(spec.liveness_probe.as_ref())?), "it has ended");
    Ok(())
}

/// The approver's pod knows the API server by its CA alone, and is known to it by its token.
#[tokio::test]
async fn the_deployment_is_an_approver() -> anyhow::Result<()> {
    const TOKEN: &str = "a-token-of-its-pod";
    let cluster = cluster()?;
    let server = StandInApiServer::start(api_server::Options::new(&cluster, &roles()?)?)?;
    server.accept_token(TOKEN, user(&Credential::Token(TOKEN.to_owned())));
    let node = "worker-1".to_owned();
    let kubelet = Kubelet { dns: vec![node.clone()], ip: vec![[10, 0, 0, 11].into()], node };
    server.add_node(
        &kubelet.node,
        &[("InternalIP", "10.0.0.11"), ("Hostname", &kubelet.node)],
        10250,
    );

    let folder = tempfile::tempdir()?;
    let objects = manifests::kustomization("approver")?;
    let pod = &the("Deployment", &objects)?["spec"]["template"]["spec"];
    let volumes = approver_volumes(folder.path(), pod, &cluster, TOKEN)?;
    let mut configuration = Shipped::read(&project().join("envoy/approver/envoy-token.yaml"))?;
    configuration.listen_on_free_ports()?;
    let surroundings = Surroundings {
        scripts: "approver",
        configuration: ("envoy-token.yaml", configuration),
        module: ("gatelet_approver.wasm", Module::Approver.path()?),
        volumes,
        variables: [
            ("ADDRESS", "127.0.0.2".to_owned()),
            ("KUBERNETES_SERVICE_HOST", server.address().ip().to_string()),
            ("KUBERNETES_SERVICE_PORT", server.address().port().to_string()),
        ]
        .into(),
    };
    let container = Container::new(&serde_json::from_value::<PodSpec>(pod.clone())?, surroundings)?;
    let envoy = container.start().await?;
    let loaded = "wasmcustom.gatelet_approver_policy_loaded";
    envoy.admin().wait_for_stat(loaded, |loaded| loaded == 1).await?;
    envoy.admin().wait_for_stat("cluster.policy.membership_healthy", |count| count == 1).await?;

    // Where the kubelet's probes and Prometheus find it.
    let monitoring = envoy.admin().listeners().await?["monitoring"];
    assert_eq!(monitoring.ip().to_string(), "127.0.0.2");
    let probe = container.spec().readiness_probe.as_ref().and_then(|probe| probe.http_get.as_ref());
    let path = probe.and_then(|probe| probe.path.as_deref()).context("a path")?;
    for path in [path, "/metrics"] {
        let url = format!("http://{monitoring}{path}");
        let output = Command::new("curl").args(["--silent", "--fail", &url]).output()?;
        assert!(is_well(&output), "{url}: {output:?}");
    }

    server.add_request("good", &kubelet.request()?.spec);
    let issued = |object: &Value| {
        object["metadata"]["name"] == "good" && object.pointer("/status/certificate").is_some()
    };
    server.wait_for("the certificate", REQUESTS, issued).await?;
    Ok(())
}

fn approver_volumes<'a>(
    folder: &Path,
    pod: &Value,
    cluster: &Cluster,
    token: &str,
) -> anyhow::Result<BTreeMap<&'a str, PathBuf>> {
    let names = ["api-server-ca", "token", "policy"];
    let volumes: BTreeMap<_, _> = names.into_iter().map(|name| (name, folder.join(name))).collect();
    for path in volumes.values() {
        fs::create_dir(path)?;
    }
    fs::write(folder.join("api-server-ca/ca.crt"), cluster.authority(Ca::Cluster).certificate())?;
    let projected = pod.pointer("/volumes/2/projected/sources/0/serviceAccountToken/path");
    let file = projected.and_then(Value::as_str).context("a token")?;
    fs::write(folder.join("token").join(file), token)?;
    // Nodes are not asked for what they serve: there are none.
    let settings = folder.join("settings.json");
    fs::write(&settings, json!({"live_certificates": false}).to_string())?;
    let rego = project().join("rego");
    let policy = render(&[
        rego.join("csr"),
        "--profile".into(),
        "csr".into(),
        "--settings".into(),
        settings,
    ])?;
    fs::write(folder.join("policy/approver.json"), policy)?;
    Ok(volumes)
}

/// What a node has in /etc/gatelet.
struct Node(TempDir);

impl Node {
    fn new(cluster: &Cluster, profile: Profile) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let client = match profile {
            Profile::Owned => Persona::GateClientOwned,
            Profile::Hardened => Persona::GateClientHardened,
        };
        publish(&folder.path().join("certs/serving"), &cluster.issue(Persona::GateServing)?)?;
        publish(&folder.path().join("certs/kubelet"), &cluster.issue(client)?)?;
        fs::create_dir(folder.path().join("policy"))?;
        let data = project().join("rego/examples/kubeadm-v1.29.yaml");
        let policy = render(&[project().join("rego"), "--data".into(), data])?;
        fs::write(folder.path().join("policy/gatelet.json"), policy)?;
        Ok(Self(folder))
    }

    fn container(&self, pod: &Value, kubelet: &StandInKubelet) -> anyhow::Result<Container> {
        let pod: PodSpec = serde_json::from_value(pod.clone())?;
        let mut volumes = BTreeMap::new();
        for (name, folder) in
            [("serving", "certs/serving"), ("kubelet", "certs/kubelet"), ("policy", "policy")]
        {
            let volume = pod.volumes.iter().flatten().find(|volume| volume.name == name);
            let path = volume.and_then(|volume| Some(volume.host_path.as_ref()?.path.as_str()));
            ensure!(
                path.is_none_or(|path| path == format!("/etc/gatelet/{folder}")),
                "{name} is in {path:?}"
            );
            volumes.insert(name, self.0.path().join(folder));
        }
        Container::new(&pod, gate(kubelet, volumes)?)
    }
}

/// The image of the gate, before this kubelet.
pub(crate) fn gate<'a>(
    kubelet: &StandInKubelet,
    volumes: BTreeMap<&'a str, PathBuf>,
) -> anyhow::Result<Surroundings<'a>> {
    let mut configuration = Shipped::read(&project().join("envoy/kubelet/envoy.yaml"))?;
    configuration.listen_on_free_ports()?;
    for cluster in ["kubelet", "kubelet-tokens"] {
        configuration.move_endpoint(cluster, kubelet.address())?;
    }
    Ok(Surroundings {
        scripts: "kubelet",
        configuration: ("envoy.yaml", configuration),
        module: ("gatelet.wasm", Module::Shipped.path()?),
        volumes,
        // What the downward API says.
        variables: [("ADDRESS", "127.0.0.1".to_owned()), ("NODE", NODE.to_owned())].into(),
    })
}

async fn apiserver(envoy: &Envoy, cluster: &Cluster) -> anyhow::Result<Dialer> {
    let address = envoy.admin().listeners().await?["kubelet"];
    let identity = cluster.issue(Persona::ApiserverKubeletClient)?.into();
    let ca = cluster.authority(Ca::Cluster).certificate().as_bytes();
    Dialer::new(address, NODE, ca, Some(&identity))
}

fn is_well(output: &Output) -> bool {
    output.status.success()
}
