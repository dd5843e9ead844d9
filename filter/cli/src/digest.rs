//! `gatelet digest`: the SHA-256 of a policy.

use gatelet_core::{Gate, csr::Controller};

use crate::{
    exit::Exit,
    policy::PolicyArguments,
    rendered::{Rendered, configuration},
    report,
};

const EXAMPLES: &str = "Examples:
  gatelet digest policy.json
  gatelet digest rego --data peers.yaml --check \"$EXPECTED\" && systemctl start gatelet";

/// Prints the SHA-256 of a policy, as it is in the decision log
///
/// POLICY is a folder, or a file that `gatelet render` made. Rego without tests, data and the name of
/// the deciding rule make up the SHA-256; the filter's settings don't.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Fail unless it is this one
    #[arg(long, value_name = "SHA-256", value_parser = sha256)]
    check: Option<String>,
}

/// Prints the digest, and compares it.
pub(crate) fn run(Arguments { policy, check }: &Arguments) -> anyhow::Result<Exit> {
    let digest = match configuration(policy)? {
        Rendered::Filter(config) => Gate::new(*config, policy.builtins())?.digest().to_owned(),
        Rendered::Approver(config) => Controller::new(*config)?.digest().to_owned(),
    };
    println!("{digest}  {}", policy.files.folder.display());
    match check {
        Some(expected) if *expected != digest => {
            report::warning(&format!("it is not {expected}"));
            Ok(Exit::No)
        }
        _ => Ok(Exit::Done),
    }
}

fn sha256(text: &str) -> Result<String, String> {
    let is_one = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one { Ok(text.to_ascii_lowercase()) } else { Err("no 64 hexadecimal digits".to_owned()) }
}
