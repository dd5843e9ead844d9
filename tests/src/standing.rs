//! `make up` and `make down`: the gate left running for a person, made by the shipped commands alone.
//!
//! Nothing of the shipped configuration is replaced. The gate's node has the address 127.0.0.2, so
//! that it and the kubelet on 127.0.0.1 can both have port 10250, as on a real node.

use std::{
    fs::{self, File},
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum as _;
use gatelet_certs::{Ca, Cluster, Options};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::{
    command::{gatelet, sibling},
    deadline::eventually,
    envoy::{Admin, binary, project},
    gate::NODE,
    interrupt::unless_interrupted,
    module::Module,
};

const GATE: &str = "127.0.0.2";
const KUBELET: &str = "127.0.0.1:10250";

/// A process that outlives the command which started it.
#[derive(Debug, Deserialize, Serialize)]
struct Process {
    name: String,
    id: i32,
    /// In clock ticks since the machine started: tells it from a later process with its number.
    started: String,
}

/// Starts a kubelet and its gate in `folder`, and returns what a person can do with them.
///
/// # Errors
/// When something can't be started, with its log; then nothing of it is left.
pub async fn up(folder: &Path) -> anyhow::Result<String> {
    ensure!(
        !folder.exists(),
        "{} is there already: `make down` stops what runs in it, and removes it",
        folder.display()
    );
    let mut processes = Vec::new();
    let begun = unless_interrupted(begin(folder, &mut processes)).await;
    if begun.is_err() {
        for process in &processes {
            process.end(Signal::KILL);
        }
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    begun
}

/// Stops what [`up`] started, and removes its folder.
///
/// # Errors
/// When the folder isn't one of [`up`], or something doesn't stop.
pub async fn down(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let list = folder.join("processes.json");
    let processes: Vec<Process> = match fs::read_to_string(&list) {
        Ok(text) => serde_json::from_str(&text).with_context(|| list.display().to_string())?,
        // It never came so far.
        Err(_) if folder.join("gatelet").is_dir() => Vec::new(),
        Err(_) => bail!("{} is not a folder of `make up`", folder.display()),
    };
    for process in processes.iter().rev() {
        process.end(Signal::TERM);
        eventually(&format!("{} to end", process.name), async || {
            Ok((!process.runs()).then_some(()))
        })
        .await?;
    }
    fs::remove_dir_all(folder).with_context(|| folder.display().to_string())
}

async fn begin(folder: &Path, processes: &mut Vec<Process>) -> anyhow::Result<String> {
    certificates(folder)?;
    let folder = folder.canonicalize()?;
    let gate = lay_out(&folder)?;
    start(&folder, &gate, processes).await?;
    Ok(invitation(&folder))
}

/// What `gatelet-certs create` makes.
fn certificates(folder: &Path) -> anyhow::Result<()> {
    let options = Options { node_addresses: vec![GATE.parse()?], ..Options::new(NODE.parse()?) };
    Cluster::new(options, SystemTime::now())?.write(folder, Ca::value_variants())?;
    Ok(())
}

/// The folder in which the gate runs: what envoy/kubelet/start asks for.
fn lay_out(folder: &Path) -> anyhow::Result<PathBuf> {
    let gate = folder.join("gate");
    for name in ["certs", "policy"] {
        fs::create_dir_all(gate.join(name))?;
    }
    fs::create_dir(folder.join("web-0"))?;
    symlink("../../gatelet/serving", gate.join("certs/serving"))?;
    symlink("../../gatelet/owned", gate.join("certs/kubelet"))?;
    symlink(project().join("envoy/kubelet/sds").canonicalize()?, gate.join("sds"))?;
    symlink(Module::Shipped.path()?.canonicalize()?, gate.join("gatelet.wasm"))?;
    let render = Command::new(gatelet()?)
        .arg("render")
        .arg(project().join("rego"))
        .arg("--data")
        .arg(project().join("tests/demo/policy.yaml"))
        .args(["--node", NODE, "--source-address", "--output"])
        .arg(gate.join("policy/gatelet.json"))
        .output()?;
    let said = String::from_utf8_lossy(&render.stderr);
    ensure!(render.status.success(), "{said}");
    // What it warns of.
    eprint!("{said}");
    Ok(gate)
}

async fn start(folder: &Path, gate: &Path, processes: &mut Vec<Process>) -> anyhow::Result<()> {
    let mut kubelet = Command::new(sibling("stand-in-kubelet")?);
    kubelet
        .args(["--listen", KUBELET, "--log-every", "1000"])
        .arg("--tls-cert-file")
        .arg(folder.join("kubelet/owned.crt"))
        .arg("--tls-private-key-file")
        .arg(folder.join("kubelet/owned.key"))
        .arg("--client-ca-file")
        .arg(folder.join("gatelet/ca.crt"))
        .arg("--directory")
        .arg(folder.join("web-0"))
        .arg("--record")
        .arg(folder.join("kubelet.requests"));
    let log = folder.join("kubelet.log");
    processes.push(Process::spawn("the stand-in kubelet", kubelet, folder, &log)?);
    eventually("the stand-in kubelet to listen", async || {
        still_runs(processes, &log)?;
        Ok(fs::read_to_string(&log)?.contains(KUBELET).then_some(()))
    })
    .await?;

    let mut start = Command::new(project().join("envoy/kubelet/start").canonicalize()?);
    start.args(["--address", GATE, "--node", NODE]).env("ENVOY_BIN", binary()?.canonicalize()?);
    start.env("GATELET_BIN", gatelet()?);
    let log = gate.join("envoy.log");
    processes.push(Process::spawn("Envoy", start, gate, &log)?);
    let admin = Admin::new(gate.join("admin.sock"));
    eventually("Envoy to serve", async || {
        still_runs(processes, &log)?;
        Ok(admin.get("/ready").await.ok().filter(|state| state.trim() == "LIVE"))
    })
    .await?;
    fs::write(folder.join("processes.json"), serde_json::to_string_pretty(processes)?)?;
    Ok(())
}

/// Fails with the log of the newest process when that has ended.
fn still_runs(processes: &[Process], log: &Path) -> anyhow::Result<()> {
    match processes.last() {
        Some(process) if !process.runs() => {
            bail!("{} ended:\n{}", process.name, fs::read_to_string(log)?.trim_end())
        }
        _ => Ok(()),
    }
}

impl Process {
    fn spawn(name: &str, mut command: Command, folder: &Path, log: &Path) -> anyhow::Result<Self> {
        let output = File::create(log).with_context(|| log.display().to_string())?;
        // A group of its own: an interrupt at the terminal is not for it.
        command.current_dir(folder).process_group(0).stdin(Stdio::null());
        let child = command.stdout(output.try_clone()?).stderr(output).spawn();
        let id = i32::try_from(child.with_context(|| name.to_owned())?.id())?;
        let started = started(id).with_context(|| format!("{name} ended at once"))?;
        Ok(Self { name: name.to_owned(), id, started })
    }

    fn runs(&self) -> bool {
        started(self.id).as_ref() == Some(&self.started)
    }

    fn end(&self, signal: Signal) {
        if let Some(id) = Pid::from_raw(self.id).filter(|_| self.runs()) {
            // It may have ended this very moment.
            let _ended = kill_process(id, signal);
        }
    }
}

/// When a process started, by proc_pid_stat(5); `None` if it is gone or only waits to be reaped.
fn started(id: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field, in parentheses, may have anything in it.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18).map(str::to_owned))?
}

fn invitation(folder: &Path) -> String {
    let folder = folder.display();
    let curl = format!(
        "curl --cacert {folder}/pki/ca.crt \\\n       --cert {folder}/pki/apiserver-kubelet-client.crt \
         --key {folder}/pki/apiserver-kubelet-client.key"
    );
    format!(
        "The gate is at https://{GATE}:10250, the kubelet behind it at https://{KUBELET}.

As the API server, read a log (allowed), and run a command (denied):
  {curl} \\
       'https://{GATE}:10250/containerLogs/default/web-0/app?tailLines=3'
  {curl} \\
       --request POST 'https://{GATE}:10250/run/default/web-0/app?cmd=id'

What was decided, and what reached the kubelet:
  tail -n 2 {folder}/gate/decisions.log
  cat {folder}/kubelet.requests

Another policy, live:
  $EDITOR tests/demo/policy.yaml
  {gatelet} render rego --data tests/demo/policy.yaml --node {NODE} --source-address \\
       --output {folder}/gate/policy/gatelet.json

`make down` stops it and removes {folder}.",
        gatelet =
            gatelet().map_or_else(|_| "gatelet".to_owned(), |path| path.display().to_string()),
    )
}
