//! A gate, a kubelet behind it, and who calls.

use gatelet_certs::{Cluster, Flaw, Persona};
use gatelet_tests::client::Dialer;
use gatelet_tests::gate::{self, Gate, Options, Profile};
use gatelet_tests::kubelet::{Fault, StandInKubelet};
use gatelet_tests::policy;
use serde_json::Value;
use tempfile::TempDir;

/// A request that most policies here allow.
pub(crate) const LOG: &str = "/containerLogs/default/web-0/app?tailLines=1";

/// A request that few do.
pub(crate) const EXEC: &str = "/exec/default/web-0/app?command=cat&input=1&output=1";

/// Logs for everybody, and nothing else.
pub(crate) const LOGS: &str = r#"
package kubelet.authz

default decision := false

decision := {"allow": true, "rule": "logs"} if input.endpoint == "containerLogs"
"#;

/// Everything that is readable.
pub(crate) const ALL: &str = r#"
package kubelet.authz

decision := {"allow": true, "rule": "all"}
"#;

/// What is special about a [`Fixture`].
pub(crate) struct Setup {
    pub(crate) profile: Profile,
    pub(crate) kubelet_flaw: Option<(Persona, Flaw)>,
    pub(crate) kubelet_fault: Option<Fault>,
    pub(crate) change: fn(&mut Value),
}

impl Default for Setup {
    fn default() -> Self {
        Self { profile: Profile::Owned, kubelet_flaw: None, kubelet_fault: None, change: |_| {} }
    }
}

/// Everything that runs in a test of the gate.
pub(crate) struct Fixture {
    pub(crate) gate: Gate,
    pub(crate) kubelet: StandInKubelet,
    pub(crate) cluster: Cluster,
    _scratch: TempDir,
}

impl Fixture {
    /// A gate with this Rego, before a kubelet of profile owned.
    pub(crate) async fn start(rego: &str) -> anyhow::Result<Self> {
        Self::start_as(rego, Setup::default()).await
    }

    /// A gate with this Rego and something special.
    pub(crate) async fn start_as(rego: &str, setup: Setup) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let cluster = gate::cluster()?;
        let mut kubelet = setup.profile.kubelet(&cluster, scratch.path())?;
        kubelet.fault = setup.kubelet_fault;
        if let Some((persona, flaw)) = setup.kubelet_flaw {
            kubelet.serving = cluster.flawed(persona, flaw)?.into();
        }
        let kubelet = StandInKubelet::start(kubelet)?;
        let policy = policy::rego(rego)?;
        let options = Options {
            profile: setup.profile,
            change: setup.change,
            ..Options::new(&cluster, kubelet.address(), &policy)
        };
        let gate = Gate::start(options).await?;
        Ok(Self { gate, kubelet, cluster, _scratch: scratch })
    }

    /// Calls the gate with the certificate of a persona.
    pub(crate) fn caller(&self, persona: Persona) -> anyhow::Result<Dialer> {
        self.gate.dialer(Some(&self.cluster.issue(persona)?.into()))
    }

    /// Calls the gate as the API server does.
    pub(crate) fn apiserver(&self) -> anyhow::Result<Dialer> {
        self.caller(Persona::ApiserverKubeletClient)
    }

    /// Calls the listener for metrics and readiness.
    pub(crate) fn prometheus(&self) -> anyhow::Result<Dialer> {
        self.gate.monitoring(Some(&self.cluster.issue(Persona::Prometheus)?.into()))
    }

    /// The targets of the requests that reached the kubelet.
    pub(crate) fn reached(&self) -> Vec<String> {
        self.kubelet.requests().iter().map(|request| request.target().into_owned()).collect()
    }
}
