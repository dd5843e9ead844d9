//! `kubectl apply --dry-run=client` takes everything. Even so it asks a server which resources there are,
//! and what is there already: nothing, here.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::manifests::{KUSTOMIZATIONS, kustomization, with_policies};

/// Groups with their versions, kinds, their plurals, and whether they are in a namespace.
const RESOURCES: [(&str, &str, &str, bool); 15] = [
    (
        "admissionregistration.k8s.io/v1",
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
        false,
    ),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        false,
    ),
    ("apps/v1", "DaemonSet", "daemonsets", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("monitoring.coreos.com/v1", "PodMonitor", "podmonitors", true),
    ("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", true),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io/v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", true),
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Namespace", "namespaces", false),
    ("v1", "ServiceAccount", "serviceaccounts", true),
];

#[test]
fn kubectl_would_create_every_object() -> anyhow::Result<()> {
    let server = serve()?;
    let folder = with_policies()?;
    for name in KUSTOMIZATIONS {
        let output = Command::new("kubectl")
            .args(["apply", "--dry-run=client", "--validate=false", "--server"])
            .arg(format!("http://{server}"))
            .arg("-k")
            .arg(folder.path().join("kubernetes").join(name))
            .env("HOME", folder.path())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name}: {said}");
        let created = String::from_utf8(output.stdout)?;
        let created = created.lines().filter(|line| line.ends_with(" created (dry run)")).count();
        assert_eq!(created, kustomization(name)?.len(), "{name}: {said}");
    }
    Ok(())
}

/// An API server without objects, for as long as the test lasts.
fn serve() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let documents = documents();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // kubectl says what it lacks.
            let _answered = answer(stream, &documents);
        }
    });
    Ok(address)
}

fn answer(mut stream: TcpStream, documents: &BTreeMap<String, Value>) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let target = request.split(' ').nth(1).context("a target")?;
    let path = target.split('?').next().unwrap_or_default();
    let missing = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
    });
    let (status, body) =
        documents.get(path).map_or(("404 Not Found", &missing), |document| ("200 OK", document));
    let body = body.to_string();
    let length = body.len();
    Ok(write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )?)
}

/// What Kubernetes calls discovery.
fn documents() -> BTreeMap<String, Value> {
    let mut lists = BTreeMap::<&str, Vec<Value>>::new();
    for (version, kind, plural, namespaced) in RESOURCES {
        lists.entry(version).or_default().push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced, "kind": kind,
            "verbs": ["create", "get", "patch"],
        }));
    }
    let groups: Vec<_> = lists
        .keys()
        .filter_map(|version| {
            let (group, short) = version.split_once('/')?;
            let version = json!({"groupVersion": version, "version": short});
            Some(json!({"name": group, "versions": [version], "preferredVersion": version}))
        })
        .collect();
    let mut documents: BTreeMap<_, _> = lists
        .into_iter()
        .map(|(version, resources)| {
            let root = if version.contains('/') { "apis" } else { "api" };
            let list = json!({
                "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version,
                "resources": resources,
            });
            (format!("/{root}/{version}"), list)
        })
        .collect();
    documents.insert("/api".to_owned(), json!({"kind": "APIVersions", "versions": ["v1"]}));
    let list = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
    documents.insert("/apis".to_owned(), list);
    documents
}
