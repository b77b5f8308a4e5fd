//! The catalogue is whole: `docs/messages.md` says what it says, every entry is emitted somewhere and produced by some test.
//!
//! `RAVELIN_BLESS=1` writes `docs/messages.md`; read the difference before committing it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ravelin_events::catalogue::{all, find};
use ravelin_events::{Entry, glossary, markdown};

/// What no test produces yet. Who writes such a test takes its line out: a line too many fails, too.
const NOT_PRODUCED: &[&str] = &[
    "RVL-MEMORY-NOT-LOCKED",
    "RVL-PACKETS-NOT-LOCKED",
    "RVL-DOOR-FAILED",
    "RVL-CONTRACT-FULL",
    "RVL-CONTRACT-ENDED",
    "RVL-NO-THREAD",
    "RVL-WORKER-NOT-PINNED",
    "RVL-POLICY-STALE",
    "RVL-POLICY-STAGED",
    "RVL-POLICY-INTERRUPTED",
    "RVL-POLICY-UNREADABLE",
    "RVL-POLICY-NOT-PRUNED",
    "RVL-POLICY-NOT-CONFIRMED",
    "RVL-POLICY-NOT-TAKEN-BACK",
    "RVL-POLICY-NOT-WATCHED",
    "RVL-POLICY-FILES-DIFFER",
    "RVL-POLICY-FILES-BAD",
    "RVL-POLICY-RING",
    "RVL-LOCK-OUT-NOT-ASKED",
    "RVL-DATAPLANE-UNSURE",
    "RVL-SA-NOT-REMOVED",
    "RVL-NUMBERS-NOT-RESERVED",
    "RVL-NUMBERS-NOT-KEPT",
    "RVL-NO-DEFAULT-FILTERS",
    "RVL-PORT-DISAGREES",
    "RVL-INTERFACE-STALE",
    "RVL-INTERFACE-UNREAD",
    "RVL-HOST-DETACHED",
    "RVL-HOST-CUT-OFF",
    "RVL-HOST-ROUTES",
    "RVL-NETLINK-FAILED",
    "ike.failed",
    "ike.peer_replaced",
    "RVL-IKE-LINK",
    "RVL-IKE-INSTALL",
    "RVL-IKE-IDENTITY",
    "RVL-IKE-RECORDS",
    "RVL-IKE-RECORD-REFUSED",
    "RVL-IKE-RINGS",
    "RVL-IKE-ADDRESSES",
    "RVL-IKE-SOCKET",
    "RVL-IKE-ASSIGNED",
    "RVL-IKE-NOT-SEALED",
    "RVL-KEY-LOG",
    "RVL-KEY-LOG-REFUSED",
    "RVL-TLS-REVOCATION",
    "RVL-RING-BROKEN",
    "RVL-ANCHOR-REFUSED",
    "RVL-CERT-NOT-RENEWED",
    "RVL-REVOCATION-SOURCE",
    "RVL-IMPORT-REFUSED",
    "RVL-IMPORT-APPROXIMATED",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies in the workspace")
        .to_owned()
}

/// Every file of the workspace that ends so, with its text.
fn files(end: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in ["configs", "control", "dataplane", "perf"] {
        collect(&root().join(part), end, &mut found);
    }
    found
}

fn collect(folder: &Path, end: &str, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        if path.is_dir() && !name.ends_with("/target") && !name.ends_with("/corpus") {
            collect(&path, end, found);
        } else if name.ends_with(end) {
            found.push((name, fs::read_to_string(&path).expect("text")));
        }
    }
}

/// What is compiled into the product, without tests and without the catalogue itself.
fn product() -> String {
    let all = files(".rs").into_iter().filter(|(name, _)| {
        name.contains("/src/")
            && !name.starts_with("configs/events/src/catalogue/")
            && !name.contains("/tests")
    });
    all.map(|(_, text)| text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned())
        .collect()
}

/// What only tests hold: their programs, their modules, and the files that they compare with.
fn tests() -> String {
    // The tests of the log emit whatever comes to hand: that proves nothing but of its own codes.
    let own = "RVL-LOG-SUPPRESSED RVL-LOG-LOST ".to_owned();
    let programs = files(".rs").into_iter().filter(|(name, _)| !name.starts_with("configs/events/")).map(
        |(name, text)| match name.contains("/tests") && !name.contains("/src/") || name.ends_with("/tests.rs")
        {
            true => text,
            false => text
                .split_once("#[cfg(test)]\nmod tests {")
                .map(|(_, rest)| rest.to_owned())
                .unwrap_or_default(),
        },
    );
    programs.chain(files(".txt").into_iter().map(|(_, text)| text)).chain([own]).collect()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.' | ':')).collect()
}

#[test]
fn the_document_says_what_the_catalogue_says() {
    let path = root().join("docs/messages.md");
    let made = markdown::document();
    if std::env::var_os("RAVELIN_BLESS").is_some() {
        fs::write(&path, &made).expect("written");
    }
    assert!(fs::read_to_string(&path).expect("docs/messages.md") == made, "run with RAVELIN_BLESS=1");
}

#[test]
fn codes_and_names_are_their_own_and_fit_syslog() {
    let mut seen = BTreeSet::new();
    for Entry { name, code, .. } in all() {
        assert!(seen.insert(*code) && seen.insert(*name), "{code} stands twice");
        assert!(code.len() <= 32 && code.bytes().all(|c| c.is_ascii_graphic()), "{code}: RFC 5424 6.2.7");
        assert_eq!(find(&code.to_lowercase()).map(|entry| entry.code), Some(*code));
    }
}

#[test]
fn every_entry_reads_well() {
    for Entry { code, says, cause, remedy, .. } in all() {
        assert!(!says.is_empty() && !says.ends_with('.'), "{code}: {says}");
        for sentence in [cause, remedy] {
            assert!(sentence.len() > 15 && sentence.ends_with('.'), "{code}: {sentence}");
            assert!(sentence.starts_with(|c: char| c.is_uppercase() || c == '`'), "{code}: {sentence}");
        }
    }
}

#[test]
fn every_field_has_a_meaning_and_none_is_left_over() {
    let used: BTreeSet<_> = all().flat_map(|entry| entry.fields).copied().collect();
    let known: Vec<_> = glossary::FIELDS.iter().map(|(name, _)| *name).collect();
    assert!(known.is_sorted(), "the glossary is searched by halves");
    assert_eq!(used, known.into_iter().collect());
}

#[test]
fn every_entry_is_emitted() {
    let product = product();
    let words: BTreeSet<_> = product.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let silent: Vec<_> = all().map(|entry| entry.name).filter(|name| !words.contains(name)).collect();
    assert_eq!(silent, Vec::<&str>::new(), "nobody emits these: take them out");
}

#[test]
fn every_entry_is_produced_by_a_test() {
    let tests = tests();
    let words = words(&tests);
    let ike = fs::read_to_string(root().join("control/ike/src/event.rs")).expect("the codes of IKE");
    let variant = |entry: &Entry| {
        let line =
            ike.lines().find(|line| line.trim_end_matches(',').ends_with(&format!(" = {}", entry.name)))?;
        Some(format!("Code::{}", line.split_whitespace().next()?))
    };
    let is_produced = |entry: &Entry| {
        words.contains(entry.code) || variant(entry).is_some_and(|variant| words.contains(variant.as_str()))
    };
    let missing: Vec<_> = all().filter(|entry| !is_produced(entry)).map(|entry| entry.code).collect();
    assert_eq!(missing, NOT_PRODUCED, "on the left: codes that no test produces, in order of the catalogue");
}
