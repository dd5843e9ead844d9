//! What istiod and the agent in the proxy make of a WasmPlugin: `pilot/pkg/model/extensions.go`,
//! `pilot/pkg/config/kube/extensions/translate.go` and `pkg/wasm/convert.go`.

use std::path::Path;

use serde_json::{Map, Number, Value, json};

use crate::manifest::{FailStrategy, Mode, WasmPlugin};

/// Who gives plugins their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Istio {
    /// Up to 1.29.
    V1_29,
    /// From 1.30, which makes a TrafficExtension of a WasmPlugin first.
    V1_30,
}

/// Where a listener is, and what for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listener {
    /// Of a sidecar, for this port of its workload; 0 where no Service has the port.
    Inbound(u16),
    /// Of a sidecar, for calls of its workload.
    Outbound(u16),
    Gateway(u16),
}

impl Istio {
    pub(crate) const ALL: [Self; 2] = [Self::V1_29, Self::V1_30];

    /// The name of the filter in the listener, and of its resource.
    pub(crate) fn resource(self, plugin: &WasmPlugin) -> String {
        let name = self.name(plugin);
        match self {
            Self::V1_29 => format!("extensions.istio.io/wasmplugin/{name}"),
            Self::V1_30 => format!("extensions.istio.io/trafficextension/{name}"),
        }
    }

    /// What Envoy gets by ECDS when the agent has fetched the module into a file.
    pub(crate) fn fetched(self, plugin: &WasmPlugin, module: &Path) -> Value {
        let failure_policy = match plugin.spec.fail_strategy {
            FailStrategy::Close => "FAIL_CLOSED",
            FailStrategy::Open => "FAIL_OPEN",
            FailStrategy::Reload => "FAIL_RELOAD",
        };
        let mut vm = json!({
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": module}},
        });
        // The agent takes istiod's own variables out; without any, there is no such field.
        let variables = plugin.spec.vm_config.env.iter();
        let variables: Map<_, _> =
            variables.map(|env| (env.name.clone(), env.value.clone().into())).collect();
        if !variables.is_empty() {
            vm["environment_variables"] = json!({"key_values": variables});
        }
        self.resources(
            plugin,
            json!({
                "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
                "config": {
                    "name": self.name(plugin),
                    "vm_config": vm,
                    "failure_policy": failure_policy,
                    "configuration": {
                        "@type": "type.googleapis.com/google.protobuf.StringValue",
                        "value": as_struct(&plugin.spec.plugin_config.clone().into()).to_string(),
                    },
                },
            }),
        )
    }

    /// What Envoy gets when there is no module to be had.
    pub(crate) fn not_fetched(self, plugin: &WasmPlugin) -> Value {
        let rules = match plugin.spec.fail_strategy {
            FailStrategy::Open => None,
            FailStrategy::Close | FailStrategy::Reload => Some(json!({})),
        };
        let stat_prefix = if rules.is_some() { "wasm-default-deny" } else { "wasm-default-allow" };
        self.resources(
            plugin,
            json!({
                "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
                "rules": rules,
                "rules_stat_prefix": stat_prefix,
            }),
        )
    }

    fn name(self, plugin: &WasmPlugin) -> String {
        let metadata = &plugin.metadata;
        let translated = if self == Self::V1_30 { "~istio-translated-wasmplugin" } else { "" };
        format!("{}.{}{translated}", metadata.namespace, metadata.name)
    }

    fn resources(self, plugin: &WasmPlugin, typed_config: Value) -> Value {
        json!({"resources": [{
            "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
            "name": self.resource(plugin),
            "typed_config": typed_config,
        }]})
    }
}

/// Whether istiod puts the plugin into a listener of a workload that it is meant for.
pub(crate) fn is_in(plugin: &WasmPlugin, listener: Listener) -> bool {
    let (mode, port) = match listener {
        Listener::Inbound(port) => (Mode::Server, port),
        // A gateway is a client of what is behind it.
        Listener::Outbound(port) | Listener::Gateway(port) => (Mode::Client, port),
    };
    let traffic = &plugin.spec.traffic;
    traffic.is_empty()
        || traffic.iter().any(|of| {
            of.mode.is_none_or(|of| of == Mode::ClientAndServer || of == mode)
                && (of.ports.is_empty() || of.ports.iter().any(|of| of.number == port))
        })
}

/// The same through a protobuf `Struct`, whose numbers are doubles, and back.
fn as_struct(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let double = number.as_f64().unwrap();
            let whole = format!("{double:.0}").parse().ok().filter(|_| double.fract() == 0.0);
            whole.or(Number::from_f64(double)).unwrap().into()
        }
        Value::Array(items) => items.iter().map(as_struct).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), as_struct(field))).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}
