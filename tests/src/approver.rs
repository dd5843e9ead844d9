//! The approver: the shipped Envoy with its module, between a policy and an API server.
//!
//! ```text
//! policy ──▶ Approver ──mutual TLS, or a token──▶ API server
//!               └──────a kubelet's certificate──▶ kubelet
//! ```

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use gatelet_certs::{Cluster, Pair, Persona, publish};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use crate::api_server::User;
use crate::deadline::eventually;
use crate::envoy::{Admin, DecisionLog, Envoy, Shipped, project};
use crate::module::Module;

/// Where a pod of the approver has its ServiceAccount.
pub const SERVICE_ACCOUNT: (&str, &str) = ("gatelet", "approver");

/// How the API server knows the approver.
#[derive(Clone, Debug)]
pub enum Credential {
    /// By a client certificate.
    Certificate,
    /// By the token of its ServiceAccount.
    Token(String),
}

/// How to run an [`Approver`].
pub struct Options<'a> {
    /// Who signs its certificate.
    pub cluster: &'a Cluster,
    /// Where the API server is.
    pub api_server: SocketAddr,
    /// Where all kubelets are, whatever their nodes' addresses.
    pub kubelet: SocketAddr,
    /// The file that `gatelet render --profile csr` makes.
    pub policy: &'a str,
    /// How the API server knows it.
    pub credential: Credential,
}

impl<'a> Options<'a> {
    /// With a client certificate, and no kubelet to be reached.
    pub fn new(cluster: &'a Cluster, api_server: SocketAddr, policy: &'a str) -> Self {
        // No kubelet has this port.
        let kubelet = (Ipv4Addr::LOCALHOST, 1).into();
        Self { cluster, api_server, kubelet, policy, credential: Credential::Certificate }
    }
}

/// A running approver. Dropping it stops it.
#[derive(Debug)]
pub struct Approver {
    envoy: Envoy,
    monitoring: SocketAddr,
    decisions: DecisionLog,
    /// Last: Envoy is gone before its folder is.
    folder: TempDir,
}

impl Approver {
    /// Starts it as the shipped script does, and waits until its policy is in force.
    ///
    /// # Errors
    /// When the script or Envoy refuses; the error has their log.
    pub async fn start(options: Options<'_>) -> anyhow::Result<Self> {
        let approver = Self::start_with_any_policy(options).await?;
        approver.admin().wait_for_stat(LOADED, |loaded| loaded == 1).await?;
        Ok(approver)
    }

    /// The same, but its policy may be one that doesn't come into force.
    ///
    /// # Errors
    /// As [`Approver::start`].
    pub async fn start_with_any_policy(options: Options<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("gatelet-approver-").tempdir()?;
        prepare(folder.path(), &options)?;
        let envoy = Envoy::start(command(options.api_server), folder.path()).await?;
        let listeners = envoy.admin().listeners().await?;
        let monitoring = listeners.get("monitoring").copied().context("no listener monitoring")?;
        let decisions = DecisionLog::new(folder.path().join("decisions.log"));
        Ok(Self { envoy, monitoring, decisions, folder })
    }

    /// The listener for metrics and readiness, in plain HTTP.
    pub fn monitoring(&self) -> SocketAddr {
        self.monitoring
    }

    /// Its decision log.
    pub fn decisions(&self) -> &DecisionLog {
        &self.decisions
    }

    /// Envoy's admin interface.
    pub fn admin(&self) -> &Admin {
        self.envoy.admin()
    }

    /// What it logged.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        self.envoy.log()
    }

    /// Waits for a metric of its module, such as `gatelet_approver_approved`.
    ///
    /// # Errors
    /// When it doesn't come in time.
    pub async fn wait_for(
        &self,
        metric: &str,
        wanted: impl Fn(u64) -> bool,
    ) -> anyhow::Result<u64> {
        self.admin().wait_for_stat(&format!("wasmcustom.{metric}"), wanted).await
    }

    /// Moves a new policy into its place, and waits until it is in force or refused.
    ///
    /// # Errors
    /// When it is neither in time.
    pub async fn update_policy(&self, policy: &str) -> anyhow::Result<()> {
        let counted = async || {
            let accepted = self.admin().stat(ACCEPTED).await?;
            anyhow::Ok(accepted + self.admin().stat(REJECTED).await?)
        };
        let before = counted().await?;
        install(self.folder.path(), policy)?;
        eventually(
            "the policy to be judged",
            async || Ok((counted().await? > before).then_some(())),
        )
        .await
    }

    /// Gives it a new client pair, as a rotation does.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn rotate_certificate(&self, pair: &Pair) -> anyhow::Result<()> {
        Ok(publish(&self.folder.path().join("certs/approver"), pair)?)
    }

    /// Gives it a new token, as the kubelet does with a projected one.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn rotate_token(&self, token: &str) -> anyhow::Result<()> {
        install_token(self.folder.path(), token)
    }

    /// Stops it at once, without a word about it.
    pub fn stop(self) {
        self.envoy.stop();
    }
}

