//! `attls.toml` beside a policy: what compiles can be installed.
#![no_main]

use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_control::policy;
use ravelin_control::policy::management::Site;

const POLICY: &str = "[[rule]]\nname = \"all\"\naction = \"permit\"\n[addresses]\nlan = \"10.1.0.0/16\"\n";

libfuzzer_sys::fuzz_target!(|text: &str| {
    let zones: Vec<Name> = ["lan", "wan"].into_iter().filter_map(|zone| Name::new(zone).ok()).collect();
    let (policy, attls) = (Source::from_text("ipsec.toml", POLICY), Source::from_text("attls.toml", text));
    match policy::load_with_tls(&[policy], None, Some(&attls), &Site::with(&zones)) {
        Ok(compiled) => assert_eq!(compiled.snapshot.check(), Ok(())),
        Err(found) => assert!(!found.render(false).is_empty()),
    }
});
