//! What the approver asks of Envoy, and Envoy's answers.

use std::time::{Duration, SystemTime};

use proxy_wasm::{
    hostcalls,
    types::{BufferType, MapType, MetricType, Status},
};

/// The calls that the approver makes; tests stand in for Envoy here.
pub(crate) trait Host {
    /// The time of day.
    fn now(&self) -> Result<SystemTime, Status>;
    /// Asks for ticks.
    fn tick_every(&self, period: Duration) -> Result<(), Status>;
    /// Sends a request to a cluster, and tells the token that its answer will have.
    fn call(
        &self,
        cluster: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<u32, Status>;
    /// The header lines of the answer that is being delivered.
    fn answer_headers(&self) -> Result<Vec<(String, Vec<u8>)>, Status>;
    /// Its body.
    fn answer_body(&self, size: usize) -> Result<Option<Vec<u8>>, Status>;
    /// A metric by its name.
    fn define_metric(&self, kind: MetricType, name: &str) -> Result<u32, Status>;
    /// Counts.
    fn increment_metric(&self, id: u32) -> Result<(), Status>;
    /// Sets a gauge, or adds a value to a histogram.
    fn record_metric(&self, id: u32, value: u64) -> Result<(), Status>;
}

/// Envoy itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Envoy;

impl Host for Envoy {
    fn now(&self) -> Result<SystemTime, Status> {
        hostcalls::get_current_time()
    }

    fn tick_every(&self, period: Duration) -> Result<(), Status> {
        hostcalls::set_tick_period(period)
    }

    fn call(
        &self,
        cluster: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
        timeout: Duration,
    ) -> Result<u32, Status> {
        hostcalls::dispatch_http_call(cluster, headers.to_vec(), body, Vec::new(), timeout)
    }

    fn answer_headers(&self) -> Result<Vec<(String, Vec<u8>)>, Status> {
        hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders)
    }

    fn answer_body(&self, size: usize) -> Result<Option<Vec<u8>>, Status> {
        hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size)
    }

    fn define_metric(&self, kind: MetricType, name: &str) -> Result<u32, Status> {
        hostcalls::define_metric(kind, name)
    }

    fn increment_metric(&self, id: u32) -> Result<(), Status> {
        hostcalls::increment_metric(id, 1)
    }

    fn record_metric(&self, id: u32, value: u64) -> Result<(), Status> {
        hostcalls::record_metric(id, value)
    }
}
