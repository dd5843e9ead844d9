//! The approver: proxy-wasm callbacks around `gatelet_core::csr`'s controller, as an Envoy singleton.
//!
//! ```text
//! root.rs      ticks and answers go to the controller, its calls to Envoy's clusters
//! settings.rs  the configuration, asked for again and again
//! metrics.rs   what is counted
//! host.rs      the calls to Envoy, bytes only; the one file that names them
//! ```

#![expect(missing_docs, reason = "the SDK's macro makes a public function")]

#[cfg(test)]
mod fake;
mod host;
mod metrics;
mod root;
mod settings;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(root::Root::new(host::Envoy)));
}}
