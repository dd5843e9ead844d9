//! The shipped rules, and a rule for tests that are about something else.

use std::{collections::BTreeMap, fs, path::Path};

use gatelet_core::{
    csr::{Config, Controller, KUBELET_SERVING},
    policy::{Builtins, Policy},
};
use serde_json::{Value, json};

/// A controller with the shipped rules and this data.
pub(crate) fn shipped(data: &Value) -> Controller {
    shipped_for(&[KUBELET_SERVING], data)
}

/// The same for requests to these signers.
pub(crate) fn shipped_for(signers: &[&str], data: &Value) -> Controller {
    controller(&json!({"modules": modules(), "data": data}), &json!({"signers": signers}))
}

/// A controller that approves what can be read, and denies the rest, with these further settings.
pub(crate) fn readable(settings: &Value) -> Controller {
    const READABLE: &str = r#"package csr.approval

decision := {"decision": "approve", "rule": "readable", "reason": "It can be read."} if {
	input.malformed == null
} else := {"decision": "deny", "rule": "readable", "reason": "It can't be read."}
"#;
    controller(&json!({"modules": {"approval.rego": READABLE}}), settings)
}

/// A controller with this policy and these further settings.
pub(crate) fn controller(policy: &Value, settings: &Value) -> Controller {
    let mut config = json!({"policy": policy});
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let config = Config::from_json(config.to_string().as_bytes());
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    Controller::new(config).unwrap_or_else(|error| panic!("{error}"))
}

fn modules() -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rego/csr");
    read(&folder, "csr", &mut modules);
    modules
}

fn read(folder: &Path, below: &str, modules: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            read(&path, &name, modules);
        } else if name.ends_with(".rego") && !name.ends_with("_test.rego") {
            modules.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

/// A decision must not be out of budget because of what a node asks for.
#[test]
fn the_most_names_that_are_read_cost_half_of_the_limit_at_most() {
    let names: Vec<_> = (0..100).map(|n| format!("n{n}.{}", "label.".repeat(39))).collect();
    let addresses: Vec<_> = (0..100).map(|n| format!("10.0.0.{n}")).collect();
    for (dns, ip) in [(&names[..], &[][..]), (&[], &addresses), (&names[..50], &addresses[..50])] {
        let subject = json!({
            "attributes": [{"type": "O", "value": "system:nodes"}],
            "common_name": "system:node:worker-1", "organizations": ["system:nodes"],
        });
        let sans = json!({"dns": dns, "ip": ip, "email": [], "uri": [], "other": []});
        let key = json!({"type": "ECDSA", "bits": 256, "sha256": "0"});
        let input = json!({
            "signer": KUBELET_SERVING, "username": "system:node:worker-1", "malformed": null,
            "groups": ["system:nodes"], "usages": ["server auth"], "expiration_seconds": null,
            "age_seconds": 1, "existing": {"pending": 0, "approved_last_hour": 0}, "access": {},
            "request": {
                "subject": subject, "sans": sans, "key": key, "extensions": [], "attributes": [],
                "certificate_authority": false,
            },
            "node": {"name": "worker-1", "exists": true, "dns": dns, "ip": ip}, "serving": null,
        });
        let cidrs = ["10.1.0.0/16", "10.2.0.0/16"];
        for data in [
            json!({"cidrs": cidrs, "domains": ["a", "b"]}),
            json!({"inventory": {"worker-1": {"dns": dns, "ip": ip}}, "cidrs": cidrs}),
        ] {
            let controller = shipped(&json!({"csr": data}));
            let Config { policy, limits, .. } = controller.config();
            let policy = Policy::compile(policy, Builtins::Full, limits).unwrap();
            let taken = policy.instructions(&input.clone().into());
            let half = limits.instructions.get() / 2;
            assert!(taken.is_some_and(|taken| taken <= half), "{taken:?}");
        }
    }
}
