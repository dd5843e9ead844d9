//! Requests that others wrote: the corpus and the hostile one.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context as _;
use gatelet_core::corpus::Corpus;
use serde::Deserialize;

use crate::request::{Request, Written};

/// A file of the hostile corpus, as far as a seed needs it: bytes with names for parts of them.
#[derive(Deserialize)]
struct Hostile {
    #[serde(default)]
    parts: BTreeMap<String, String>,
    cases: Vec<Raw>,
}

#[derive(Deserialize)]
struct Raw {
    send: String,
}

/// Reads every request of `cases` and `hostile` below a folder.
///
/// # Errors
/// When a file can't be read, or there is none.
pub fn read(tests: &Path) -> anyhow::Result<Vec<Request>> {
    let mut requests = Vec::new();
    for (path, text) in files(&tests.join("cases"))? {
        let corpus = Corpus::parse(&text).context(path)?;
        requests.extend(corpus.cases.into_iter().map(|case| {
            let (method, target, headers) = (case.method, case.target, case.headers);
            Request::from(Written { method, target, headers, body: String::new() })
        }));
    }
    for (path, text) in files(&tests.join("hostile"))? {
        let hostile: Hostile = serde_json::from_str(&text).context(path)?;
        let parts = &hostile.parts;
        requests
            .extend(hostile.cases.iter().filter_map(|raw| first(&spelled_out(&raw.send, parts))));
    }
    Ok(requests)
}

fn files(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push((path.display().to_string(), fs::read_to_string(&path)?));
        }
    }
    // The order of a folder is nobody's.
    files.sort();
    anyhow::ensure!(!files.is_empty(), "no cases in {}", folder.display());
    Ok(files)
}

fn spelled_out(send: &str, parts: &BTreeMap<String, String>) -> String {
    parts
        .iter()
        .fold(send.to_owned(), |text, (name, part)| text.replace(&format!("<{name}>"), part))
}

/// The first request of some bytes, if they look like one.
fn first(bytes: &str) -> Option<Request> {
    let (head, body) = bytes.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let (method, rest) = lines.next()?.split_once(' ')?;
    let (target, _) = rest.rsplit_once(' ')?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| is_token(name) && !name.eq_ignore_ascii_case("host"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    is_token(method).then(|| {
        let (method, target) = (method.to_owned(), target.to_owned());
        Request::from(Written { method, target, headers, body: body.to_owned() })
    })
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_corpora_are_seeds() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let requests = read(&tests).unwrap();
        let targets: Vec<_> =
            requests.iter().map(|seed| String::from_utf8_lossy(&seed.target)).collect();
        for target in
            ["/exec/default/db-0/app%2F?command=id&output=1", "//exec/ns/pod/c?command=id&output=1"]
        {
            assert!(targets.contains(&target.into()), "{target}");
        }
    }
}
