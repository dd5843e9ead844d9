//! Whatever a manifest names is there.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Context as _;
use gatelet_tests::approver::{SERVICE_ACCOUNT, roles};
use gatelet_tests::envoy::{Shipped, project};
use serde_json::{Value, json};

use crate::manifests::{self, the};

/// Kubernetes puts it into every namespace.
const EVERYWHERE: &str = "kube-root-ca.crt";

#[test]
fn what_a_pod_refers_to_is_applied_with_it() -> anyhow::Result<()> {
    let mut pods = 0;
    for (name, objects) in manifests::built()? {
        let there = |kind: &str, named: &Value, namespace: &Value| {
            objects.iter().any(|object| {
                object["kind"] == kind
                    && object["metadata"]["name"] == *named
                    && object["metadata"]["namespace"] == *namespace
            })
        };
        for object in objects.iter().filter(|object| object.pointer(POD).is_some()) {
            let (pod, namespace) =
                (&object["spec"]["template"]["spec"], &object["metadata"]["namespace"]);
            let account = &pod["serviceAccountName"];
            assert!(there("ServiceAccount", account, namespace), "{name}: {account}");
            volumes_are_mounted(name, pod)?;
            for volume in list(&pod["volumes"]) {
                let map = &volume["configMap"]["name"];
                if map.is_string() && map != EVERYWHERE {
                    assert!(there("ConfigMap", map, namespace), "{name}: {map}");
                }
                assert!(volume["secret"].is_null(), "{name}: nobody makes {volume}");
            }
            let labels = &object["spec"]["template"]["metadata"]["labels"];
            assert!(selects(&object["spec"]["selector"], labels), "{name}: its own pods");
            pods += 1;
        }
    }
    assert_eq!(pods, 3);
    volumes_are_mounted("static-pod.yaml", &manifests::file("static-pod.yaml")?.remove(0)["spec"])
}

#[test]
fn the_policy_is_where_envoy_looks_for_it() -> anyhow::Result<()> {
    for (name, file) in
        [("owned", "gatelet.json"), ("hardened", "gatelet.json"), ("approver", "approver.json")]
    {
        let objects = manifests::kustomization(name)?;
        let data = the("ConfigMap", &objects)?["data"].as_object().context("data")?;
        assert_eq!(data.keys().collect::<Vec<_>>(), [file], "{name}");
    }
    Ok(())
}

/// A gate for each profile may be in one cluster.
#[test]
fn both_profiles_can_be_applied_together() -> anyhow::Result<()> {
    let names = |objects: &[Value]| -> BTreeSet<String> {
        let owned = objects.iter().filter(|object| object["kind"] != "ServiceAccount");
        owned.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect()
    };
    let (owned, hardened) =
        (manifests::kustomization("owned")?, manifests::kustomization("hardened")?);
    assert_eq!(names(&owned).intersection(&names(&hardened)).collect::<Vec<_>>(), [""; 0]);
    let of = |objects: &[Value]| anyhow::Ok(the("DaemonSet", objects)?["spec"].clone());
    let (owned, hardened) = (of(&owned)?, of(&hardened)?);
    assert!(!selects(&owned["selector"], &hardened["template"]["metadata"]["labels"]));
    assert_ne!(
        owned["template"]["spec"]["nodeSelector"],
        hardened["template"]["spec"]["nodeSelector"]
    );
    Ok(())
}

#[test]
fn the_approver_has_the_rights_of_rbac_yaml_and_no_others() -> anyhow::Result<()> {
    let shipped: Vec<Value> = roles()?
        .split("\n---\n")
        .map(|text| Ok(serde_saphyr::from_str(text)?))
        .collect::<anyhow::Result<_>>()?;
    let objects = manifests::kustomization("approver")?;
    for kind in ["ClusterRole", "Role"] {
        assert_eq!(the(kind, &objects)?, the(kind, &shipped)?);
    }
    for kind in ["ClusterRoleBinding", "RoleBinding"] {
        let (bound, shipped) = (the(kind, &objects)?, the(kind, &shipped)?);
        assert_eq!(bound["roleRef"], shipped["roleRef"]);
        let (namespace, name) = SERVICE_ACCOUNT;
        let account = json!([{"kind": "ServiceAccount", "name": name, "namespace": namespace}]);
        assert_eq!(bound["subjects"], account);
    }
    Ok(())
}

