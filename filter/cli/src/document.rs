//! Files in JSON or YAML.

use std::{fs, path::Path};

use anyhow::{Context as _, anyhow, bail};
use gatelet_core::config::unique;
use serde::de::DeserializeOwned;
use serde_saphyr::UserMessageFormatter;

/// Reads a file as its extension says. A key that stands twice is an error in both.
///
/// # Errors
/// When the file can't be read or isn't of this form. The message has the place.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let name = file.display();
    let text = text(file)?;
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("json") => unique::check(&text)
            .and_then(|()| serde_json::from_str(&text))
            .with_context(|| name.to_string()),
        Some("yaml" | "yml") => yaml(&text).with_context(|| name.to_string()),
        _ => bail!("{name} is neither .json nor .yaml"),
    }
}

/// The text of a file.
pub(crate) fn text(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn yaml<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // `no` is a word here, as in YAML 1.2: a namespace may have that name.
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| anyhow!("{}", error.render_with_formatter(&UserMessageFormatter)))
}
