//! Algorithms by z/OS's words, and tunnels with keys written by hand.

use super::Setting;
use super::action::{Tunnel, outer, single};
use crate::pagent::book::Body;
use crate::pagent::tree::Node;
use crate::write::Value;

/// A suite of a child by our word; `None` for what we do not speak. AH has no encryption and no word here.
pub(super) fn suite(encrypt: &Node, auth: Option<&Node>) -> Option<String> {
    let integrity = match auth {
        None => None,
        Some(node) => {
            let esp = node.first().eq_ignore_ascii_case("esp");
            let named = if esp { node.words.get(1) } else { node.words.first() };
            if node.first().eq_ignore_ascii_case("ah") {
                return None;
            }
            Some(named?.to_ascii_uppercase())
        }
    };
    let integrity = integrity.filter(|word| word != "NULL");
    let cipher = encrypt.first().to_ascii_uppercase();
    let bits = key_length(encrypt);
    match (cipher.as_str(), bits, integrity.as_deref()) {
        ("AES_GCM_16", 128 | 256, None) => Some(format!("aes{bits}-gcm16")),
        ("AES" | "AES_CBC", 128 | 256, Some(word)) => Some(format!("aes{bits}-cbc-{}", hash(word)?)),
        ("DONOT" | "NULL", _, Some("AES_GMAC_128")) => Some("aes128-gmac".to_owned()),
        ("DONOT" | "NULL", _, Some("AES_GMAC_256")) => Some("aes256-gmac".to_owned()),
        ("DONOT" | "NULL", _, Some(word)) => Some(format!("null-{}", hash(word)?)),
        _ => None,
    }
}

/// `AES_CBC KeyLength 256`; 128 where nothing is written.
pub(super) fn key_length(node: &Node) -> u32 {
    let after = node.words.iter().skip_while(|word| !word.eq_ignore_ascii_case("KeyLength")).nth(1);
    after.and_then(|word| word.parse().ok()).unwrap_or(128)
}

/// Hashes that we use.
pub(super) fn hash(word: &str) -> Option<&'static str> {
    match word.to_ascii_uppercase().as_str() {
        "HMAC_SHA2_256_128" | "HMAC_SHA2_256" | "SHA2_256" => Some("hmac-sha2-256"),
        "HMAC_SHA2_384_192" | "HMAC_SHA2_384" | "SHA2_384" => Some("hmac-sha2-384"),
        "HMAC_SHA2_512_256" | "HMAC_SHA2_512" | "SHA2_512" => Some("hmac-sha2-512"),
        _ => None,
    }
}

/// Groups of Diffie-Hellman that we use.
pub(super) fn group(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "group14" => Some("modp2048"),
        "group15" => Some("modp3072"),
        "group16" => Some("modp4096"),
        "group19" => Some("ecp256"),
        "group20" => Some("ecp384"),
        "group21" => Some("ecp521"),
        "group31" => Some("curve25519"),
        _ => None,
    }
}

/// An `IpManVpnAction`. Its keys are not taken over.
pub(super) fn manual(body: &Body<'_, '_>, name: &str) -> Option<Tunnel> {
    let book = body.book;
    let before = book.notes.refusals();
    if super::switch(body, "Active") == Some(false) {
        let node = body.once(&["Active"]).one();
        let remedy = "write Active Yes, or take the rule out";
        node.into_iter().for_each(|node| book.refused(node, "tunnels of ours are active", remedy));
    }
    // What does not hold at all times was told.
    let _ = crate::pagent::condition::always(body);
    let local = single(body, &["LocalSecurityEndpointAddr"], "LocalSecurityEndpointAddrRef");
    let remote = single(body, &["RemoteSecurityEndpointAddr"], "RemoteSecurityEndpointAddrRef");
    let mode = mode(body);
    let algorithm = match (body.once(&["HowToEncrypt"]).one(), body.once(&["HowToAuth"]).one()) {
        (Some(encrypt), auth) => {
            let word = suite(encrypt, auth);
            for node in [Some(encrypt), auth].into_iter().flatten() {
                match &word {
                    Some(word) => book.exact(node, format!("algorithm = \"{word}\"")),
                    None => {
                        let remedy = "use AES_CBC with HMAC_SHA2_256_128, by ESP";
                        book.refused(node, "such packets are not sealed here", remedy);
                    }
                }
            }
            word
        }
        (None, _) => {
            book.refused(body.node, "it does not say HowToEncrypt", "add it");
            None
        }
    };
    let (inbound, outbound) = (spi(body, "In"), spi(body, "Out"));
    if book.notes.refusals() != before {
        return None;
    }
    let mut settings = vec![("local", Value::text(local?)), ("remote", Value::text(remote?))];
    let tunnel = mode == Some("tunnel");
    settings.push(("mode", Value::text(mode?)));
    settings.extend(outer(body).into_iter().filter(|_| tunnel));
    // Numbers of 32 bits and no window: z/OS knows neither extended numbers nor anti-replay for manual SAs.
    settings.push(("extended_sequence", Value::Flag(false)));
    settings.push(("replay_window", Value::Number(0)));
    let manual: Vec<Setting> = vec![
        ("algorithm", Value::text(algorithm?)),
        ("outbound_spi", Value::Number(outbound?)),
        ("inbound_spi", Value::Number(inbound?)),
        ("keys", Value::text(name)),
    ];
    Some(Tunnel { name: name.to_owned(), peer: None, settings, manual, identity: None })
}

/// Tunnel or transport.
pub(super) fn mode(body: &Body<'_, '_>) -> Option<&'static str> {
    let Some(node) = body.once(&["HowToEncap"]).one() else { return Some("transport") };
    let mode = match node.first().to_ascii_lowercase().as_str() {
        "tunnel" => "tunnel",
        "transport" => "transport",
        _ => {
            body.book.bad_value(node, "Tunnel or Transport");
            return None;
        }
    };
    body.book.exact(node, "mode");
    Some(mode)
}

/// The SPI of a direction. What stands behind it is a key, and is never shown.
fn spi(body: &Body<'_, '_>, way: &str) -> Option<u64> {
    let keys = [format!("Auth{way}boundSa"), format!("Encrypt{way}boundSa")];
    let mut found = None;
    for node in body.all().filter(|node| keys.iter().any(|key| node.is(key))) {
        let hexadecimal = node.first().strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16).ok());
        let number = hexadecimal.unwrap_or_else(|| node.first().parse().ok());
        match number.filter(|number| (256..=u64::from(u32::MAX)).contains(number)) {
            Some(number) if found.is_none_or(|other| other == number) => {
                let said = "the SPI is taken over; the key is not";
                let remedy = "write the keys into keys.toml, under the name of the rule";
                body.book.notes.approximated(&node.place, &node.keyword, said, remedy);
                found = Some(number);
            }
            _ => {
                let remedy = "write one SPI from 256 on for both keys of a direction";
                body.book.notes.refused(
                    &node.place,
                    &node.keyword,
                    "the SPI is not one that an SA can have",
                    remedy,
                );
                return None;
            }
        }
    }
    if found.is_none() {
        body.book.refused(
            body.node,
            format!("it has no SPI for {way}bound packets"),
            "add the SAs of both directions",
        );
    }
    found
}
