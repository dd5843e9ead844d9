//! The metrics of the approver. Their names are a contract; its README lists them.

use gatelet_core::csr::{Count, Gauges};
use proxy_wasm::types::{MetricType, Status};

use crate::host::Host;

/// All metrics, from the start: an alert on one that isn't there misses its first change.
#[derive(Debug)]
pub(crate) struct Metrics {
    counts: [u32; COUNTS.len()],
    pending: u32,
    oldest: u32,
    latency: u32,
    loaded: u32,
    accepted: u32,
    rejected: u32,
}

const COUNTS: [(Count, &str); 9] = [
    (Count::Approved, "gatelet_approver_approved"),
    (Count::Denied, "gatelet_approver_denied"),
    (Count::Left, "gatelet_approver_left"),
    (Count::Malformed, "gatelet_approver_malformed"),
    (Count::WouldApprove, "gatelet_approver_would_approve"),
    (Count::WouldDeny, "gatelet_approver_would_deny"),
    (Count::Error, "gatelet_approver_errors"),
    (Count::Conflict, "gatelet_approver_conflicts"),
    (Count::Overflow, "gatelet_approver_overflow"),
];

impl Metrics {
    pub(crate) fn define(host: &impl Host) -> Result<Self, Status> {
        let counter = |name| host.define_metric(MetricType::Counter, name);
        let gauge = |name| host.define_metric(MetricType::Gauge, name);
        let mut counts = [0; COUNTS.len()];
        for (id, (_, name)) in counts.iter_mut().zip(COUNTS) {
            *id = counter(name)?;
        }
        let metrics = Self {
            counts,
            pending: gauge("gatelet_approver_pending")?,
            oldest: gauge("gatelet_approver_oldest_pending_seconds")?,
            latency: host
                .define_metric(MetricType::Histogram, "gatelet_approver_decision_time_ms")?,
            loaded: gauge("gatelet_approver_policy_loaded")?,
            accepted: counter("gatelet_approver_policy_updates.accepted")?,
            rejected: counter("gatelet_approver_policy_updates.rejected")?,
        };
        host.record_metric(metrics.loaded, 0)?;
        Ok(metrics)
    }

    pub(crate) fn count(&self, host: &impl Host, what: Count) -> Result<(), Status> {
        let known = COUNTS.iter().zip(self.counts).find(|((count, _), _)| *count == what);
        known.map_or(Ok(()), |(_, id)| host.increment_metric(id))
    }

    pub(crate) fn latency(&self, host: &impl Host, milliseconds: u64) -> Result<(), Status> {
        host.record_metric(self.latency, milliseconds)
    }

    pub(crate) fn gauges(&self, host: &impl Host, gauges: Gauges) -> Result<(), Status> {
        let Gauges { pending, oldest_seconds } = gauges;
        host.record_metric(self.pending, u64::try_from(pending).unwrap_or(u64::MAX))?;
        host.record_metric(self.oldest, oldest_seconds)
    }

    pub(crate) fn accepted(&self, host: &impl Host) -> Result<(), Status> {
        host.record_metric(self.loaded, 1)?;
        host.increment_metric(self.accepted)
    }

    pub(crate) fn rejected(&self, host: &impl Host) -> Result<(), Status> {
        host.increment_metric(self.rejected)
    }
}
