//! The JSON Schemas of the input documents, as policy authors find them in `rego/schemas`.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::{fs, path::Path};

use gatelet_core::{csr, http, kubelet};
use schemars::{JsonSchema, generate::SchemaSettings};

/// Compares with the file in the repository, or writes it if `UPDATE_SCHEMAS` is set.
fn is_checked_in<T: JsonSchema>(name: &str) {
    let schema =
        SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rego/schemas").join(name);
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &text).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == text,
        "{name} is not what the types say; run `UPDATE_SCHEMAS=1 cargo test -p gatelet-core --features csr,schema`"
    );
}

#[test]
fn the_schema_of_profile_kubelet_is_checked_in() {
    is_checked_in::<kubelet::Input<'static>>("gatelet-v1.json");
}

#[test]
fn the_schema_of_profile_http_is_checked_in() {
    is_checked_in::<http::Input<'static>>("gatelet-http-v1.json");
}

#[test]
fn the_schema_of_profile_csr_is_checked_in() {
    is_checked_in::<csr::Input<'static>>("gatelet-csr-v1.json");
}
