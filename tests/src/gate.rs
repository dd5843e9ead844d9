//! The gate of a node: the shipped Envoy with the filter, in front of a kubelet.
//!
//! ```text
//! cluster ──certificates──▶ Gate ◀── policy
//! Dialer  ──mutual TLS────▶ Gate ──mutual TLS──▶ kubelet
//! ```

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use gatelet_certs::{Ca, Cluster, Options as ClusterOptions, Pair, Persona, publish};
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};

use crate::client::Dialer;
use crate::envoy::{Admin, DecisionLog, Envoy, Shipped, project};
use crate::kubelet::{self, Webhook};
use crate::module::Module;
use crate::pki::CURRENT;
use crate::tls::Identity;

/// Where the policy is in the folder of a gate.
pub const POLICY: &str = "policy/gatelet.json";

/// The node that the gate stands on.
pub const NODE: &str = "worker-1";

/// Creates the CAs of a cluster that has [`NODE`].
///
/// # Errors
/// When a key can't be generated.
pub fn cluster() -> anyhow::Result<Cluster> {
    Ok(Cluster::new(ClusterOptions::new(NODE.parse()?), SystemTime::now())?)
}

/// Whose certificates the kubelet behind the gate has and trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Those of the gate's own CA.
    Owned,
    /// Those of the cluster's CA.
    Hardened,
}

impl Profile {
    /// What a stand-in kubelet of this profile is started with.
    ///
    /// # Errors
    /// When its certificate can't be issued.
    pub fn kubelet(self, cluster: &Cluster, directory: &Path) -> anyhow::Result<kubelet::Options> {
        let (serving, ca, webhook) = match self {
            Self::Owned => (Persona::KubeletServingOwned, Ca::Gate, None),
            Self::Hardened => {
                (Persona::KubeletServingHardened, Ca::Cluster, Some(Webhook::default()))
            }
        };
        let ca = cluster.authority(ca).certificate().as_bytes().to_vec();
        let serving = cluster.issue(serving)?.into();
        let options = kubelet::Options::new(serving, ca, directory.to_owned());
        Ok(kubelet::Options { webhook, ..options })
    }

    fn client(self) -> Persona {
        match self {
            Self::Owned => Persona::GateClientOwned,
            Self::Hardened => Persona::GateClientHardened,
        }
    }
}

/// How to run a [`Gate`].
pub struct Options<'a> {
    /// Who signs the gate's certificates.
    pub cluster: &'a Cluster,
    /// Where the kubelet is.
    pub kubelet: SocketAddr,
    /// What the kubelet trusts.
    pub profile: Profile,
    /// Which build of the filter.
    pub module: Module,
    /// The extension-config file with the policy, as `gatelet render` makes it.
    pub policy: &'a str,
    /// Whether callers may bring a bearer token in place of a certificate.
    pub tokens: bool,
    /// The folder in which the kubelet keeps what it serves, where the gate is to serve the same.
    pub pki: Option<&'a Path>,
    /// Another Envoy than the one that all tests use.
    pub envoy: Option<&'a Path>,
    /// Changes the shipped configuration where a test can't do without.
    pub change: fn(&mut Value),
}

impl<'a> Options<'a> {
    /// In front of a kubelet of profile owned.
    pub fn new(cluster: &'a Cluster, kubelet: SocketAddr, policy: &'a str) -> Self {
        let profile = Profile::Owned;
        let (module, change) = (Module::Shipped, |_: &mut Value| {});
        let (tokens, pki, envoy) = (false, None, None);
        Self { cluster, kubelet, profile, module, policy, tokens, pki, envoy, change }
    }
}

/// What became of a new policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// It decides from now on.
    Applied,
    /// The old one stays.
    Rejected,
}

/// A running gate. Dropping it stops it.
#[derive(Debug)]
pub struct Gate {
    envoy: Envoy,
    access: Access,
    monitoring: SocketAddr,
    /// Last: Envoy is gone before its folder is.
    folder: TempDir,
}

