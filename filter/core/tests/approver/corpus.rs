//! The table of requests in `tests/csrs.json`, decided by each preset.

use std::{collections::BTreeMap, fs, path::Path};

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{api::Api, rego::controller};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Corpus {
    nodes: BTreeMap<String, Vec<(String, String)>>,
    inventory: Value,
    pub(crate) cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) note: String,
    pub(crate) spec: Value,
    pub(crate) want: BTreeMap<String, String>,
}

impl Corpus {
    pub(crate) fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/csrs.json");
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    /// The request that a kubelet makes.
    pub(crate) fn usual(&self) -> Value {
        self.cases[0].spec.clone()
    }

    /// An API server with the corpus' nodes.
    pub(crate) fn api(&self) -> Api {
        let mut api = Api::new();
        for (name, addresses) in &self.nodes {
            let addresses: Vec<_> = addresses
                .iter()
                .map(|(r#type, address)| json!({"type": r#type, "address": address}))
                .collect();
            let node = json!({"metadata": {"name": name}, "status": {"addresses": addresses}});
            api.nodes.insert(name.clone(), node);
        }
        api
    }
}

fn decided(case: &Case, corpus: &Corpus, data: &Value) -> (String, Value) {
    let mut api = corpus.api();
    api.refused = ["alice"].map(str::to_owned).to_vec();
    // What RBAC says to who is in no group of nodes.
    if !case.spec["groups"].as_array().unwrap().contains(&json!("system:nodes")) {
        api.refused.push(case.spec["username"].as_str().unwrap().to_owned());
    }
    api.create("csr", &case.spec);
    let mut controller = controller(data, &json!({}));
    api.run(&mut controller, TimeDelta::seconds(2));
    assert_eq!(api.warnings, [""; 0], "{}", case.note);
    let verdict = match api.condition("csr") {
        Some(("Approved", _)) => "approve",
        Some(("Denied", _)) => "deny",
        _ => "leave",
    };
    let record = api.record("csr").clone();
    assert_eq!(record["result"], verdict, "{}", case.note);
    (verdict.to_owned(), record)
}

#[test]
fn every_preset_decides_the_table_as_it_says() {
    let corpus = Corpus::read();
    let mut wrong = Vec::new();
    for case in &corpus.cases {
        for (preset, want) in &case.want {
            let inventory = if preset == "inventory" { &corpus.inventory } else { &Value::Null };
            let mut data = json!({
                "preset": preset,
                "api_server": {"cidrs": ["10.96.0.0/12"]},
            });
            if !inventory.is_null() {
                data["inventory"] = inventory.clone();
            }
            let (verdict, record) = decided(case, &corpus, &json!({"csr": data}));
            // The verdict, and the rule after a blank where the table names one.
            let (want, rule) = want.split_once(' ').unwrap_or((want, ""));
            if verdict != want || (!rule.is_empty() && record["rule"] != rule) {
                let message = format!("{} {}", record["rule"], record["message"]);
                wrong.push(format!("{}: {preset}: {verdict}, not {want}: {message}", case.note));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(corpus.cases.len() > 70);
}

#[test]
fn strict_decides_the_same_with_an_inventory_and_says_so() {
    let corpus = Corpus::read();
    for case in &corpus.cases {
        let data = json!({"csr": {
            "inventory": corpus.inventory, "api_server": {"cidrs": ["10.96.0.0/12"]},
        }});
        let (verdict, record) = decided(case, &corpus, &data);
        assert_eq!(verdict, case.want["inventory"], "{}: {}", case.note, record["message"]);
        if verdict == "approve" {
            let message = record["message"].as_str().unwrap();
            assert!(message.contains("the inventory"), "{message}");
        }
    }
}
