//! The filter in Istio: the shipped manifests, through what istiod and the agent make of them, into
//! real Envoy with the configuration that Istio gives it.
//!
//! ```text
//! manifest       a WasmPlugin, by Istio's schema
//! control_plane  istiod and the agent: a WasmPlugin -> what Envoy gets by ECDS
//! proxy          Envoy, with tests/istio/{sidecar,gateway}.yaml
//! service        what is behind a sidecar
//! caller         who is in front of it
//! ```

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says what is wrong by panicking"
)]

mod caller;
mod control_plane;
mod failures;
mod gateway;
mod manifest;
mod manifests;
mod mesh;
mod paths;
mod proxy;
mod service;
mod sidecar;
