//! Real Envoy with the approver's shipped configuration and its module, against a stand-in API server
//! that knows the shipped roles. What is proven here is what nothing else can: that the parts do it
//! together.

mod credentials;
mod decisions;
mod failures;
mod monitoring;
mod presets;
mod replicas;
mod start;
mod support;
