//! `gatelet matrix`: who may do what, found by asking the gate.

mod answers;
mod html;
mod markdown;
mod requests;
mod sample;
mod text;

use gatelet_core::{
    Config, Gate,
    config::{Mode, PolicyConfig, Profile},
};

use self::{answers::Matrix, sample::Sample};
use crate::{exit::Exit, policy::PolicyArguments};

/// Shows who may do what: callers by endpoints and namespaces
///
/// POLICY is a folder, or a file that `gatelet render` made. The gate is asked with requests of every
/// endpoint, for the callers, namespaces, pods, containers and commands that the policy and its data name,
/// and for some that they don't. It is a sample: what wasn't asked may have another answer.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    #[command(flatten)]
    more: More,
    /// How to write it down
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What to ask about beside what the policy names.
#[derive(clap::Args)]
struct More {
    /// Also ask for this caller: a subject (`CN=a,O=b`, RFC 2253) or a SPIFFE ID; repeat it for more
    #[arg(long = "peer", value_name = "PEER")]
    peers: Vec<String>,
    /// Also ask about this namespace; repeat it for more
    #[arg(long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,
    /// Also ask about this pod; repeat it for more
    #[arg(long = "pod", value_name = "NAME")]
    pods: Vec<String>,
    /// Also ask about this container; repeat it for more
    #[arg(long = "container", value_name = "NAME")]
    containers: Vec<String>,
    /// Also ask for this command, its words separated by spaces; repeat it for more
    #[arg(long = "command", value_name = "COMMAND")]
    commands: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Markdown,
    Html,
    Json,
}

/// Asks, and prints the tables.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let config = arguments.policy.config()?;
    if config.profile != Profile::Kubelet {
        return Err(Exit::Usage.because(
            "the matrix is about a kubelet's endpoints, and this policy is for another service\n\
             help: `gatelet eval` answers one request of it",
        ));
    }
    // What it forwards is denied all the same, in the tables too.
    let dry_run = match config.mode {
        Mode::Enforce => None,
        Mode::DryRun { until } => Some(until),
    };
    let sample = Sample::new(&config, &arguments.more)?;
    let path = arguments.policy.files.folder.display().to_string();
    let gate = Gate::new(config, arguments.policy.builtins())?;
    let matrix = Matrix::ask(&gate, &sample, path, dry_run)?;
    match arguments.format {
        Format::Text => anstream::print!("{}", text::Text(&matrix)),
        Format::Markdown => print!("{}", markdown::Markdown(&matrix)),
        Format::Html => println!("{}", html::page(&matrix).into_string()),
        Format::Json => println!("{}", serde_json::to_string_pretty(&matrix)?),
    }
    Ok(Exit::Done)
}

/// The policy of a configuration, whoever reads it.
fn source(config: &Config) -> &gatelet_core::policy::Source {
    let (PolicyConfig::Rego(source) | PolicyConfig::KubeletTlsProxy(source)) = &config.policy;
    source
}
