//! regorus' interpreter, for what no request waits for.

use std::collections::BTreeMap;

use gatelet_core::policy::{self, Limits};
use regorus::{Engine, PolicyLengthConfig};

/// An interpreter that reads what the filter reads, and as the filter and OPA leaves a rule undefined
/// when a builtin in it fails.
pub(crate) fn interpreter(limits: &Limits) -> Engine {
    let mut engine = Engine::new();
    engine.set_policy_length_config(PolicyLengthConfig {
        max_col: limits.policy_columns,
        max_file_bytes: limits.policy_bytes,
        max_lines: limits.policy_lines,
    });
    engine.set_strict_builtin_errors(false);
    engine
}

/// Adds a module, and tells its package.
///
/// # Errors
/// When it isn't Rego; the message has the place.
pub(crate) fn add(engine: &mut Engine, name: &str, rego: &str) -> anyhow::Result<String> {
    engine.add_policy(name.to_owned(), rego.to_owned()).map_err(|error| {
        let modules = BTreeMap::from([(name.to_owned(), rego.to_owned())]);
        policy::diagnostic(&error, &modules).into()
    })
}
