//! Every field is one that Kubernetes has, of its type, and none that it demands is missing.
//!
//! The types are made from Kubernetes' OpenAPI document. They drop what they don't know and fill in what
//! is missing, so an object that comes out as it went in is whole.

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::crds::{PodMonitor, PrometheusRule};
use crate::manifests;

#[test]
fn every_object_is_as_kubernetes_has_it() -> anyhow::Result<()> {
    let mut checked = 0;
    for (name, objects) in manifests::built()? {
        for object in &objects {
            check(object).with_context(|| {
                format!("{name}: {} {}", object["kind"], object["metadata"]["name"])
            })?;
            checked += 1;
        }
    }
    for object in manifests::file("static-pod.yaml")? {
        check(&object).context("static-pod.yaml")?;
    }
    assert!(checked > 20, "only {checked} objects");
    Ok(())
}

#[test]
fn what_kubernetes_does_not_know_is_noticed() -> anyhow::Result<()> {
    let sound = manifests::file("static-pod.yaml")?.remove(0);
    check(&sound)?;
    type Spoil = fn(&mut Value);
    let rows: [(&str, Spoil); 4] = [
        ("an unknown field", |pod| pod["spec"]["readOnly"] = json!(true)),
        ("an unknown field within", |pod| {
            pod["spec"]["containers"][0]["securityContext"]["privilege"] = json!(false);
        }),
        ("another type", |pod| pod["spec"]["hostNetwork"] = json!("yes")),
        ("a field that has to be there", |pod| {
            let _removed = pod["spec"]["volumes"][0].as_object_mut().unwrap().remove("name");
        }),
    ];
    for (what, spoil) in rows {
        let mut pod = sound.clone();
        spoil(&mut pod);
        assert!(check(&pod).is_err(), "{what}");
    }
    Ok(())
}

#[test]
fn the_cluster_of_the_walk_through_is_one_of_kind() -> anyhow::Result<()> {
    let cluster = manifests::file("kind.yaml")?.remove(0);
    assert_eq!(cluster["apiVersion"], "kind.x-k8s.io/v1alpha4");
    let nodes = cluster["nodes"].as_array().context("nodes")?;
    let roles: Vec<_> = nodes.iter().map(|node| &node["role"]).collect();
    assert_eq!(roles, ["control-plane", "worker"]);
    for node in nodes {
        let image = node["image"].as_str().context("an image")?;
        assert!(image.starts_with("kindest/node:v1.33.") && image.contains("@sha256:"), "{image}");
    }
    Ok(())
}

fn check(object: &Value) -> anyhow::Result<()> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    match (text("apiVersion"), text("kind")) {
        ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy") => {
            whole::<MutatingAdmissionPolicy>(object)
        }
        ("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding") => {
            whole::<MutatingAdmissionPolicyBinding>(object)
        }
        ("apps/v1", "DaemonSet") => whole::<DaemonSet>(object),
        ("apps/v1", "Deployment") => whole::<Deployment>(object),
        ("monitoring.coreos.com/v1", "PodMonitor") => whole::<PodMonitor>(object),
        ("monitoring.coreos.com/v1", "PrometheusRule") => whole::<PrometheusRule>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => whole::<NetworkPolicy>(object),
        ("policy/v1", "PodDisruptionBudget") => whole::<PodDisruptionBudget>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => whole::<ClusterRole>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
            whole::<ClusterRoleBinding>(object)
        }
        ("rbac.authorization.k8s.io/v1", "Role") => whole::<Role>(object),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => whole::<RoleBinding>(object),
        ("v1", "ConfigMap") => whole::<ConfigMap>(object),
        ("v1", "Namespace") => whole::<Namespace>(object),
        ("v1", "Pod") => whole::<Pod>(object),
        ("v1", "ServiceAccount") => whole::<ServiceAccount>(object),
        (version, kind) => bail!("no schema of {version} {kind}"),
    }
}

fn whole<T: DeserializeOwned + Serialize>(object: &Value) -> anyhow::Result<()> {
    let known = serde_json::to_value(T::deserialize(object)?)?;
    ensure!(known == *object, "Kubernetes makes of it\n{known:#}\nwhich is not\n{object:#}");
    Ok(())
}
