//! Versions, cipher suites, key exchange and signatures: which of z/OS's are spoken here.

use ravelin_contract::tls_session::{Suite, Version};

use super::Setting;
use super::effective::Effective;
use super::settings::switch;
use crate::pagent::book::Book;
use crate::pagent::tree::Node;
use crate::write::Value;

/// Key exchange by z/OS's number and by name.
const GROUPS: [(&str, &str, &str); 4] = [
    ("0023", "secp256r1", "secp256r1"),
    ("0024", "secp384r1", "secp384r1"),
    ("0029", "x25519", "x25519"),
    ("4588", "x25519mlkem768", "x25519mlkem768"),
];

/// Signatures by number (RFC 8446 4.2.3) and by z/OS's name.
const SIGNATURES: [(&str, &str, &str); 10] = [
    ("0401", "TLS_SIGALG_SHA256_WITH_RSA", "rsa-pkcs1-sha256"),
    ("0501", "TLS_SIGALG_SHA384_WITH_RSA", "rsa-pkcs1-sha384"),
    ("0601", "TLS_SIGALG_SHA512_WITH_RSA", "rsa-pkcs1-sha512"),
    ("0403", "TLS_SIGALG_SHA256_WITH_ECDSA", "ecdsa-p256-sha256"),
    ("0503", "TLS_SIGALG_SHA384_WITH_ECDSA", "ecdsa-p384-sha384"),
    ("0603", "TLS_SIGALG_SHA512_WITH_ECDSA", "ecdsa-p521-sha512"),
    ("0804", "TLS_SIGALG_SHA256_WITH_RSASSA_PSS", "rsa-pss-sha256"),
    ("0805", "TLS_SIGALG_SHA384_WITH_RSASSA_PSS", "rsa-pss-sha384"),
    ("0806", "TLS_SIGALG_SHA512_WITH_RSASSA_PSS", "rsa-pss-sha512"),
    ("0807", "TLS_SIGALG_ED25519", "ed25519"),
];

/// Reads all of it.
pub(super) fn read<'n>(held: &mut Effective<'n>, rule: &Node, book: &Book<'n>, settings: &mut Vec<Setting>) {
    let versions = versions(held, book);
    let profile = profile(held, book);
    let suites = suites(held, book, profile.is_some());
    if let Some((suites, groups)) = profile {
        settings.push(("versions", Value::list(["1.2"])));
        settings.push(("suites", Value::list(suites.iter().copied())));
        settings.push(("key_exchange", Value::list(groups.iter().copied())));
    } else {
        fit(versions, suites, rule, book, settings);
    }
    let groups = ["ClientECurves", "ClientKeyShareGroups", "ServerKeyShareGroups"];
    let listed: Vec<&Node> = groups.iter().flat_map(|key| held.every(key)).collect();
    let known = settings.iter().any(|(key, _)| *key == "key_exchange");
    let groups = words(&listed, &GROUPS, "key exchange", book);
    if let Some(groups) = groups.filter(|_| !known) {
        settings.push(("key_exchange", Value::list(groups)));
    }
    let listed: Vec<&Node> =
        ["SignaturePairs", "SignaturePairsCert"].iter().flat_map(|key| held.every(key)).collect();
    if let Some(signatures) = words(&listed, &SIGNATURES, "signature", book) {
        settings.push(("signatures", Value::list(signatures)));
    }
}

/// Versions that may be spoken, with where each was said; `None` where nothing is said of those that we speak.
fn versions<'n>(held: &mut Effective<'n>, book: &Book<'n>) -> Option<Vec<(Version, &'n Node)>> {
    for key in ["SSLv3", "TLSv1", "TLSv1.1"] {
        let Some(node) = held.last(key, book) else { continue };
        match switch(node, book) {
            Some(true) => {
                let said = "not spoken here: who knows nothing newer is refused";
                book.approximated(node, said, "have such peers speak TLS 1.2 or 1.3");
            }
            Some(false) => book.exact(node, "never spoken here"),
            None => {}
        }
    }
    let mut written = Vec::new();
    let mut said = false;
    for (key, version) in [("TLSv1.3", Version::Tls13), ("TLSv1.2", Version::Tls12)] {
        let Some(node) = held.last(key, book) else { continue };
        said = true;
        if switch(node, book) == Some(true) {
            written.push((version, node));
        }
    }
    said.then_some(written)
}

/// Suites that are listed and spoken here; `None` where nothing is listed.
fn suites<'n>(held: &mut Effective<'n>, book: &Book<'n>, overruled: bool) -> Option<Vec<(Suite, &'n Node)>> {
    let lines = held.every("V3CipherSuites");
    if overruled {
        lines.iter().for_each(|node| book.ignored(node, "SuiteBProfile says the suites"));
        return None;
    }
    if lines.is_empty() {
        return None;
    }
    let mut found: Vec<(Suite, &Node)> = Vec::new();
    for node in lines {
        let digits = if node.is("V3CipherSuites4Char") { 4 } else { 2 };
        let mut missing = Vec::new();
        for text in cut(node, digits) {
            match suite(&text) {
                Some(suite) if found.iter().any(|(other, _)| *other == suite) => {}
                Some(suite) => found.push((suite, node)),
                None => missing.push(text),
            }
        }
        if node.words.is_empty() {
            book.bad_value(node, "names or numbers of cipher suites");
        } else if missing.is_empty() {
            book.exact(node, "suites");
        } else {
            let said = format!("not spoken here: {}", missing.join(", "));
            book.approximated(node, said, "have peers that know nothing else learn ECDHE with AES-GCM");
        }
    }
    Some(found)
}

