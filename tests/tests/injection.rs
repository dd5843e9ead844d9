//! The injection policy, as far as it can be told without an API server: its objects are Kubernetes'
//! own, its expressions are CEL, and the patch that they make of a pod gives what `pod.yaml` has.
//!
//! The types of its expressions (`Object.spec.…`, `JSONPatch`) are left to the API server.

use std::fs;

use anyhow::Context as _;
use cel::{Context, Program, Value as Cel};
use gatelet_tests::envoy::project;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

fn shipped(file: &str) -> anyhow::Result<String> {
    Ok(fs::read_to_string(project().join("envoy/sidecar").join(file))?)
}

/// The documents of the policy's file.
fn policy() -> anyhow::Result<(MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding)> {
    let text = shipped("injection.yaml")?;
    let (policy, binding) = text.split_once("\n---\n").context("two documents")?;
    let [policy, binding] = [policy, binding].map(serde_saphyr::from_str::<Value>);
    let (policy, binding) = (policy?, binding?);
    let typed: MutatingAdmissionPolicy = serde_json::from_value(policy.clone())?;
    let bound: MutatingAdmissionPolicyBinding = serde_json::from_value(binding.clone())?;
    // Whatever Kubernetes doesn't know would be gone.
    assert_eq!(serde_json::to_value(&typed)?, policy);
    assert_eq!(serde_json::to_value(&bound)?, binding);
    Ok((typed, bound))
}

/// Whether all conditions hold, and then the pod with the patch.
fn injected(pod: &Value) -> anyhow::Result<Option<Value>> {
    let (policy, _) = policy()?;
    let spec = policy.spec.context("a spec")?;
    let mut context = Context::default();
    context.add_variable("object", pod).map_err(|error| anyhow::anyhow!("{error}"))?;
    for condition in spec.match_conditions.unwrap_or_default() {
        if evaluate(&condition.expression, &context)? == json!(false) {
            return Ok(None);
        }
    }
    let variables = spec.variables.unwrap_or_default();
    let variables = variables
        .iter()
        .map(|variable| Ok((variable.name.clone(), evaluate(&variable.expression, &context)?)))
        .collect::<anyhow::Result<serde_json::Map<_, _>>>()?;
    context.add_variable("variables", variables).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut pod = pod.clone();
    for mutation in spec.mutations.unwrap_or_default() {
        let expression = mutation.json_patch.and_then(|patch| patch.expression);
        let patch = evaluate(&untyped(&expression.context("a JSONPatch")?), &context)?;
        json_patch::patch(&mut pod, &serde_json::from_value::<json_patch::Patch>(patch)?)?;
    }
    Ok(Some(pod))
}

fn evaluate(expression: &str, context: &Context<'_, '_>) -> anyhow::Result<Value> {
    let program = Program::compile(expression)?;
    let value: Cel = program.execute(context)?;
    value.json().map_err(|error| anyhow::anyhow!("{error:?}"))
}

/// Objects without their types: `Object.spec{name: "x"}` is `{"name": "x"}`.
fn untyped(expression: &str) -> String {
    let (mut out, mut word, mut quoted) = (String::new(), String::new(), false);
    for letter in expression.chars() {
        if !quoted && (letter.is_ascii_alphanumeric() || "._".contains(letter)) {
            word.push(letter);
            continue;
        }
        match letter {
            '{' if !quoted => {}
            ':' if !quoted && !word.is_empty() => out.push_str(&format!("\"{word}\"")),
            _ => out.push_str(&word),
        }
        word.clear();
        quoted ^= letter == '"';
        out.push(letter);
    }
    out + &word
}

#[test]
fn a_pod_gets_what_the_written_out_pod_has() -> anyhow::Result<()> {
    let written: Value = serde_saphyr::from_str(&shipped("pod.yaml")?)?;
    let typed: Pod = serde_json::from_value(written.clone())?;
    assert_eq!(
        serde_json::to_value(&typed)?["spec"]["initContainers"],
        written["spec"]["initContainers"]
    );
    let mut plain = written.clone();
    let spec = plain["spec"].as_object_mut().context("a spec")?;
    spec.remove("initContainers");
    spec.remove("volumes");
    let pod = injected(&plain)?.context("it matches")?;
    for part in ["initContainers", "volumes"] {
        assert_eq!(pod["spec"][part], written["spec"][part], "{part}");
    }
    Ok(())
}

#[test]
fn what_a_pod_has_stays_and_comes_later() -> anyhow::Result<()> {
    let pod = json!({"metadata": {"annotations": {"gatelet/mesh": "strict"}}, "spec": {
        "initContainers": [{"name": "migrate", "image": "m"}],
        "containers": [{"name": "app", "image": "a"}],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }});
    let pod = injected(&pod)?.context("it matches")?;
    let names = |part: &str| -> Vec<Value> {
        pod["spec"][part].as_array().unwrap().iter().map(|one| one["name"].clone()).collect()
    };
    assert_eq!(names("initContainers"), ["gatelet-rules", "gatelet", "migrate"]);
    assert_eq!(
        names("volumes"),
        ["data", "gatelet-run", "gatelet-mesh", "gatelet-policy", "gatelet-identity"]
    );
    assert_eq!(pod["spec"]["volumes"][2]["configMap"]["name"], "strict");
    let _typed: Pod = serde_json::from_value(pod)?;
    Ok(())
}

#[test]
fn pods_that_have_it_or_are_in_the_hosts_network_stay_as_they_are() -> anyhow::Result<()> {
    for spec in [
        json!({"hostNetwork": true, "containers": []}),
        json!({"initContainers": [{"name": "gatelet"}], "containers": []}),
    ] {
        assert_eq!(injected(&json!({"metadata": {}, "spec": spec}))?, None, "{spec}");
    }
    let open = json!({"metadata": {}, "spec": {"hostNetwork": false, "containers": []}});
    assert!(injected(&open)?.is_some());
    Ok(())
}

#[test]
fn namespaces_opt_in_and_pods_opt_out() -> anyhow::Result<()> {
    let (policy, binding) = policy()?;
    let binding = serde_json::to_value(binding)?;
    assert_eq!(binding["spec"]["policyName"], json!(policy.metadata.name));
    let resources = &binding["spec"]["matchResources"];
    assert_eq!(resources["namespaceSelector"]["matchLabels"], json!({"gatelet/inject": "enabled"}));
    let out = json!([{"key": "gatelet/inject", "operator": "NotIn", "values": ["disabled"]}]);
    assert_eq!(resources["objectSelector"]["matchExpressions"], out);
    assert_eq!(policy.spec.and_then(|spec| spec.failure_policy).as_deref(), Some("Fail"));
    Ok(())
}
