#![no_main]

mod judge;

libfuzzer_sys::fuzz_target!(|data: &[u8]| assert!(!judge::believed(Some(data), None)));
