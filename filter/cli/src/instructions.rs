//! What decisions cost, counted over a corpus of requests.

use std::{fmt, num::NonZeroUsize, path::Path};

use anyhow::{bail, ensure};
use gatelet_core::policy::{Builtins, Limits, Policy, Source};
use serde_json::Value;

use crate::corpus::{Requests, Skipped};

/// The dearest decision.
pub(crate) struct Most {
    instructions: usize,
    limit: NonZeroUsize,
    case: String,
    cases: usize,
    skipped: Skipped,
}

/// Evaluates all requests of a corpus that have a reading; the others cost nothing.
pub(crate) fn most(
    source: &Source,
    builtins: Builtins,
    limits: &Limits,
    posture: Option<&Value>,
    corpus: &Path,
    (requests, mut skipped): (Vec<Requests>, Skipped),
) -> anyhow::Result<Most> {
    let (mut instructions, mut dearest, mut cases) = (0, String::new(), 0);
    for Requests { file, data, inputs } in requests {
        let mut source = source.clone();
        if source.data.is_empty() {
            source.data = data;
        }
        let policy = Policy::compile_with(&source, builtins, limits, posture)?;
        for (note, input) in inputs {
            let Some(input) = input else {
                skipped.unreadable += 1;
                continue;
            };
            let Some(its) = policy.instructions(&input) else {
                bail!("`{note}` in {file} exceeds the limits\nhelp: raise `limits`, or ask less");
            };
            cases += 1;
            if its > instructions {
                instructions = its;
                dearest = format!("`{note}` in {file}");
            }
        }
    }
    ensure!(cases > 0, "{} has no requests", corpus.display());
    Ok(Most { instructions, limit: limits.instructions, case: dearest, cases, skipped })
}

impl Most {
    pub(crate) fn is_half_of_the_limit(&self) -> bool {
        self.instructions >= self.limit.get().div_ceil(2)
    }
}

impl fmt::Display for Most {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instructions, limit, case, cases, skipped } = self;
        write!(to, "at most {instructions} of {limit} instructions in {cases} requests: {case}")?;
        let Skipped { files, unreadable } = skipped;
        if *unreadable > 0 {
            write!(to, "\nskipped {unreadable} requests that no policy is asked about")?;
        }
        if *files > 0 {
            write!(to, "\nskipped {files} files with a configuration of their own")?;
        }
        Ok(())
    }
}
