//! The decision log, as an operator reads it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use crate::deadline::eventually;

/// A file to which Envoy appends one JSON object a record.
#[derive(Clone, Debug)]
pub struct DecisionLog {
    path: PathBuf,
    /// As many records are left out.
    before: usize,
}

impl DecisionLog {
    /// The one in this file.
    pub fn new(path: PathBuf) -> Self {
        Self { path, before: 0 }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The records that come from now on.
    ///
    /// # Errors
    /// As [`DecisionLog::records`].
    pub fn from_now_on(&self) -> anyhow::Result<Self> {
        let whole = Self::new(self.path.clone());
        Ok(Self { before: whole.records()?.len(), ..whole })
    }

    /// Every record that is written.
    ///
    /// # Errors
    /// When there is no log yet, or a line of it is no JSON.
    pub fn records(&self) -> anyhow::Result<Vec<Value>> {
        let log =
            fs::read_to_string(&self.path).with_context(|| self.path.display().to_string())?;
        // A line may be half written.
        let lines = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        lines
            .skip(self.before)
            .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
            .collect()
    }

    /// Waits until a record satisfies `wanted`, and returns the first that does.
    ///
    /// # Errors
    /// When none came in time; the error names `what`.
    pub async fn wait_for(
        &self,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        eventually(what, async || Ok(self.records()?.into_iter().find(&wanted))).await
    }
}

/// Whether a record has a decision about this endpoint.
pub fn is_about(endpoint: &str) -> impl Fn(&Value) -> bool {
    move |record| record.pointer("/decision/input/endpoint").is_some_and(|is| is == endpoint)
}
