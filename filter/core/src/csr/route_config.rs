//! The file with which Envoy serves the approver its configuration, and watches for the next one (RDS).
//!
//! Nothing else of Envoy's configuration can change while a singleton service runs: so the service
//! asks a route for it, with the version that it has.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::config::Written;

/// The route configuration's name in Envoy's configuration.
pub const NAME: &str = "gatelet-approver";

/// A `DiscoveryResponse` with the one route that answers with this configuration, or with 304 to who
/// has it.
///
/// # Errors
/// Never in practice: a configuration has a JSON form.
pub fn route_config(configuration: &Written) -> Result<Value, serde_json::Error> {
    let configuration = serde_json::to_string(configuration)?;
    let version = super::hex(&Sha256::digest(&configuration));
    let has_it = json!([{"name": "if-none-match", "string_match": {"exact": version}}]);
    Ok(json!({
        "version_info": version,
        "resources": [{
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
            "name": NAME,
            // The default is 4096.
            "max_direct_response_body_size_bytes": configuration.len(),
            "virtual_hosts": [{
                "name": "configuration",
                "domains": ["*"],
                "routes": [
                    {
                        "match": {"path": "/configuration", "headers": has_it},
                        "direct_response": {"status": 304},
                    },
                    {
                        "match": {"path": "/configuration"},
                        "direct_response": {"status": 200, "body": {"inline_string": configuration}},
                        "response_headers_to_add": [{"header": {"key": "etag", "value": version}}],
                    },
                ],
            }],
        }],
    }))
}

/// The approver's configuration, out of a file that [`route_config`] made.
#[must_use]
pub fn configuration(file: &Value) -> Option<&str> {
    let routes = file.pointer("/resources/0/virtual_hosts/0/routes")?.as_array()?;
    routes.iter().find_map(|route| route.pointer("/direct_response/body/inline_string")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::WrittenPolicy, csr::Config};

    #[test]
    fn the_approver_reads_what_the_file_has() {
        let modules = [("a.rego".to_owned(), "package a".to_owned())].into();
        let policy = WrittenPolicy { modules, ..WrittenPolicy::default() };
        let written = Written { policy, ..Written::default() };
        let file = route_config(&written).unwrap();
        let text = configuration(&file).unwrap();
        assert_eq!(Config::from_json(text.as_bytes()).unwrap(), Config::try_from(written).unwrap());
        assert_eq!(file["version_info"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn another_configuration_is_another_version() {
        let version = |written: &Written| route_config(written).unwrap()["version_info"].clone();
        let other = Written { live_certificates: false, ..Written::default() };
        assert_ne!(version(&Written::default()), version(&other));
        assert_eq!(version(&Written::default()), version(&Written::default()));
    }
}
