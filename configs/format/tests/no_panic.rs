//! No text makes a reader panic, however wrong it is.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use proptest::prelude::*;
use ravelin_config::appliance::Appliance;
use ravelin_config::default_filters::DefaultFilters;
use ravelin_config::source::Source;

/// Lines that are nearly right, since random characters seldom pass the first line of TOML.
fn text() -> impl Strategy<Value = String> {
    let keys = "(name|port|interface|side|zone|workers|cores|count|queue|frames|control|metrics|policy|allow|rule\
        |source|destination|protocol|destination_port|icmp_type|icmp_code|service|services|addresses|action|log\
        |connect|direction|fragments_only|é|\"\")";
    let values = "(\"[a-z0-9./:é-]{0,12}\"|-?[0-9]{1,20}|0x[0-9a-f]{1,9}|true|1\\.5|\\[[0-9, ]{0,6}\\]|\\{\\}\
        |\\{ protocol = \"tcp\", destination_port = \"[0-9-]{1,6}\" \\}|\\[\"(any|a|10\\.0\\.0\\.0/8)\"\\]\
        |\"(any|any6|tcp|icmp|permit|deny|both|inbound|lan|::/0|10\\.0\\.0\\.1)\"|1979-05-27|\"|\\[)";
    let line = format!("(\\[\\[?{keys}\\]?\\]|{keys} = {values}|{keys}\\.{keys} = {values})\n");
    prop_oneof![
        proptest::collection::vec(proptest::string::string_regex(&line).unwrap(), 0..12)
            .prop_map(|l| l.concat()),
        "\\PC{0,80}",
        "[\\[\\]{}=\"'.,#\n\\\\a1é-]{0,60}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn any_text_is_read_or_refused(text in text()) {
        let source = Source::from_text("f.toml", text);
        if let Err(findings) = Appliance::parse(&source) {
            prop_assert!(findings.has_errors());
            findings.render(true);
        }
        if let Err(findings) = DefaultFilters::parse(&source, &[]) {
            prop_assert!(findings.has_errors());
            findings.render(false);
        }
    }
}
