//! A sidecar with the shipped plugin, the service behind it, and callers with identities of the mesh.

use std::path::Path;

use gatelet_tests::client::Dialer;
use gatelet_tests::module::Module;
use gatelet_tests::net::Issuer;
use gatelet_tests::tls::Identity;
use serde_json::{Value, json};

use crate::control_plane::Istio;
use crate::manifest::WasmPlugin;
use crate::proxy::{Options, Proxy};
use crate::service::Service;

/// Whom the policy knows.
pub(crate) const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";

/// Whom it doesn't.
pub(crate) const OTHER: &str = "spiffe://cluster.local/ns/shop/sa/other";

pub(crate) struct Mesh {
    pub(crate) proxy: Proxy,
    pub(crate) service: Service,
    issuer: Issuer,
}

impl Mesh {
    /// With the shipped policy, named as by the newest Istio.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::with(Istio::V1_30, &plugin(&peers())?, |_| {}).await
    }

    pub(crate) async fn with(
        istio: Istio,
        plugin: &WasmPlugin,
        change: fn(&mut Value),
    ) -> anyhow::Result<Self> {
        let ecds = istio.fetched(plugin, &Module::Shipped.path()?);
        Self::given(istio.resource(plugin), ecds, change).await
    }

    /// With whatever the agent hands over.
    pub(crate) async fn given(
        plugin: String,
        ecds: Value,
        change: fn(&mut Value),
    ) -> anyhow::Result<Self> {
        let (issuer, service, folder) =
            (Issuer::create()?, Service::start().await?, tempfile::tempdir()?);
        let own = "spiffe://cluster.local/ns/shop/sa/catalogue";
        // rustls asks servers for a name.
        issuer.issue(own, &["127.0.0.1".parse()?])?.project(&folder.path().join("own"))?;
        let options = Options {
            configuration: "sidecar.yaml",
            plugin,
            ecds,
            upstream: ("inbound|8080||", service.address()),
            change,
            secrets: &[("default", "own"), ("ROOTCA", "own")],
        };
        Ok(Self { proxy: Proxy::start(options, folder).await?, service, issuer })
    }

    /// Calls it with this identity.
    pub(crate) fn caller(&self, id: &str) -> anyhow::Result<Dialer> {
        let folder = tempfile::tempdir()?;
        self.issuer.issue(id, &[])?.project(folder.path())?;
        let file = |name: &str| folder.path().join(name);
        let identity = Identity::read(&file("tls.crt"), &file("tls.key"))?;
        self.dialer(Some(&identity), &file("ca.crt"))
    }

    /// Calls it by TLS without a certificate.
    pub(crate) fn nobody(&self) -> anyhow::Result<Dialer> {
        self.dialer(None, &self.proxy.folder().join("own/ca.crt"))
    }

    fn dialer(&self, identity: Option<&Identity>, ca: &Path) -> anyhow::Result<Dialer> {
        Dialer::new(self.proxy.address(), "127.0.0.1", &std::fs::read(ca)?, identity)
    }
}

/// The shipped manifest with the shipped policy and this data.
pub(crate) fn plugin(data: &Value) -> anyhow::Result<WasmPlugin> {
    WasmPlugin::rendered("sidecar.yaml", &["rego/http", "--profile", "http"], data)
}

/// What [`WEB`] may do.
pub(crate) fn peers() -> Value {
    let entry = |name: &str, methods: &[&str], under: &[&str]| json!({"name": name, "uri_san": WEB, "methods": methods, "under": under});
    json!({"http": {"peers": [
        entry("web-reads-catalogue", &["GET"], &["api", "catalogue"]),
        entry("web-lists", &["POST"], &["shop.Catalogue", "List"]),
    ]}})
}