/// The user that the API server takes it for.
pub fn user(credential: &Credential) -> User {
    match credential {
        Credential::Certificate => User::new("gatelet-approver", &[]),
        Credential::Token(_) => User::service_account(SERVICE_ACCOUNT.0, SERVICE_ACCOUNT.1),
    }
}

/// The roles that are shipped.
///
/// # Errors
/// When the file can't be read.
pub fn roles() -> anyhow::Result<String> {
    let file = shipped("rbac.yaml");
    fs::read_to_string(&file).with_context(|| file.display().to_string())
}

const LOADED: &str = "wasmcustom.gatelet_approver_policy_loaded";
const ACCEPTED: &str = "wasmcustom.gatelet_approver_policy_updates.accepted";
const REJECTED: &str = "wasmcustom.gatelet_approver_policy_updates.rejected";

fn command(api_server: SocketAddr) -> Command {
    let mut command = Command::new(shipped("start"));
    command.args(["--config", "shipped.json", "--api-server", &api_server.to_string()]);
    // Tests start with broken policies, too: what the module makes of them is the question.
    command.env("GATELET_BIN", "true");
    command
}

/// Lays out the folder in which the script is to run.
fn prepare(folder: &Path, options: &Options<'_>) -> anyhow::Result<()> {
    let mut configuration = Shipped::read(&shipped(match options.credential {
        Credential::Certificate => "envoy.yaml",
        Credential::Token(_) => "envoy-token.yaml",
    }))?;
    configuration.listen_on_free_ports()?;
    take_for_every_kubelet(configuration.as_json(), options.kubelet)?;
    configuration.write(&folder.join("shipped.json"))?;
    publish(&folder.join("certs/approver"), &options.cluster.issue(Persona::Approver)?)?;
    symlink(shipped("sds"), folder.join("sds"))?;
    symlink(Module::Approver.path()?, folder.join("gatelet_approver.wasm"))?;
    if let Credential::Token(token) = &options.credential {
        fs::create_dir_all(folder.join("token"))?;
        install_token(folder, token)?;
    }
    fs::create_dir(folder.join("policy"))?;
    install(folder, options.policy)
}

/// The addresses of nodes are nobody's here: all lead to this one.
fn take_for_every_kubelet(configuration: &mut Value, kubelet: SocketAddr) -> anyhow::Result<()> {
    let clusters = configuration.pointer_mut("/static_resources/clusters");
    let clusters = clusters.and_then(Value::as_array_mut).context("no clusters")?;
    let cluster = clusters
        .iter_mut()
        .find(|cluster| cluster.get("name") == Some(&json!("kubelet")))
        .and_then(Value::as_object_mut)
        .context("no cluster kubelet")?;
    for key in ["lb_policy", "original_dst_lb_config", "cleanup_interval"] {
        cluster.remove(key).with_context(|| format!("cluster kubelet has no {key}"))?;
    }
    cluster.insert("type".to_owned(), json!("STATIC"));
    let address = json!({"address": kubelet.ip(), "port_value": kubelet.port()});
    let endpoint = json!({"endpoint": {"address": {"socket_address": address}}});
    let assignment =
        json!({"cluster_name": "kubelet", "endpoints": [{"lb_endpoints": [endpoint]}]});
    cluster.insert("load_assignment".to_owned(), assignment);
    Ok(())
}

/// Puts a policy where Envoy looks for it, in one move.
fn install(folder: &Path, policy: &str) -> anyhow::Result<()> {
    move_into(&folder.join("policy"), "approver.json", policy)
}

fn install_token(folder: &Path, token: &str) -> anyhow::Result<()> {
    move_into(&folder.join("token"), "token", token)
}

fn move_into(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let file = NamedTempFile::new_in(folder)?;
    fs::write(file.path(), text)?;
    file.persist(folder.join(name))?;
    Ok(())
}

fn shipped(name: &str) -> PathBuf {
    // Absolute: it is used from another folder.
    project().join("envoy/approver").join(name)
}
