//! See [`gatelet_fuzz::query`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatelet_fuzz::query::run(data));
