//! An approver, its API server, and the kubelets that ask.

use std::net::{IpAddr, SocketAddr};

use gatelet_certs::Cluster;
use gatelet_core::config::WrittenPolicy;
use gatelet_core::csr::Written;
use gatelet_tests::api_server::{self, REQUESTS, StandInApiServer};
use gatelet_tests::approver::{Approver, Credential, Options, roles, user};
use gatelet_tests::csr::{Kubelet, Requested};
use gatelet_tests::gate;
use gatelet_tests::policy;
use serde_json::Value;

/// Approves whatever can be read and is allowed, and denies what can't be read.
pub(crate) const READABLE: &str = r#"
package csr.approval

default decision := {"decision": "leave", "rule": "access", "reason": "It isn't allowed."}

decision := {"decision": "approve", "rule": "readable", "reason": "It can be read."} if {
	input.malformed == null
	input.access.certificatesigningrequests
} else := {"decision": "deny", "rule": "malformed", "reason": input.malformed} if {
	input.malformed != null
}
"#;

/// What is special about a [`Fixture`].
pub(crate) struct Setup {
    pub(crate) policy: String,
    pub(crate) credential: Credential,
    pub(crate) kubelet: Option<SocketAddr>,
}

impl Setup {
    /// This Rego.
    pub(crate) fn rego(module: &str) -> anyhow::Result<Self> {
        Self::of(Written::default(), module)
    }

    /// This Rego and other settings.
    pub(crate) fn of(settings: Written, module: &str) -> anyhow::Result<Self> {
        let modules = [("policy.rego".to_owned(), module.to_owned())].into();
        let policy = WrittenPolicy { modules, ..WrittenPolicy::default() };
        let policy = policy::route_config(&Written { policy, ..settings })?;
        Ok(Self::rendered(policy))
    }

    /// What `gatelet render` made.
    pub(crate) fn rendered(policy: String) -> Self {
        Self { policy, credential: Credential::Certificate, kubelet: None }
    }
}

/// Everything that runs in a test of the approver.
pub(crate) struct Fixture {
    pub(crate) approver: Approver,
    pub(crate) server: StandInApiServer,
    pub(crate) cluster: Cluster,
}

impl Fixture {
    /// An approver with this Rego.
    pub(crate) async fn start(rego: &str) -> anyhow::Result<Self> {
        Self::start_as(Setup::rego(rego)?).await
    }

    /// An approver with something special.
    pub(crate) async fn start_as(setup: Setup) -> anyhow::Result<Self> {
        let cluster = gate::cluster()?;
        let server = api_server(&cluster)?;
        Self::start_before(cluster, server, setup).await
    }

    /// An approver that comes late to this API server.
    pub(crate) async fn start_before(
        cluster: Cluster,
        server: StandInApiServer,
        setup: Setup,
    ) -> anyhow::Result<Self> {
        let Setup { policy, credential, kubelet } = setup;
        if let Credential::Token(token) = &credential {
            server.accept_token(token, user(&credential));
        }
        let mut options = Options::new(&cluster, server.address(), &policy);
        options.credential = credential;
        options.kubelet = kubelet.unwrap_or(options.kubelet);
        let approver = Approver::start(options).await?;
        Ok(Self { approver, server, cluster })
    }

    /// Adds what worker-1's kubelet asks for, under this name.
    pub(crate) fn ask(&self, name: &str) -> anyhow::Result<Requested> {
        let requested = worker(1).request()?;
        self.server.add_request(name, &requested.spec);
        Ok(requested)
    }

    /// Waits until a request was approved and has its certificate.
    pub(crate) async fn issued(&self, name: &str) -> anyhow::Result<Value> {
        let what = format!("the certificate of {name}");
        self.server
            .wait_for(&what, REQUESTS, |object| {
                is(object, name) && object.pointer("/status/certificate").is_some()
            })
            .await
    }

    /// Waits until a request is decided, and returns its conditions: types and messages.
    pub(crate) async fn decided(&self, name: &str) -> anyhow::Result<Vec<(String, String)>> {
        let what = format!("a decision on {name}");
        let object = self
            .server
            .wait_for(&what, REQUESTS, |object| is(object, name) && !conditions(object).is_empty())
            .await?;
        Ok(conditions(&object))
    }
}

/// An API server with the shipped roles and the nodes worker-1 to worker-3.
pub(crate) fn api_server(cluster: &Cluster) -> anyhow::Result<StandInApiServer> {
    let server = StandInApiServer::start(api_server::Options::new(cluster, &roles()?)?)?;
    for number in 1..=3 {
        let Kubelet { node, ip, .. } = worker(number);
        let address = ip.first().map(IpAddr::to_string).unwrap_or_default();
        server.add_node(&node, &[("InternalIP", &address), ("Hostname", &node)], 10250);
    }
    Ok(server)
}

/// The kubelet of a worker.
pub(crate) fn worker(number: u8) -> Kubelet {
    let node = format!("worker-{number}");
    Kubelet { dns: vec![node.clone()], node, ip: vec![[10, 0, 0, 10 + number].into()] }
}

/// The types and messages of an object's conditions.
pub(crate) fn conditions(object: &Value) -> Vec<(String, String)> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let text = |one: &Value, key: &str| {
        one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let conditions = conditions.into_iter().flatten();
    conditions.map(|one| (text(one, "type"), text(one, "message"))).collect()
}

fn is(object: &Value, name: &str) -> bool {
    object.pointer("/metadata/name").and_then(Value::as_str) == Some(name)
}
