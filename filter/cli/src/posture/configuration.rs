//! The kubelet's configuration file with its drop-ins, merged as the kubelet does.
//!
//! Since 1.30 that is a JSON merge patch (RFC 7396) of each `*.conf` in the order of their paths, onto the
//! file: `mergeKubeletConfigurations` in Kubernetes' `cmd/kubelet/app/server.go`.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use gatelet_core::posture::{Found, Reading, SETTINGS, Setting, Settings};
use serde_json::{Map, Value};
use walkdir::WalkDir;

use crate::document;

/// Layers of configuration, and what they come to.
pub(super) struct Configuration {
    has_file: bool,
    layers: Vec<(String, Map<String, Value>)>,
    merged: Map<String, Value>,
}

/// Where a zero in a file is no value: `SetDefaults_KubeletConfiguration` replaces it.
const ZERO_IS_NO_VALUE: [&str; 4] =
    ["address", "authorization.mode", "port", "streamingConnectionIdleTimeout"];

impl Configuration {
    /// Reads a file, if there is one, and the drop-ins in a folder.
    ///
    /// # Errors
    /// When the kubelet couldn't read them.
    pub(super) fn read(file: Option<&Path>, drop_ins: Option<&Path>) -> anyhow::Result<Self> {
        let mut read = Self { has_file: file.is_some(), layers: Vec::new(), merged: Map::new() };
        if let Some(file) = file {
            read.add(file)?;
        }
        if let Some(folder) = drop_ins {
            ensure!(folder.is_dir(), "there is no folder {}", folder.display());
            for entry in WalkDir::new(folder).sort_by_file_name() {
                let entry = entry.context("cannot read the folder of drop-ins")?;
                let is_conf = entry.path().extension().is_some_and(|extension| extension == "conf");
                if is_conf && !entry.file_type().is_dir() {
                    read.add(entry.path())?;
                }
            }
        }
        Ok(read)
    }

    fn add(&mut self, file: &Path) -> anyhow::Result<()> {
        let name = file.display().to_string();
        let layer: Map<String, Value> = document::yaml(&name, &document::text(file)?)?;
        let is = |key: &str, want: &str| layer.get(key).and_then(Value::as_str) == Some(want);
        if !is("apiVersion", "kubelet.config.k8s.io/v1beta1") || !is("kind", "KubeletConfiguration")
        {
            bail!("{name} is no KubeletConfiguration of kubelet.config.k8s.io/v1beta1");
        }
        let mut merged = Value::Object(std::mem::take(&mut self.merged));
        json_patch::merge(&mut merged, &Value::Object(layer.clone()));
        if let Value::Object(merged) = merged {
            self.merged = merged;
        }
        self.layers.push((name, layer));
        Ok(())
    }

    /// What it comes to, without flags.
    pub(super) fn settings(&self) -> Settings {
        let found = |setting: &Setting| {
            let reading = setting.of(&self.merged).filter(|reading| !is_no_value(setting, reading));
            let found = match reading {
                Some(reading) => Found { reading, from: self.origin(setting) },
                None => Found {
                    reading: Reading::Value(
                        setting.default(self.has_file || self.removes(setting)),
                    ),
                    from: "default".to_owned(),
                },
            };
            (setting.path.to_owned(), found)
        };
        SETTINGS.iter().map(found).collect()
    }

    /// The last layer that says it.
    fn origin(&self, setting: &Setting) -> String {
        let says = |(_, layer): &&(String, Map<String, Value>)| setting.of(layer).is_some();
        self.layers.iter().rfind(says).map(|(name, _)| name.clone()).unwrap_or_default()
    }

    /// Whether a drop-in takes back, by `null`, what a kubelet without a file begins with.
    fn removes(&self, setting: &Setting) -> bool {
        let pointer = format!("/{}", setting.path.replace('.', "/"));
        let mut removes = false;
        for (_, layer) in &self.layers {
            let layer = Value::Object(layer.clone());
            removes |= layer.pointer(&pointer).is_some_and(Value::is_null);
        }
        removes
    }
}

fn is_no_value(setting: &Setting, reading: &Reading) -> bool {
    let is_zero = match reading {
        Reading::Value(Value::Number(number)) => number.as_i64() == Some(0),
        Reading::Value(Value::String(text)) => {
            // `0s`, `0h0m`, and nothing at all.
            text.chars().all(|c| !c.is_ascii_digit() || c == '0')
                && (text.is_empty() || setting.path == "streamingConnectionIdleTimeout")
        }
        _ => false,
    };
    is_zero && ZERO_IS_NO_VALUE.contains(&setting.path)
}
