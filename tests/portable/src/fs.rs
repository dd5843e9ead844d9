//! What the tests use of `std::fs`, from Node's module of that name.

use std::path::{Path, PathBuf};

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

#[wasm_bindgen(module = "node:fs")]
extern "C" {
    /// What is at a path.
    pub type Metadata;

    #[wasm_bindgen(catch, js_name = readFileSync)]
    fn read_file(path: &str, encoding: &str) -> Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = readdirSync)]
    fn names(folder: &str) -> Result<Vec<String>, JsValue>;

    #[wasm_bindgen(catch, js_name = statSync)]
    fn stat(path: &str) -> Result<Metadata, JsValue>;

    /// Whether it is a folder.
    #[wasm_bindgen(method, js_name = isDirectory)]
    pub fn is_dir(this: &Metadata) -> bool;
}

/// An entry of a folder.
#[derive(Debug)]
pub struct DirEntry(PathBuf);

impl DirEntry {
    /// The folder's path with the entry's name.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.clone()
    }
}

/// The text of a file.
///
/// # Errors
/// Node's, when it can't be read.
pub fn read_to_string(path: impl AsRef<Path>) -> Result<String, JsValue> {
    read_file(&text(path.as_ref()), "utf8")
}

/// The entries of a folder, in no order.
///
/// # Errors
/// Node's, when it can't be read.
pub fn read_dir(
    path: impl AsRef<Path>,
) -> Result<impl Iterator<Item = Result<DirEntry, JsValue>>, JsValue> {
    let folder = path.as_ref().to_owned();
    let names = names(&text(&folder))?;
    Ok(names.into_iter().map(move |name| Ok(DirEntry(folder.join(name)))))
}

/// What is at a path.
///
/// # Errors
/// Node's, when there is nothing.
pub fn metadata(path: impl AsRef<Path>) -> Result<Metadata, JsValue> {
    stat(&text(path.as_ref()))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
