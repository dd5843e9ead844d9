//! Istio's WasmPlugin, with the filter's configuration in it.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use gatelet_core::config::Written;
use serde_json::{Map, Value};

use crate::document;

/// A manifest, with this configuration as its `pluginConfig`.
///
/// # Errors
/// When it is no WasmPlugin, has a configuration already, or lets requests pass that the filter didn't
/// decide; when istiod would hand over another configuration than this.
pub(crate) fn configured(manifest: &Path, configuration: &Written) -> anyhow::Result<Value> {
    let mut plugin: Value = document::read(manifest)?;
    let context = || manifest.display().to_string();
    let configuration = serde_json::to_value(configuration)?;
    if let Some(pointer) = inexact(&configuration, String::new()) {
        bail!(
            "`{pointer}` is a number that Istio would change\nhelp: write it as text; Istio keeps \
             whole numbers up to 9007199254740992"
        );
    }
    let spec = spec(&mut plugin).with_context(context)?;
    is_closed(spec).with_context(context)?;
    spec.insert("pluginConfig".to_owned(), configuration);
    Ok(plugin)
}

fn spec(plugin: &mut Value) -> anyhow::Result<&mut Map<String, Value>> {
    let is = |key: &str, value: &str| plugin.get(key).and_then(Value::as_str) == Some(value);
    ensure!(
        is("apiVersion", "extensions.istio.io/v1alpha1") && is("kind", "WasmPlugin"),
        "is no WasmPlugin of extensions.istio.io/v1alpha1"
    );
    plugin.get_mut("spec").and_then(Value::as_object_mut).context("has no `spec`")
}

fn is_closed(spec: &Map<String, Value>) -> anyhow::Result<()> {
    ensure!(
        !spec.contains_key("pluginConfig"),
        "has a `pluginConfig`; that comes from the folder and --settings"
    );
    for (key, allowed) in [
        // What Istio adds itself is not before the filter, and nothing is behind it undecided.
        ("phase", &["AUTHN", "AUTHZ"][..]),
        // The other one lets everything pass after a trap, or without a module.
        ("failStrategy", &["FAIL_RELOAD", "FAIL_CLOSE"]),
    ] {
        let value = spec.get(key).and_then(Value::as_str);
        ensure!(
            value.is_some_and(|value| allowed.contains(&value)),
            "`{key}` has to be {}",
            allowed.join(" or ")
        );
    }
    ensure!(
        spec.get("type").is_none_or(|kind| kind == "HTTP"),
        "`type` has to be HTTP: the filter reads requests"
    );
    Ok(())
}

/// Where a number is that a double, which is all that a protobuf `Struct` has, doesn't hold.
fn inexact(value: &Value, at: String) -> Option<String> {
    const LARGEST: u64 = 1 << f64::MANTISSA_DIGITS;

    match value {
        Value::Number(number) => {
            let magnitude = number.as_u64().or(number.as_i64().map(i64::unsigned_abs));
            magnitude.is_some_and(|magnitude| magnitude > LARGEST).then_some(at)
        }
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| inexact(item, format!("{at}/{index}")))
        }
        Value::Object(fields) => {
            let mut fields = fields.iter();
            fields.find_map(|(name, field)| inexact(field, format!("{at}/{name}")))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}
