//! Policies of a test's own, as Envoy reads them.

use gatelet_core::config::{Written, WrittenPolicy};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The extension-config file of one Rego module.
pub fn rego(module: &str) -> String {
    let modules = [("policy.rego".to_owned(), module.to_owned())].into();
    extension_config(&Written {
        policy: WrittenPolicy { modules, ..WrittenPolicy::default() },
        ..Written::default()
    })
}

/// The extension-config file of a whole configuration.
pub fn extension_config(configuration: &Written) -> String {
    let configuration = json!(configuration).to_string();
    let version: String =
        Sha256::digest(&configuration).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "version_info": version,
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": "gatelet",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": "gatelet",
                    "vm_config": {
                        "vm_id": "gatelet",
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": "gatelet.wasm"}},
                    },
                    "failure_policy": "FAIL_RELOAD",
                    "reload_config": {"backoff": {"base_interval": "0.100s"}},
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": configuration,
                    },
                },
            },
        }],
    })
    .to_string()
}
