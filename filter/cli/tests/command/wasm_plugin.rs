//! `gatelet render --wasm-plugin`: Istio's manifest with the policy in it.

use std::fs;

use gatelet_core::{Config, Gate, Reason, policy::Builtins};
use serde_json::Value;

use crate::support::{APISERVER, METRICS, ask, configuration, done, folder, gatelet, write};

const PLUGIN: &str = "\
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: gatelet, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  url: oci://registry.example/gatelet:1
  phase: AUTHZ
  failStrategy: FAIL_RELOAD
";

const RENDER: [&str; 6] = ["render", "rego", "--wasm-plugin", "plugin.yaml", "-o", "rendered.json"];

#[test]
fn the_plugin_has_the_same_configuration_as_the_file_for_envoy() {
    let folder = folder(&[METRICS, ("plugin.yaml", PLUGIN)]);
    let for_istio = done(folder.path(), &RENDER);
    let for_envoy = done(folder.path(), &["render", "rego", "-o", "envoy.json"]);
    let digest = |out: &str| out.split_once(' ').map(|(digest, _)| digest.to_owned());
    assert_eq!(digest(&for_istio.out), digest(&for_envoy.out));

    let text = fs::read_to_string(folder.path().join("rendered.json")).unwrap();
    let mut plugin: Value = serde_json::from_str(&text).unwrap();
    let config = plugin["spec"].as_object_mut().unwrap().remove("pluginConfig").unwrap();
    assert_eq!(config, configuration(&folder.path().join("envoy.json")));
    assert_eq!(plugin["metadata"]["namespace"], "shop");
    assert_eq!(plugin["spec"]["url"], "oci://registry.example/gatelet:1");

    let config = Config::from_json(config.to_string().as_bytes()).unwrap();
    let gate = Gate::new(config, Builtins::Standard).unwrap();
    assert_eq!(ask(&gate, APISERVER, "GET /metrics", &[]), Reason::Allowed);
    assert_eq!(ask(&gate, APISERVER, "GET /pods", &[]), Reason::Denied);
}

#[test]
fn a_plugin_that_would_let_requests_pass_is_refused() {
    let folder = folder(&[METRICS]);
    for (from, to, message) in [
        ("FAIL_RELOAD", "FAIL_CLOSE", None),
        ("AUTHZ", "AUTHN", None),
        ("FAIL_RELOAD", "FAIL_OPEN", Some("`failStrategy` has to be FAIL_RELOAD or FAIL_CLOSE")),
        ("failStrategy: FAIL_RELOAD", "priority: 1", Some("`failStrategy` has to be")),
        ("AUTHZ", "STATS", Some("`phase` has to be AUTHN or AUTHZ")),
        ("phase: AUTHZ", "priority: 1", Some("`phase` has to be AUTHN or AUTHZ")),
        ("phase: AUTHZ", "phase: AUTHZ\n  type: NETWORK", Some("`type` has to be HTTP")),
        ("phase: AUTHZ", "phase: AUTHZ\n  pluginConfig: {}", Some("has a `pluginConfig`")),
        ("kind: WasmPlugin", "kind: EnvoyFilter", Some("is no WasmPlugin")),
        ("v1alpha1", "v1", Some("is no WasmPlugin of extensions.istio.io/v1alpha1")),
        ("spec:", "specification:", Some("has no `spec`")),
    ] {
        assert!(PLUGIN.contains(from), "{from}");
        write(folder.path(), "plugin.yaml", &PLUGIN.replace(from, to));
        let run = gatelet(folder.path(), &RENDER);
        match message {
            None => assert_eq!((run.code, &*run.err), (0, ""), "{to}"),
            Some(message) => {
                assert_eq!(run.code, 1, "{to}");
                assert!(
                    run.err.contains("plugin.yaml: ") && run.err.contains(message),
                    "{}",
                    run.err
                );
                assert!(!folder.path().join("rendered.json").exists(), "{to}");
            }
        }
        fs::remove_file(folder.path().join("rendered.json")).ok();
    }
}

/// istiod keeps a `pluginConfig` as a protobuf `Struct`, whose numbers are doubles.
#[test]
fn a_number_that_istio_would_change_is_refused() {
    let folder = folder(&[METRICS, ("plugin.yaml", PLUGIN)]);
    for (number, is_kept) in [
        ("9007199254740992", true),
        ("-9007199254740992", true),
        ("0.1", true),
        ("9007199254740993", false),
        ("-9007199254740993", false),
    ] {
        write(folder.path(), "data.yaml", &format!("a: [{{b: {number}}}]"));
        let run = gatelet(folder.path(), &[&RENDER[..], &["--data", "data.yaml"]].concat());
        assert_eq!(run.code, if is_kept { 0 } else { 1 }, "{number}: {}", run.err);
        let says = run.err.contains("`/policy/data/a/0/b` is a number that Istio would change");
        assert_eq!(says, !is_kept, "{number}: {}", run.err);
    }
}

#[test]
fn what_means_nothing_to_istio_is_refused() {
    let folder = folder(&[METRICS, ("plugin.yaml", PLUGIN)]);
    let module = gatelet(folder.path(), &[&RENDER[..], &["--module", "gatelet.wasm"]].concat());
    assert_eq!(module.code, 2, "{}", module.err);
    let csr = gatelet(folder.path(), &[&RENDER[..], &["--profile", "csr"]].concat());
    assert_eq!(csr.code, 2);
    assert!(csr.err.contains("--wasm-plugin has no meaning in profile `csr`"), "{}", csr.err);
}
