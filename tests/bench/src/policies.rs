//! The policies of the benchmark.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use gatelet_core::config::{Profile, Written, WrittenPolicy};
use gatelet_tests::envoy::project;
use serde_json::{Value, json};

/// The shipped policy, with data that grants what the requests of the benchmark ask for.
///
/// # Errors
/// When it can't be read.
pub fn shipped() -> anyhow::Result<Written> {
    let mut modules = BTreeMap::new();
    collect(&project().join("rego/kubelet"), "kubelet", &mut modules)?;
    Ok(configuration(modules, &data()))
}

/// A policy of one's own with the same rules and no peers.
pub fn own() -> Written {
    configuration([("own.rego".to_owned(), OWN.to_owned())].into(), &data())
}

/// A policy with the same rules for profile `http`, which takes requests without certificates.
pub fn http() -> Written {
    let written = configuration([("http.rego".to_owned(), HTTP.to_owned())].into(), &data());
    Written { profile: Profile::Http, ..written }
}

/// A policy that grants nothing.
pub fn closed() -> Written {
    let rego = "package kubelet.authz\n\ndecision := false\n";
    configuration([("closed.rego".to_owned(), rego.to_owned())].into(), &json!({}))
}

/// The policy of [`own`].
pub const OWN: &str = r#"
package kubelet.authz

default decision := {"allow": false}

decision := {"allow": true, "rule": min(allow)} if count(allow) > 0

allow contains "logs" if {
	input.endpoint == "containerLogs"
	input.namespace in data.kubelet.logs.namespaces
}

allow contains "exec" if {
	input.endpoint == "exec"
	some entry in data.kubelet.operate
	input.namespace in entry.namespaces
	some prefix in entry.pod_prefixes
	startswith(input.pod, prefix)
	input.container in entry.containers
	some permitted in entry.exec
	permitted.command == input.exec.command
	input.exec.stdin == false
	input.exec.tty == false
}
"#;

/// The policy of [`http`].
const HTTP: &str = r#"
package http.authz

default decision := {"allow": false}

decision := {"allow": true, "rule": min(allow)} if count(allow) > 0

allow contains "logs" if {
	input.method == "GET"
	input.segments[0] == "containerLogs"
	input.segments[1] in data.kubelet.logs.namespaces
}

allow contains "exec" if {
	input.method == "POST"
	input.segments[0] == "exec"
	some entry in data.kubelet.operate
	input.segments[1] in entry.namespaces
	some prefix in entry.pod_prefixes
	startswith(input.segments[2], prefix)
	input.segments[3] in entry.containers
	some permitted in entry.exec
	permitted.command == input.query.command
}
"#;

/// What the policies read.
pub fn data() -> Value {
    json!({"kubelet": {
        "peers": [{
            "common_name": "kube-apiserver-kubelet-client",
            "organization": "kubeadm:cluster-admins",
            "presets": ["observe", "logs", "operate"],
        }],
        "logs": {"namespaces": ["default"]},
        "operate": [{
            "namespaces": ["default"],
            "pod_prefixes": ["web-"],
            "containers": ["app"],
            "exec": [{"command": ["id"]}],
        }],
    }})
}

fn configuration(modules: BTreeMap<String, String>, data: &Value) -> Written {
    let data = data.as_object().cloned().unwrap_or_default();
    let policy = WrittenPolicy { modules, data, ..WrittenPolicy::default() };
    Written { policy, ..Written::default() }
}

/// All Rego below a folder but tests, by the paths in it.
fn collect(folder: &Path, below: &str, found: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = format!("{below}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            collect(&path, &name, found)?;
        } else if name.ends_with(".rego") && !name.ends_with("_test.rego") {
            found.insert(name, fs::read_to_string(&path)?);
        }
    }
    Ok(())
}
