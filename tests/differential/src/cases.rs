//! Verdicts worth keeping: requests with the kubelet's reading, as Go gave it.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{
    kubelet::Answer,
    request::{Request, Written},
};

/// A request, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is about.
    pub note: String,
    /// The request.
    #[serde(flatten)]
    pub request: Written,
    /// Whether the filter would put it to a policy.
    pub handed_on: bool,
    /// What the kubelet makes of it, filled in by `--record`.
    #[serde(default)]
    pub kubelet: Answer,
}

impl Case {
    /// The request as the filter and the kubelet get it.
    #[must_use]
    pub fn request(&self) -> Request {
        self.request.clone().into()
    }
}

/// Reads a file of cases, a JSON object in each line.
///
/// # Errors
/// When it can't be read.
pub fn read(file: &Path) -> anyhow::Result<Vec<Case>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Writes what [`read`] reads.
///
/// # Errors
/// When it can't be written.
pub fn write(file: &Path, cases: &[Case]) -> anyhow::Result<()> {
    let mut text = String::new();
    for case in cases {
        text.push_str(&serde_json::to_string(case)?);
        text.push('\n');
    }
    fs::write(file, text).with_context(|| file.display().to_string())
}
