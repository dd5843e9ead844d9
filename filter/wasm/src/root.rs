//! The root context: a configuration is taken whole, or refused with all that is wrong with it.

use std::rc::Rc;

use gatelet_core::{Config, Gate, config::Mode, policy::Builtins};
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::ContextType,
};

use crate::{
    host::{Envoy, Host},
    http::Http,
    ids::Ids,
    metrics::{Metrics, Update},
    peers::Peers,
    posture::{self, Looking},
};

/// What the requests of one configuration share. It goes with its configuration: nothing here is
/// global, as Envoy keeps old and new side by side in one VM while it switches.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) gate: Gate,
    pub(crate) metrics: Metrics,
    pub(crate) peers: Peers,
    pub(crate) ids: Ids,
}

impl Shared {
    pub(crate) fn new(gate: Gate) -> Self {
        Self { gate, metrics: Metrics::default(), peers: Peers::default(), ids: Ids::default() }
    }
}

/// The filter's root context.
#[derive(Debug, Default)]
pub(crate) struct Root {
    shared: Option<Rc<Shared>>,
    looking: Looking,
}

#[cfg(feature = "full-builtins")]
const BUILTINS: Builtins = Builtins::Full;
#[cfg(not(feature = "full-builtins"))]
const BUILTINS: Builtins = Builtins::Standard;

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, size: usize, _trailers: usize) {
        if let Some(shared) = &self.shared {
            self.looking.answered(&Envoy, shared, token, headers, size);
        }
    }
}

impl RootContext for Root {
    /// `false` makes Envoy refuse the configuration: it does not start, or keeps the old one.
    fn on_configure(&mut self, _size: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        #[cfg(feature = "fault-injection")]
        crate::fault::in_configuration(&configuration);
        match configure(&Envoy, &configuration) {
            Ok(shared) => {
                self.shared = Some(Rc::new(shared));
                true
            }
            Err(message) => {
                log::error!("{message}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(shared) = &self.shared {
            self.looking.tick(&Envoy, shared);
        }
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Http::new(Envoy, self.shared.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Reads a configuration and compiles its policy.
fn configure(host: &impl Host, configuration: &[u8]) -> Result<Shared, String> {
    let metrics = Metrics::default();
    let gate = Config::from_json(configuration)
        .map_err(|error| error.to_string())
        .and_then(|config| Gate::new(config, BUILTINS).map_err(|error| error.to_string()));
    let update = if gate.is_ok() { Update::Accepted } else { Update::Rejected };
    if metrics.updated(host, update, configuration).is_err() {
        metrics.failed(host);
    }
    let gate = gate?;
    announce(&gate);
    let shared = Shared { metrics, ..Shared::new(gate) };
    posture::begin(host, &shared)?;
    Ok(shared)
}

fn announce(gate: &Gate) {
    let digest = gate.digest();
    match &gate.config().mode {
        Mode::Enforce => log::info!("policy {digest} is in force"),
        Mode::DryRun { until } => log::warn!(
            "DRY RUN until {until}: what policy {digest} denies is forwarded all the same"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    const GOOD: &[u8] =
        br#"{"policy": {"modules": {"a.rego": "package kubelet.authz\n\ndecision := true"}}}"#;

    #[test]
    fn a_configuration_is_counted_once_and_a_bad_one_leaves_the_gauge() {
        let fake = Fake::default();
        let host = &fake;
        assert!(configure(&host, b"{}").is_err());
        assert_eq!(fake.metric("gatelet_policy_loaded"), None);
        assert_eq!(fake.metric("gatelet_policy_updates.rejected"), Some(1));
        // As each worker does.
        assert!(configure(&host, GOOD).is_ok());
        assert!(configure(&host, GOOD).is_ok());
        assert_eq!(fake.metric("gatelet_policy_updates.accepted"), Some(1));
        assert!(configure(&host, b"{}").is_err());
        assert_eq!(fake.metric("gatelet_policy_loaded"), Some(1));
        assert_eq!(fake.metric("gatelet_policy_updates.rejected"), Some(2));
    }

    #[test]
    fn every_counter_is_there_from_the_start() {
        let fake = Fake::default();
        assert!(configure(&&fake, GOOD).is_ok());
        for name in ["gatelet_errors", "gatelet_malformed_requests"] {
            assert!(fake.names.borrow().iter().any(|known| known == name), "{name}");
        }
    }
}
