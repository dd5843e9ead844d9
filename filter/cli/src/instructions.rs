//! What decisions cost, counted over the request corpus.

use std::{fmt, num::NonZeroUsize, path::Path};

use anyhow::{Context as _, bail, ensure};
use gatelet_core::{
    Config, Headers,
    corpus::{Case, Corpus},
    kubelet,
    policy::{Builtins, Policy, Source, value},
};
use regorus::Value;
use walkdir::WalkDir;

use crate::document;

/// The dearest decision.
pub(crate) struct Most {
    instructions: usize,
    limit: NonZeroUsize,
    case: String,
    cases: usize,
}

/// Evaluates all requests of a folder that have a reading; the others cost nothing.
pub(crate) fn most(
    source: &Source,
    builtins: Builtins,
    config: &Config,
    folder: &Path,
) -> anyhow::Result<Most> {
    let limit = config.limits.instructions;
    let mut most = Most { instructions: 0, limit, case: String::new(), cases: 0 };
    for file in WalkDir::new(folder).sort_by_file_name() {
        let file = file.context("cannot read the corpus")?.into_path();
        if file.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = file.display();
        let corpus = Corpus::parse(&document::text(&file)?).with_context(|| name.to_string())?;
        if corpus.configuration.is_some() {
            // Its cases are about another policy.
            continue;
        }
        let mut source = source.clone();
        if source.data.is_empty() {
            source.data.clone_from(&corpus.data);
        }
        let policy = Policy::compile(&source, builtins, &config.limits)?;
        for case in &corpus.cases {
            let Some(input) = input(&corpus, case, config)? else { continue };
            let Some(instructions) = policy.instructions(&input) else {
                bail!(
                    "`{}` in {name} exceeds the limits\nhelp: raise `limits`, or ask less",
                    case.note
                );
            };
            most.cases += 1;
            if instructions > most.instructions {
                most.instructions = instructions;
                most.case = format!("`{}` in {name}", case.note);
            }
        }
    }
    ensure!(most.cases > 0, "{} has no requests", folder.display());
    Ok(most)
}

/// The input document of a request, if the kubelet has a meaning for it.
fn input(corpus: &Corpus, case: &Case, config: &Config) -> anyhow::Result<Option<Value>> {
    let lines = case.lines();
    let headers = Headers::new(&lines);
    let (Ok(request), Ok(peer)) =
        (kubelet::Request::parse(headers, case.ends()), corpus.peer(case))
    else {
        return Ok(None);
    };
    let input = kubelet::Input::new(&request, &peer, headers.has_bearer_token(), &config.node);
    Ok(Some(value::to_value(&input)?))
}

impl Most {
    pub(crate) fn is_half_of_the_limit(&self) -> bool {
        self.instructions >= self.limit.get().div_ceil(2)
    }
}

impl fmt::Display for Most {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instructions, limit, case, cases } = self;
        write!(to, "at most {instructions} of {limit} instructions in {cases} requests: {case}")
    }
}
