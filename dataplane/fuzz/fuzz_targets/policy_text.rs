//! `ipsec.toml`: what compiles can be installed.
#![no_main]

use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_control::policy;
use ravelin_control::policy::management::Site;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let zones: Vec<Name> = ["lan", "wan"].into_iter().filter_map(|zone| Name::new(zone).ok()).collect();
    match policy::load(&[Source::from_text("ipsec.toml", text)], None, &Site::with(&zones)) {
        Ok(compiled) => assert_eq!(compiled.snapshot.check(), Ok(())),
        Err(found) => assert!(!found.render(false).is_empty()),
    }
});
