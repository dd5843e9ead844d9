//! The shipped policy and the request corpus, read from the repository.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use gatelet_core::{Config, Gate, corpus::Corpus, policy::Builtins};
use gatelet_portable::fs;
use serde_json::json;

/// Every file of the corpus by its name, with the gate that its cases are for.
pub(crate) fn corpora() -> Vec<(String, Corpus, Gate)> {
    let profiles = [("kubelet", "tests/cases"), ("http", "tests/cases-http")];
    let corpora = profiles.map(|(profile, folder)| {
        let mut rego = BTreeMap::new();
        modules(&repository().join("rego").join(profile), profile, &mut rego);
        let files = fs::read_dir(repository().join(folder)).unwrap();
        let corpora: Vec<_> =
            files.map(|file| read(&file.unwrap().path(), profile, &rego)).collect();
        assert!(corpora.iter().any(|(_, corpus, _)| !corpus.cases.is_empty()), "{folder} is empty");
        corpora
    });
    corpora.into_iter().flatten().collect()
}

fn read(file: &Path, profile: &str, rego: &BTreeMap<String, String>) -> (String, Corpus, Gate) {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let corpus = Corpus::parse(&fs::read_to_string(file).unwrap());
    let corpus = corpus.unwrap_or_else(|e| panic!("{name}: {e}"));
    let config = match &corpus.configuration {
        Some(configuration) => json!(configuration),
        None => json!({
            "profile": profile,
            "policy": {"modules": rego, "data": corpus.data},
            "node": {"name": "worker-1"},
        }),
    };
    let config = Config::from_json(config.to_string().as_bytes());
    let gate = Gate::new(config.unwrap_or_else(|e| panic!("{name}: {e}")), Builtins::Standard);
    (name.clone(), corpus, gate.unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// All Rego below a folder but tests, by the paths in it.
fn modules(folder: &Path, below: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}/{}", path.file_name().unwrap().to_str().unwrap());
        if fs::metadata(&path).unwrap().is_dir() {
            modules(&path, &name, found);
        } else if name.ends_with(".rego") && !name.ends_with("_test.rego") {
            found.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
