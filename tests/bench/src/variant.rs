//! What stands between a caller and the kubelet: nothing, the filter, or one of its peers.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// One configuration of Envoy's HTTP filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// No filter and no access log.
    Bare,
    /// No filter; an access log with a line of the same facts as the others have.
    Nothing,
    /// Envoy's own filter, with rules that allow and deny the same requests.
    Rbac,
    /// A script that does.
    Lua,
    /// This project's.
    Gatelet,
    /// An external authorizer that says yes.
    Yes,
    /// An external authorizer that asks regorus.
    Regorus,
}

impl Variant {
    /// The filters before the router.
    pub(crate) fn filters(self) -> Vec<Value> {
        match self {
            Self::Bare | Self::Nothing => Vec::new(),
            Self::Rbac => vec![rbac()],
            Self::Lua => vec![lua()],
            // The shipped one stays.
            Self::Gatelet => Vec::new(),
            Self::Yes | Self::Regorus => vec![ext_authz()],
        }
    }

    /// The process that it asks.
    pub(crate) fn authorizer(self, address: SocketAddr) -> Option<Value> {
        match self {
            Self::Yes | Self::Regorus => Some(json!({
                "name": "authorizer",
                "type": "STATIC",
                "typed_extension_protocol_options": {
                    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                        "explicit_http_config": {"http2_protocol_options": {}},
                    }
                },
                "load_assignment": {"cluster_name": "authorizer", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": address.ip(), "port_value": address.port()}}}}
                ]}]},
            })),
            _ => None,
        }
    }
}

fn rbac() -> Value {
    let path = |regex: &str| json!({"url_path": {"path": {"safe_regex": {"regex": regex}}}});
    let method =
        |method: &str| json!({"header": {"name": ":method", "string_match": {"exact": method}}});
    json!({
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": {
                "logs": {
                    "permissions": [{"and_rules": {"rules": [method("GET"), path("/containerLogs/default/[^/]+/[^/]+")]}}],
                    "principals": [{"any": true}],
                },
                "exec": {
                    "permissions": [{"and_rules": {"rules": [method("POST"), path("/exec/default/web-[^/]+/app")]}}],
                    "principals": [{"any": true}],
                },
            }},
        },
    })
}

fn lua() -> Value {
    let script = r#"
function envoy_on_request(handle)
  local headers = handle:headers()
  local method, path = headers:get(":method"), headers:get(":path")
  if method == "GET" and path:match("^/containerLogs/default/[^/]+/[^/?]+") then return end
  if method == "POST" and path:match("^/exec/default/web%-[^/]+/app%?") then return end
  handle:respond({[":status"] = "403"}, "Denied by policy")
end
"#;
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": script},
        },
    })
}

fn ext_authz() -> Value {
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "include_peer_certificate": false,
            "grpc_service": {"envoy_grpc": {"cluster_name": "authorizer"}, "timeout": "5s"},
        },
    })
}
