//! The request corpus: requests as data, each with the decision it must get.

use std::path::Path;

use anyhow::Context as _;
use gatelet_core::{
    Config, Headers,
    config::Profile,
    corpus::{Case, Corpus},
    http, kubelet,
    policy::value,
};
use regorus::Value;
use walkdir::WalkDir;

use crate::document;

/// All `*.json` below a folder, or one file, by their names.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<(String, Corpus)>> {
    let mut corpora = Vec::new();
    for file in WalkDir::new(path).sort_by_file_name() {
        let file = file.context("cannot read the corpus")?.into_path();
        if file.extension().is_some_and(|extension| extension == "json") {
            let name = file.display().to_string();
            let corpus = Corpus::parse(&document::text(&file)?).with_context(|| name.clone())?;
            corpora.push((name, corpus));
        }
    }
    Ok(corpora)
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
