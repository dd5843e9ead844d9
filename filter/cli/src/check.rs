//! `gatelet check`: what the filter would say of a policy.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use gatelet_core::{
    Gate,
    config::{PolicyConfig, Profile},
    csr::{self, Controller},
};

use crate::{
    exit::Exit,
    findings, instructions,
    policy::PolicyArguments,
    rendered::{Rendered, rendered},
    report,
};

/// Compiles a policy as the filter would, and warns of what is probably not meant
///
/// POLICY is a folder, or a file that `gatelet render` made. A warning is, for example, that the
/// list of peers pins nobody. It prints the policy's SHA-256.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Also evaluate the requests in this folder, and tell the most instructions that one takes.
    /// The data is that of the requests if the policy has none
    #[arg(long, value_name = "FOLDER")]
    corpus: Option<PathBuf>,
}

/// Checks, and prints the policy's SHA-256.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { policy, corpus } = arguments;
    let path = &policy.files.folder;
    let config = if path.is_file() {
        match rendered(policy)? {
            Rendered::Filter(config) => *config,
            Rendered::Approver(config) => return check_for_the_approver(*config, arguments),
        }
    } else if policy.is_for_the_approver() {
        let config = policy.written_for_the_approver()?.try_into()?;
        return check_for_the_approver(config, arguments);
    } else {
        policy.written()?.try_into()?
    };
    let gate = Gate::new(config, policy.builtins())?;
    let mut has_data = true;
    if let Some(corpus) = corpus {
        let PolicyConfig::Rego(source) = &gate.config().policy else {
            bail!("an adapter has no instructions to count\nhelp: leave out `--corpus`");
        };
        ensure!(
            gate.config().profile == Profile::Kubelet,
            "the corpus has requests to a kubelet\nhelp: leave out `--corpus`"
        );
        has_data = !source.data.is_empty();
        let most = instructions::most(source, policy.builtins(), gate.config(), corpus)?;
        println!("{most}");
        if most.is_half_of_the_limit() {
            report::warning("that is half of what a decision may take, or more");
        }
    }
    if has_data {
        findings::warn(gate.config())?;
    }
    println!("{}  {}", gate.digest(), path.display());
    Ok(Exit::Done)
}

fn check_for_the_approver(config: csr::Config, arguments: &Arguments) -> anyhow::Result<Exit> {
    ensure!(
        arguments.corpus.is_none(),
        "the corpus has requests to a kubelet\nhelp: leave out `--corpus`"
    );
    let controller = Controller::new(config)?;
    let config = controller.config();
    findings::warn_of(&config.policy, &config.limits)?;
    println!("{}  {}", controller.digest(), arguments.policy.files.folder.display());
    Ok(Exit::Done)
}
