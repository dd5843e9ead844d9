//! A gate before a kubelet that asks the API server about tokens.

use std::collections::BTreeMap;

use gatelet_certs::{Cluster, Flaw, Persona};
use gatelet_core::config::{TOKEN_CLUSTER, Written, WrittenPolicy};
use gatelet_tests::client::Dialer;
use gatelet_tests::fixture::ALL;
use gatelet_tests::gate::{self, Gate, Options, Profile};
use gatelet_tests::kubelet::{self, Account, StandInKubelet, Webhook};
use gatelet_tests::policy;
use tempfile::TempDir;

/// What metrics-server asks for.
pub(crate) const SCRAPE: &str = "/metrics/resource";
/// Whose token [`TOKEN`] is; it may get `nodes/metrics`.
pub(crate) const METRICS_SERVER: &str = "system:serviceaccount:kube-system:metrics-server";
/// The only valid token.
pub(crate) const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtcyJ9.c2lnbmVk-_";

/// The client certificate of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// The API server's.
    Valid,
    /// The same with something wrong.
    Flawed(Flaw),
    /// None at all.
    Missing,
}

/// See the module.
pub(crate) struct Setup {
    pub(crate) gate: Gate,
    pub(crate) kubelet: StandInKubelet,
    /// What the kubelet was started with.
    sound_kubelet: kubelet::Options,
    cluster: Cluster,
    _scratch: TempDir,
}

impl Setup {
    /// In front of a kubelet of profile hardened.
    pub(crate) async fn start(tokens: bool, policy: &str) -> anyhow::Result<Self> {
        Self::start_as(Profile::Hardened, tokens, policy).await
    }

    /// Of this profile; `tokens` is the option of the start script.
    pub(crate) async fn start_as(
        profile: Profile,
        tokens: bool,
        policy: &str,
    ) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir()?;
        let cluster = gate::cluster()?;
        let metrics_server = Account {
            name: METRICS_SERVER.to_owned(),
            may_get: vec!["metrics".to_owned(), "healthz".to_owned()],
        };
        let webhook = Webhook { tokens: BTreeMap::from([(TOKEN.to_owned(), metrics_server)]) };
        let sound_kubelet = kubelet::Options {
            webhook: Some(webhook),
            ..profile.kubelet(&cluster, scratch.path())?
        };
        let kubelet = StandInKubelet::start(sound_kubelet.clone())?;
        let options =
            Options { profile, tokens, ..Options::new(&cluster, kubelet.address(), policy) };
        let gate = Gate::start(options).await?;
        Ok(Self { gate, kubelet, sound_kubelet, cluster, _scratch: scratch })
    }

    /// Puts a kubelet whose certificate has a flaw in the place of this one.
    pub(crate) async fn replace_kubelet(&mut self, flaw: Flaw) -> anyhow::Result<()> {
        let serving = self.cluster.flawed(Persona::KubeletServingHardened, flaw)?.into();
        self.kubelet.replace(kubelet::Options { serving, ..self.sound_kubelet.clone() })?;
        let connections = "cluster.kubelet-tokens.upstream_cx_active";
        self.gate.admin().wait_for_stat(connections, |count| count == 0).await.map(drop)
    }

    /// Calls the gate with this certificate.
    pub(crate) fn dialer(&self, certificate: Certificate) -> anyhow::Result<Dialer> {
        let apiserver = Persona::ApiserverKubeletClient;
        let identity = match certificate {
            Certificate::Missing => None,
            Certificate::Valid => Some(self.cluster.issue(apiserver)?.into()),
            Certificate::Flawed(flaw) => Some(self.cluster.flawed(apiserver, flaw)?.into()),
        };
        self.gate.dialer(identity.as_ref())
    }
}

/// Everything that is readable, with or without tokens.
pub(crate) fn everything(tokens: bool) -> anyhow::Result<String> {
    let modules = [("policy.rego".to_owned(), ALL.to_owned())].into();
    policy::extension_config(&Written {
        policy: WrittenPolicy { modules, ..WrittenPolicy::default() },
        token_cluster: tokens.then(|| TOKEN_CLUSTER.to_owned()),
        ..Written::default()
    })
}
