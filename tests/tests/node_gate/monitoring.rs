//! Metrics and readiness have a listener of their own, which shows nothing else.

use std::fs;

use gatelet_tests::client::{get, request};
use gatelet_tests::envoy::project;
use gatelet_tests::fixture::{Fixture, LOG, LOGS};

#[tokio::test]
async fn prometheus_sees_decisions_by_endpoint_and_reason() -> anyhow::Result<()> {
    let fixture = Fixture::start(LOGS).await?;
    let apiserver = fixture.apiserver()?;
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    assert_eq!(get(&apiserver, "/pods").await?.status, 403);

    let metrics = get(&fixture.prometheus()?, "/metrics").await?;
    assert_eq!(metrics.status, 200);
    for line in [
        r#"gatelet_decisions{endpoint="containerLogs",reason="allowed"} 1"#,
        r#"gatelet_decisions{endpoint="pods",reason="denied"} 1"#,
        r#"gatelet_policy_updates{result="accepted"} 1"#,
        "gatelet_policy_loaded{} 1",
    ] {
        assert!(metrics.text().contains(line), "no {line} in\n{}", metrics.text());
    }
    Ok(())
}

/// Those that alerts are made of; a typo in one would never fire.
#[tokio::test]
async fn every_metric_of_envoy_that_the_readme_names_is_there() -> anyhow::Result<()> {
    let fixture = Fixture::start(LOGS).await?;
    assert_eq!(get(&fixture.apiserver()?, LOG).await?.status, 200);
    let metrics = get(&fixture.prometheus()?, "/metrics").await?;
    let readme = fs::read_to_string(project().join("envoy/kubelet/README.md"))?;
    let named: Vec<_> = readme.split('`').filter(|word| word.starts_with("envoy_")).collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let is_there = |line: &str| line.starts_with(&format!("{name}{{"));
        assert!(metrics.text().lines().any(is_there), "no {name} in\n{}", metrics.text());
    }
    Ok(())
}

#[tokio::test]
async fn nothing_else_of_the_admin_interface_is_reachable() -> anyhow::Result<()> {
    let fixture = Fixture::start(LOGS).await?;
    let prometheus = fixture.prometheus()?;
    for (method, target, status) in [
        ("GET", "/metrics", 200),
        ("GET", "/ready", 200),
        ("POST", "/metrics", 404),
        ("POST", "/ready", 404),
        ("GET", "/metrics?usedonly", 404),
        ("GET", "/metrics/", 404),
        ("GET", "//metrics", 404),
        ("GET", "/stats/prometheus", 404),
        ("GET", "/config_dump", 404),
        ("POST", "/quitquitquit", 404),
        ("GET", "/", 404),
    ] {
        let answer = request(&prometheus, method, target).await?;
        assert_eq!(answer.status, status, "{method} {target}");
    }
    assert!(get(&fixture.gate.monitoring(None)?, "/ready").await.is_err(), "without a certificate");
    Ok(())
}
