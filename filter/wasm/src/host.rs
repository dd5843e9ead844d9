//! What the filter asks of Envoy, and Envoy's answers.
//!
//! Headers and properties are read as bytes: the SDK's calls that return text panic on any other,
//! and callers choose those bytes.

use std::time::{Duration, SystemTime};

use proxy_wasm::{
    hostcalls,
    types::{BufferType, MapType, MetricType, Status},
};

/// The calls that the filter makes while it decides; tests stand in for Envoy here.
pub(crate) trait Host {
    /// The request's header lines, pseudo headers first.
    fn request_headers(&self) -> Result<Vec<(String, Vec<u8>)>, Status>;
    /// A property of the connection; `None` if there is no such thing.
    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, Status>;
    /// The time of day.
    fn now(&self) -> Result<SystemTime, Status>;
    /// Takes all lines of a name out of the request.
    fn remove_request_header(&self, name: &str) -> Result<(), Status>;
    /// Leaves the decision's record for the access log: `%FILTER_STATE(wasm.gatelet:PLAIN)%`.
    fn set_record(&self, record: &str) -> Result<(), Status>;
    /// Answers the request instead of forwarding it.
    fn reply(&self, status: u32, body: &str) -> Result<(), Status>;
    /// A metric by its name; the same name is the same metric in every worker.
    fn define_metric(&self, kind: MetricType, name: &str) -> Result<u32, Status>;
    /// Counts.
    fn increment_metric(&self, id: u32) -> Result<(), Status>;
    /// Sets a gauge, or adds a value to a histogram.
    fn record_metric(&self, id: u32, value: u64) -> Result<(), Status>;
    /// Keeps a value that all workers share, and tells whether it is another one than before.
    fn exchange_shared(&self, key: &str, value: &str) -> Result<bool, Status>;
    /// Asks for ticks, in place of those asked for before.
    fn tick_every(&self, period: Duration) -> Result<(), Status>;
    /// Sends a request without a body to a cluster, and tells the token that its answer will have.
    fn call(
        &self,
        cluster: &str,
        headers: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<u32, Status>;
    /// The header lines of the answer that is being delivered.
    fn answer_headers(&self) -> Result<Vec<(String, Vec<u8>)>, Status>;
    /// Its body.
    fn answer_body(&self, size: usize) -> Result<Option<Vec<u8>>, Status>;
}

/// Envoy itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Envoy;

impl Host for Envoy {
    fn request_headers(&self) -> Result<Vec<(String, Vec<u8>)>, Status> {
        hostcalls::get_map_bytes(MapType::HttpRequestHeaders)
    }

    fn property(&self, path: &[&str]) -> Result<Option<Vec<u8>>, Status> {
        hostcalls::get_property(path.to_vec())
    }

    fn now(&self) -> Result<SystemTime, Status> {
        hostcalls::get_current_time()
    }

    fn remove_request_header(&self, name: &str) -> Result<(), Status> {
        hostcalls::remove_map_value(MapType::HttpRequestHeaders, name)
    }

    fn set_record(&self, record: &str) -> Result<(), Status> {
        hostcalls::set_property(vec!["gatelet"], Some(record.as_bytes()))
    }

    fn reply(&self, status: u32, body: &str) -> Result<(), Status> {
        let headers = vec![("content-type", "text/plain; charset=utf-8")];
        hostcalls::send_http_response(status, headers, Some(body.as_bytes()))
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

    fn exchange_shared(&self, key: &str, value: &str) -> Result<bool, Status> {
        let (old, version) = hostcalls::get_shared_data(key)?;
        if old.is_some_and(|old| old == value.as_bytes()) {
            return Ok(false);
        }
        match hostcalls::set_shared_data(key, Some(value.as_bytes()), version) {
            Ok(()) => Ok(true),
            // Another worker was first.
            Err(Status::CasMismatch) => Ok(false),
            Err(status) => Err(status),
        }
    }

    fn tick_every(&self, period: Duration) -> Result<(), Status> {
        hostcalls::set_tick_period(period)
    }

    fn call(
        &self,
        cluster: &str,
        headers: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<u32, Status> {
        hostcalls::dispatch_http_call(cluster, headers.to_vec(), None, Vec::new(), timeout)
    }

    fn answer_headers(&self) -> Result<Vec<(String, Vec<u8>)>, Status> {
        hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders)
    }

    fn answer_body(&self, size: usize) -> Result<Option<Vec<u8>>, Status> {
        hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size)
    }
}
