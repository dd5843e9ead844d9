//! See [`gatelet_fuzz::websocket`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gatelet_fuzz::websocket::run(data));
