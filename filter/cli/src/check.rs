//! `gatelet check`: what the filter would say of a policy.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use gatelet_core::{
    Config, Gate,
    config::{PolicyConfig, Profile},
    csr::{self, Controller},
    extension_config,
};
use serde_json::Value;

use crate::{document, exit::Exit, findings, instructions, policy::PolicyArguments, report};

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

/// What a rendered file is for.
enum Rendered {
    Filter(Box<Config>),
    Approver(Box<csr::Config>),
}

/// The configuration in a file that `gatelet render` made.
fn rendered(policy: &PolicyArguments) -> anyhow::Result<Rendered> {
    let file = &policy.files.folder;
    let name = || file.display().to_string();
    if !policy.is_only_files() {
        return Err(Exit::Usage.because(format!(
            "{} is rendered already\nhelp: give these options to `gatelet render`",
            name()
        )));
    }
    let value: Value = document::read(file)?;
    if let Some(configuration) = csr::route_config::configuration(&value) {
        let config = csr::Config::from_json(configuration.as_bytes()).with_context(name)?;
        return Ok(Rendered::Approver(Box::new(config)));
    }
    let configuration = extension_config::configuration(&value).with_context(|| {
        format!(
            "{} has no configuration as text\n\
             help: `gatelet render` makes such a file; its configuration is a google.protobuf.StringValue, \
             as the filter can't read a Struct",
            name()
        )
    })?;
    if let Some(pointer) = extension_config::difference(&value) {
        bail!(
            "{} isn't as `gatelet render` makes it: {pointer}\n\
             help: render it again, with `--settings` for what the filter has settings for",
            name()
        );
    }
    let config = Config::from_json(configuration.as_bytes()).with_context(name)?;
    Ok(Rendered::Filter(Box::new(config)))
}
