//! A container of a manifest, as a process here: its folders are elsewhere, all else is the manifest's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context as _, ensure};
use gatelet_tests::command::gatelet;
use gatelet_tests::envoy::{DecisionLog, Envoy, Shipped, project};
use k8s_openapi::api::core::v1::{Container as Spec, ExecAction, PodSpec, Probe};
use tempfile::TempDir;

/// Where containers run, and where their image has what is shipped.
const RUN: &str = "/run/gatelet";
const IMAGE: &str = "/opt/gatelet";

/// What an image has, and what a cluster says to its container.
pub(crate) struct Surroundings<'a> {
    /// The folder below envoy/ whose scripts are in the image.
    pub(crate) scripts: &'a str,
    /// The configuration beside them, with other ports and addresses.
    pub(crate) configuration: (&'a str, Shipped),
    /// The module, by the name that the image has for it.
    pub(crate) module: (&'a str, PathBuf),
    /// The folders of the volumes.
    pub(crate) volumes: BTreeMap<&'a str, PathBuf>,
    /// The variables of the environment.
    pub(crate) variables: BTreeMap<&'a str, String>,
}

/// The only container of a pod.
pub(crate) struct Container {
    spec: Spec,
    variables: BTreeMap<String, String>,
    run: PathBuf,
    image: PathBuf,
    _folder: TempDir,
}

impl Container {
    pub(crate) fn new(pod: &PodSpec, surroundings: Surroundings<'_>) -> anyhow::Result<Self> {
        let [spec] = &*pod.containers else { anyhow::bail!("not one container") };
        let folder = tempfile::Builder::new().prefix("gatelet-").tempdir()?;
        let (run, image) = (folder.path().join("run"), folder.path().join("image"));
        let Surroundings { scripts, configuration, module, volumes, variables } = surroundings;
        fs::create_dir_all(&run)?;
        fs::create_dir_all(&image)?;
        let scripts = project().join("envoy").join(scripts);
        for name in ["start", "stop", "sds"].into_iter().filter(|name| scripts.join(name).exists())
        {
            symlink(scripts.join(name).canonicalize()?, image.join(name))?;
        }
        // A script finds its neighbours where it was called.
        configuration.1.write(&image.join(configuration.0))?;
        symlink(module.1.canonicalize()?, image.join(module.0))?;
        for mount in spec.volume_mounts.iter().flatten().filter(|mount| mount.mount_path != RUN) {
            let path = mount.mount_path.strip_prefix(RUN).context("a mount elsewhere")?;
            let path = run.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().context("the root")?)?;
            let volume = volumes.get(&*mount.name).with_context(|| mount.name.clone())?;
            ensure!(volume.is_dir(), "{} is no folder", volume.display());
            symlink(volume, path)?;
        }
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value));
        let variables = variables.collect();
        Ok(Self { spec: spec.clone(), variables, run, image, _folder: folder })
    }

    /// Starts it, and waits until Envoy serves.
    pub(crate) async fn start(&self) -> anyhow::Result<Envoy> {
        let words = [self.spec.command.as_deref(), self.spec.args.as_deref()];
        let words: Vec<_> = words.into_iter().flatten().flatten().cloned().collect();
        Envoy::start(self.command(&words)?, &self.run).await
    }

    /// What goes to its standard output beside Envoy's own log.
    pub(crate) fn decisions(&self) -> DecisionLog {
        DecisionLog::new(self.run.join("stdout"))
    }

    /// Runs the command of a probe.
    pub(crate) fn probe(&self, probe: Option<&Probe>) -> anyhow::Result<Output> {
        self.exec(probe.and_then(|probe| probe.exec.as_ref()))
    }

    /// Runs the hook before its end.
    pub(crate) fn pre_stop(&self) -> anyhow::Result<Output> {
        let hook = self.spec.lifecycle.as_ref().and_then(|hooks| hooks.pre_stop.as_ref());
        self.exec(hook.and_then(|hook| hook.exec.as_ref()))
    }

    fn exec(&self, action: Option<&ExecAction>) -> anyhow::Result<Output> {
        let words = action.and_then(|action| action.command.as_deref()).context("no command")?;
        // Wherever the runtime starts it.
        Ok(self.command(words)?.current_dir("/").output()?)
    }

    /// The command, with this machine's folders and with `$(NAME)` replaced, as a kubelet does.
    fn command(&self, words: &[String]) -> anyhow::Result<Command> {
        let words = words.iter().map(|word| {
            let mut word = word
                .replace(RUN, &self.run.display().to_string())
                .replace(IMAGE, &self.image.display().to_string())
                .replace("/dev/stdout", &self.run.join("stdout").display().to_string());
            for (name, value) in &self.variables {
                word = word.replace(&format!("$({name})"), value);
            }
            ensure!(!word.contains("$("), "an unknown variable in {word}");
            Ok(word)
        });
        let words = words.collect::<anyhow::Result<Vec<_>>>()?;
        let [program, arguments @ ..] = &*words else { anyhow::bail!("no command") };
        let mut command = Command::new(program);
        command.args(arguments).env("GATELET_BIN", gatelet()?);
        Ok(command)
    }

    /// What the manifest says of it.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }
}