/// `gatelet-certs` writes the group, and the kubelet asks about it.
#[test]
fn a_hardened_kubelet_obeys_the_gate_s_certificate() -> anyhow::Result<()> {
    let objects = manifests::kustomization("hardened")?;
    let binding = the("ClusterRoleBinding", &objects)?;
    assert_eq!(binding["roleRef"]["name"], "system:kubelet-api-admin");
    assert_eq!(binding["subjects"][0]["kind"], "Group");
    let group = binding["subjects"][0]["name"].as_str().context("a group")?;
    assert!(gatelet_certs::table().contains(&format!("O={group}`")), "{group}");
    Ok(())
}

#[test]
fn policies_and_monitors_select_the_pods_that_they_are_for() -> anyhow::Result<()> {
    let built = manifests::built()?;
    let pods: Vec<_> = built
        .values()
        .flatten()
        .filter(|object| object.pointer(POD).is_some())
        .map(|object| (&object["metadata"]["namespace"], &object["spec"]["template"]))
        .collect();
    let fixed = manifests::file("static-pod.yaml")?;
    let fixed = fixed.iter().map(|pod| (&pod["metadata"]["namespace"], pod));
    let pods: Vec<_> = pods.into_iter().chain(fixed).collect();
    let mut checked = 0;
    for object in built.values().flatten() {
        let (selector, count) = match object["kind"].as_str() {
            Some("NetworkPolicy") => (&object["spec"]["podSelector"], 1),
            Some("PodDisruptionBudget") => (&object["spec"]["selector"], 1),
            // Of the gates both sets and the static pod.
            Some("PodMonitor") if object["metadata"]["name"] == "gatelet" => {
                (&object["spec"]["selector"], 3)
            }
            Some("PodMonitor") => (&object["spec"]["selector"], 1),
            _ => continue,
        };
        let namespace = &object["metadata"]["namespace"];
        let selected = pods
            .iter()
            .filter(|(of, pod)| *of == namespace && selects(selector, &pod["metadata"]["labels"]));
        let selected: Vec<_> = selected.collect();
        assert_eq!(selected.len(), count, "{object}");
        for port in ports(object) {
            let named = |(_, pod): &&(&Value, &Value)| {
                list(&pod["spec"]["containers"][0]["ports"]).iter().any(|one| one["name"] == *port)
            };
            assert!(selected.iter().all(named), "no port {port} of {object}");
        }
        checked += 1;
    }
    assert_eq!(checked, 4);
    Ok(())
}

#[test]
fn ports_are_those_on_which_envoy_listens() -> anyhow::Result<()> {
    for (pod, file) in [
        (manifests::file("static-pod.yaml")?.remove(0)["spec"].take(), "kubelet/envoy.yaml"),
        (
            the("DaemonSet", &manifests::kustomization("owned")?)?["spec"]["template"]["spec"]
                .clone(),
            "kubelet/envoy.yaml",
        ),
        (
            the("Deployment", &manifests::kustomization("approver")?)?["spec"]["template"]["spec"]
                .clone(),
            "approver/envoy-token.yaml",
        ),
    ] {
        let mut shipped = Shipped::read(&project().join("envoy").join(file))?;
        let listeners = shipped.as_json()["static_resources"]["listeners"].take();
        let listening: BTreeSet<_> = list(&listeners)
            .iter()
            .filter_map(|listener| {
                let port = listener.pointer("/address/socket_address/port_value")?;
                Some((listener["name"].to_string(), port.as_u64()?))
            })
            .collect();
        let declared: BTreeSet<_> = list(&pod["containers"][0]["ports"])
            .iter()
            .filter_map(|port| Some((port["name"].to_string(), port["containerPort"].as_u64()?)))
            .collect();
        assert_eq!(declared, listening, "{file}");
    }
    Ok(())
}

