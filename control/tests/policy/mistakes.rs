//! Every kind of mistake in `ipsec.toml`, `keys.toml`, `attls.toml` and `expect.toml` with the words an operator reads.
//!
//! A case is `=== title`, the file that it is about, `--- keys` and the keys where they matter, `---`, and the expected lines.
//! `RAVELIN_BLESS=1` writes what is said now; read the difference before committing it.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::Path;

use ravelin_config::diagnostic::Findings;
use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_control::policy;
use ravelin_control::policy::files::Files;
use ravelin_control::policy::management::Site;

const KEYS: &str = "[b]
outbound = { key = \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\", salt = \"a0a1a2a3\" }
inbound = { key = \"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffe0e1e2e3e4e5e6e7e8e9eaebecedeeef\", salt = \"b0b1b2b3\" }
";

/// A policy that `attls.toml` lies beside.
const BESIDE: &str = "[[rule]]\nname = \"all\"\naction = \"permit\"\n";

#[test]
fn policy() {
    compare("policy", check);
}

#[test]
fn keys() {
    compare("keys", check);
}

#[test]
fn attls() {
    compare("attls", check_attls);
}

#[test]
fn expect() {
    compare("expect", check_expect);
}

/// What is expected of a small policy, each case for itself.
fn check_expect(expect: &str, _: &str) -> Findings {
    const POLICY: &str = "[[rule]]\nname = \"web\"\ndestination = \"10.1.0.0/24\"\nprotocol = \"tcp\"\n\
                          destination_port = 443\ndirection = \"inbound\"\nzone = \"wan\"\naction = \"permit\"\n\
                          [[rule]]\nname = \"rest\"\nprotocol = \"tcp\"\naction = \"deny\"\n";
    const ATTLS: &str = "[[rule]]\nname = \"off\"\nserver_port = 443\nenabled = \"refuse\"\n";
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
    let files = Files {
        policy: vec![Source::from_text("ipsec.toml", POLICY)],
        keys: None,
        attls: Some(Source::from_text("attls.toml", ATTLS)),
        expect: Some(Source::from_text("expect.toml", expect)),
    };
    files.compile(&Site::with(&zones)).map_or_else(|findings| findings, |compiled| compiled.warnings)
}

fn check_attls(attls: &str, _: &str) -> Findings {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
    let (policy, attls) = (Source::from_text("ipsec.toml", BESIDE), Source::from_text("attls.toml", attls));
    match policy::load_with_tls(&[policy], None, Some(&attls), &Site::with(&zones)) {
        Ok(compiled) => compiled.warnings,
        Err(findings) => findings,
    }
}

fn check(policy: &str, keys: &str) -> Findings {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
    let keys = (keys != "none\n").then(|| Source::from_secret("keys.toml", keys));
    match policy::load(&[Source::from_text("ipsec.toml", policy)], keys.as_ref(), &Site::with(&zones)) {
        Ok(compiled) => compiled.warnings,
        Err(findings) => findings,
    }
}

fn compare(name: &str, check: fn(&str, &str) -> Findings) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/mistakes/{name}.txt"));
    let expected = std::fs::read_to_string(&path).unwrap();
    let mut said = String::new();
    for case in expected.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (text, _) = rest.split_once("---\n").unwrap();
        let (policy, keys) = text.split_once("--- keys\n").unwrap_or((text, KEYS));
        let findings = check(policy, keys);
        assert!(!findings.is_empty(), "{title}: nothing was found");
        assert_no_key(&findings, keys);
        said += &format!("=== {title}\n{text}---\n{findings}\n\n");
    }
    if std::env::var_os("RAVELIN_BLESS").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    assert_eq!(said, expected, "see {}", path.display());
}

/// Nothing that is said, in any form, holds eight digits in a row of any key.
fn assert_no_key(findings: &Findings, keys: &str) {
    let said = format!("{findings} {findings:?} {} {}", findings.render(false), serde_json::json!(findings));
    for text in keys.split('"').skip(1).step_by(2).filter(|text| text.len() >= 8) {
        for part in text.as_bytes().windows(8) {
            let part = std::str::from_utf8(part).unwrap();
            assert!(!said.contains(part), "{part} of a key in: {said}");
        }
    }
}
