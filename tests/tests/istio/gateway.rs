//! Profile `kubelet` in a gateway: a kubelet that Istio leads to.

use gatelet_certs::{Ca, Cluster, Persona, publish};
use gatelet_tests::client::{Dialer, OpenError, RawClient, RemoteCommand, get, open_spdy};
use gatelet_tests::gate::{NODE, Profile, cluster};
use gatelet_tests::kubelet::StandInKubelet;
use gatelet_tests::module::Module;
use hyper::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::caller::Asking;
use crate::control_plane::Istio;
use crate::manifest::WasmPlugin;
use crate::proxy::{Options, Proxy};

const LOG: &str = "/containerLogs/default/web-0/app?tailLines=1";

struct Nodes {
    proxy: Proxy,
    kubelet: StandInKubelet,
    cluster: Cluster,
    _scratch: TempDir,
}

impl Nodes {
    async fn start() -> anyhow::Result<Self> {
        let data = json!({"kubelet": {
            "peers": [{
                "common_name": "kube-apiserver-kubelet-client",
                "organization": "kubeadm:cluster-admins",
                "presets": ["logs", "operate"],
            }],
            "logs": {"namespaces": ["default"]},
            "operate": [{
                "namespaces": ["default"],
                "pods": ["web-0"],
                "containers": ["app"],
                "exec": [{"command": ["echo", "hello"]}],
            }],
        }});
        let plugin = WasmPlugin::rendered("gateway.yaml", &["rego/kubelet"], &data)?;
        let (cluster, scratch, folder) = (cluster()?, tempfile::tempdir()?, tempfile::tempdir()?);
        let kubelet = StandInKubelet::start(Profile::Owned.kubelet(&cluster, scratch.path())?)?;
        for (name, persona) in
            [("callers", Persona::GateServing), ("kubelet", Persona::GateClientOwned)]
        {
            publish(&folder.path().join(name), &cluster.issue(persona)?)?;
        }
        let options = Options {
            configuration: "gateway.yaml",
            plugin: Istio::V1_30.resource(&plugin),
            ecds: Istio::V1_30.fetched(&plugin, &Module::Shipped.path()?),
            upstream: ("outbound|10250||worker-1.nodes.internal", kubelet.address()),
            change: |_| {},
            secrets: &[
                ("kubernetes://kubelet-callers", "callers"),
                ("kubernetes://kubelet-callers-cacert", "callers"),
                ("kubernetes://kubelet", "kubelet"),
                ("kubernetes://kubelet-cacert", "kubelet"),
            ],
        };
        let proxy = Proxy::start(options, folder).await?;
        Ok(Self { proxy, kubelet, cluster, _scratch: scratch })
    }

    fn caller(&self, persona: Persona) -> anyhow::Result<Dialer> {
        let ca = self.cluster.authority(Ca::Cluster).certificate();
        let identity = self.cluster.issue(persona)?.into();
        Dialer::new(self.proxy.address(), NODE, ca.as_bytes(), Some(&identity))
    }

    fn reached(&self) -> Vec<String> {
        self.kubelet.requests().iter().map(|request| request.target().into_owned()).collect()
    }
}

#[tokio::test]
async fn a_pinned_caller_gets_what_the_policy_allows_and_nobody_else_does() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    let apiserver = nodes.caller(Persona::ApiserverKubeletClient)?;
    for (persona, target, status) in [
        (Persona::ApiserverKubeletClient, LOG, 200),
        (Persona::ApiserverKubeletClient, "/pods", 403),
        (Persona::ApiserverKubeletClient, "/containerLogs/default/web-0/app/", 400),
        (Persona::Prometheus, LOG, 403),
    ] {
        let row = format!("{persona:?} {target}");
        assert_eq!(get(&nodes.caller(persona)?, target).await?.status, status, "{row}");
    }
    let by_2 = Asking::get(LOG).to(&apiserver).await?;
    assert_eq!(by_2.status, 200, "by HTTP/2");
    assert_eq!(nodes.reached(), [LOG, LOG]);
    Ok(())
}

/// `get` is a method of its own to HTTP/2, and a path has no second spelling after Istio's own.
#[tokio::test]
async fn http_2_brings_no_second_reading() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    let apiserver = nodes.caller(Persona::ApiserverKubeletClient)?;
    for (method, target, status) in [
        ("GET", "/pods/..//containerLogs/default/web-0/app", 400),
        ("GET", "/pods/../%63ontainerLogs/default/web-0/app", 200),
        ("GET", "/containerLogs/kube-system/../default/web-0/app", 200),
        ("GET", "/containerLogs/default/../kube-system/web-0/app", 403),
        ("get", LOG, 403),
        ("POST", LOG, 403),
    ] {
        let asking =
            Asking { method: Method::from_bytes(method.as_bytes())?, ..Asking::get(target) };
        assert_eq!(asking.to(&apiserver).await?.status, status, "{method} {target}");
    }
    assert_eq!(nodes.reached(), ["/containerLogs/default/web-0/app"; 2]);
    Ok(())
}

/// Istio adds the caller's certificate as a header: the kubelet gets no word of a caller's rights but
/// the gateway's own certificate.
#[tokio::test]
async fn no_credential_reaches_the_kubelet() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    let mut client = RawClient::connect(&nodes.caller(Persona::ApiserverKubeletClient)?).await?;
    let request = format!(
        "GET {LOG} HTTP/1.1\r\nHost: n\r\nAuthorization: Bearer t\r\nX-Remote-User: admin\r\n\
         Impersonate-User: admin\r\nX-Forwarded-Client-Cert: By=x\r\n\r\n"
    );
    client.send(request.as_bytes()).await?;
    assert_eq!(client.response().await?.status, 200);
    let requests = nodes.kubelet.requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    for name in ["authorization", "x-remote-user", "impersonate-user", "x-forwarded-client-cert"] {
        assert!(request.header(name).is_empty(), "{name}: {requests:?}");
    }
    Ok(())
}

/// Istio's proxies know WebSockets alone. So kubectl works from 1.31 on with an API server of that age,
/// and everything by SPDY is refused before the filter.
#[tokio::test]
async fn exec_works_by_websocket_and_not_by_spdy() -> anyhow::Result<()> {
    let nodes = Nodes::start().await?;
    let apiserver = nodes.caller(Persona::ApiserverKubeletClient)?;
    let echo = RemoteCommand::exec("default/web-0/app", &["echo", "hello"]);
    let finished = echo.run(&apiserver, b"").await?;
    assert_eq!(finished.stdout, b"hello\n");
    let denied = RemoteCommand::exec("default/web-0/app", &["id"]).run(&apiserver, b"").await;
    assert!(
        matches!(&denied, Err(OpenError::Refused(answer)) if answer.status == 403),
        "{denied:?}"
    );
    let spdy = open_spdy(&apiserver, &echo.target(), &["v4.channel.k8s.io"]).await;
    assert!(
        matches!(&spdy, Err(OpenError::Refused(answer)) if answer.status == 403),
        "SPDY was not refused"
    );
    assert_eq!(nodes.kubelet.requests().len(), 1);
    Ok(())
}
