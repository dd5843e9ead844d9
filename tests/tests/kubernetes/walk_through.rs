//! The README's walk-through: a shell runs its commands, as they are written. Certificates and policies are
//! made by the real commands, the gate is the pod of its manifest, and what kubectl would ask of the
//! kubelet goes through it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum as _;
use gatelet_certs::{Ca, Cluster, Options};
use gatelet_tests::client::{Dialer, OpenError, RemoteCommand, get, open_spdy};
use gatelet_tests::command::sibling;
use gatelet_tests::envoy::{Envoy, project};
use gatelet_tests::kubelet::{self, StandInKubelet, Webhook};
use gatelet_tests::tls::{Identity, read};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use serde_json::Value;
use tempfile::TempDir;

use crate::container::Container;
use crate::running::gate;

const NODE: &str = "gatelet-worker";

/// What Kubernetes 1.33, which kind.yaml names, puts before the words of a gate.
const BEFORE: &str = "error: Internal error occurred: unable to upgrade connection: ";

#[tokio::test]
async fn the_walk_through_in_kind_goes_as_written() -> anyhow::Result<()> {
    let machine = Machine::new()?;
    let mut written = commands()?.into_iter().peekable();
    machine.run(&mut written)?;
    let worker = Worker::start(&machine).await?;
    let mut asked = 0;
    while let Some(Step { command, output }) = written.next() {
        assert_eq!(worker.answer(&command).await?, output, "{command}");
        asked += 1;
        if machine.run(&mut written)? {
            worker.takes_over_the_policy().await?;
        }
    }
    assert_eq!(asked, 4, "of the kubelet");
    Ok(())
}

/// A command, and what it is said to print.
struct Step {
    command: String,
    output: String,
}

impl Step {
    /// Whether the kubelet answers it, through the gate.
    fn is_for_the_kubelet(&self) -> bool {
        ["kubectl exec ", "kubectl logs "].iter().any(|start| self.command.starts_with(start))
    }
}

/// The commands between the README's marks, each with its further lines.
fn commands() -> anyhow::Result<Vec<Step>> {
    let readme = fs::read_to_string(project().join("envoy/kubernetes/README.md"))?;
    let section = readme
        .split_once("<!-- kind -->\n")
        .and_then(|(_, rest)| rest.split_once("<!-- /kind -->"));
    let (section, _) = section.context("no walk-through")?;
    let mut steps = Vec::<Step>::new();
    let (mut within, mut goes_on) = (false, None);
    for line in section.lines() {
        if line.starts_with("```") {
            (within, goes_on) = (!within, None);
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| within) {
            goes_on = end(command);
            steps.push(Step { command: command.to_owned(), output: String::new() });
        } else if within {
            let step = steps.last_mut().context("output without a command")?;
            match goes_on {
                Some(End::Line) => goes_on = end(line),
                Some(End::Document) if line == "EOF" => goes_on = None,
                Some(End::Document) => {}
                None => {
                    step.output.push_str(line);
                    step.output.push('\n');
                    continue;
                }
            }
            step.command.push('\n');
            step.command.push_str(line);
        }
    }
    Ok(steps)
}

/// What makes the lines after a command belong to it.
#[derive(Clone, Copy)]
enum End {
    Line,
    Document,
}

fn end(line: &str) -> Option<End> {
    match line {
        _ if line.ends_with('\\') => Some(End::Line),
        _ if line.ends_with("<<EOF") => Some(End::Document),
        _ => None,
    }
}

/// Where the commands are typed, with a cluster that `kind` could have made.
struct Machine(TempDir);

impl Machine {
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        for name in ["docker", "kind", "kubectl", "chown", "systemctl"] {
            fs::create_dir_all(path.join("bin"))?;
            let stand_in = project().join("tests/tests/kubernetes/stand-in").canonicalize()?;
            symlink(stand_in, path.join("bin").join(name))?;
        }
        for name in ["gatelet", "gatelet-certs"] {
            symlink(sibling(name)?.canonicalize()?, path.join("bin").join(name))?;
        }
        fs::create_dir(path.join("here"))?;
        symlink(project().canonicalize()?, path.join("here/gatelet"))?;
        let options = Options::new("gatelet-control-plane".parse()?);
        let kubernetes = path.join("nodes/gatelet-control-plane/etc/kubernetes");
        Cluster::new(options, SystemTime::now())?.write(&kubernetes, Ca::value_variants())?;
        for there in [
            "etc/kubernetes/manifests",
            "var/lib/kubelet",
            "var/log/pods/kube-system_gatelet-0/gate",
        ] {
            fs::create_dir_all(path.join("nodes").join(NODE).join(there))?;
        }
        let machine = Self(folder);
        fs::write(machine.on_node("var/lib/kubelet/config.yaml"), "readOnlyPort: 0\n")?;
        fs::write(machine.on_node("var/log/pods/kube-system_gatelet-0/gate/0.log"), "{}\n")?;
        Ok(machine)
    }

    /// Runs what comes before the next request to the kubelet; whether there was anything.
    fn run(
        &self,
        steps: &mut std::iter::Peekable<impl Iterator<Item = Step>>,
    ) -> anyhow::Result<bool> {
        let mut ran = false;
        while let Some(Step { command, output }) = steps.next_if(|step| !step.is_for_the_kubelet())
        {
            // What is set, later commands have, too.
            let script = format!("set -eu; touch ../set; . ../set\n{command}\n");
            let sets = command
                .split('=')
                .next()
                .is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase()));
            if sets {
                let file = self.0.path().join("set");
                let before = fs::read_to_string(&file).unwrap_or_default();
                fs::write(file, format!("{before}{command}\n"))?;
            }
            let path =
                format!("{}:{}", self.0.path().join("bin").display(), std::env::var("PATH")?);
            let run = Command::new("sh")
                .args(["-c", &script])
                .current_dir(self.0.path().join("here"))
                .env("PATH", path)
                .env("NODES", self.0.path().join("nodes"))
                .output()?;
            ensure!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
            assert_eq!(output, "", "{command} is not compared with what it prints");
            ran = true;
        }
        Ok(ran)
    }

    fn on_node(&self, path: &str) -> PathBuf {
        self.0.path().join("nodes").join(NODE).join(path.trim_start_matches('/'))
    }
}

