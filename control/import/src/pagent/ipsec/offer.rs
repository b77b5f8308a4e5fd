//! Algorithms of both phases: which of those that are offered we speak.

use super::Setting;
use super::algorithm::{group, hash, key_length, mode, suite};
use crate::pagent::book::Body;
use crate::pagent::tree::Node;
use crate::write::Value;

/// Offers of an `IpDynVpnAction`: mode, algorithms, groups and lifetimes of a tunnel.
pub(super) fn read(action: &Body<'_, '_>) -> Option<Vec<Setting>> {
    let book = action.book;
    let offers: Vec<_> = action.statements("IpDataOffer").into_iter().map(|node| book.open(node)).collect();
    if offers.is_empty() {
        book.refused(action.node, "it has no IpDataOffer", "add one");
        return None;
    }
    let modes: Option<Vec<_>> = offers.iter().map(mode).collect();
    let modes = modes?;
    if let Some(at) = modes.iter().position(|mode| *mode != modes[0]) {
        let said = format!("a tunnel of ours has one mode, that of the first offer: {}", modes[0]);
        book.approximated(offers[at].node, said, "");
    }
    if let Some(node) = action.once(&["HowToEncapIKEv2"]).one() {
        let either = ["either", modes[0]].contains(&node.first().to_ascii_lowercase().as_str());
        match either {
            true => book.exact(node, ""),
            false => book.approximated(node, format!("mode = \"{}\", as the offers say", modes[0]), ""),
        }
    }
    let mut suites: Vec<String> = Vec::new();
    for offer in &offers {
        suites.extend(one_suite(offer).filter(|suite| !suites.contains(suite)));
    }
    let mut settings = vec![("mode", Value::text(modes[0]))];
    // Those with a hash of their own and those without cannot stand in one offer of ours.
    let hashed = |suite: &String| suite.contains("hmac");
    let first = suites.first().map(hashed);
    let fitting: Vec<&String> = suites.iter().filter(|suite| Some(hashed(suite)) == first).collect();
    if fitting.is_empty() {
        let said = "none of its algorithms is spoken here: all of ours are offered, which are stronger";
        book.approximated(action.node, said, "offer AES_GCM_16 or AES_CBC with HMAC_SHA2_256_128");
    } else {
        if fitting.len() < suites.len() {
            let said = "ours are offered of one kind, with or without a hash: as the first";
            book.approximated(action.node, said, "");
        }
        settings.push(("algorithms", Value::list(fitting.into_iter().cloned())));
    }
    settings.push(("pfs", groups(action)));
    settings.extend(lifetime(&offers[0], true).map(|value| ("rekey", value)));
    for offer in &offers[1..] {
        lifetime(offer, true);
    }
    if let Some(node) = action.once(&["VpnLife"]).one() {
        let said = "a tunnel stands as long as policy does, and gets new keys all the time";
        book.approximated(node, said, "");
    }
    Some(settings)
}

fn one_suite(offer: &Body<'_, '_>) -> Option<String> {
    let (encrypt, auth) = (offer.once(&["HowToEncrypt"]).one(), offer.once(&["HowToAuth"]).one());
    let Some(encrypt) = encrypt else {
        offer.book.approximated(offer.node, "an offer without HowToEncrypt is not made", "");
        return None;
    };
    let word = suite(encrypt, auth);
    for node in [Some(encrypt), auth].into_iter().flatten() {
        match &word {
            Some(_) => offer.book.exact(node, "algorithms"),
            None => offer.book.approximated(node, "not spoken here, so it is not offered", ""),
        }
    }
    word
}

/// `pfs`, the group that we begin with first. z/OS does without where nothing is written.
fn groups(action: &Body<'_, '_>) -> Value {
    let begin = action.all().filter(|node| node.is("InitiateWithPfs") || node.is("Pfs"));
    let accept = action.all().filter(|node| node.is("AcceptablePfs"));
    let mut found: Vec<&str> = Vec::new();
    let mut weak = false;
    for node in begin.chain(accept) {
        let word = match node.first() {
            word if word.eq_ignore_ascii_case("none") => Some("none"),
            word => group(word),
        };
        match word {
            Some(word) => {
                action.book.exact(node, "pfs");
                found.extend(Some(word).filter(|word| !found.contains(word)));
            }
            None => {
                weak = true;
                action.book.approximated(
                    node,
                    "not spoken here, so it is not offered",
                    "use Group14 or above",
                );
            }
        }
    }
    match (found.is_empty(), weak) {
        (false, _) => Value::list(found),
        (true, true) => Value::list(["modp2048"]),
        (true, false) => Value::list(["none"]),
    }
}

