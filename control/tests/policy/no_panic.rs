//! No policy, no rules for TLS and no file of keys make the compiler panic, and no finding shows a key.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use proptest::prelude::*;
use ravelin_config::source::Source;
use ravelin_control::policy;
use ravelin_control::policy::management::Site;

const POLICY: &str = include_str!("../../../configs/site-to-site/gw-a/ipsec.toml");
const KEYS: &str = include_str!("../../../configs/site-to-site/gw-a/keys.toml");
const BESIDE_TLS: &str = include_str!("../../../configs/tls/ipsec.toml");
const TLS: &str = include_str!("../../../configs/tls/attls.toml");

/// A file with a few of its parts removed, doubled, exchanged or replaced.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let part = "(\n\\[\\[rule\\]\\]\n|action = \"permit\"\n|replay_window = 65\n|mode = \"transport\"\n|\"|=|\\[|\\}|0|é\
        |selectors = [{}]\n|encapsulation = \"udp\"\n|-1|any|\n|\\PC{1,4})";
    let edit = (0..text.len(), 0usize..12, proptest::string::string_regex(part).unwrap(), any::<bool>());
    proptest::collection::vec(edit, 0..6).prop_map(move |edits| {
        let mut text = text.to_owned();
        for (at, length, new, remove) in edits {
            let begin = text.floor_char_boundary(at);
            let end = if remove { text.floor_char_boundary(begin + length) } else { begin };
            text.replace_range(begin..end.max(begin), &new);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_rules_for_tls_are_compiled_or_refused(tls in damaged(TLS)) {
        let (policy, tls) = (Source::from_text("p", BESIDE_TLS), Source::from_text("t", tls));
        match policy::load_with_tls(&[policy], None, Some(&tls), &Site::default()) {
            Ok(compiled) => prop_assert_eq!(compiled.snapshot.check(), Ok(())),
            Err(findings) => prop_assert!(findings.has_errors() && !findings.render(true).is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_text_is_compiled_or_refused(policy in damaged(POLICY), keys in damaged(KEYS)) {
        let (source, secret) = (Source::from_text("p", policy), Source::from_secret("k", keys));
        match policy::load(&[source], Some(&secret), &Site::default()) {
            Ok(compiled) => prop_assert_eq!(compiled.snapshot.check(), Ok(())),
            Err(findings) => {
                prop_assert!(findings.has_errors());
                let said = format!("{findings} {} {findings:?}", findings.render(true));
                for key in KEYS.split('"').filter(|part| part.len() == 64) {
                    prop_assert!(!said.contains(&key[20..40]), "{said}");
                }
            }
        }
    }
}
