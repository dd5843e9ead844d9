//! Each alert fires when it is to, and none fires when all is well.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, ensure};
use gatelet_tests::envoy::project;
use serde_json::{Value, json};

/// What a gate and an approver say when all is well, for an hour and a half.
const WELL: [(&str, &str); 19] = [
    (r#"up{job="gatelet", instance="a"}"#, "1x90"),
    (r#"gatelet_policy_loaded{job="gatelet", instance="a"}"#, "1x90"),
    (UPDATE_REJECTED, "0x90"),
    (UPDATE_FAILURE, "0x90"),
    (r#"gatelet_errors{job="gatelet", instance="a"}"#, "0x90"),
    (r#"envoy_wasm_gatelet_vm_reload_success{job="gatelet", instance="a"}"#, "0x90"),
    (r#"envoy_filesystem_write_failed{job="gatelet", instance="a"}"#, "0x90"),
    (ROTATION_FAILED, "0x90"),
    (SDS_REJECTED, "0x90"),
    (r#"envoy_server_days_until_first_cert_expiring{job="gatelet", instance="a"}"#, "300x90"),
    (CONNECT_FAIL, "0x90"),
    (CONNECT_TIMEOUT, "0x90"),
    (WRONG_NAME, "0x90"),
    (WRONG_CA, "0x90"),
    (r#"up{job="gatelet-approver", instance="b"}"#, "1x90"),
    (r#"gatelet_approver_policy_loaded{job="gatelet-approver", instance="b"}"#, "1x90"),
    (r#"gatelet_approver_errors{job="gatelet-approver", instance="b"}"#, "0x90"),
    (r#"gatelet_approver_overflow{job="gatelet-approver", instance="b"}"#, "0x90"),
    (r#"gatelet_approver_oldest_pending_seconds{job="gatelet-approver", instance="b"}"#, "5x90"),
];

const UPDATE_REJECTED: &str = r#"envoy_extension_config_discovery_http_filter_gatelet_update_rejected{job="gatelet", instance="a"}"#;
const UPDATE_FAILURE: &str = r#"envoy_extension_config_discovery_http_filter_gatelet_update_failure{job="gatelet", instance="a"}"#;
const ROTATION_FAILED: &str = r#"envoy_sds_key_rotation_failed{job="gatelet", instance="a", envoy_xds_resource_name="serving"}"#;
const SDS_REJECTED: &str =
    r#"envoy_sds_update_rejected{job="gatelet", instance="a", envoy_xds_resource_name="serving"}"#;
const CONNECT_FAIL: &str = r#"envoy_cluster_upstream_cx_connect_fail{job="gatelet", instance="a", envoy_cluster_name="kubelet"}"#;
const CONNECT_TIMEOUT: &str = r#"envoy_cluster_upstream_cx_connect_timeout{job="gatelet", instance="a", envoy_cluster_name="kubelet"}"#;
const WRONG_NAME: &str = r#"envoy_cluster_ssl_fail_verify_san{job="gatelet", instance="a", envoy_cluster_name="kubelet"}"#;
const WRONG_CA: &str = r#"envoy_cluster_ssl_fail_verify_error{job="gatelet", instance="a", envoy_cluster_name="kubelet"}"#;

/// Counts once, in the last quarter of an hour.
const ONCE: &str = "0x70 1x20";

/// An alert, and what makes it fire.
const ILL: [(&str, &str, &str); 25] = [
    ("GateletDown", r#"up{job="gatelet", instance="a"}"#, "0x90"),
    ("GateletPolicyNotLoaded", r#"gatelet_policy_loaded{job="gatelet", instance="a"}"#, "0x90"),
    ("GateletPolicyNotLoaded", r#"gatelet_policy_loaded{job="gatelet", instance="a"}"#, "_x90"),
    ("GateletPolicyRejected", UPDATE_REJECTED, ONCE),
    ("GateletPolicyRejected", UPDATE_FAILURE, ONCE),
    ("GateletErrors", r#"gatelet_errors{job="gatelet", instance="a"}"#, ONCE),
    (
        "GateletTrapped",
        r#"envoy_wasm_gatelet_vm_reload_success{job="gatelet", instance="a"}"#,
        ONCE,
    ),
    (
        "GateletDecisionsUnlogged",
        r#"envoy_filesystem_write_failed{job="gatelet", instance="a"}"#,
        ONCE,
    ),
    ("GateletRotationFailed", ROTATION_FAILED, ONCE),
    ("GateletRotationFailed", SDS_REJECTED, ONCE),
    (
        "GateletCertificateExpires",
        r#"envoy_server_days_until_first_cert_expiring{job="gatelet", instance="a"}"#,
        "6x90",
    ),
    ("GateletKubeletUnreachable", CONNECT_FAIL, "0+1x90"),
    ("GateletKubeletUnreachable", CONNECT_TIMEOUT, "0+1x90"),
    // A kubelet that restarts is none.
    ("", CONNECT_FAIL, "0x78 1x12"),
    ("GateletWrongKubelet", WRONG_NAME, ONCE),
    ("GateletWrongKubelet", WRONG_CA, ONCE),
    (
        "GateletDryRun",
        r#"gatelet_decisions{job="gatelet", instance="a", endpoint="exec", reason="would_deny"}"#,
        "0+1x90",
    ),
    // That is what a gate is for.
    (
        "",
        r#"gatelet_decisions{job="gatelet", instance="a", endpoint="exec", reason="denied"}"#,
        "0+1x90",
    ),
    ("GateletApproverDown", r#"up{job="gatelet-approver", instance="b"}"#, "0x90"),
    ("GateletApproverDown", r#"up{job="gatelet-approver", instance="b"}"#, "_x90"),
    (
        "GateletApproverPolicyNotLoaded",
        r#"gatelet_approver_policy_loaded{job="gatelet-approver", instance="b"}"#,
        "0x90",
    ),
    (
        "GateletApproverPolicyRejected",
        r#"gatelet_approver_policy_updates{job="gatelet-approver", instance="b", result="rejected"}"#,
        ONCE,
    ),
    (
        "GateletApproverErrors",
        r#"gatelet_approver_errors{job="gatelet-approver", instance="b"}"#,
        ONCE,
    ),
    (
        "GateletApproverOverflow",
        r#"gatelet_approver_overflow{job="gatelet-approver", instance="b"}"#,
        ONCE,
    ),
    (
        "GateletApprovalsWait",
        r#"gatelet_approver_oldest_pending_seconds{job="gatelet-approver", instance="b"}"#,
        "1000x90",
    ),
];

#[test]
fn each_alert_fires_for_its_reason_alone() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("rules.yaml"), rules()?.to_string())?;
    let mut tests = vec![case("", None)];
    tests.extend(ILL.map(|(alert, series, values)| case(alert, Some((series, values)))));
    let file = folder.path().join("test.yaml");
    let text = json!({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests});
    fs::write(&file, text.to_string())?;
    let output = Command::new("promtool").args(["test", "rules"]).arg(&file).output();
    let output =
        output.context("these tests need promtool (Debian: apt-get install prometheus)")?;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn every_alert_is_tested() -> anyhow::Result<()> {
    let rules = rules()?;
    let groups = rules["groups"].as_array().context("groups")?;
    for rule in groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten()) {
        assert!(ILL.iter().any(|(alert, _, _)| rule["alert"] == **alert), "{}", rule["alert"]);
    }
    Ok(())
}

/// What is well but for one series: in the end this alert fires, or none.
fn case(alert: &str, ill: Option<(&str, &str)>) -> Value {
    let well = WELL.into_iter().filter(|(series, _)| ill.is_none_or(|(ill, _)| ill != *series));
    let series: Vec<_> = well
        .chain(ill)
        .map(|(series, values)| json!({"series": series, "values": values}))
        .collect();
    let firing = (!alert.is_empty())
        .then(|| json!({"labels": format!("{{alertname=\"{alert}\"}}"), "value": 1}));
    json!({
        "name": ill.map_or("all is well".to_owned(), |(series, values)| format!("{series} {values}")),
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{
            "expr": "count by (alertname) (ALERTS{alertstate=\"firing\"})",
            "eval_time": "80m",
            "exp_samples": firing.into_iter().collect::<Vec<_>>(),
        }],
    })
}

/// The groups of rules.yaml, as Prometheus itself takes them.
pub(crate) fn rules() -> anyhow::Result<Value> {
    let file = project().join("envoy/kubernetes/monitoring/rules.yaml");
    let mut rule: Value = serde_saphyr::from_str(&fs::read_to_string(file)?)?;
    Ok(rule["spec"].take())
}
