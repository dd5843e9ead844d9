//! See [`gatelet_fuzz::csr`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatelet_fuzz::csr::run(data));
