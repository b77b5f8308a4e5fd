//! Every kind of mistake with the words an operator reads: file, line, column, what is wrong, what to do.
//!
//! A case is `=== title`, the file, `---`, and the expected lines. `RAVELIN_BLESS=1` writes what is said now; read the
//! difference before committing it.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::Path;

use ravelin_config::appliance::Appliance;
use ravelin_config::default_filters::DefaultFilters;
use ravelin_config::diagnostic::Findings;
use ravelin_config::source::Source;
use ravelin_contract::name::Name;

#[test]
fn appliance() {
    compare("appliance", |text| match Appliance::parse(&Source::from_text("ravelin.toml", text)) {
        Ok((_, warnings)) => warnings,
        Err(findings) => findings,
    });
}

#[test]
fn default_filters() {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
    compare("default_filters", |text| {
        match DefaultFilters::parse(&Source::from_text("default-filters.toml", text), &zones) {
            Ok((_, warnings)) => warnings,
            Err(findings) => findings,
        }
    });
}

fn compare(name: &str, check: impl Fn(&str) -> Findings) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/mistakes/{name}.txt"));
    let expected = std::fs::read_to_string(&path).unwrap();
    let mut said = String::new();
    for case in expected.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (text, _) = rest.split_once("---\n").unwrap();
        let findings = check(text);
        assert!(!findings.is_empty(), "{title}: nothing was found");
        said += &format!("=== {title}\n{text}---\n{findings}\n\n");
    }
    if std::env::var_os("RAVELIN_BLESS").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    assert_eq!(said, expected, "see {}", path.display());
}