impl Gate {
    /// Starts it as the shipped script does, on ports that the system picks, and waits until it serves.
    ///
    /// # Errors
    /// When the script or Envoy refuses; the error has their log.
    pub async fn start(options: Options<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("gatelet-").tempdir()?;
        prepare(folder.path(), &options)?;
        let mut command = command();
        command.args(options.tokens.then_some("--tokens"));
        command.envs(options.envoy.map(|envoy| ("ENVOY_BIN", envoy)));
        let envoy = Envoy::start(command, folder.path()).await?;
        let Listeners { address, monitoring } = listeners(&envoy).await?;
        let ca = options.cluster.authority(Ca::Cluster).certificate().as_bytes().to_vec();
        let access = Access::new(address, ca, folder.path().to_owned());
        Ok(Self { envoy, access, monitoring, folder })
    }

    /// Starts it again in its folder after it has ended; its ports are others.
    ///
    /// # Errors
    /// As [`Gate::start`].
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.envoy = Envoy::start(command(), self.folder.path()).await?;
        Listeners { address: self.access.address, monitoring: self.monitoring } =
            listeners(&self.envoy).await?;
        Ok(())
    }

    /// Where callers find it.
    pub fn address(&self) -> SocketAddr {
        self.access.address
    }

    /// What others have of it.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Calls it with this certificate, or with none.
    ///
    /// # Errors
    /// When the certificate is unreadable.
    pub fn dialer(&self, caller: Option<&Identity>) -> anyhow::Result<Dialer> {
        self.access.dialer(caller)
    }

    /// Calls the listener for metrics and readiness.
    ///
    /// # Errors
    /// When the certificate is unreadable.
    pub fn monitoring(&self, caller: Option<&Identity>) -> anyhow::Result<Dialer> {
        Dialer::new(self.monitoring, NODE, &self.access.cluster_ca, caller)
    }

    /// Its decision log.
    pub fn decisions(&self) -> &DecisionLog {
        self.access.decisions()
    }

    /// Envoy's admin interface.
    pub fn admin(&self) -> &Admin {
        self.envoy.admin()
    }

    /// Envoy itself.
    pub fn envoy(&mut self) -> &mut Envoy {
        &mut self.envoy
    }

    /// What Envoy and the filter said.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn envoy_log(&self) -> anyhow::Result<String> {
        self.envoy.log()
    }

    /// The folder in which it runs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// As [`Access::update_policy`].
    ///
    /// # Errors
    /// When Envoy doesn't notice.
    pub async fn update_policy(&self, policy: &str) -> anyhow::Result<Update> {
        self.access.update_policy(policy).await
    }

    /// Gives it a new serving pair, as a rotation does.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn rotate_serving(&self, pair: &Pair) -> anyhow::Result<()> {
        Ok(publish(&self.folder().join("certs/serving"), pair)?)
    }

    /// Gives it a new pair for the kubelet, as a rotation does.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn rotate_client(&self, pair: &Pair) -> anyhow::Result<()> {
        Ok(publish(&self.folder().join("certs/kubelet"), pair)?)
    }

    /// Moves a file into its place below the folder, as Envoy notices it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn install(&self, name: &str, text: &str) -> anyhow::Result<()> {
        install(&self.folder().join(name), text)
    }

    /// Stops it at once, without a word about it.
    pub fn stop(self) {
        self.envoy.stop();
    }
}

/// A gate as its callers and its node's owner have it, wherever it runs.
#[derive(Clone, Debug)]
pub struct Access {
    address: SocketAddr,
    cluster_ca: Vec<u8>,
    folder: PathBuf,
    admin: Admin,
    decisions: DecisionLog,
}

impl Access {
    /// The gate that listens at `address` and runs in `folder`; `cluster_ca` (PEM) signed its certificate.
    pub fn new(address: SocketAddr, cluster_ca: Vec<u8>, folder: PathBuf) -> Self {
        let admin = Admin::new(folder.join("admin.sock"));
        let decisions = DecisionLog::new(folder.join("decisions.log"));
        Self { address, cluster_ca, folder, admin, decisions }
    }

    /// Calls it with this certificate, or with none.
    ///
    /// # Errors
    /// When the certificate is unreadable.
    pub fn dialer(&self, caller: Option<&Identity>) -> anyhow::Result<Dialer> {
        Dialer::new(self.address, NODE, &self.cluster_ca, caller)
    }

    /// Its decision log.
    pub fn decisions(&self) -> &DecisionLog {
        &self.decisions
    }

