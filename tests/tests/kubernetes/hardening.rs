//! What a pod of ours may not do.

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::manifests::{self, the};

#[test]
fn no_container_can_more_than_it_needs() -> anyhow::Result<()> {
    for (name, pod, _) in pods()? {
        let context = &pod["securityContext"];
        assert_eq!(context["runAsNonRoot"], true, "{name}");
        assert!(context["runAsUser"].as_u64() > Some(0), "{name}");
        assert_eq!(context["seccompProfile"], json!({"type": "RuntimeDefault"}), "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        for not in ["hostPID", "hostIPC", "initContainers", "shareProcessNamespace"] {
            assert_eq!(pod[not], Value::Null, "{name}: {not}");
        }
        for container in pod["containers"].as_array().context("containers")? {
            let context = json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            });
            assert_eq!(container["securityContext"], context, "{name}");
            let resources = &container["resources"];
            assert!(resources["limits"]["memory"].is_string(), "{name}");
            assert!(resources["requests"]["memory"].is_string(), "{name}");
            assert_eq!(resources["limits"]["cpu"], Value::Null, "{name}: it would be throttled");
            for mount in container["volumeMounts"].as_array().context("mounts")? {
                let writable = mount["name"] == "run";
                assert_eq!(mount["readOnly"] == true, !writable, "{name}: {mount}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_gate_stays_when_the_node_is_in_trouble() -> anyhow::Result<()> {
    for (name, pod, gate) in pods()? {
        let priority = if gate { "system-node-critical" } else { "system-cluster-critical" };
        assert_eq!(pod["priorityClassName"], priority, "{name}");
        assert_eq!(pod["hostNetwork"] == true, gate, "{name}");
    }
    for name in ["owned", "hardened"] {
        let objects = manifests::kustomization(name)?;
        let pod = &the("DaemonSet", &objects)?["spec"]["template"]["spec"];
        assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]), "{name}");
    }
    Ok(())
}

/// `stop` waits for 60 seconds, and has to be over before the kubelet kills what is left.
#[test]
fn there_is_time_to_stop() -> anyhow::Result<()> {
    for (name, pod, _) in pods()?.into_iter().filter(|(_, _, gate)| *gate) {
        let hook = &pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"];
        let words = hook.as_array().and_then(|words| words.last()).and_then(Value::as_str);
        let seconds = words.and_then(|words| words.rsplit(' ').next()).context("no time")?;
        let seconds: u64 = seconds.parse()?;
        let grace = pod["terminationGracePeriodSeconds"].as_u64().context("a grace period")?;
        assert!(grace > seconds + 10, "{name}: {seconds} of {grace}");
    }
    Ok(())
}

/// The API server's part in a static pod is to show it: the kubelet refuses what refers to more.
#[test]
fn the_static_pod_takes_nothing_from_the_api_server() -> anyhow::Result<()> {
    let pod = manifests::file("static-pod.yaml")?.remove(0);
    let text = pod.to_string();
    for word in [
        "configMap",
        "secret",
        "serviceAccount\"",
        "projected",
        "fieldRef",
        "persistentVolumeClaim",
    ] {
        assert!(!text.contains(&format!("\"{word}")), "{word}");
    }
    for volume in pod["spec"]["volumes"].as_array().context("volumes")? {
        assert!(volume["hostPath"].is_object() || volume["emptyDir"].is_object(), "{volume}");
    }
    Ok(())
}

#[test]
fn the_static_pod_and_the_daemonset_differ_only_in_whom_they_ask() -> anyhow::Result<()> {
    let mut pod = manifests::file("static-pod.yaml")?.remove(0)["spec"].take();
    for name in ["owned", "hardened"] {
        let objects = manifests::kustomization(name)?;
        let mut of_set = the("DaemonSet", &objects)?["spec"]["template"]["spec"].clone();
        for key in ["nodeSelector", "serviceAccountName", "tolerations"] {
            of_set.as_object_mut().context("an object")?.remove(key).context(key)?;
        }
        for pod in [&mut pod, &mut of_set] {
            let container = pod["containers"][0].as_object_mut().context("a container")?;
            container.remove("args").context("args")?;
            container.remove("env");
            let volumes = pod["volumes"].as_array_mut().context("volumes")?;
            volumes.retain(|volume| volume["name"] != "policy");
            // For the other set.
            pod["containers"][0]["args"] = json!([]);
        }
        assert_eq!(of_set, pod, "{name}");
    }
    Ok(())
}

/// Its metrics are plain HTTP, for Prometheus alone.
#[test]
fn only_monitoring_gets_to_the_approver() -> anyhow::Result<()> {
    let objects = manifests::kustomization("approver")?;
    let policy = &the("NetworkPolicy", &objects)?["spec"];
    assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]));
    let monitoring = json!({"kubernetes.io/metadata.name": "monitoring"});
    assert_eq!(
        policy["ingress"],
        json!([{
            "from": [{"namespaceSelector": {"matchLabels": monitoring}}],
            "ports": [{"port": "monitoring", "protocol": "TCP"}],
        }])
    );
    for way in policy["egress"].as_array().context("egress")? {
        assert!(way["ports"].as_array().is_some_and(|ports| !ports.is_empty()), "{way}");
    }
    Ok(())
}

/// The pods' specifications, and whether they are gates.
fn pods() -> anyhow::Result<Vec<(&'static str, Value, bool)>> {
    let mut pods = vec![(
        "static-pod.yaml",
        manifests::file("static-pod.yaml")?.remove(0)["spec"].take(),
        true,
    )];
    for (name, kind) in
        [("owned", "DaemonSet"), ("hardened", "DaemonSet"), ("approver", "Deployment")]
    {
        let objects = manifests::kustomization(name)?;
        let spec = the(kind, &objects)?["spec"]["template"]["spec"].clone();
        pods.push((name, spec, kind == "DaemonSet"));
    }
    Ok(pods)
}
