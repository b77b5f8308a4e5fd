#![no_main]

mod support;

libfuzzer_sys::fuzz_target!(|data: &[u8]| support::sort(data));
