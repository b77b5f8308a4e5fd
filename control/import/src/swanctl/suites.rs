//! Proposals of strongSwan, such as `aes256gcm16-prfsha384-ecp384`, in our words.

use super::Setting;
use super::tree::Section;
use crate::report::Notes;
use crate::write::Value;

/// What one proposal lists.
#[derive(Default)]
struct Proposal {
    ciphers: Vec<(String, bool)>,
    hashes: Vec<&'static str>,
    prfs: Vec<&'static str>,
    groups: Vec<&'static str>,
    /// Words that we do not speak.
    missing: Vec<String>,
}

fn read(text: &str) -> Proposal {
    let mut found = Proposal::default();
    for word in text.split('-').map(str::trim) {
        if let Some((cipher, aead)) = cipher(word) {
            found.ciphers.push((cipher.to_owned(), aead));
        } else if let Some(hash) = hash(word) {
            found.hashes.push(hash);
        } else if let Some(prf) = word.strip_prefix("prf").and_then(hash) {
            found.prfs.push(prf);
        } else if let Some(group) = group(word) {
            found.groups.push(group);
        } else if !["esn", "noesn"].contains(&word) {
            found.missing.push(word.to_owned());
        }
    }
    found
}

/// Our word, and whether it seals by itself.
fn cipher(word: &str) -> Option<(&'static str, bool)> {
    Some(match word {
        "aes256gcm16" | "aes256gcm128" | "aes256gcm" => ("aes256-gcm16", true),
        "aes128gcm16" | "aes128gcm128" | "aes128gcm" => ("aes128-gcm16", true),
        "chacha20poly1305" | "chacha20poly1305compat" => ("chacha20-poly1305", true),
        "aes256gmac" => ("aes256-gmac", true),
        "aes128gmac" => ("aes128-gmac", true),
        "aes256" | "aes256cbc" => ("aes256-cbc", false),
        "aes128" | "aes" | "aes128cbc" => ("aes128-cbc", false),
        "null" => ("null", false),
        _ => return None,
    })
}

fn hash(word: &str) -> Option<&'static str> {
    Some(match word {
        "sha256" | "sha2_256" => "hmac-sha2-256",
        "sha384" | "sha2_384" => "hmac-sha2-384",
        "sha512" | "sha2_512" => "hmac-sha2-512",
        _ => return None,
    })
}

fn group(word: &str) -> Option<&'static str> {
    Some(match word {
        "curve25519" | "x25519" => "curve25519",
        "ecp256" => "ecp256",
        "ecp384" => "ecp384",
        "ecp521" => "ecp521",
        "modp2048" => "modp2048",
        "modp3072" => "modp3072",
        "modp4096" => "modp4096",
        _ => return None,
    })
}

/// Those of our kind that the first proposal which we speak begins.
fn proposals(section: &Section<'_>, key: &str, notes: &Notes) -> Vec<Proposal> {
    let Some(entry) = section.value(key) else { return Vec::new() };
    let read: Vec<Proposal> = entry.value.split(',').map(|text| read(text.trim())).collect();
    let default = entry.value.trim() == "default";
    let missing: Vec<String> = read.iter().flat_map(|proposal| proposal.missing.clone()).collect();
    let usable: Vec<Proposal> = read
        .into_iter()
        .filter(|proposal| proposal.missing.is_empty() && !proposal.ciphers.is_empty())
        .collect();
    let aead = usable.first().is_some_and(|proposal| proposal.ciphers[0].1);
    let all = usable.len();
    let kept: Vec<Proposal> = usable
        .into_iter()
        .filter(|proposal| proposal.ciphers.iter().all(|(_, by_itself)| *by_itself == aead))
        .collect();
    match (default, missing.is_empty(), kept.len() == all && !kept.is_empty()) {
        (true, ..) => notes.approximated(&entry.place, &entry.shown(), "our own defaults", ""),
        (_, true, true) => notes.exact(&entry.place, &entry.shown(), ""),
        _ if kept.is_empty() => {
            let said = "nothing of it is spoken here: all of ours are offered, which are stronger";
            notes.approximated(&entry.place, &entry.shown(), said, "");
        }
        _ => {
            let said = format!(
                "proposals that are not spoken here, or of another kind than the first, are left out: {}",
                missing.join(", ")
            );
            notes.approximated(&entry.place, &entry.shown(), said, "");
        }
    }
    kept
}

fn once<T: PartialEq>(list: impl IntoIterator<Item = T>) -> Vec<T> {
    list.into_iter().fold(Vec::new(), |mut found, one| {
        if !found.contains(&one) {
            found.push(one);
        }
        found
    })
}

/// `ciphers`, `integrity`, `prfs` and `groups` of a connection.
pub(super) fn ike(section: &Section<'_>, notes: &Notes) -> Vec<Setting> {
    let kept = proposals(section, "proposals", notes);
    let kept: Vec<&Proposal> =
        kept.iter().filter(|one| one.ciphers.iter().all(|(word, _)| is_ike(word))).collect();
    if kept.is_empty() {
        return Vec::new();
    }
    let aead = kept[0].ciphers[0].1;
    let mut settings = Vec::new();
    let ciphers = once(kept.iter().flat_map(|one| one.ciphers.iter().map(|(word, _)| word.clone())));
    settings.push(("ciphers", Value::list(ciphers)));
    let hashes = once(kept.iter().flat_map(|one| one.hashes.iter().copied()));
    // Where no function is named, it is that of the hash.
    let prfs = once(
        kept.iter().flat_map(|one| if one.prfs.is_empty() { &one.hashes } else { &one.prfs }.iter().copied()),
    );
    if !aead {
        settings
            .push(("integrity", Value::list(if hashes.is_empty() { vec!["hmac-sha2-256"] } else { hashes })));
    }
    let groups = once(kept.iter().flat_map(|one| one.groups.iter().copied()));
    for (key, list) in [("prfs", prfs), ("groups", groups)] {
        if !list.is_empty() {
            settings.push((key, Value::list(list)));
        }
    }
    settings
}

fn is_ike(word: &str) -> bool {
    !word.ends_with("gmac") && word != "null"
}

/// `algorithms` and `pfs` of a child. Without a group strongSwan has no PFS.
pub(super) fn esp(section: &Section<'_>, notes: &Notes) -> Vec<Setting> {
    let kept = proposals(section, "esp_proposals", notes);
    if kept.is_empty() {
        return Vec::new();
    }
    let suites = once(kept.iter().flat_map(|one| {
        one.ciphers.iter().flat_map(|(word, aead)| match (aead, one.hashes.is_empty()) {
            (true, _) => vec![word.clone()],
            (false, true) => vec![format!("{word}-hmac-sha2-256")],
            (false, false) => one.hashes.iter().map(|hash| format!("{word}-{hash}")).collect(),
        })
    }));
    let groups = once(
        kept.iter().flat_map(|one| if one.groups.is_empty() { vec!["none"] } else { one.groups.clone() }),
    );
    vec![("algorithms", Value::list(suites)), ("pfs", Value::list(groups))]
}
