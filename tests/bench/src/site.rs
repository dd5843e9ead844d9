//! A folder with everything that an Envoy needs, and the Envoy.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gatelet_certs::{Ca, Cluster, Persona, publish};
use gatelet_tests::client::Dialer;
use gatelet_tests::envoy::{self, Admin, Envoy, Shipped, project};
use gatelet_tests::gate::NODE;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::load::Connection;
use crate::variant::Variant;

/// How requests come, and go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Without TLS, where that is possible.
    Plain,
    /// Mutual TLS on both sides, as shipped.
    Mutual,
}

/// Who answers what is allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Upstream {
    /// Envoy itself, so that nothing but the filter differs.
    Envoy,
    /// A kubelet.
    Kubelet(SocketAddr),
}

/// What to run.
pub(crate) struct Options<'a> {
    pub(crate) variant: Variant,
    pub(crate) transport: Transport,
    pub(crate) upstream: Upstream,
    pub(crate) cluster: &'a Cluster,
    /// The extension-config file with the policy.
    pub(crate) policy: &'a str,
    pub(crate) authorizer: Option<SocketAddr>,
    pub(crate) concurrency: usize,
}

/// A running Envoy. Dropping it stops it.
pub(crate) struct Site {
    envoy: Option<Envoy>,
    started_in: Duration,
    address: SocketAddr,
    caller: Option<Dialer>,
    folder: TempDir,
}

impl Site {
    /// # Errors
    /// When Envoy doesn't start; the error has its log.
    pub(crate) async fn start(options: &Options<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("gatelet-bench-").tempdir()?;
        prepare(folder.path(), options)?;
        let mut command = Command::new(envoy::binary()?);
        command.args([
            "--config-path",
            "envoy.json",
            "--disable-hot-restart",
            "--log-level",
            "warning",
        ]);
        command.args(["--concurrency", &options.concurrency.to_string()]);
        command.args(["--file-flush-interval-msec", "100"]);
        let began = Instant::now();
        let envoy = Envoy::start(command, folder.path()).await?;
        let started_in = began.elapsed();
        let listeners = envoy.admin().listeners().await?;
        let address = *listeners.get("kubelet").context("no listener")?;
        let caller = match options.transport {
            Transport::Plain => None,
            Transport::Mutual => {
                let ca = options.cluster.authority(Ca::Cluster).certificate().as_bytes().to_vec();
                let caller = options.cluster.issue(Persona::ApiserverKubeletClient)?.into();
                Some(Dialer::new(address, NODE, &ca, Some(&caller))?)
            }
        };
        Ok(Self { envoy: Some(envoy), started_in, address, caller, folder })
    }

    /// A new connection, as the API server makes them.
    ///
    /// # Errors
    /// When Envoy doesn't take it.
    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        Ok(match &self.caller {
            Some(caller) => Connection::new(caller.connect().await?),
            None => {
                let stream = TcpStream::connect(self.address).await?;
                stream.set_nodelay(true)?;
                Connection::new(stream)
            }
        })
    }

    /// A connection whose handshake isn't even begun.
    ///
    /// # Errors
    /// When Envoy doesn't take it.
    pub(crate) async fn half_open(&self) -> anyhow::Result<Connection> {
        Ok(Connection::new(TcpStream::connect(self.address).await?))
    }

    /// Envoy's process.
    pub(crate) fn process(&self) -> u32 {
        self.envoy.as_ref().map_or(0, Envoy::id)
    }

    /// How long it took until it served.
    pub(crate) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Its admin interface.
    ///
    /// # Errors
    /// When it was stopped.
    pub(crate) fn admin(&self) -> anyhow::Result<&Admin> {
        Ok(self.envoy.as_ref().context("no Envoy")?.admin())
    }

    /// Gives the filter another policy, in one move.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn update_policy(&self, policy: &str) -> anyhow::Result<()> {
        let folder = self.folder.path().join("policy");
        let file = tempfile::NamedTempFile::new_in(&folder)?;
        fs::write(file.path(), policy)?;
        file.persist(folder.join("gatelet.json"))?;
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(envoy) = self.envoy.take() {
            envoy.stop();
        }
    }
}

