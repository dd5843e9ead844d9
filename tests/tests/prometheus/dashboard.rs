//! Every panel shows something.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use gatelet_tests::envoy::project;
use serde_json::Value;

use crate::picture::{self, Drawn, Line};
use crate::server::Prometheus;
use crate::work::Work;

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_shows_a_gate_and_an_approver_at_work() -> anyhow::Result<()> {
    let draws = std::env::var_os("UPDATE_README").is_some();
    let time = Duration::from_secs(if draws { 180 } else { 30 });
    let mut work = Work::begin().await?;
    let monitoring = work.gate.gate.monitoring(None)?.address();
    let approver = work.approver.monitoring();
    let prometheus = Prometheus::start(&work.gate.cluster, monitoring, approver).await?;
    let from = now()?;
    work.go_on(time).await?;
    let to = now()?;

    let dashboard = fs::read_to_string(file("dashboard.json"))?;
    let dashboard: Value = serde_json::from_str(&dashboard)?;
    let mut drawn = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        let mut lines = Vec::new();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |key: &str| target[key].as_str().context("text");
            // As Grafana fills it in for a scrape a second, rounded up.
            let query = text("expr")?.replace("$__rate_interval", "10s").replace("$instance", ".*");
            let series = prometheus.range(&query, from, to)?;
            assert!(!series.is_empty(), "{}: nothing for {query}", panel["title"]);
            lines.extend(series.into_iter().map(|(labels, points)| {
                let legend = target["legendFormat"].as_str().unwrap_or_default();
                let fill = |legend: String, (name, value): (&String, &String)| {
                    legend.replace(&format!("{{{{{name}}}}}"), value)
                };
                Line { name: labels.iter().fold(legend.to_owned(), fill), points }
            }));
        }
        drawn.push(Drawn { panel: panel.clone(), lines });
    }
    let rules = prometheus.rules()?;
    for group in rules["groups"].as_array().context("groups")? {
        for rule in group["rules"].as_array().context("rules")? {
            assert_eq!(rule["health"], "ok", "{rule}");
        }
    }
    if draws {
        fs::write(file("../dashboard.svg"), picture::draw(&drawn, from, to)?)?;
    }
    Ok(())
}

fn file(name: &str) -> PathBuf {
    project().join("envoy/kubernetes/monitoring").join(name)
}

fn now() -> anyhow::Result<f64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64().floor())
}
