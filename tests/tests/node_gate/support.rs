//! A gate, a kubelet behind it, and who calls.

use gatelet_certs::{Cluster, Persona};
use gatelet_tests::client::Dialer;
use gatelet_tests::gate::{self, Gate, Options};
use gatelet_tests::kubelet::StandInKubelet;
use gatelet_tests::policy;
use tempfile::TempDir;

/// Logs for everybody, and nothing else.
pub(crate) const LOGS: &str = r#"
package kubelet.authz

default decision := false

decision := {"allow": true, "rule": "logs"} if input.endpoint == "containerLogs"
"#;

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
        Self::start_with(rego, |_| {}).await
    }

    /// The same, with other options.
    pub(crate) async fn start_with(
        rego: &str,
        change: impl FnOnce(&mut Options<'_>),
    ) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let cluster = gate::cluster()?;
        let policy = policy::rego(rego);
        let mut options = Options::new(&cluster, ([127, 0, 0, 1], 0).into(), &policy);
        change(&mut options);
        let kubelet = StandInKubelet::start(options.profile.kubelet(&cluster, scratch.path())?)?;
        options.kubelet = kubelet.address();
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

    /// The targets of the requests that reached the kubelet.
    pub(crate) fn reached(&self) -> Vec<String> {
        self.kubelet.requests().iter().map(|request| request.target().into_owned()).collect()
    }
}
