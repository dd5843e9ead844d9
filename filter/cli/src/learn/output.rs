//! The folder: written whole or not at all, and never over somebody's work.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

use crate::exit::Exit;

/// What was written, as `sha256sum --check` reads it. Hidden, so that it is no part of a policy.
const MANIFEST: &str = ".gatelet-learn.sha256";

/// Refuses a folder in which something would be lost, or would be part of the policy unasked.
///
/// # Errors
/// When a file there is somebody else's, or was edited and `is_forced` is false.
pub(super) fn check(
    folder: &Path,
    files: &BTreeMap<String, String>,
    is_forced: bool,
) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let manifest = manifest(folder)?;
    let mut edited = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.context("cannot read the folder")?;
        let name = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let (Some(name), true) = (name.to_str(), entry.file_type().is_file()) else { continue };
        let was_learned = manifest.get(name);
        if was_learned.is_none() && !files.contains_key(name) && is_policy(name) {
            return Err(Exit::Usage.because(format!(
                "{} is not of `gatelet learn`, and would be a part of the policy\n\
                 help: give `--output` a folder of its own",
                entry.path().display()
            )));
        }
        let is_in_the_way = files.contains_key(name) || was_learned.is_some();
        if is_in_the_way && was_learned != Some(&digest(&fs::read(entry.path())?)) {
            edited.push(name.to_owned());
        }
    }
    if !edited.is_empty() && !is_forced {
        return Err(Exit::Usage.because(format!(
            "{} has changes that would be lost: {}\n\
             help: take another folder, or `--force` to overwrite them",
            folder.display(),
            edited.join(", ")
        )));
    }
    Ok(())
}

/// Writes the files, and removes those of the last time that are no more.
///
/// # Errors
/// When one can't be written.
pub(super) fn write(folder: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let old = if folder.exists() { manifest(folder)? } else { BTreeMap::new() };
    let mut text = String::new();
    for (name, content) in files {
        let file = folder.join(name);
        put(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        writeln!(text, "{}  {name}", digest(content.as_bytes()))?;
    }
    for name in old.keys().filter(|name| !files.contains_key(*name)) {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => bail!(error),
            _ => {}
        }
    }
    fs::write(folder.join(MANIFEST), text)?;
    Ok(())
}

fn put(file: &PathBuf, content: &str) -> io::Result<()> {
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(file, content)
}

fn is_policy(name: &str) -> bool {
    let is_test = name.ends_with("_test.rego");
    let file = name.rsplit('/').next().unwrap_or(name);
    (name.ends_with(".rego") && !is_test) || ["data.json", "data.yaml", "data.yml"].contains(&file)
}

/// The digests of what was written the last time.
fn manifest(folder: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    match fs::read_to_string(folder.join(MANIFEST)) {
        Ok(text) => Ok(text
            .lines()
            .filter_map(|line| line.split_once("  "))
            // A path out of the folder isn't of this command.
            .filter(|(_, name)| !name.starts_with('/') && !name.split('/').any(|step| step == ".."))
            .map(|(digest, name)| (name.to_owned(), digest.to_owned()))
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).context("cannot read the folder"),
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
