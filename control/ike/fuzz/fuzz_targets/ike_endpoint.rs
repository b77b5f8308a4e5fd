#![no_main]

#[path = "../../tests/fuzzed/endpoint.rs"]
#[expect(dead_code, reason = "the table of states is a test's")]
mod endpoint;

libfuzzer_sys::fuzz_target!(|data: &[u8]| endpoint::ike_endpoint(data));
