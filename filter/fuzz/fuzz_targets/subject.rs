//! See [`gatelet_fuzz::subject`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatelet_fuzz::subject::run(data));