    /// Moves a new extension-config file into its place, and waits until Envoy has judged it.
    ///
    /// # Errors
    /// When Envoy doesn't notice.
    pub async fn update_policy(&self, policy: &str) -> anyhow::Result<Update> {
        const STATS: &str = "extension_config_discovery.http_filter.gatelet";
        let [success, rejected] =
            ["success", "rejected"].map(|end| format!("{STATS}.update_{end}"));
        let applied = self.admin.stat(&success).await?;
        let refused = self.admin.stat(&rejected).await?;
        install(&self.folder.join(POLICY), policy)?;
        tokio::select! {
            changed = self.admin.wait_for_stat(&success, |count| count > applied) => {
                changed.map(|_| Update::Applied)
            }
            changed = self.admin.wait_for_stat(&rejected, |count| count > refused) => {
                changed.map(|_| Update::Rejected)
            }
        }
    }
}

struct Listeners {
    address: SocketAddr,
    monitoring: SocketAddr,
}

async fn listeners(envoy: &Envoy) -> anyhow::Result<Listeners> {
    let listeners = envoy.admin().listeners().await?;
    let address =
        |name: &str| listeners.get(name).copied().with_context(|| format!("no listener {name}"));
    Ok(Listeners { address: address("kubelet")?, monitoring: address("monitoring")? })
}

/// The shipped start script, with everything that it needs to know.
fn command() -> Command {
    let mut command = Command::new(shipped("start"));
    command.args(["--config", "shipped.json", "--address", "127.0.0.1", "--node", NODE]);
    // Tests start with broken policies, too: what Envoy makes of them is the question.
    command.env("GATELET_BIN", "true");
    command
}

/// Lays out the folder in which the script is to run.
fn prepare(folder: &Path, options: &Options<'_>) -> anyhow::Result<()> {
    let mut configuration = Shipped::read(&shipped("envoy.yaml"))?;
    configuration.listen_on_free_ports()?;
    for cluster in ["kubelet", "kubelet-tokens"] {
        configuration.move_endpoint(cluster, options.kubelet)?;
    }
    (options.change)(configuration.as_json());
    configuration.write(&folder.join("shipped.json"))?;
    publish(&folder.join("certs/kubelet"), &options.cluster.issue(options.profile.client())?)?;
    fs::create_dir(folder.join("sds"))?;
    for entry in fs::read_dir(shipped("sds"))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.join("sds").join(entry.file_name()))?;
    }
    match options.pki {
        Some(pki) => serve_from(folder, pki, options.cluster)?,
        None => {
            publish(&folder.join("certs/serving"), &options.cluster.issue(Persona::GateServing)?)?;
        }
    }
    symlink(options.module.path()?, folder.join("gatelet.wasm"))?;
    fs::create_dir(folder.join("policy"))?;
    install(&folder.join(POLICY), options.policy)
}

/// What the README of the approver says: both files lead to the kubelet's, and its folder is watched.
fn serve_from(folder: &Path, pki: &Path, cluster: &Cluster) -> anyhow::Result<()> {
    let serving = folder.join("certs/serving");
    fs::create_dir_all(&serving)?;
    for name in ["tls.crt", "tls.key"] {
        symlink(pki.join(CURRENT), serving.join(name))?;
    }
    fs::write(serving.join("ca.crt"), cluster.authority(Ca::Cluster).certificate())?;
    let secret = folder.join("sds/serving.yaml");
    let watched = format!("watched_directory: {{path: {}}}", pki.display());
    let text = fs::read_to_string(&secret)?;
    ensure!(text.contains(WATCHED), "sds/serving.yaml watches another folder");
    Ok(fs::write(secret, text.replace(WATCHED, &watched))?)
}

/// What the gate watches for its serving pair, as it is shipped.
const WATCHED: &str = "watched_directory: {path: certs/serving}";

/// Puts a file where Envoy looks for it, in one move.
fn install(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = NamedTempFile::new_in(path.parent().context("a file without a folder")?)?;
    fs::write(file.path(), text)?;
    file.persist(path)?;
    Ok(())
}

fn shipped(name: &str) -> PathBuf {
    // Absolute: it is used from another folder.
    project().join("envoy/kubelet").join(name)
}
