//! Files in JSON or YAML.

use std::{fs, io, path::Path};

use anyhow::{Context as _, bail};
use gatelet_core::{
    config::unique,
    diagnostic::{Diagnostic, Place},
};
use serde::de::DeserializeOwned;
use serde_saphyr::{MessageFormatter as _, UserMessageFormatter};

/// Reads a file as its extension says. A key that stands twice is an error in both.
///
/// # Errors
/// When the file can't be read or isn't of this form. The message has the place.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let name = file.display().to_string();
    let text = text(file)?;
    Ok(match file.extension().and_then(|extension| extension.to_str()) {
        Some("json") => json(&name, &text)?,
        Some("yaml" | "yml") => yaml(&name, &text)?,
        _ => bail!("{name} is neither .json nor .yaml"),
    })
}

/// The text of a file.
pub(crate) fn text(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The text of a file, or of standard input for `-`.
pub(crate) fn text_or_standard_input(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        return io::read_to_string(io::stdin()).context("cannot read standard input");
    }
    text(file)
}

/// A document in JSON, of a file with this name.
pub(crate) fn json<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Diagnostic> {
    unique::check(text).and_then(|()| serde_json::from_str(text)).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        // The place is shown with its line.
        let message = message.strip_suffix(&format!(" at line {line} column {column}"));
        let place = Place::at_line(name, text, line, column);
        match message {
            Some(message) => Diagnostic::new(message).at(place),
            // serde_json has no place for what is missing at the end.
            None => Diagnostic::new(format!("{name}: {error}")),
        }
    })
}

/// Reads YAML, or JSON as a part of it.
pub(crate) fn yaml<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Diagnostic> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // `no` is a word here, as in YAML 1.2: a namespace may have that name.
        strict_booleans: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let message = UserMessageFormatter.format_message(&error);
        match error.location() {
            Some(location) => {
                let (line, column) = (index(location.line()), index(location.column()));
                Diagnostic::new(message).at(Place::at_character(name, text, line, column))
            }
            None => Diagnostic::new(format!("{name}: {message}")),
        }
    })
}

/// A number of a line or a column; past the end is the end.
fn index(number: u64) -> usize {
    number.try_into().unwrap_or(usize::MAX)
}
