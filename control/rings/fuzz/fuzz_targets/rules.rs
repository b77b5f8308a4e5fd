#![no_main]

use std::sync::LazyLock;

use ravelin_rings::certificate::Certificate;
use ravelin_rings::issue::{Plan, Profile, parse_alternative_name, self_sign};
use ravelin_rings::key::{KeyKind, PrivateKey};
use ravelin_rings::map::Rules;
use ravelin_rings::verify::parse_name;

static SUBJECT: LazyLock<Certificate> = LazyLock::new(|| {
    let names = ["dns:gw.example", "ip:192.0.2.1", "email:ops@gw.example", "uri:https://gw.example/x"];
    let names = names.iter().map(|name| parse_alternative_name(name).expect("a name")).collect();
    let subject = parse_name("CN=gw.example,OU=Branch 7,O=Example").expect("a name");
    let plan = Plan::new(subject, names, Profile::Client, 1_800_000_000, 30);
    self_sign(&plan, &PrivateKey::generate(KeyKind::P256).expect("a key")).expect("a certificate")
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(rules) = Rules::parse("fuzzed", text) else { return };
    let found = rules.find(&SUBJECT);
    assert!(found.is_none_or(|found| found.others < rules.rule.len()));
    // What is read can be written, and is read as the same again.
    let written = toml::to_string(&rules).expect("written");
    assert_eq!(Rules::parse("written", &written).expect("what we write is read"), rules);
});
