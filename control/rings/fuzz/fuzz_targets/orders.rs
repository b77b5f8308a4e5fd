#![no_main]

use ravelin_rings::acme::Orders;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(orders) = Orders::parse("fuzzed", text) else { return };
    let written = toml::to_string(&orders).expect("written");
    assert_eq!(Orders::parse("written", &written).expect("what we write is read"), orders);
});
