//! The shipped rules.

use std::{collections::BTreeMap, fs, path::Path};

use gatelet_core::csr::{Config, Controller};
use serde_json::{Value, json};

/// A controller with the shipped rules, this data and these further settings.
pub(crate) fn controller(data: &Value, settings: &Value) -> Controller {
    let mut modules = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rego/csr");
    read(&folder, "csr", &mut modules);
    let mut config = json!({"policy": {"modules": modules, "data": data}});
    config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    let config = Config::from_json(config.to_string().as_bytes());
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    Controller::new(config).unwrap_or_else(|error| panic!("{error}"))
}

fn read(folder: &Path, below: &str, modules: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            read(&path, &name, modules);
        } else if name.ends_with(".rego") && !name.ends_with("_test.rego") {
            modules.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}
