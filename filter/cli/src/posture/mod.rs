//! `gatelet posture`: a kubelet's settings, held against the CIS benchmark and the gate's profiles.

mod command_line;
mod configuration;
mod live;
mod report;
mod sarif;
mod texts;

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use gatelet_core::posture::{self, Overall, Posture, Profile, Settings, Verdict};

use self::{command_line::CommandLine, configuration::Configuration, report::Report};
use crate::{document, exit::Exit, report as messages};

/// Holds a kubelet's settings against section 4.2 of the CIS benchmark
///
/// They come from the kubelet's configuration file with what overrides it, from an answer to /configz, or
/// from the kubelet itself, which is then also asked for what it does. A setting that can't be read never
/// passes.
///
/// Exit codes: 0 nothing fails; 1 something fails; 2 the command line is wrong; 3 nothing is known to fail,
/// and something can't be read.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The kubelet's configuration file, as in its `--config`
    #[arg(value_name = "FILE", conflicts_with_all = ["configz", "live"])]
    file: Option<PathBuf>,
    /// The folder of the kubelet's drop-ins, as in its `--config-dir`
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["configz", "live"])]
    config_dir: Option<PathBuf>,
    /// What has the kubelet's flags: a unit of systemd's or its drop-in, an environment file such as
    /// kubeadm-flags.env, or an answer to /flagz as text; repeat it for all that there are
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    flags: Vec<PathBuf>,
    /// An answer to /configz; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    configz: Option<PathBuf>,
    /// A running kubelet
    #[arg(long, value_name = "URL", requires_all = ["cert", "key", "ca"])]
    live: Option<String>,
    /// The gate's certificate for the kubelet
    #[arg(long, value_name = "FILE", requires = "live")]
    cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "live")]
    key: Option<PathBuf>,
    /// The CA of the kubelet's certificate
    #[arg(long, value_name = "FILE", requires = "live")]
    ca: Option<PathBuf>,
    /// The name in the kubelet's certificate, if it isn't that of the URL
    #[arg(long, value_name = "NAME", requires = "live")]
    server_name: Option<String>,
    /// What is required: the benchmark, or also what a gate in front asks of its kubelet
    #[arg(long, value_enum, default_value = "cis")]
    profile: Named,
    /// How it is shown
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// A profile's name on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Named {
    Cis,
    Owned,
    Hardened,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

/// Prints what every requirement comes to.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let (settings, notes) = match settings(arguments) {
        Ok(found) => found,
        Err(error) if Exit::of(&error) == Exit::Usage => return Err(error),
        Err(error) => {
            messages::error(&error);
            return Ok(Exit::Unjudged);
        }
    };
    for note in notes {
        messages::warning(&note);
    }
    let profile = match arguments.profile {
        Named::Cis => Profile::Cis,
        Named::Owned => Profile::Owned,
        Named::Hardened => Profile::Hardened,
    };
    let posture = Posture::new(profile)?;
    let checks = posture.checks(&settings).map_err(anyhow::Error::msg)?;
    let verdict = Verdict::new(profile, &checks);
    let texts = texts::of(profile, &checks)?;
    let report = Report {
        source: source(arguments),
        verdict: &verdict,
        checks: checks.iter().zip(&texts).collect(),
        settings: &settings,
    };
    match arguments.format {
        Format::Text => report.print_text(),
        Format::Json => println!("{:#}", report.json()),
        Format::Sarif => println!("{:#}", sarif::log(&report)),
    }
    Ok(match verdict.status {
        Overall::Pass => Exit::Done,
        Overall::Fail => Exit::No,
        Overall::Unknown => Exit::Unjudged,
    })
}

/// All that is found, and what a person should know of it.
fn settings(arguments: &Arguments) -> anyhow::Result<(Settings, Vec<String>)> {
    let Arguments { file, config_dir, flags, configz, live, .. } = arguments;
    if let (Some(url), Some(cert), Some(key), Some(ca)) =
        (live, &arguments.cert, &arguments.key, &arguments.ca)
    {
        let kubelet = live::Kubelet::new(url, cert, key, ca, arguments.server_name.as_deref())?;
        return kubelet.settings();
    }
    let command_line = CommandLine::read(flags)?;
    if let Some(answer) = configz {
        let text = document::text_or_standard_input(answer)?;
        let mut settings = posture::settings_of_configz(text.as_bytes())
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("{} is no answer to /configz", answer.display()))?;
        // What the flags set there is in the answer already.
        command_line.add_what_is_in_no_file(&mut settings);
        return Ok((settings, command_line.notes()));
    }
    if file.is_none() && config_dir.is_none() && flags.is_empty() {
        return Err(Exit::Usage.because(
            "there is nothing to judge\n\
             help: give the kubelet's configuration file, `--configz`, or `--live` with `--cert`, `--key` and `--ca`",
        ));
    }
    for (flag, is_given) in [("config", file.is_some()), ("config-dir", config_dir.is_some())] {
        let named = command_line.text(flag).filter(|path| !path.is_empty());
        ensure!(
            is_given || named.is_none(),
            "the kubelet has `--{flag}={}`, which is not given\nhelp: {}",
            named.unwrap_or_default(),
            if flag == "config" { "give that file first" } else { "give it with `--config-dir`" }
        );
    }
    let configuration = Configuration::read(file.as_deref(), config_dir.as_deref())?;
    let mut settings = configuration.settings();
    command_line.override_in(&mut settings);
    command_line.add_what_is_in_no_file(&mut settings);
    Ok((settings, command_line.notes()))
}

/// What the settings are of, as a relative URI where it is a file.
fn source(arguments: &Arguments) -> String {
    let Arguments { file, flags, configz, live, .. } = arguments;
    let file = file.as_ref().or(configz.as_ref()).or(flags.first());
    match (live, file) {
        (Some(url), _) => url.clone(),
        (None, Some(file)) => file.display().to_string(),
        (None, None) => String::new(),
    }
}
