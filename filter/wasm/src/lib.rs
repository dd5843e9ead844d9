//! The filter: proxy-wasm callbacks around `gatelet_core`.
//!
//! ```text
//! root.rs     on_configure: a policy, or nothing at all
//! http.rs     one request: read, decide, answer or forward
//! posture.rs  a look at the kubelet every now and then
//! host.rs     the calls to Envoy, bytes only; the one file that names them
//! ```

#![expect(missing_docs, reason = "the SDK's macro makes a public function")]

#[cfg(test)]
mod fake;
#[cfg(feature = "fault-injection")]
mod fault;
mod host;
mod http;
mod ids;
mod metrics;
mod peers;
mod posture;
mod root;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(root::Root::default()));
}}
