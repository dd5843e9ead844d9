//! The table of requests in `tests/csrs.json`, decided by each preset.

use std::{collections::BTreeMap, fs, path::Path};

use chrono::TimeDelta;
use gatelet_core::csr::{KUBELET_CLIENT, KUBELET_SERVING};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{api::Api, rego::shipped_for};

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

/// Decides all cases with this data: the verdict of each, and its record.
fn decide(corpus: &Corpus, preset: &str, inventory: Option<&Value>) -> Vec<(String, Value)> {
    let mut api = corpus.api();
    for (number, case) in corpus.cases.iter().enumerate() {
        api.create(&format!("csr-{number}"), &case.spec);
    }
    // All of them are of one node.
    let limits = json!({"approvals_per_hour": 1000, "pending": 1000});
    let mut data = json!({"preset": preset, "limits": limits});
    if let Some(inventory) = inventory {
        data["inventory"] = inventory.clone();
    }
    let signers = [KUBELET_SERVING, KUBELET_CLIENT];
    api.run(&mut shipped_for(&signers, &json!({"csr": data})), TimeDelta::seconds(2));
    assert_eq!(api.warnings, [""; 0]);
    let verdict = |number: usize| {
        let name = format!("csr-{number}");
        let verdict = match api.condition(&name) {
            Some(("Approved", _)) => "approve",
            Some(("Denied", _)) => "deny",
            _ => "leave",
        };
        let record = api.record(&name);
        assert_eq!(record["result"], verdict, "{}", corpus.cases[number].note);
        (verdict.to_owned(), record.clone())
    };
    (0..corpus.cases.len()).map(verdict).collect()
}

/// The rows whose verdict, or rule where the table names one, is another.
fn wrong(corpus: &Corpus, decided: &[(String, Value)], preset: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (case, (verdict, record)) in corpus.cases.iter().zip(decided) {
        let want = &case.want[preset];
        let (want, rule) = want.split_once(' ').unwrap_or((want, ""));
        if verdict != want || (!rule.is_empty() && record["rule"] != rule) {
            let why = format!("{} {}", record["rule"], record["message"]);
            wrong.push(format!("{}: {preset}: {verdict}, not {want}: {why}", case.note));
        }
    }
    wrong
}

#[test]
fn every_preset_decides_the_table_as_it_says() {
    let corpus = Corpus::read();
    assert!(corpus.cases.len() > 70);
    for (preset, inventory) in
        [("rubber-stamp", None), ("strict", None), ("inventory", Some(&corpus.inventory))]
    {
        let wrong = wrong(&corpus, &decide(&corpus, preset, inventory), preset);
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    }
}

#[test]
fn strict_decides_by_an_inventory_where_there_is_one_and_says_so() {
    let corpus = Corpus::read();
    let decided = decide(&corpus, "strict", Some(&corpus.inventory));
    for (case, (verdict, record)) in corpus.cases.iter().zip(&decided) {
        let (want, _) =
            case.want["inventory"].split_once(' ').unwrap_or((&case.want["inventory"], ""));
        assert_eq!(verdict, want, "{}: {}", case.note, record["message"]);
    }
    let serving = decided.iter().filter(|(_, record)| record["input"]["signer"] == KUBELET_SERVING);
    for (_, record) in serving.filter(|(verdict, _)| verdict == "approve") {
        let message = record["message"].as_str().unwrap();
        assert!(message.contains("the inventory"), "{message}");
    }
}
