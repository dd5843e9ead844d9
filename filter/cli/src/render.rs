//! `gatelet render`: a folder of Rego becomes the file that Envoy watches.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use gatelet_core::{
    Config, Gate,
    csr::{Controller, route_config::route_config},
    extension_config::extension_config,
};
use serde_json::Value;

use crate::{exit::Exit, findings, policy::PolicyArguments, wasm_plugin};

/// Makes the extension-config file with the policy in it, and prints the policy's SHA-256
///
/// Envoy watches the file and takes the new policy without a restart. The policy is checked first,
/// as the filter would; if anything is wrong, the old file stays as it is.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Where to write the file; `-` is the standard output, and the SHA-256 then goes to the other one
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The filter's module, as Envoy will find it [default: gatelet.wasm, or gatelet-full.wasm]
    #[arg(long, value_name = "FILE")]
    module: Option<String>,
    /// Make Istio's WasmPlugin instead: this manifest, with the policy as its `pluginConfig`
    #[arg(long, value_name = "FILE", conflicts_with = "module")]
    wasm_plugin: Option<PathBuf>,
}

/// Renders, or changes nothing.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let policy = &arguments.policy;
    if policy.is_for_the_approver() {
        return run_for_the_approver(arguments);
    }
    let written = policy.written()?;
    let gate = Gate::new(Config::try_from(written.clone())?, policy.builtins())?;
    findings::warn(gate.config())?;
    let usual = if policy.full { "gatelet-full.wasm" } else { "gatelet.wasm" };
    let file = match &arguments.wasm_plugin {
        Some(manifest) => wasm_plugin::configured(manifest, &written)?,
        None => extension_config(&written, arguments.module.as_deref().unwrap_or(usual))?,
    };
    write(&arguments.output, &file, gate.digest())
}

/// The approver's file has the configuration alone: its module is named in Envoy's own.
fn run_for_the_approver(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Arguments { policy, output, module, wasm_plugin } = arguments;
    let for_the_filter = [("--module", module.is_some()), ("--wasm-plugin", wasm_plugin.is_some())];
    if let Some((name, _)) = for_the_filter.iter().find(|(_, is_given)| *is_given) {
        return Err(Exit::Usage
            .because(format!("{name} has no meaning in profile `csr`\nhelp: leave it out")));
    }
    let written = policy.written_for_the_approver()?;
    let controller = Controller::new(written.clone().try_into()?)?;
    let config = controller.config();
    findings::warn_of(&config.policy, &config.limits)?;
    let file = route_config(&written)?;
    write(output, &file, controller.digest())
}

/// Writes the file, and tells the policy's SHA-256.
fn write(output: &Path, file: &Value, digest: &str) -> anyhow::Result<Exit> {
    let text = format!("{file:#}\n");
    if output == Path::new("-") {
        io::stdout().write_all(text.as_bytes())?;
        eprintln!("{digest}");
    } else {
        replace(output, &text).with_context(|| format!("cannot write {}", output.display()))?;
        println!("{digest}  {}", output.display());
    }
    Ok(Exit::Done)
}

/// Puts a file in its place in one move: Envoy never reads half of it.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    ensure!(folder.is_dir(), "there is no folder {}", folder.display());
    let mut new = tempfile::Builder::new()
        .prefix(".gatelet-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}
