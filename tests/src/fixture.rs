//! A gate, a kubelet behind it, and who calls.

use std::path::PathBuf;

use gatelet_certs::{Cluster, Persona};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Dialer;
use crate::gate::{self, Gate, Options, Profile};
use crate::kubelet::{self, Fault, StandInKubelet};
use crate::module::Module;
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
    /// What the kubelet does wrong.
    pub kubelet_fault: Option<Fault>,
    /// Which build of the filter.
    pub module: Module,
    /// See [`Options::envoy`].
    pub envoy: Option<PathBuf>,
    /// See [`Options::change`].
    pub change: fn(&mut Value),
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            profile: Profile::Owned,
            kubelet_fault: None,
            module: Module::Shipped,
            envoy: None,
            change: |_| {},
        }
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
    /// What the kubelet was started with, before anything was wrong with it.
    sound_kubelet: kubelet::Options,
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
        Self::start_with(&policy::rego(rego)?, setup).await
    }

    /// A gate with this extension-config file and something special.
    ///
    /// # Errors
    /// When one of them can't be started.
    pub async fn start_with(policy: &str, setup: Setup) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let cluster = gate::cluster()?;
        let sound_kubelet = setup.profile.kubelet(&cluster, scratch.path())?;
        let kubelet = kubelet::Options { fault: setup.kubelet_fault, ..sound_kubelet.clone() };
        let kubelet = StandInKubelet::start(kubelet)?;
        let options = Options {
            profile: setup.profile,
            module: setup.module,
            envoy: setup.envoy.as_deref(),
            change: setup.change,
            ..Options::new(&cluster, kubelet.address(), policy)
        };
        let gate = Gate::start(options).await?;
        Ok(Self { gate, kubelet, cluster, sound_kubelet, _scratch: scratch })
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

    /// Puts another kubelet in the place of this one, when the gate has noticed that this one is gone.
    ///
    /// # Errors
    /// When it can't be started, or the gate doesn't notice.
    pub async fn replace_kubelet(
        &mut self,
        change: impl FnOnce(&mut kubelet::Options),
    ) -> anyhow::Result<()> {
        self.swap_kubelet(change)?;
        let connections = "cluster.kubelet.upstream_cx_active";
        self.gate.admin().wait_for_stat(connections, |count| count == 0).await.map(drop)
    }

    /// Puts another kubelet in the place of this one, for a gate that calls it of its own accord.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn swap_kubelet(
        &mut self,
        change: impl FnOnce(&mut kubelet::Options),
    ) -> anyhow::Result<()> {
        let mut options = self.sound_kubelet.clone();
        change(&mut options);
        self.kubelet.replace(options)
    }

    /// How often a request to this endpoint was decided for this reason.
    ///
    /// # Errors
    /// When Envoy doesn't answer.
    pub async fn decided(&self, endpoint: &str, reason: &str) -> anyhow::Result<u64> {
        self.gate.admin().stat(&format!("wasmcustom.gatelet_decisions.{endpoint}.{reason}")).await
    }

    /// The targets of the requests that reached the kubelet.
    pub fn reached(&self) -> Vec<String> {
        self.kubelet.requests().iter().map(|request| request.target().into_owned()).collect()
    }
}
