//! Where fuzzing begins: what the repository has for others, in the form of each target.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use base64ct::{Base64, Encoding as _};
use gatelet_core::corpus::{Case, Corpus};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{TARGETS, Target};

/// The seeds of every target by its name.
///
/// # Errors
/// When the corpus or the rules can't be read.
pub fn all() -> anyhow::Result<BTreeMap<&'static str, Vec<Vec<u8>>>> {
    let corpora = corpora()?;
    let mut seeds: BTreeMap<&'static str, Vec<Vec<u8>>> = BTreeMap::new();
    let mut add = |name, seed: Vec<u8>| seeds.entry(name).or_default().push(seed);
    for corpus in &corpora {
        for case in &corpus.cases {
            let (path, query) = case.target.split_once('?').unwrap_or((&case.target, ""));
            add("path", path.into());
            add("query", query.into());
            let peer = corpus.peers.get(&case.peer).and_then(Option::as_deref);
            add("decide", request(case, peer));
        }
        for subject in corpus.peers.values().flatten() {
            add("subject", subject.as_bytes().to_vec());
        }
        let policy = json!({"modules": rego("kubelet")?, "data": corpus.data});
        add("configuration", json!({"policy": policy}).to_string().into());
    }
    for rego in rego("kubelet")?.into_values() {
        add("policy", rego.into_bytes());
    }
    for seed in requests()? {
        add("csr", seed);
    }
    for (name, seed) in written()? {
        add(name, seed);
    }
    for seeds in seeds.values_mut() {
        seeds.sort();
        seeds.dedup();
    }
    Ok(seeds)
}

/// The shipped Rego below a folder of `rego`, by the names that `gatelet render` gives.
///
/// # Errors
/// When it can't be read.
pub fn rego(folder: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let root = repository().join("rego");
    let mut modules = BTreeMap::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            let name = path.strip_prefix(&root)?.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rego") && !name.ends_with("_test.rego") {
                modules.insert(name, fs::read_to_string(&path)?);
            }
        }
    }
    Ok(modules)
}

fn corpora() -> anyhow::Result<Vec<Corpus>> {
    let files = entries(&repository().join("tests/cases"))?;
    files.iter().map(|path| Ok(Corpus::parse(&fs::read_to_string(path)?)?)).collect()
}

/// The requests of the approver's table: PEM, a list, what a watch tells of it, and an object.
fn requests() -> anyhow::Result<Vec<Vec<u8>>> {
    let table = fs::read_to_string(repository().join("tests/csrs.json"))?;
    let Table { cases } = serde_json::from_str(&table)?;
    let mut seeds = Vec::new();
    for Requested { spec } in cases {
        let pem = spec.get("request").and_then(Value::as_str).map(Base64::decode_vec);
        seeds.extend(pem.into_iter().flatten());
        let metadata = json!({"name": "csr", "uid": "1", "resourceVersion": "1"});
        let object = json!({"metadata": metadata, "spec": spec});
        let list = json!({"metadata": {"resourceVersion": "1"}, "items": [object]});
        seeds.push(list.to_string().into());
        seeds.push(json!({"type": "ADDED", "object": object}).to_string().into());
        seeds.push(object.to_string().into());
    }
    Ok(seeds)
}

#[derive(Deserialize)]
struct Table {
    cases: Vec<Requested>,
}

#[derive(Deserialize)]
struct Requested {
    spec: Value,
}

/// What was written by hand, or has broken a promise once: files `TARGET-WHAT`.
fn written() -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let mut seeds = Vec::new();
    for path in entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds"))? {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let is_its = |target: &&Target| file.starts_with(&format!("{}-", target.name));
        let target = TARGETS.iter().find(is_its);
        let target = target.with_context(|| format!("no target for {file}"))?;
        seeds.push((target.name, fs::read(&path)?));
    }
    Ok(seeds)
}

/// A folder's files and folders, in the order of their names.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = read.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn request(case: &Case, peer: Option<&str>) -> Vec<u8> {
    let mut text = format!("{} {}\n", case.method, case.target);
    for (name, value) in &case.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    if let Some(peer) = peer {
        text.push_str(&format!("peer: {peer}\n"));
    }
    text.into_bytes()
}
