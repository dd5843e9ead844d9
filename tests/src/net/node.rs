//! A node whose kubelet stays on all addresses, with the gate that captures what is for it.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use gatelet_certs::{Ca, Cluster, Persona, publish};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::namespace::{Namespace, run};
use super::network::Host;
use crate::deadline::within;
use crate::envoy::{Envoy, project};
use crate::gate::{NODE, Profile};
use crate::kubelet::StandInKubelet;
use crate::module::Module;
use crate::tls;

/// The kubelet's port, on all addresses.
pub const KUBELET: u16 = 10_250;

/// Starts the stand-in kubelet of profile owned in a namespace, as kubelets do by default.
///
/// # Errors
/// When the port is taken.
pub async fn kubelet(
    node: &Namespace,
    cluster: &Cluster,
    scratch: PathBuf,
) -> anyhow::Result<StandInKubelet> {
    let mut options = Profile::Owned.kubelet(cluster, &scratch)?;
    options.listen = SocketAddr::from((Ipv6Addr::UNSPECIFIED, KUBELET));
    // Its thread is a child of that one, and in the same namespace.
    node.within(|| StandInKubelet::start(options)).await
}

/// Runs the shipped script `capture` with one word.
///
/// # Errors
/// What it says.
pub fn capture(node: &Namespace, what: &str) -> anyhow::Result<String> {
    run(node.command(&shipped("capture").to_string_lossy()).arg(what))
}

/// The gate of a node that captures, with no capability but the one for transparent sockets.
#[derive(Debug)]
pub struct CapturingGate {
    envoy: Envoy,
    /// Last: Envoy is gone before its folder is.
    _folder: TempDir,
}

impl CapturingGate {
    /// Starts it by the shipped scripts.
    ///
    /// # Errors
    /// What one of them says, or Envoy.
    pub async fn start(node: &Host, cluster: &Cluster, policy: &str) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("gatelet-node-").tempdir()?;
        let path = folder.path();
        publish(&path.join("certs/serving"), &cluster.issue(Persona::GateServing)?)?;
        publish(&path.join("certs/kubelet"), &cluster.issue(Persona::GateClientOwned)?)?;
        symlink(shipped("sds"), path.join("sds"))?;
        symlink(Module::Shipped.path()?, path.join("gatelet.wasm"))?;
        fs::create_dir(path.join("policy"))?;
        fs::write(path.join("policy/gatelet.json"), policy)?;
        let mut command = node.namespace.command("setpriv");
        command.args(["--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw"]);
        command.arg(shipped("capture")).args(["start", "--address", &node.ipv4().to_string()]);
        command.args(["--node", NODE]).env("GATELET_BIN", "true");
        Ok(Self { envoy: Envoy::start(command, path).await?, _folder: folder })
    }

    /// Kills it.
    pub fn crash(self) {
        self.envoy.stop();
    }
}

/// Asks for a page as this persona, of whoever has the node's name from `signer`.
///
/// # Errors
/// When nobody listens, it is somebody else, or it does not answer.
pub async fn get(
    from: &Namespace,
    to: SocketAddr,
    cluster: &Cluster,
    persona: Persona,
    signer: Ca,
    target: &str,
) -> anyhow::Result<String> {
    let ca = cluster.authority(signer).certificate().as_bytes();
    let client = tls::client(Some(&cluster.issue(persona)?.into()), ca)?;
    let stream = from.dial(to).await?;
    let exchange = async {
        let name = ServerName::try_from(NODE)?;
        let mut stream = tokio_rustls::TlsConnector::from(client).connect(name, stream).await?;
        let request = format!("GET {target} HTTP/1.1\r\nHost: {NODE}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    within("an answer", exchange).await?
}

fn shipped(name: &str) -> PathBuf {
    project().join("envoy/kubelet").join(name)
}
