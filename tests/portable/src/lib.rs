//! What tests are written with that run natively and on Node: `#[test]` and files.
//!
//! Node runs what is built for `wasm32-unknown-unknown`, which has neither a test harness nor
//! files. A crate whose tests run there takes `test` from here, by `#[macro_use]` for all of its
//! modules, and files from [`fs`].

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub mod fs;

#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
pub use std::{fs, prelude::v1::test};
#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub use wasm_bindgen_test::wasm_bindgen_test as test;