/// `rekey`, from what is proposed: minutes and kilobytes. `octets` where an SA may end by them.
pub(super) fn lifetime(offer: &Body<'_, '_>, octets: bool) -> Option<Value> {
    let book = offer.book;
    for node in
        offer.all().filter(|node| node.is("RefreshLifetimeAccepted") || node.is("RefreshLifesizeAccepted"))
    {
        book.ignored(node, "in IKEv2 each side renews keys when it likes");
    }
    let mut keys = Vec::new();
    if let Some(node) = offer.once(&["RefreshLifetimeProposed"]).one() {
        match node.first().parse::<u64>() {
            Ok(minutes @ 1..=500_000) => {
                book.exact(node, "rekey");
                keys.push(("seconds", Value::Number(minutes * 60)));
            }
            _ => book.bad_value(node, "a number of minutes"),
        }
    }
    if let Some(node) = offer.once(&["RefreshLifesizeProposed"]).one() {
        match node.first().parse::<u64>() {
            _ if node.first().eq_ignore_ascii_case("none") => book.exact(node, ""),
            Ok(kilobytes @ 1..=4_194_300) if octets => {
                book.exact(node, "rekey");
                keys.push(("octets", Value::Number(kilobytes * 1024)));
            }
            Ok(_) if !octets => book.ignored(node, "IKE itself carries too little for it"),
            _ => book.bad_value(node, "a number of kilobytes up to 4194300, or None"),
        }
    }
    (!keys.is_empty()).then_some(Value::Table(keys))
}

/// Offers of a `KeyExchangeAction`.
pub(super) fn ike(action: &Body<'_, '_>) -> Option<Vec<Setting>> {
    let book = action.book;
    let offers: Vec<_> =
        action.statements("KeyExchangeOffer").into_iter().map(|node| book.open(node)).collect();
    if offers.is_empty() {
        book.refused(action.node, "it has no KeyExchangeOffer", "add one");
        return None;
    }
    let mut lists = Lists::default();
    offers.iter().for_each(|offer| lists.add(offer));
    let mut settings = lists.settings(action);
    settings.extend(lifetime(&offers[0], false).map(|value| ("rekey", value)));
    for offer in &offers[1..] {
        lifetime(offer, false);
    }
    Some(settings)
}

/// What offers of phase 1 list that we speak.
#[derive(Default)]
struct Lists {
    aead: Vec<String>,
    cbc: Vec<String>,
    integrity: Vec<&'static str>,
    prfs: Vec<&'static str>,
    groups: Vec<&'static str>,
    /// The first cipher seals by itself.
    aead_first: Option<bool>,
}

impl Lists {
    fn add(&mut self, offer: &Body<'_, '_>) {
        for node in offer.all() {
            match node.keyword.to_ascii_lowercase().as_str() {
                "howtoencrypt" => self.cipher(node, offer),
                // The hash of IKEv1; in IKEv2 it stands for function and integrity where nothing else does.
                "howtoauthmsgs" => offer.book.ignored(node, "it is for IKEv1, which is not spoken"),
                "howtoverifymsgs" if node.first().eq_ignore_ascii_case("null") => offer.book.exact(node, ""),
                "howtoverifymsgs" => push(hash(node.first()), &mut self.integrity, node, offer),
                "pseudorandomfunction" => push(hash(node.first()), &mut self.prfs, node, offer),
                "dhgroup" => push(group(node.first()), &mut self.groups, node, offer),
                _ => {}
            }
        }
    }

    fn cipher(&mut self, node: &Node, offer: &Body<'_, '_>) {
        let bits = key_length(node);
        let (list, word) = match node.first().to_ascii_uppercase().as_str() {
            "AES_GCM_16" => (&mut self.aead, format!("aes{bits}-gcm16")),
            "AES" | "AES_CBC" => (&mut self.cbc, format!("aes{bits}-cbc")),
            _ => {
                offer.book.approximated(
                    node,
                    "not spoken here, so it is not offered",
                    "use AES_GCM_16 or AES_CBC",
                );
                return;
            }
        };
        if ![128, 256].contains(&bits) {
            offer.book.approximated(node, "keys of this length are not used here", "use 128 or 256");
            return;
        }
        offer.book.exact(node, "ciphers");
        self.aead_first.get_or_insert(word.ends_with("gcm16"));
        if !list.contains(&word) {
            list.push(word);
        }
    }

    fn settings(self, action: &Body<'_, '_>) -> Vec<Setting> {
        let mut settings = Vec::new();
        let mut missing = Vec::new();
        match self.aead_first {
            Some(true) => settings.push(("ciphers", Value::list(self.aead.clone()))),
            Some(false) => {
                settings.push(("ciphers", Value::list(self.cbc.clone())));
                let integrity =
                    if self.integrity.is_empty() { vec!["hmac-sha2-256"] } else { self.integrity };
                settings.push(("integrity", Value::list(integrity)));
            }
            None => missing.push("ciphers"),
        }
        if self.aead_first.is_some() && !self.aead.is_empty() && !self.cbc.is_empty() {
            let said = "ours are offered of one kind, with or without a hash: as the first";
            action.book.approximated(action.node, said, "");
        }
        for (key, list) in [("prfs", self.prfs), ("groups", self.groups)] {
            match list.is_empty() {
                true => missing.push(key),
                false => settings.push((key, Value::list(list))),
            }
        }
        if !missing.is_empty() {
            let said = format!(
                "nothing of ours for {}: all of ours are offered, which are stronger",
                missing.join(", ")
            );
            action.book.approximated(action.node, said, "offer AES, SHA2 and Group14 or above");
        }
        settings
    }
}

fn push(word: Option<&'static str>, list: &mut Vec<&'static str>, node: &Node, offer: &Body<'_, '_>) {
    match word {
        Some(word) => {
            offer.book.exact(node, "");
            list.extend(Some(word).filter(|word| !list.contains(word)));
        }
        None => offer.book.approximated(node, "not spoken here, so it is not offered", ""),
    }
}
