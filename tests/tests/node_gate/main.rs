//! Real Envoy with the shipped configuration and the filter, between real TLS clients and a stand-in
//! kubelet. What is proven here is what nothing else can: that the parts do it together.

mod credentials;
mod decisions;
mod monitoring;
mod mutual_tls;
