//! Envoy as Istio starts it, with one plugin.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use gatelet_tests::envoy::{Admin, Envoy, Shipped, binary, project};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

/// How to start a [`Proxy`].
pub(crate) struct Options<'a> {
    /// A file in `tests/istio`.
    pub(crate) configuration: &'static str,
    /// What the plugin is called.
    pub(crate) plugin: String,
    /// What it is, by ECDS.
    pub(crate) ecds: Value,
    /// The only cluster, and where it leads.
    pub(crate) upstream: (&'static str, SocketAddr),
    /// Changes the configuration where a mesh may have another one.
    pub(crate) change: fn(&mut Value),
    /// Secrets by the names that istiod gives them, and the folder that has each.
    pub(crate) secrets: &'a [(&'a str, &'a str)],
}

/// Where the plugin is, in the folder of a proxy.
const ECDS: &str = "ecds/plugin.json";

/// A running proxy. Dropping it stops it.
pub(crate) struct Proxy {
    envoy: Envoy,
    address: SocketAddr,
    folder: TempDir,
}

impl Proxy {
    /// Starts it in this folder, which has the certificates.
    pub(crate) async fn start(options: Options<'_>, folder: TempDir) -> anyhow::Result<Self> {
        let path = folder.path();
        let mut configuration =
            Shipped::read(&project().join("tests/istio").join(options.configuration))?;
        configuration.listen_on_free_ports()?;
        let (cluster, address) = options.upstream;
        configuration.move_endpoint(cluster, address)?;
        let json = configuration.as_json();
        for manager in managers(json)? {
            let filters = manager["http_filters"].as_array_mut().context("no filters")?;
            let plugin = filters.iter_mut().find(|filter| filter["name"] == "plugin.invalid");
            plugin.context("no plugin")?["name"] = options.plugin.clone().into();
            (options.change)(manager);
        }
        configuration.write(&path.join("envoy.json"))?;
        fs::create_dir(path.join("sds"))?;
        for (name, folder) in options.secrets {
            secret(&path.join("sds"), name, folder)?;
        }
        fs::create_dir(path.join("ecds"))?;
        install(&path.join(ECDS), &options.ecds)?;
        let mut command = Command::new(binary()?);
        command.args(["--config-path", "envoy.json", "--concurrency", "2"]);
        command.args(["--disable-hot-restart", "--log-level", "warning"]);
        command.args(["--file-flush-interval-msec", "100"]);
        let envoy = Envoy::start(command, path).await?;
        let listeners = envoy.admin().listeners().await?;
        let address = *listeners.values().next().context("no listener")?;
        Ok(Self { envoy, address, folder })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn admin(&self) -> &Admin {
        self.envoy.admin()
    }

    /// The folder in which it runs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Gives it another plugin, as an update of its manifest does.
    pub(crate) fn update(&self, ecds: &Value) -> anyhow::Result<()> {
        install(&self.folder().join(ECDS), ecds)
    }
}

/// The connection managers of all filter chains.
fn managers(configuration: &mut Value) -> anyhow::Result<Vec<&mut Value>> {
    let chains = configuration.pointer_mut("/static_resources/listeners/0/filter_chains");
    let chains = chains.and_then(Value::as_array_mut).context("no filter chains")?;
    chains
        .iter_mut()
        .map(|chain| chain.pointer_mut("/filters/0/typed_config").context("no connection manager"))
        .collect()
}

/// A secret as the agent's socket serves it: a pair, or what is trusted.
fn secret(folder: &Path, name: &str, from: &str) -> anyhow::Result<()> {
    let file = |file: &str| json!({"filename": format!("{from}/{file}")});
    let mut secret = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
        "name": name,
    });
    if name == "ROOTCA" || name.ends_with("-cacert") {
        secret["validation_context"] = json!({"trusted_ca": file("ca.crt")});
    } else {
        secret["tls_certificate"] =
            json!({"certificate_chain": file("tls.crt"), "private_key": file("tls.key")});
    }
    let file = name.trim_start_matches("kubernetes://").to_owned() + ".json";
    Ok(fs::write(folder.join(file), json!({"resources": [secret]}).to_string())?)
}

/// Puts a file where Envoy looks for it, in one move.
fn install(path: &Path, value: &Value) -> anyhow::Result<()> {
    let file = NamedTempFile::new_in(path.parent().context("a file without a folder")?)?;
    fs::write(file.path(), value.to_string())?;
    file.persist(path)?;
    Ok(())
}
