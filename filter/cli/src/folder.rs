//! A policy as files: Rego in a folder, data in it and beside it.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, anyhow, bail, ensure};
use serde_json::{Map, Value};
use walkdir::{DirEntry, WalkDir};

use crate::document;

/// What a folder has, and the data that was named beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Folder {
    /// Rego by its path in the folder, tests included.
    pub(crate) modules: BTreeMap<String, String>,
    /// The `data` document.
    pub(crate) data: Map<String, Value>,
}

impl Folder {
    /// Reads all `*.rego`, and as OPA does `data.json`, `data.yaml` and `data.yml`, whose folder is
    /// their place in the document; then the further data files, which belong at its root.
    ///
    /// # Errors
    /// When there is no Rego, a file can't be read, or two files of data say different things.
    pub(crate) fn read(folder: &Path, further: &[impl AsRef<Path>]) -> anyhow::Result<Self> {
        ensure!(folder.is_dir(), "there is no folder {}", folder.display());
        let mut read = Self::default();
        let visible = |entry: &DirEntry| {
            // Kubernetes keeps the versions of a mounted ConfigMap in hidden folders.
            entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
        };
        let files = WalkDir::new(folder).follow_links(true).sort_by_file_name();
        for entry in files.into_iter().filter_entry(visible) {
            let entry = match entry {
                // A link to a folder above has nothing new.
                Err(error) if error.loop_ancestor().is_some() => continue,
                entry => entry.context("cannot read the folder")?,
            };
            if entry.file_type().is_file() {
                read.take(folder, entry.path())?;
            }
        }
        let policy = read.modules.keys().filter(|name| !name.ends_with("_test.rego")).count();
        ensure!(
            policy > 0,
            "{} has no policy\nhelp: add at least one `.rego` file; `*_test.rego` does not count",
            folder.display()
        );
        for file in further {
            let file = file.as_ref();
            read.merge(&[], object(file)?, file)?;
        }
        Ok(read)
    }

    fn take(&mut self, folder: &Path, file: &Path) -> anyhow::Result<()> {
        let below = file.strip_prefix(folder).unwrap_or(file);
        let Some(name) = below.to_str() else {
            bail!("{} has a name that is not UTF-8", file.display());
        };
        let steps: Vec<_> = name.split(std::path::MAIN_SEPARATOR).collect();
        match steps.split_last() {
            Some((last, _)) if last.ends_with(".rego") => {
                self.modules.insert(steps.join("/"), document::text(file)?);
                Ok(())
            }
            Some((&("data.json" | "data.yaml" | "data.yml"), path)) => {
                self.merge(path, object(file)?, file)
            }
            _ => Ok(()),
        }
    }

    /// Adds data at a path of the document.
    fn merge(
        &mut self,
        path: &[&str],
        data: Map<String, Value>,
        file: &Path,
    ) -> anyhow::Result<()> {
        let mut place = &mut self.data;
        for step in path {
            let next = place.entry(*step).or_insert_with(|| Value::Object(Map::new()));
            let Value::Object(next) = next else {
                bail!("{}: other data has a value at `{}`", file.display(), path.join("."));
            };
            place = next;
        }
        merge(place, data).map_err(|key| {
            anyhow!("{}: `{key}` is in other data too\nhelp: say it once", file.display())
        })
    }
}

/// Adds what is new; the path of what is there already is an error.
fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) -> Result<(), String> {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (None, value) => {
                into.insert(key, value);
            }
            (Some(Value::Object(old)), Value::Object(new)) => {
                merge(old, new).map_err(|below| format!("{key}.{below}"))?;
            }
            (Some(_), _) => return Err(key),
        }
    }
    Ok(())
}

/// A file of data, which has to be an object.
fn object(file: &Path) -> anyhow::Result<Map<String, Value>> {
    match document::read(file)? {
        Value::Object(object) => Ok(object),
        // An empty file, or one with comments only.
        Value::Null => Ok(Map::new()),
        _ => bail!("{} is not an object at its top", file.display()),
    }
}
