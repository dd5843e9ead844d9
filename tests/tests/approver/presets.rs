//! The shipped presets, on every request of the table.

use std::collections::BTreeMap;
use std::fs;

use gatelet_tests::api_server::{REQUESTS, StandInApiServer};
use gatelet_tests::approver::roles;
use gatelet_tests::command::render;
use gatelet_tests::csr::{Case, Corpus, KUBELET_CLIENT, KUBELET_SERVING};
use gatelet_tests::envoy::project;
use gatelet_tests::{api_server, gate};
use serde_json::{Value, json};

use crate::support::{Fixture, Setup, conditions};

#[tokio::test]
async fn rubber_stamp_approves_what_kubelet_rubber_stamp_would() -> anyhow::Result<()> {
    preset("rubber-stamp", |case| &case.want.rubber_stamp).await
}

#[tokio::test]
async fn strict_denies_what_can_never_become_right() -> anyhow::Result<()> {
    preset("strict", |case| &case.want.strict).await
}

#[tokio::test]
async fn inventory_believes_nobody_else() -> anyhow::Result<()> {
    preset("inventory", |case| &case.want.inventory).await
}

/// Puts all of the table before one approver, and compares what it made of each.
async fn preset(name: &str, want: fn(&Case) -> &str) -> anyhow::Result<()> {
    let corpus = Corpus::read()?;
    // All of them are from one node.
    let limits = json!({"approvals_per_hour": 1_000, "pending": 1_000});
    let mut data = json!({"preset": name, "limits": limits});
    if name == "inventory" {
        data = json!({"preset": name, "limits": limits, "inventory": corpus.inventory});
    }
    let file = tempfile::NamedTempFile::with_suffix(".json")?;
    fs::write(file.path(), json!({"csr": data}).to_string())?;
    let signers = tempfile::NamedTempFile::with_suffix(".json")?;
    fs::write(signers.path(), json!({"signers": [KUBELET_SERVING, KUBELET_CLIENT]}).to_string())?;
    let policy = render(&[
        project().join("rego").as_os_str(),
        "--profile".as_ref(),
        "csr".as_ref(),
        "--data".as_ref(),
        file.path().as_os_str(),
        "--settings".as_ref(),
        signers.path().as_os_str(),
    ])?;

    let cluster = gate::cluster()?;
    let both = format!("resourceNames: [{KUBELET_SERVING}, {KUBELET_CLIENT}]");
    let roles = roles()?.replace(&format!("resourceNames: [{KUBELET_SERVING}]"), &both);
    let server = StandInApiServer::start(api_server::Options::new(&cluster, &roles)?)?;
    for (node, addresses) in &corpus.nodes {
        let addresses = addresses.iter().map(|(kind, address)| (kind.as_str(), address.as_str()));
        server.add_node(node, &addresses.collect::<Vec<_>>(), 10250);
    }
    for case in &corpus.cases {
        server.add_request(&case.name(), &case.spec);
    }
    let fixture = Fixture::start_before(cluster, server, Setup::rendered(policy)).await?;
    let made = verdicts(&fixture, corpus.cases.len()).await?;

    let mut wrong = Vec::new();
    for case in &corpus.cases {
        let got = made.get(&case.name()).map_or("nothing", String::as_str);
        if got != want(case) {
            wrong.push(format!("{}: {got}, not {}", case.note, want(case)));
        }
        let object = fixture.server.object(REQUESTS, &case.name()).unwrap_or_default();
        let condition = conditions(&object).into_iter().next().map(|(kind, _)| kind);
        let (verdict, _) = got.split_once(' ').unwrap_or_default();
        let expected = match verdict {
            "approve" => Some("Approved"),
            "deny" => Some("Denied"),
            _ => None,
        };
        assert_eq!(condition.as_deref(), expected, "{}", case.note);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The verdict on each request, and the rule that made it; once all of them are carried out.
async fn verdicts(fixture: &Fixture, count: usize) -> anyhow::Result<BTreeMap<String, String>> {
    let text = |record: &Value, pointer: &str| {
        record.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let total = async || {
        let mut total = 0;
        for metric in ["approved", "denied", "left"] {
            let metric = format!("wasmcustom.gatelet_approver_{metric}");
            total += fixture.approver.admin().stat(&metric).await?;
        }
        Ok((total >= u64::try_from(count)?).then_some(()))
    };
    gatelet_tests::deadline::eventually("all verdicts", total).await?;
    let verdict = |record: &Value| format!("{} {}", text(record, "/result"), text(record, "/rule"));
    gatelet_tests::deadline::eventually("all records", async || {
        let records = fixture.approver.decisions().records()?;
        let named = records.iter().map(|record| (text(record, "/input/name"), verdict(record)));
        let named: BTreeMap<_, _> = named.collect();
        Ok(Some(named).filter(|named| named.len() >= count))
    })
    .await
}
