//! `gatelet test`: the policy's own tests, and the cases of a request corpus.

mod cases;
mod coverage;
mod engines;
mod format;
mod question;
mod suite;
mod watch;

use std::{num::ParseFloatError, path::PathBuf, time::Duration};

use clap::ValueEnum;
use regex::Regex;
use regorus::Value;

use self::{coverage::Coverage, suite::Suite};
use crate::{exit::Exit, policy::PolicyArguments};

const EXAMPLES: &str = "Examples:
  gatelet test rego -v                              # each test with its time
  gatelet test rego --run 'authz.*denied' --watch   # some of them, again after each change
  gatelet test rego --coverage --threshold 90       # which lines of the policy no test reaches
  gatelet test rego --corpus tests/cases            # the requests of a corpus, too
  gatelet test rego --format junit > report.xml     # for CI";

/// Runs a policy's tests: the rules `test_*` in `*_test.rego`, each of which has to be true
///
/// A file of tests sees the policy and the test files without tests, but no other tests. What a test
/// asks of the policy is also put to the machine that the filter runs: another answer there is a
/// failure.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Print the tests that passed, too
    #[arg(short, long)]
    verbose: bool,
    /// Only the tests whose full name this regular expression matches somewhere
    #[arg(long, value_name = "REGEX")]
    run: Option<Regex>,
    /// Also decide the requests in this folder or file; without data of its own, the policy gets theirs
    #[arg(long, value_name = "FOLDER")]
    corpus: Option<PathBuf>,
    /// Print which lines of the policy the tests reach, instead of the tests that passed
    #[arg(long)]
    coverage: bool,
    /// Fail if less of the policy is covered
    #[arg(long, value_name = "PERCENT", value_parser = percent, requires = "coverage")]
    threshold: Option<f64>,
    /// How to print
    #[arg(long, value_name = "text|json|junit", default_value = "text", hide_default_value = true)]
    format: Format,
    /// Run again whenever a file of the policy changes, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Junit,
}

/// What became of a test.
struct Ran {
    /// Its package with `data.`, or the corpus' file.
    package: String,
    name: String,
    file: String,
    line: Option<u32>,
    duration: Duration,
    /// Why it failed: nothing if it passed.
    failures: Vec<String>,
    /// The statement that failed, and the input that it was about.
    asked: Option<(String, Value)>,
    /// The questions that both of regorus' machines answered.
    compared: usize,
}

impl Ran {
    fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    fn full_name(&self) -> String {
        full_name(&self.package, &self.name)
    }
}

fn full_name(package: &str, name: &str) -> String {
    format!("{package}.{name}")
}

/// What a run of all came to.
struct Results {
    ran: Vec<Ran>,
    coverage: Option<Coverage>,
}

/// Runs the tests, once or again and again.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    if arguments.watch { watch::run(arguments) } else { once(arguments) }
}

/// Prints every failure, and how many tests there were.
fn once(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { policy, verbose, run, corpus, coverage, threshold, format, watch: _ } =
        arguments;
    let folder = policy.files.read()?;
    let is_chosen = |name: &str| run.as_ref().is_none_or(|run| run.is_match(name));
    let suite = Suite::new(&folder, &policy.files.folder)?;
    let mut results = suite.run(is_chosen, *coverage)?;
    if let Some(corpus) = corpus {
        results.ran.extend(cases::run(policy, corpus, is_chosen)?);
    }
    if results.ran.is_empty() {
        let folder = policy.files.folder.display();
        anyhow::bail!(match run {
            Some(run) => format!("no test in {folder} has a name with `{run}`"),
            None =>
                format!("{folder} has no tests\nhelp: add rules `test_*` to files `*_test.rego`"),
        });
    }
    match format {
        Format::Text => format::text(&results, *verbose)?,
        Format::Json => format::json(&results)?,
        Format::Junit => format::junit(&results)?,
    }
    let covered = results.coverage.as_ref().map(Coverage::percent);
    if let (Some(least), Some(covered)) = (threshold, covered)
        && covered < *least
    {
        crate::report::warning(&format!("{covered:.1} % of the policy are covered, not {least} %"));
        return Ok(Exit::No);
    }
    Ok(if results.ran.iter().all(Ran::passed) { Exit::Done } else { Exit::No })
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().map_err(|error: ParseFloatError| error.to_string())?;
    if (0.0..=100.0).contains(&number) { Ok(number) } else { Err("not from 0 to 100".to_owned()) }
}
