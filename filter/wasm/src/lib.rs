//! The filter: proxy-wasm callbacks around `gatelet_core`.
