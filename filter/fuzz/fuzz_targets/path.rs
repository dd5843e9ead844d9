//! See [`gatelet_fuzz::path`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatelet_fuzz::path::run(data));
