//! Policies of a test's own, as Envoy reads them.

use gatelet_core::config::{Written, WrittenPolicy};
use gatelet_core::{csr, extension_config};

/// The extension-config file of one Rego module.
///
/// # Errors
/// As [`extension_config`].
pub fn rego(module: &str) -> anyhow::Result<String> {
    let modules = [("policy.rego".to_owned(), module.to_owned())].into();
    let policy = WrittenPolicy { modules, ..WrittenPolicy::default() };
    extension_config(&Written { policy, ..Written::default() })
}

/// The extension-config file of a whole configuration.
///
/// # Errors
/// Never in practice: a configuration has a JSON form.
pub fn extension_config(configuration: &Written) -> anyhow::Result<String> {
    Ok(extension_config::extension_config(configuration, "gatelet.wasm")?.to_string())
}

/// The approver's file of a whole configuration.
///
/// # Errors
/// Never in practice: a configuration has a JSON form.
pub fn route_config(configuration: &csr::Written) -> anyhow::Result<String> {
    Ok(csr::route_config::route_config(configuration)?.to_string())
}
