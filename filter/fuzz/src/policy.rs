//! Policies.

use std::collections::BTreeMap;

use gatelet_core::policy::{Builtins, Limits, Outcome, Policy, Source, value};
use serde_json::{Map, json};

/// Compiling any text ends without a panic, and so does evaluating what compiles. The register VM
/// allows nothing that the interpreter doesn't.
pub fn run(data: &[u8]) {
    let Ok(rego) = std::str::from_utf8(data) else { return };
    let source = Source {
        modules: BTreeMap::from([("policy.rego".to_owned(), rego.to_owned())]),
        data: Map::new(),
        entrypoint: "data.kubelet.authz.decision".to_owned(),
    };
    let Ok(policy) = Policy::compile(&source, Builtins::Standard, &Limits::default()) else {
        return;
    };
    for input in [json!({}), exec("id"), exec("sh")] {
        let document = value::to_value(&input).expect("a document is a value");
        match policy.evaluate(document) {
            Outcome::Failed(why) if why.contains("does not confirm") => panic!("{why}\n{rego}"),
            _ => {}
        }
    }
}

fn exec(command: &str) -> serde_json::Value {
    json!({
        "schema": "gatelet/v1", "method": "POST", "path": "/exec/default/web-0/app",
        "endpoint": "exec", "namespace": "default", "pod": "web-0", "container": "app",
        "exec": {"command": [command, "-c"], "stdin": true, "stdout": true, "stderr": false,
                 "tty": false, "env": {}},
        "upgrade": "spdy", "protocols": ["v4.channel.k8s.io"], "query": {"command": [command]},
        "peer": {"authenticated": true, "common_name": "kube-apiserver-kubelet-client",
                 "organizations": ["kubeadm:cluster-admins"], "bearer_token": false},
        "node": {"name": null},
    })
}