fn prepare(folder: &Path, options: &Options<'_>) -> anyhow::Result<()> {
    let shipped = project().join("envoy/kubelet");
    let mut configuration = Shipped::read(&shipped.join("envoy.yaml"))?;
    configuration.listen_on_free_ports()?;
    if let Upstream::Kubelet(address) = options.upstream {
        configuration.move_endpoint("kubelet", address)?;
    }
    change(configuration.as_json(), options)?;
    let text = configuration
        .as_json()
        .to_string()
        .replace("node.invalid", NODE)
        .replace("192.0.2.10", "127.0.0.1");
    fs::write(folder.join("envoy.json"), text)?;
    publish(&folder.join("certs/serving"), &options.cluster.issue(Persona::GateServing)?)?;
    publish(&folder.join("certs/kubelet"), &options.cluster.issue(Persona::GateClientOwned)?)?;
    symlink(shipped.join("sds"), folder.join("sds"))?;
    symlink(module()?, folder.join("gatelet.wasm"))?;
    fs::create_dir(folder.join("policy"))?;
    fs::write(folder.join("policy/gatelet.json"), options.policy)?;
    Ok(())
}

/// The filter.
///
/// # Errors
/// When the environment doesn't name it.
pub(crate) fn module() -> anyhow::Result<std::path::PathBuf> {
    std::env::var_os("GATELET_WASM").map(Into::into).context("set GATELET_WASM; `make bench` does")
}

/// Makes the shipped configuration the variant's.
fn change(configuration: &mut Value, options: &Options<'_>) -> anyhow::Result<()> {
    let Options { variant, transport, upstream, authorizer, .. } = options;
    // The port for metrics, and what checks itself every second, cost the same with and without.
    let listeners = array(configuration, "/static_resources/listeners")?;
    listeners.retain(|listener| listener["name"] == "kubelet");
    let clusters = array(configuration, "/static_resources/clusters")?;
    clusters.retain(|cluster| cluster["name"] == "kubelet" || cluster["name"] == "kubelet-tokens");
    if let Some(address) = authorizer {
        clusters.extend(variant.authorizer(*address));
    }
    const CHAIN: &str = "/static_resources/listeners/0/filter_chains/0";
    if *transport == Transport::Plain {
        object(configuration, CHAIN)?.remove("transport_socket");
        object(configuration, "/static_resources/clusters/0")?.remove("transport_socket");
    }
    let manager = format!("{CHAIN}/filters/0/typed_config");
    if *variant != Variant::Gatelet {
        let filters = array(configuration, &format!("{manager}/http_filters"))?;
        filters.remove(0);
        filters.splice(0..0, variant.filters());
        let logs = array(configuration, &format!("{manager}/access_log"))?;
        logs.truncate(usize::from(*variant != Variant::Bare));
        for log in logs {
            log.as_object_mut().context("an access log")?.remove("filter");
            let format = "/typed_config/log_format/text_format_source/inline_string";
            let line = log.pointer_mut(format).context(format)?;
            *line = json!(LINE);
        }
    }
    if let Upstream::Envoy = upstream {
        *array(configuration, &format!("{manager}/route_config/virtual_hosts/0/routes"))? =
            vec![json!({
                "match": {"prefix": "/"},
                "direct_response": {"status": 200, "body": {"inline_string": "ready\n"}},
            })];
    }
    Ok(())
}

/// What an operator wants to know of a request, without a filter that tells it.
const LINE: &str = concat!(
    r#"{"timestamp":"%START_TIME%","method":"%REQ(:METHOD)%","path":"%REQ(:PATH)%","#,
    r#""user_agent":"%REQ(USER-AGENT)%","address":"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%","#,
    r#""subject":"%DOWNSTREAM_PEER_SUBJECT%","sha256":"%DOWNSTREAM_PEER_FINGERPRINT_256%","#,
    r#""response_code":%RESPONSE_CODE%,"response_code_details":"%RESPONSE_CODE_DETAILS%","#,
    r#""response_flags":"%RESPONSE_FLAGS%","duration_ms":%DURATION%,"bytes_received":%BYTES_RECEIVED%,"#,
    r#""bytes_sent":%BYTES_SENT%,"connection_id":%CONNECTION_ID%}"#,
    "\n",
);

fn array<'a>(within: &'a mut Value, pointer: &str) -> anyhow::Result<&'a mut Vec<Value>> {
    within
        .pointer_mut(pointer)
        .and_then(Value::as_array_mut)
        .with_context(|| format!("no array {pointer}"))
}

fn object<'a>(
    within: &'a mut Value,
    pointer: &str,
) -> anyhow::Result<&'a mut serde_json::Map<String, Value>> {
    within
        .pointer_mut(pointer)
        .and_then(Value::as_object_mut)
        .with_context(|| format!("no object {pointer}"))
}
