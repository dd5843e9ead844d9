//! The request corpus: requests as data, each with the decision it must get.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use gatelet_core::{
    Config, Headers,
    config::Profile,
    corpus::{Case, Corpus},
    csr, http, kubelet,
    policy::value,
};
use regorus::Value;
use serde_json::{Map, json};
use walkdir::WalkDir;

use crate::document;

/// The requests of a file, as input documents.
pub(crate) struct Requests {
    pub(crate) file: String,
    /// For a policy that has no data of its own.
    pub(crate) data: Map<String, serde_json::Value>,
    /// What each is about; no policy is asked about one without an input.
    pub(crate) inputs: Vec<(String, Option<Value>)>,
}

/// What of a corpus is not evaluated.
#[derive(Default)]
pub(crate) struct Skipped {
    /// Files with a configuration of their own: their cases are about another policy.
    pub(crate) files: usize,
    /// Requests that are refused without a question to the policy.
    pub(crate) unreadable: usize,
}

/// The requests of a corpus for the filter.
pub(crate) fn requests(path: &Path, config: &Config) -> anyhow::Result<(Vec<Requests>, Skipped)> {
    let mut skipped = Skipped::default();
    let mut requests = Vec::new();
    for (file, corpus) in read(path)? {
        if corpus.configuration.is_some() {
            skipped.files += 1;
            continue;
        }
        let inputs =
            corpus.cases.iter().map(|case| Ok((case.note.clone(), input(&corpus, case, config)?)));
        let inputs = inputs.collect::<anyhow::Result<_>>()?;
        requests.push(Requests { file, data: corpus.data, inputs });
    }
    Ok((requests, skipped))
}

/// The requests of a corpus for the approver.
pub(crate) fn csrs(path: &Path) -> anyhow::Result<(Vec<Requests>, Skipped)> {
    let mut requests = Vec::new();
    for file in files(path)? {
        let name = file.display().to_string();
        let corpus: csr::corpus::Corpus = document::read(&file)?;
        let now = DateTime::<Utc>::from(SystemTime::now());
        let inputs = corpus.cases.iter().map(|case| {
            Ok((case.note.clone(), Some(corpus.input(case, now).with_context(|| name.clone())?)))
        });
        let inputs = inputs.collect::<anyhow::Result<_>>()?;
        let data = json!({"csr": {"preset": "inventory", "inventory": corpus.inventory}});
        let data = data.as_object().cloned().unwrap_or_default();
        requests.push(Requests { file: name, data, inputs });
    }
    Ok((requests, Skipped::default()))
}

/// All `*.json` below a folder, or one file, by their names.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<(String, Corpus)>> {
    let corpus = |file: PathBuf| {
        let name = file.display().to_string();
        let corpus = Corpus::parse(&document::text(&file)?).with_context(|| name.clone())?;
        Ok((name, corpus))
    };
    files(path)?.into_iter().map(corpus).collect()
}

fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for file in WalkDir::new(path).sort_by_file_name() {
        let file = file.context("cannot read the corpus")?.into_path();
        if file.extension().is_some_and(|extension| extension == "json") {
            files.push(file);
        }
    }
    Ok(files)
}

/// The input document of a request, if it has a meaning in this profile.
pub(crate) fn input(
    corpus: &Corpus,
    case: &Case,
    config: &Config,
) -> anyhow::Result<Option<Value>> {
    let lines = case.lines();
    let headers = Headers::new(&lines);
    let Ok(peer) = corpus.peer(case) else { return Ok(None) };
    let bearer_token = headers.has_bearer_token();
    let input = match config.profile {
        Profile::Kubelet => match kubelet::Request::parse(headers, case.ends()) {
            Ok(request) => {
                value::to_value(&kubelet::Input::new(&request, &peer, bearer_token, &config.node))?
            }
            Err(_) => return Ok(None),
        },
        Profile::Http => match http::Request::parse(headers, &config.http.headers) {
            Ok(request) => {
                value::to_value(&http::Input::new(&request, &peer, bearer_token, &config.node))?
            }
            Err(_) => return Ok(None),
        },
    };
    Ok(Some(input))
}
