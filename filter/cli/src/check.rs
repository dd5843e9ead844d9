//! `gatelet check`: what the filter would say of a policy.

use std::path::PathBuf;

use anyhow::bail;
use gatelet_core::{
    Config, Gate,
    config::PolicyConfig,
    csr::{self, Controller},
    policy::Builtins,
    posture::Watch,
};

use crate::{
    corpus,
    exit::Exit,
    findings,
    instructions::{self, Most},
    policy::PolicyArguments,
    rendered::{Rendered, configuration},
    report, strict,
};

const EXAMPLES: &str = "Examples:
  gatelet check rego --data rego/examples/k3s.yaml
  gatelet check policy.json                          # what `gatelet render` made
  gatelet check rego --strict                        # by OPA's own rules, for CI
  gatelet check rego --corpus tests/cases            # what the dearest request costs
  gatelet check rego --profile csr --corpus tests/csrs.json";

/// Compiles a policy as the filter would, and warns of what is probably not meant
///
/// POLICY is a folder, or a file that `gatelet render` made. A warning is, for example, that the
/// list of peers pins nobody. It prints the policy's SHA-256.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Also evaluate the requests in this folder or file, and tell the most instructions that one
    /// takes. The data is that of the requests if the policy has none
    #[arg(long, value_name = "FOLDER")]
    corpus: Option<PathBuf>,
    /// Also mind what `opa check --strict` and `opa fmt` do, in the tests too: what nothing uses,
    /// deprecated functions, blanks
    #[arg(long)]
    strict: bool,
}

/// Checks, and prints the policy's SHA-256.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let digest = match configuration(&arguments.policy)? {
        Rendered::Filter(config) => filter(*config, arguments)?,
        Rendered::Approver(config) => approver(*config, arguments)?,
    };
    println!("{digest}  {}", arguments.policy.files.folder.display());
    if arguments.strict { strictly(arguments) } else { Ok(Exit::Done) }
}

fn strictly(Arguments { policy, .. }: &Arguments) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for (name, rego) in policy.files.read()?.modules {
        for finding in strict::findings(&name, &rego)? {
            report::error(&finding.into());
            exit = Exit::No;
        }
    }
    Ok(exit)
}

fn filter(config: Config, Arguments { policy, corpus, .. }: &Arguments) -> anyhow::Result<String> {
    let gate = Gate::new(config, policy.builtins())?;
    let config = gate.config();
    let mut has_data = true;
    if let Some(corpus) = corpus {
        let PolicyConfig::Rego(source) = &config.policy else {
            bail!("an adapter has no instructions to count\nhelp: leave out `--corpus`");
        };
        has_data = !source.data.is_empty();
        let requests = corpus::requests(corpus, config)?;
        let posture = config.posture.as_ref().map(Watch::beginning);
        let (builtins, limits) = (policy.builtins(), &config.limits);
        tell(&instructions::most(source, builtins, limits, posture.as_ref(), corpus, requests)?);
    }
    if has_data {
        findings::warn(config)?;
    }
    Ok(gate.digest().to_owned())
}

fn approver(config: csr::Config, Arguments { corpus, .. }: &Arguments) -> anyhow::Result<String> {
    let controller = Controller::new(config)?;
    let csr::Config { policy, limits, .. } = controller.config();
    if let Some(corpus) = corpus {
        let requests = corpus::csrs(corpus)?;
        tell(&instructions::most(policy, Builtins::Full, limits, None, corpus, requests)?);
    }
    findings::warn_of(policy, limits)?;
    Ok(controller.digest().to_owned())
}

fn tell(most: &Most) {
    println!("{most}");
    if most.is_half_of_the_limit() {
        report::warning("that is half of what a decision may take, or more");
    }
}
