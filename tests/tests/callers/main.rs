//! Who really calls a kubelet, with the requests that were recorded of them, through real Envoy with
//! the shipped configuration.

mod idle;
mod kubectl;
mod profiles;
mod recorded;
mod recording;
mod rights;
mod support;
mod tokens;
