//! The file with which Envoy gets the filter and its policy, and watches for the next one (ECDS).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::Written;

/// The filter's name in Envoy's configuration.
pub const NAME: &str = "gatelet";

/// A `DiscoveryResponse` with the filter's module, by its path as Envoy will see it, and this
/// configuration.
///
/// Its version is the SHA-256 of the configuration's text: Envoy takes a file with the version that
/// it has for no news.
///
/// # Errors
/// Never in practice: a configuration has a JSON form.
pub fn extension_config(configuration: &Written, module: &str) -> Result<Value, serde_json::Error> {
    let configuration = serde_json::to_string(configuration)?;
    let version = hex(&Sha256::digest(&configuration));
    Ok(json!({
        "version_info": version,
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": NAME,
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": NAME,
                    "vm_config": {
                        "vm_id": NAME,
                        "runtime": "envoy.wasm.runtime.v8",
                        "code": {"local": {"filename": module}},
                    },
                    // Closed, and back again: a trap costs one request a 503, not all of them.
                    "failure_policy": "FAIL_RELOAD",
                    "reload_config": {"backoff": {"base_interval": "0.100s"}},
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": configuration,
                    },
                },
            },
        }],
    }))
}

/// The filter's configuration, out of a file that [`extension_config`] made.
#[must_use]
pub fn configuration(file: &Value) -> Option<&str> {
    file.pointer("/resources/0/typed_config/config/configuration/value")?.as_str()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, config::WrittenPolicy};

    #[test]
    fn the_filter_reads_what_the_file_has() {
        let modules = [("a.rego".to_owned(), "package a".to_owned())].into();
        let written = Written {
            policy: WrittenPolicy { modules, ..Default::default() },
            ..Default::default()
        };
        let file = extension_config(&written, "gatelet.wasm").unwrap();
        let text = configuration(&file).unwrap();
        assert_eq!(Config::from_json(text.as_bytes()).unwrap(), Config::try_from(written).unwrap());
        assert_eq!(file["version_info"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn another_configuration_is_another_version() {
        let version =
            |written: &Written| extension_config(written, "m").unwrap()["version_info"].clone();
        let other = Written { dry_run_until: Some(String::new()), ..Written::default() };
        assert_ne!(version(&Written::default()), version(&other));
        assert_eq!(version(&Written::default()), version(&Written::default()));
    }
}
