//! Real Envoy with the shipped configuration and the filter, between real TLS clients and a stand-in
//! kubelet. What is proven here is what nothing else can: that the parts do it together.

mod decisions;
mod failures;
mod monitoring;
mod mutual_tls;
mod policy_updates;
mod start_and_stop;