/// The worker, as the commands have left it.
struct Worker {
    envoy: Envoy,
    apiserver: Dialer,
    kubelet: StandInKubelet,
    _container: Container,
    _scratch: TempDir,
}

impl Worker {
    async fn start(machine: &Machine) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let ca = read(&machine.0.path().join("here/cluster/pki/ca.crt"))?;
        let kubelet = StandInKubelet::start(configured(machine, &ca, scratch.path())?)?;

        let manifest =
            fs::read_to_string(machine.on_node("etc/kubernetes/manifests/gatelet.yaml"))?;
        let pod: Pod = serde_json::from_value(serde_saphyr::from_str::<Value>(&manifest)?)?;
        let pod = pod.spec.context("a spec")?;
        let container = Container::new(&pod, gate(&kubelet, volumes(&pod, machine))?)?;
        let envoy = container.start().await?;
        envoy
            .admin()
            .wait_for_stat("wasmcustom.gatelet_policy_loaded", |loaded| loaded == 1)
            .await?;

        let pki = machine.0.path().join("here/cluster/pki");
        let file = |end: &str| pki.join(format!("apiserver-kubelet-client.{end}"));
        let identity = Identity::read(&file("crt"), &file("key"))?;
        let address = envoy.admin().listeners().await?["kubelet"];
        let apiserver = Dialer::new(address, NODE, &ca, Some(&identity))?;
        Ok(Self { envoy, apiserver, kubelet, _container: container, _scratch: scratch })
    }

    /// What kubectl prints for a command, by what its API server asks of the kubelet.
    async fn answer(&self, command: &str) -> anyhow::Result<String> {
        let words: Vec<_> = command.split(' ').collect();
        match *words {
            ["kubectl", "logs", pod] => {
                self.kubelet.log("hello");
                let target = format!("/containerLogs/default/{pod}/{pod}?tailLines=1");
                let response = get(&self.apiserver, &target).await?;
                assert_eq!(response.status, 200);
                Ok(response.text().into_owned())
            }
            ["kubectl", "exec", "-it", pod, "--", ref command @ ..] => {
                let exec = RemoteCommand::exec(&format!("default/{pod}/{pod}"), command).with_tty();
                match open_spdy(
                    &self.apiserver,
                    &exec.with_stdin().target(),
                    &["v4.channel.k8s.io"],
                )
                .await
                {
                    Err(OpenError::Refused(response)) => {
                        Ok(format!("{BEFORE}{}\n", response.text()))
                    }
                    Err(OpenError::Failed(error)) => Err(error),
                    Ok(_) => bail!("{command:?} is allowed"),
                }
            }
            ["kubectl", "exec", pod, "--", ref command @ ..] => {
                let exec = RemoteCommand::exec(&format!("default/{pod}/{pod}"), command);
                let finished = exec.run(&self.apiserver, b"").await?;
                assert_eq!(finished.exit_code, Some(0));
                Ok(String::from_utf8(finished.stdout.to_vec())?)
            }
            _ => bail!("nobody knows what the API server makes of {command}"),
        }
    }

    async fn takes_over_the_policy(&self) -> anyhow::Result<()> {
        let updates = "extension_config_discovery.http_filter.gatelet.update_success";
        self.envoy.admin().wait_for_stat(updates, |count| count == 2).await.map(drop)
    }
}

/// The kubelet as its configuration says, and as kubelet-hardened.yaml would have it.
fn configured(machine: &Machine, ca: &[u8], directory: &Path) -> anyhow::Result<kubelet::Options> {
    let yaml = |text: String| anyhow::Ok(serde_saphyr::from_str::<Value>(&text)?);
    let configuration = yaml(fs::read_to_string(machine.on_node("var/lib/kubelet/config.yaml"))?)?;
    let shipped = project().join("envoy/kubelet/kubelet-hardened.yaml");
    let shipped = yaml(fs::read_to_string(shipped)?)?;
    for key in ["address", "readOnlyPort", "tlsCertFile", "tlsPrivateKeyFile"] {
        assert_eq!(configuration[key], shipped[key], "{key}");
    }
    let file =
        |key: &str| anyhow::Ok(machine.on_node(configuration[key].as_str().context("a path")?));
    let serving = Identity::read(&file("tlsCertFile")?, &file("tlsPrivateKeyFile")?)?;
    let options = kubelet::Options::new(serving, ca.to_vec(), directory.to_owned());
    Ok(kubelet::Options { webhook: Some(Webhook::default()), ..options })
}

/// The folders of the node that the pod mounts.
fn volumes<'a>(pod: &'a PodSpec, machine: &Machine) -> BTreeMap<&'a str, PathBuf> {
    let volumes = pod.volumes.iter().flatten();
    let of_the_node =
        volumes.filter_map(|volume| Some((&*volume.name, volume.host_path.as_ref()?)));
    of_the_node.map(|(name, folder)| (name, machine.on_node(&folder.path))).collect()
}
