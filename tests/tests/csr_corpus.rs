//! The certificate signing requests of `tests/csrs.json`.
//!
//! `UPDATE_CSRS=1 cargo test --package gatelet-tests --test csr_corpus` makes them anew.

use std::fs;

use gatelet_tests::csr::{Corpus, corpus};
use gatelet_tests::envoy::project;
use serde_json::Value;

/// The signatures differ each time they are made; everything else has to be what the table says.
#[test]
fn the_file_has_what_the_table_says() -> anyhow::Result<()> {
    let made = corpus()?;
    if std::env::var_os("UPDATE_CSRS").is_some() {
        let text = format!("{}\n", serde_json::to_string_pretty(&made)?);
        fs::write(project().join(Corpus::PATH), text)?;
        return Ok(());
    }
    let kept = Corpus::read()?;
    assert_eq!(comparable(kept)?, comparable(made)?, "set UPDATE_CSRS=1 to write it anew");
    Ok(())
}

fn comparable(corpus: Corpus) -> anyhow::Result<Value> {
    let mut corpus = serde_json::to_value(corpus)?;
    for case in corpus["cases"].as_array_mut().expect("cases") {
        case["spec"]["request"].take();
    }
    Ok(corpus)
}
