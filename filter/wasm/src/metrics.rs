//! The metrics of the filter. Their names are a contract; the README lists them.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use gatelet_core::{
    Reason,
    posture::{Overall, Verdict},
};
use proxy_wasm::types::{MetricType, Status};

use crate::host::Host;

/// The metrics that were needed so far, by name.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    ids: RefCell<HashMap<String, u32>>,
    decisions: RefCell<HashMap<(&'static str, Reason), u32>>,
}

const ERRORS: &str = "gatelet_errors";
const MALFORMED: &str = "gatelet_malformed_requests";

/// What became of a new configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    Accepted,
    Rejected,
}

impl Metrics {
    /// Counts a decision: `gatelet_decisions.<endpoint>.<reason>`, which the shipped configuration
    /// turns into labels, and how long the policy took.
    pub(crate) fn decided(
        &self,
        host: &impl Host,
        endpoint: &'static str,
        reason: Reason,
        evaluation: Duration,
    ) -> Result<(), Status> {
        let known = self.decisions.borrow().get(&(endpoint, reason)).copied();
        let id = match known {
            Some(id) => id,
            None => {
                let name = format!("gatelet_decisions.{endpoint}.{}", reason.as_str());
                let id = host.define_metric(MetricType::Counter, &name)?;
                self.decisions.borrow_mut().insert((endpoint, reason), id);
                id
            }
        };
        host.increment_metric(id)?;
        if reason == Reason::Malformed {
            host.increment_metric(self.id(host, MetricType::Counter, MALFORMED)?)?;
        }
        if !evaluation.is_zero() {
            let name = "gatelet_evaluation_time_us";
            let microseconds = u64::try_from(evaluation.as_micros()).unwrap_or(u64::MAX);
            host.record_metric(self.id(host, MetricType::Histogram, name)?, microseconds)?;
        }
        Ok(())
    }

    /// Counts a call to Envoy, or an evaluation, that failed. Failing at that is of no consequence.
    pub(crate) fn failed(&self, host: &impl Host) {
        if let Ok(id) = self.id(host, MetricType::Counter, ERRORS) {
            let _ = host.increment_metric(id);
        }
    }

    /// Counts a look at the kubelet, and shows what came of it.
    pub(crate) fn looked(&self, host: &impl Host, verdict: &Verdict) -> Result<(), Status> {
        let is_known = verdict.status != Overall::Unknown;
        let name = if is_known { "answered" } else { "failed" };
        let name = format!("gatelet_posture_looks.{name}");
        host.increment_metric(self.id(host, MetricType::Counter, &name)?)?;
        for (name, value) in [
            ("gatelet_posture_known", usize::from(is_known)),
            ("gatelet_posture_failed", verdict.failed.len()),
            ("gatelet_posture_warned", verdict.warned.len()),
        ] {
            let value = u64::try_from(value).unwrap_or(u64::MAX);
            host.record_metric(self.id(host, MetricType::Gauge, name)?, value)?;
        }
        Ok(())
    }

    /// Counts a new configuration once, whichever worker is the first to see it, and shows whether
    /// a policy is loaded. A rejected configuration leaves the gauge as it is.
    pub(crate) fn updated(
        &self,
        host: &impl Host,
        update: Update,
        configuration: &[u8],
    ) -> Result<(), Status> {
        let loaded = self.id(host, MetricType::Gauge, "gatelet_policy_loaded")?;
        // From the start: an alert on a metric that isn't there misses its first change.
        for name in [ERRORS, MALFORMED] {
            self.id(host, MetricType::Counter, name)?;
        }
        let name = match update {
            Update::Accepted => "gatelet_policy_updates.accepted",
            Update::Rejected => "gatelet_policy_updates.rejected",
        };
        let updates = self.id(host, MetricType::Counter, name)?;
        if update == Update::Accepted {
            host.record_metric(loaded, 1)?;
        }
        let mut hasher = DefaultHasher::new();
        configuration.hash(&mut hasher);
        let seen = hasher.finish().to_string();
        if host.exchange_shared("gatelet.configuration", &seen)? {
            host.increment_metric(updates)?;
        }
        Ok(())
    }

    fn id(&self, host: &impl Host, kind: MetricType, name: &str) -> Result<u32, Status> {
        if let Some(&id) = self.ids.borrow().get(name) {
            return Ok(id);
        }
        let id = host.define_metric(kind, name)?;
        self.ids.borrow_mut().insert(name.to_owned(), id);
        Ok(id)
    }
}
