//! The file with which Envoy gets the filter and its policy, and watches for the next one (ECDS).

use std::collections::BTreeSet;

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
    Ok(file(&configuration, module))
}

/// The filter's configuration, out of a file that [`extension_config`] made.
#[must_use]
pub fn configuration(file: &Value) -> Option<&str> {
    file.pointer(CONFIGURATION)?.as_str()
}

/// Where a file differs from one that [`extension_config`] makes, as a JSON pointer; the version, the
/// module and the configuration are its own. A file with `failure_policy: FAIL_OPEN`, for one, would
/// let everything pass after a trap.
#[must_use]
pub fn difference(file: &Value) -> Option<String> {
    let text = |pointer| file.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut rendered = self::file(text(CONFIGURATION), text(MODULE));
    if let (Some(ours), Some(theirs)) = (rendered.get_mut("version_info"), file.get("version_info"))
    {
        ours.clone_from(theirs);
    }
    first_difference(&rendered, file, String::new())
}

const CONFIGURATION: &str = "/resources/0/typed_config/config/configuration/value";
const MODULE: &str = "/resources/0/typed_config/config/vm_config/code/local/filename";

fn first_difference(one: &Value, other: &Value, at: String) -> Option<String> {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            let keys: BTreeSet<_> = ones.keys().chain(others.keys()).collect();
            keys.into_iter().find_map(|key| {
                let at = format!("{at}/{key}");
                match (ones.get(key), others.get(key)) {
                    (Some(one), Some(other)) => first_difference(one, other, at),
                    _ => Some(at),
                }
            })
        }
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            let mut pairs = ones.iter().zip(others).enumerate();
            pairs.find_map(|(i, (one, other))| first_difference(one, other, format!("{at}/{i}")))
        }
        _ => (one != other).then_some(at),
    }
}

fn file(configuration: &str, module: &str) -> Value {
    json!({
        "version_info": hex(&Sha256::digest(configuration)),
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
    })
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
    fn a_file_that_would_open_the_gate_differs() {
        let file = extension_config(&Written::default(), "gatelet.wasm").unwrap();
        assert_eq!(difference(&file), None);
        for (pointer, value, want) in [
            ("/version_info", json!("2"), None),
            (MODULE, json!("/opt/gatelet.wasm"), None),
            (CONFIGURATION, json!("{}"), None),
            ("/resources/0/typed_config/config/failure_policy", json!("FAIL_OPEN"), Some("")),
            ("/resources/0/typed_config/config/vm_config/runtime", json!("null"), Some("")),
            ("/resources/0/typed_config/config/vm_config/code", json!({}), Some("/local")),
            ("/resources/0/typed_config/config/vm_config/code/local", json!({}), Some("/filename")),
            ("/resources/0/name", json!("other"), Some("")),
            ("/resources", json!([]), Some("")),
        ] {
            let mut changed = file.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            let want = want.map(|below| format!("{pointer}{below}"));
            assert_eq!(difference(&changed), want, "{pointer}");
        }
        let mut more = file.clone();
        more["resources"][0]["typed_config"]["config"]["fail_open"] = json!(true);
        assert_eq!(
            difference(&more).as_deref(),
            Some("/resources/0/typed_config/config/fail_open")
        );
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