/// Versions and suites that go together. A version without a suite was not spoken there, and is not here.
fn fit<'n>(
    versions: Option<Vec<(Version, &'n Node)>>,
    suites: Option<Vec<(Suite, &'n Node)>>,
    rule: &Node,
    book: &Book<'n>,
    settings: &mut Vec<Setting>,
) {
    let Some(mut versions) = versions.filter(|versions| !versions.is_empty()) else {
        let said = "neither TLSv1.2 nor TLSv1.3 is on, which z/OS turns off by itself: both are spoken here, and nothing older";
        book.approximated(rule, said, "turn on what the peers can");
        let listed: Vec<_> = suites.iter().flatten().map(|(suite, _)| suite.name()).collect();
        if !listed.is_empty() {
            settings.push(("suites", Value::list(listed)));
        }
        return;
    };
    if let Some(suites) = suites {
        let of = |version: Version| suites.iter().any(|(suite, _)| suite.version() == version);
        let spoken: Vec<_> = versions.iter().copied().filter(|(version, _)| of(*version)).collect();
        if spoken.is_empty() {
            for (_, node) in &versions {
                let said =
                    "none of the suites listed is spoken here: all of ours are offered, which are stronger";
                book.approximated(node, said, "list suites of TLS 1.3, or ECDHE with AES-GCM");
            }
        } else {
            for (_, node) in versions.iter().filter(|(version, _)| !of(*version)) {
                let said = "no suite of this version is listed, so it is not spoken";
                book.approximated(node, said, "list one, or turn the version off");
            }
            versions = spoken;
            let fitting =
                suites.iter().filter(|(suite, _)| versions.iter().any(|(v, _)| *v == suite.version()));
            settings.push(("suites", Value::list(fitting.map(|(suite, _)| suite.name()))));
        }
    }
    let words = versions.iter().map(|(version, _)| match version {
        Version::Tls13 => "1.3",
        Version::Tls12 => "1.2",
    });
    settings.push(("versions", Value::list(words)));
}

/// A list that stands together, `C02FC030`, or names one by one.
fn cut(node: &Node, digits: usize) -> Vec<String> {
    let pieces = |word: &String| {
        let hex = word.len().is_multiple_of(digits) && word.chars().all(|c| c.is_ascii_hexdigit());
        match hex {
            true => word
                .as_bytes()
                .chunks(digits)
                .map(|part| String::from_utf8_lossy(part).into_owned())
                .collect(),
            false => vec![word.clone()],
        }
    };
    node.words.iter().flat_map(pieces).collect()
}

fn suite(text: &str) -> Option<Suite> {
    let named = Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(text));
    named.or_else(|| u16::from_str_radix(text, 16).ok().and_then(Suite::from_code))
}

/// Our words for what is listed; `None` where nothing is, or nothing that we know.
fn words(
    lines: &[&Node],
    known: &[(&str, &str, &'static str)],
    what: &str,
    book: &Book<'_>,
) -> Option<Vec<&'static str>> {
    let mut found = Vec::new();
    for node in lines {
        let mut missing = Vec::new();
        for text in cut(node, 4) {
            let row =
                known.iter().find(|(number, name, _)| *number == text || name.eq_ignore_ascii_case(&text));
            match row {
                Some((_, _, word)) if found.contains(word) => {}
                Some((_, _, word)) => found.push(*word),
                None => missing.push(text),
            }
        }
        if node.words.is_empty() {
            book.bad_value(node, "names or numbers");
        } else if missing.is_empty() {
            book.exact(node, "");
        } else {
            book.approximated(node, format!("no {what} of ours: {}", missing.join(", ")), "");
        }
    }
    if let (true, Some(node)) = (found.is_empty(), lines.first()) {
        book.approximated(node, format!("no {what} of ours is listed: all of ours are offered"), "");
    }
    (!found.is_empty()).then_some(found)
}

/// Suites and groups of a Suite B profile (RFC 6460); `None` for no profile.
fn profile<'n>(
    held: &mut Effective<'n>,
    book: &Book<'n>,
) -> Option<(&'static [&'static str], &'static [&'static str])> {
    const WEAK: &str = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    const STRONG: &str = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    let node = held.last("SuiteBProfile", book)?;
    let found: (&[_], &[_]) = match node.first().to_ascii_lowercase().as_str() {
        "off" => {
            book.exact(node, "");
            return None;
        }
        "128" => (&[WEAK], &["secp256r1"]),
        "128min" | "all" => (&[WEAK, STRONG], &["secp256r1", "secp384r1"]),
        "192" | "192min" => (&[STRONG], &["secp384r1"]),
        _ => {
            book.bad_value(node, "Off, 128, 128Min, 192, 192Min or All");
            return None;
        }
    };
    book.exact(node, "versions, suites and key_exchange");
    Some(found)
}
