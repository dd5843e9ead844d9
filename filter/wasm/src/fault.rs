//! Faults on demand, for the tests: no module that is shipped has the feature `fault-injection`.

use crate::host::Host;

/// Traps when the request has `x-fault` with the name of this place.
pub(crate) fn in_request(host: &impl Host, place: &str) {
    let lines = host.request_headers().unwrap_or_default();
    if lines.iter().any(|(name, value)| name == "x-fault" && value == place.as_bytes()) {
        trap(place);
    }
}

/// Traps when the configuration says `x-fault` anywhere.
pub(crate) fn in_configuration(configuration: &[u8]) {
    if configuration.windows(7).any(|bytes| bytes == b"x-fault") {
        trap("configuration");
    }
}

#[expect(clippy::panic, reason = "a panic is the trap that a mistake would make")]
fn trap(place: &str) -> ! {
    panic!("injected fault: {place}")
}
