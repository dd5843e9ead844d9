//! The shipped manifests: closed, and valid for Istio.

use std::fs;

use gatelet_tests::envoy::project;
use serde_json::{Value, json};

use crate::control_plane::{Listener, is_in};
use crate::manifest::{FailStrategy, Phase, WasmPlugin};
use crate::mesh::{peers, plugin};

#[test]
fn both_are_valid_closed_and_named_by_digest() -> anyhow::Result<()> {
    for name in ["sidecar.yaml", "gateway.yaml"] {
        let spec = WasmPlugin::shipped(name)?.spec;
        assert_eq!(spec.phase, Phase::Authz, "{name}");
        assert_eq!(spec.fail_strategy, FailStrategy::Reload, "{name}");
        let (image, digest) = spec.url.split_once("@sha256:").unwrap();
        assert!(image.starts_with("oci://") && digest.len() == 64, "{name}: {}", spec.url);
        assert!(spec.plugin_config.is_empty(), "{name}: that comes from the policy");
    }
    Ok(())
}

#[test]
fn the_sidecar_is_selected_by_labels_and_the_gateway_by_name() -> anyhow::Result<()> {
    let sidecar = WasmPlugin::shipped("sidecar.yaml")?.spec;
    assert!(sidecar.selector.is_some_and(|selector| selector.match_labels["app"] == "catalogue"));
    let gateway = WasmPlugin::shipped("gateway.yaml")?.spec;
    let [target] = &gateway.target_refs[..] else { panic!("{:?}", gateway.target_refs) };
    assert_eq!((&*target.group, &*target.kind), ("gateway.networking.k8s.io", "Gateway"));
    Ok(())
}

/// A plugin that is in no listener refuses nothing, and nobody says so.
#[test]
fn they_are_in_every_listener_that_they_are_meant_for() -> anyhow::Result<()> {
    let text = fs::read_to_string(project().join("envoy/istio/sidecar.yaml"))?;
    let sidecar = WasmPlugin::parse(&text)?;
    for (listener, want) in [
        (Listener::Inbound(8080), true),
        (Listener::Inbound(9090), true),
        // A port that no Service has.
        (Listener::Inbound(0), true),
        (Listener::Outbound(8080), false),
    ] {
        assert_eq!(is_in(&sidecar, listener), want, "{listener:?}");
    }
    // What the README says about `ports`.
    let with_ports = text.replace("- mode: SERVER", "- {mode: SERVER, ports: [{number: 8080}]}");
    let with_ports = WasmPlugin::parse(&with_ports)?;
    for (port, want) in [(8080, true), (9090, false), (0, false)] {
        assert_eq!(is_in(&with_ports, Listener::Inbound(port)), want, "{port}");
    }
    let text = fs::read_to_string(project().join("envoy/istio/gateway.yaml"))?;
    assert!(is_in(&WasmPlugin::parse(&text)?, Listener::Gateway(10250)));
    let as_server = WasmPlugin::parse(&(text + "  match: [{mode: SERVER}]\n"))?;
    assert!(!is_in(&as_server, Listener::Gateway(10250)));
    Ok(())
}

#[test]
fn a_manifest_that_istio_would_not_take_is_none_here() -> anyhow::Result<()> {
    let text = fs::read_to_string(project().join("envoy/istio/sidecar.yaml"))?;
    WasmPlugin::parse(&text)?;
    for (from, to) in [
        ("phase: AUTHZ", "phase: authz"),
        ("failStrategy:", "failureStrategy:"),
        ("FAIL_RELOAD", "FAIL_CLOSED"),
        ("oci://", "ftp://"),
        ("mode: SERVER", "mode: SERVER\n    ports: [{number: 0}]"),
        ("type: HTTP", "type: HTTP\n  targetRefs: [{group: '', kind: Service, name: a}]"),
        ("type: HTTP", "type: HTTP\n  sha256: ABC"),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(WasmPlugin::parse(&text.replace(from, to)).is_err(), "{to}");
    }
    Ok(())
}

#[test]
fn callers_have_to_have_an_identity() -> anyhow::Result<()> {
    let text = fs::read_to_string(project().join("envoy/istio/peer-authentication.yaml"))?;
    let manifest: Value = serde_saphyr::from_str(&text)?;
    let sidecar = WasmPlugin::shipped("sidecar.yaml")?;
    assert_eq!(manifest["kind"], "PeerAuthentication");
    assert_eq!(manifest["metadata"]["namespace"], *sidecar.metadata.namespace);
    let labels = sidecar.spec.selector.map(|selector| selector.match_labels);
    assert_eq!(manifest["spec"]["selector"]["matchLabels"], json!(labels));
    assert_eq!(manifest["spec"]["mtls"], json!({"mode": "STRICT"}));
    Ok(())
}

#[test]
fn the_policy_is_in_the_rendered_manifest_alone() -> anyhow::Result<()> {
    let plugin = plugin(&peers())?;
    let config = &plugin.spec.plugin_config;
    assert_eq!(config["profile"], "http");
    assert_eq!(config["policy"]["data"], peers());
    let modules: Vec<_> = config["policy"]["modules"].as_object().unwrap().keys().collect();
    assert_eq!(modules, ["authz/authz.rego"]);
    Ok(())
}

#[test]
fn the_readme_has_the_log_format_that_is_tested() -> anyhow::Result<()> {
    let readme = fs::read_to_string(project().join("envoy/istio/README.md"))?;
    let tested = fs::read_to_string(project().join("tests/istio/sidecar.yaml"))?;
    let mut lines = tested.lines().map(str::trim);
    let format = lines.find(|line| line.contains("FILTER_STATE(wasm.gatelet:PLAIN)"));
    assert!(format.is_some_and(|format| readme.contains(format)), "{format:?}");
    Ok(())
}