/// Each image is a target of envoy/Dockerfile, and has what its container runs, and its user.
#[test]
fn images_are_those_that_are_built() -> anyhow::Result<()> {
    let built = fs::read_to_string(project().join("envoy/Dockerfile"))?;
    let gate = manifests::file("static-pod.yaml")?.remove(0)["spec"].take();
    let approver = manifests::kustomization("approver")?;
    let approver = the("Deployment", &approver)?["spec"]["template"]["spec"].clone();
    for (target, pod, files) in [
        ("node", gate, &["start", "stop", "envoy.yaml", "sds", "gatelet.wasm", "gatelet"][..]),
        (
            "approver",
            approver,
            &["start", "envoy-token.yaml", "sds", "gatelet_approver.wasm", "gatelet"],
        ),
    ] {
        let image = pod["containers"][0]["image"].as_str().context("an image")?;
        let listed = built.lines().filter_map(|line| line.strip_prefix("#   "));
        let mut listed = listed.filter(|line| line.split(' ').next() == Some(target));
        assert!(listed.any(|line| line.split(' ').next_back() == Some(image)), "{target}: {image}");

        let (_, stage) = built.split_once(&format!(" AS {target}\n")).context(target)?;
        let stage = stage.split("\nFROM ").next().unwrap_or_default();
        let copied: BTreeSet<_> = stage
            .lines()
            .filter(|line| line.starts_with("COPY "))
            .flat_map(|line| line.split(' ').filter_map(|path| path.rsplit('/').next()))
            .collect();
        for file in files {
            assert!(copied.contains(file), "{target}: {file}");
        }
        let user = &pod["securityContext"]["runAsUser"];
        assert!(stage.contains(&format!("USER {user}:{user}\n")), "{target}: {user}");
    }
    // What probes and `stop` use.
    assert!(built.contains(" curl "), "no curl");
    Ok(())
}

#[test]
fn every_manifest_says_first_whether_it_trusts_the_control_plane() -> anyhow::Result<()> {
    let mut seen = 0;
    let kubernetes = project().join("envoy/kubernetes");
    for folder in ["", "base", "owned", "hardened", "approver", "sidecar", "monitoring"] {
        for entry in fs::read_dir(kubernetes.join(folder))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // A cluster for trying it has nobody to trust.
            if !name.ends_with(".yaml") || name == "kind.yaml" {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            let first = text.lines().next().unwrap_or_default();
            let says = if name == "static-pod.yaml" { "doesn't trust" } else { "trusts" };
            let says = format!("# This {says} the control plane");
            assert!(first.starts_with(&says), "{}: {first}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen}");
    Ok(())
}

const POD: &str = "/spec/template/spec/containers";

fn volumes_are_mounted(name: &str, pod: &Value) -> anyhow::Result<()> {
    let names = |of: &Value| -> BTreeSet<String> {
        list(of).iter().map(|one| one["name"].to_string()).collect()
    };
    let mounted = names(&pod["containers"][0]["volumeMounts"]);
    assert_eq!(mounted, names(&pod["volumes"]), "{name}");
    Ok(())
}

/// Whether a selector of labels alone selects these.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object();
    wanted.is_some_and(|wanted| {
        !wanted.is_empty() && wanted.iter().all(|(name, value)| labels[name] == *value)
    })
}

/// The names of ports in a policy or monitor.
fn ports(object: &Value) -> Vec<&Value> {
    let rules = list(&object["spec"]["ingress"]).iter().flat_map(|rule| list(&rule["ports"]));
    let ports = rules.chain(list(&object["spec"]["podMetricsEndpoints"])).map(|one| &one["port"]);
    ports.collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
