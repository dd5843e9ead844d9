//! A gate, a kubelet behind it, and who calls.

use gatelet_certs::{Cluster, Flaw, Persona};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Dialer;
use crate::gate::{self, Gate, Options, Profile};
use crate::kubelet::{Fault, StandInKubelet};
use crate::policy;

/// A request that most policies here allow.
pub const LOG: &str = "/containerLogs/default/web-0/app?tailLines=1";

/// A request that few do.
pub const EXEC: &str = "/exec/default/web-0/app?command=cat&input=1&output=1";

/// Logs for everybody, and nothing else.
pub const LOGS: &str = r#"
package kubelet.authz

default decision := false

decision := {"allow": true, "rule": "logs"} if input.endpoint == "containerLogs"
"#;

/// Everything that is readable.
pub const ALL: &str = r#"
package kubelet.authz

decision := {"allow": true, "rule": "all"}
"#;

/// What is special about a [`Fixture`].
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whose certificates the kubelet has and trusts.
    pub profile: Profile,
    /// What is wrong with the kubelet's certificate.
    pub kubelet_flaw: Option<(Persona, Flaw)>,
    /// What the kubelet does wrong.
    pub kubelet_fault: Option<Fault>,
    /// See [`Options::change`].
    pub change: fn(&mut Value),
}

impl Default for Setup {
    fn default() -> Self {
        Self { profile: Profile::Owned, kubelet_flaw: None, kubelet_fault: None, change: |_| {} }
    }
}

/// Everything that runs in a test of the gate.
pub struct Fixture {
    /// What is tested.
    pub gate: Gate,
    /// What is behind it.
    pub kubelet: StandInKubelet,
    /// Who signed the certificates of all.
    pub cluster: Cluster,
    _scratch: TempDir,
}

impl Fixture {
    /// A gate with this Rego, before a kubelet of profile owned.
    ///
    /// # Errors
    /// When one of them can't be started.
    pub async fn start(rego: &str) -> anyhow::Result<Self> {
        Self::start_as(rego, Setup::default()).await
    }

    /// A gate with this Rego and something special.
    ///
    /// # Errors
    /// When one of them can't be started.
    pub async fn start_as(rego: &str, setup: Setup) -> anyhow::Result<Self> {
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
    ///
    /// # Errors
    /// When the certificate can't be issued.
    pub fn caller(&self, persona: Persona) -> anyhow::Result<Dialer> {
        self.gate.dialer(Some(&self.cluster.issue(persona)?.into()))
    }

    /// Calls the gate as the API server does.
    ///
    /// # Errors
    /// When the certificate can't be issued.
    pub fn apiserver(&self) -> anyhow::Result<Dialer> {
        self.caller(Persona::ApiserverKubeletClient)
    }

    /// Calls the listener for metrics and readiness.
    ///
    /// # Errors
    /// When the certificate can't be issued.
    pub fn prometheus(&self) -> anyhow::Result<Dialer> {
        self.gate.monitoring(Some(&self.cluster.issue(Persona::Prometheus)?.into()))
    }

    /// The targets of the requests that reached the kubelet.
    pub fn reached(&self) -> Vec<String> {
        self.kubelet.requests().iter().map(|request| request.target().into_owned()).collect()
    }
}
