//! `docs/operating.md` explains every verdict under its own name, and none that does not exist.

use ravelin_contract::verdict::Verdict;

#[test]
fn every_verdict_is_explained_in_operating_md() {
    let text = include_str!("../../../docs/operating.md");
    let headings: Vec<&str> =
        text.lines().filter_map(|l| l.strip_prefix("### `")?.strip_suffix('`')).collect();
    let names: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
    assert_eq!(headings, names);
    for verdict in Verdict::ALL {
        assert!(
            words(text).contains(&words(verdict.meaning())),
            "{} is explained otherwise in the code",
            verdict.name()
        );
    }
}

/// Line breaks differ between the two.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
