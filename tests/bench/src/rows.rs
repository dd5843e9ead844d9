//! The rows of the table: a variant, how it is reached, and what it is asked.

use gatelet_certs::Cluster;

use crate::process::Process;
use crate::requests::Kind;
use crate::site::{Options, Site, Transport, Upstream};
use crate::variant::Variant;

/// What one row shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) variant: Variant,
    pub(crate) transport: Transport,
    /// Which policy the filter has.
    pub(crate) policy: Policy,
    /// Whether the same request is sent again and again, or another one each time.
    pub(crate) repeats: bool,
}

/// A policy of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Shipped,
    /// Of profile `http`: without certificates, the kubelet's turns everybody away.
    Http,
}

/// All rows. Those of one transport are compared with its first one.
pub(crate) const ROWS: [Row; 14] = [
    Row::new("no filter", Variant::Nothing, Transport::Plain),
    Row::new("no filter, no log", Variant::Bare, Transport::Plain),
    Row::new("RBAC", Variant::Rbac, Transport::Plain),
    Row::new("Lua", Variant::Lua, Transport::Plain),
    Row::new("gatelet, remembered", Variant::Gatelet, Transport::Plain).repeating(),
    Row::new("gatelet, own policy", Variant::Gatelet, Transport::Plain),
    Row::new("ext_authz: yes", Variant::Yes, Transport::Plain),
    Row::new("ext_authz: regorus", Variant::Regorus, Transport::Plain),
    Row::new("no filter", Variant::Nothing, Transport::Mutual),
    Row::new("RBAC", Variant::Rbac, Transport::Mutual),
    Row::new("Lua", Variant::Lua, Transport::Mutual),
    Row::new("gatelet, remembered", Variant::Gatelet, Transport::Mutual).shipped().repeating(),
    Row::new("gatelet, shipped policy", Variant::Gatelet, Transport::Mutual).shipped(),
    Row::new("ext_authz: regorus", Variant::Regorus, Transport::Mutual),
];

impl Row {
    const fn new(name: &'static str, variant: Variant, transport: Transport) -> Self {
        Self { name, variant, transport, policy: Policy::Http, repeats: false }
    }

    const fn shipped(self) -> Self {
        Self { policy: Policy::Shipped, ..self }
    }

    const fn repeating(self) -> Self {
        Self { repeats: true, ..self }
    }

    /// The request that is sent as the `number`th.
    pub(crate) fn request(&self, kind: Kind, number: usize) -> String {
        kind.request(if self.repeats { 0 } else { number })
    }

    /// Whether an answer is right. The peers know nothing of requests with two readings.
    pub(crate) fn expects(&self, kind: Kind, status: u16) -> bool {
        match (self.variant, kind) {
            (_, Kind::Logs | Kind::Exec) => status == 200,
            (Variant::Bare | Variant::Nothing | Variant::Yes, _) => status == 200,
            (Variant::Gatelet, Kind::Malformed) => status == 400,
            (_, Kind::Denied) => status == 403,
            (_, Kind::Malformed) => true,
        }
    }
}

/// A row's Envoy, and the process that it asks.
pub(crate) struct Running {
    pub(crate) row: Row,
    pub(crate) site: Site,
    pub(crate) authorizer: Option<Process>,
}

impl Running {
    /// # Errors
    /// When something doesn't start.
    pub(crate) async fn start(
        row: Row,
        cluster: &Cluster,
        policy: &str,
        upstream: Upstream,
    ) -> anyhow::Result<Self> {
        let authorizer = match row.variant {
            Variant::Yes => Some(Process::authorizer(false)?),
            Variant::Regorus => Some(Process::authorizer(true)?),
            _ => None,
        };
        let site = Site::start(&Options {
            variant: row.variant,
            transport: row.transport,
            upstream,
            cluster,
            policy,
            authorizer: authorizer.as_ref().map(Process::address),
            concurrency: 1,
        })
        .await?;
        Ok(Self { row, site, authorizer })
    }
}
