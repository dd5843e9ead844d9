//! The dashboard and the alerts speak of metrics that the gate and the approver have.
//!
//! What Prometheus itself makes of them is for `make test-prometheus`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::Context as _;
use gatelet_certs::Persona;
use gatelet_tests::api_server::{self, StandInApiServer};
use gatelet_tests::approver::{self, Approver, roles};
use gatelet_tests::client::get;
use gatelet_tests::command::render;
use gatelet_tests::envoy::project;
use gatelet_tests::fixture::{EXEC, Fixture, LOG, LOGS};
use gatelet_tests::gate::cluster;
use serde_json::Value;

use crate::crds::PrometheusRule;
use crate::manifests::{self, the};

/// The names of labels, by metric.
type Metrics = BTreeMap<String, BTreeSet<String>>;

#[tokio::test]
async fn every_metric_that_is_shown_or_alerted_on_is_there() -> anyhow::Result<()> {
    let gate = of_the_gate().await?;
    let approver = of_the_approver().await?;
    let mut checked = 0;
    for (place, expression) in expressions()? {
        let used = selectors(&expression)?;
        assert!(!used.is_empty(), "{place}: no metric in {expression}");
        for (metric, labels) in used {
            let job = expression.contains("gatelet-approver");
            let there = gate.get(&metric).or_else(|| approver.get(&metric).filter(|_| job));
            let there = there.with_context(|| format!("{place}: no metric {metric}"))?;
            for label in labels {
                assert!(there.contains(&label), "{place}: {metric} has no label {label}");
            }
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked}");
    Ok(())
}

#[test]
fn the_dashboard_is_laid_out_without_gaps_and_overlaps() -> anyhow::Result<()> {
    let dashboard = dashboard()?;
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64());
        let (x, y, w, h) = (x.context("x")?, y.context("y")?, w.context("w")?, h.context("h")?);
        assert!(x + w <= 24, "{}", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{} lies over another", panel["title"]);
        }
        assert!(panel["type"] == "row" || panel["description"].is_string(), "{}", panel["title"]);
    }
    Ok(())
}

/// `UPDATE_README=1 make test-prometheus` draws it.
#[test]
fn the_picture_has_every_panel() -> anyhow::Result<()> {
    let picture = fs::read_to_string(project().join("envoy/kubernetes/dashboard.svg"))?;
    for panel in dashboard()?["panels"].as_array().context("panels")? {
        let title = panel["title"].as_str().context("a title")?;
        assert!(picture.contains(title), "{title}");
    }
    Ok(())
}

#[test]
fn the_readme_names_every_alert() -> anyhow::Result<()> {
    let readme = fs::read_to_string(project().join("envoy/kubernetes/README.md"))?;
    let objects = manifests::kustomization("monitoring")?;
    let rules: PrometheusRule = serde_json::from_value(the("PrometheusRule", &objects)?.clone())?;
    for rule in rules.spec.groups.iter().flat_map(|group| &group.rules) {
        assert!(readme.contains(&format!("`{}`", rule.alert)), "{}", rule.alert);
    }
    Ok(())
}

/// Every expression, and where it is.
fn expressions() -> anyhow::Result<Vec<(String, String)>> {
    let objects = manifests::kustomization("monitoring")?;
    let rules: PrometheusRule = serde_json::from_value(the("PrometheusRule", &objects)?.clone())?;
    let alerts = rules.spec.groups.into_iter().flat_map(|group| group.rules);
    let mut all: Vec<_> = alerts.map(|rule| (rule.alert, rule.expr)).collect();
    let dashboard = dashboard()?;
    for panel in dashboard["panels"].as_array().context("panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().context("an expression")?;
            all.push((panel["title"].to_string(), expression.to_owned()));
        }
    }
    Ok(all)
}

fn dashboard() -> anyhow::Result<Value> {
    let file = project().join("envoy/kubernetes/monitoring/dashboard.json");
    Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
}

/// The metrics of an expression that end in braces, with the labels that are in them.
fn selectors(expression: &str) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some((before, after)) = rest.split_once('{') {
        let name = before.rsplit(|letter: char| !letter.is_alphanumeric() && letter != '_').next();
        let (inside, after) = after.split_once('}').context("an open brace")?;
        let labels = inside.split(", ").filter_map(|matcher| matcher.split(['=', '!']).next());
        found.push((name.unwrap_or_default().to_owned(), labels.map(str::to_owned).collect()));
        rest = after;
    }
    Ok(found)
}

async fn of_the_gate() -> anyhow::Result<Metrics> {
    let fixture = Fixture::start(LOGS).await?;
    let apiserver = fixture.caller(Persona::ApiserverKubeletClient)?;
    assert_eq!(get(&apiserver, LOG).await?.status, 200);
    assert_eq!(get(&apiserver, EXEC).await?.status, 400);
    Ok(metrics(&get(&fixture.prometheus()?, "/metrics").await?.text()))
}

async fn of_the_approver() -> anyhow::Result<Metrics> {
    let cluster = cluster()?;
    let server = StandInApiServer::start(api_server::Options::new(&cluster, &roles()?)?)?;
    let policy = render(&[project().join("rego/csr"), "--profile".into(), "csr".into()])?;
    let options = approver::Options::new(&cluster, server.address(), &policy);
    let approver = Approver::start(options).await?;
    Ok(metrics(&approver.admin().get("/stats/prometheus").await?))
}

/// What an exposition has, and what Prometheus adds to it.
fn metrics(text: &str) -> Metrics {
    let of_prometheus = ["instance", "job"].map(str::to_owned);
    let mut metrics = Metrics::new();
    metrics.insert("up".to_owned(), of_prometheus.clone().into());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let labels = metrics.entry(name.to_owned()).or_default();
        labels.extend(of_prometheus.clone());
        let inside = rest.split_once('}').map_or("", |(inside, _)| inside);
        labels.extend(
            inside.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned())),
        );
    }
    metrics
}
