//! Options of a service as settings of ours.

use ravelin_contract::tls_session::{Suite, Version};

use super::Said;
use super::text::Entry;
use crate::report::Notes;
use crate::write::Value;

type Setting = (&'static str, Value);

/// Options that say how stunnel itself runs.
const ITS_OWN: [&str; 24] = [
    "pid",
    "setuid",
    "setgid",
    "chroot",
    "foreground",
    "debug",
    "output",
    "log",
    "syslog",
    "socket",
    "service",
    "RNDfile",
    "RNDbytes",
    "RNDoverwrite",
    "TIMEOUTbusy",
    "TIMEOUTclose",
    "TIMEOUTconnect",
    "TIMEOUTidle",
    "delay",
    "logId",
    "retry",
    "session",
    "sessionCacheSize",
    "sessionCacheTimeout",
];

/// Suites of TLS 1.2 by OpenSSL's names.
const OPENSSL: [(&str, u16); 6] = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", 0xc02b),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", 0xc02c),
    ("ECDHE-RSA-AES128-GCM-SHA256", 0xc02f),
    ("ECDHE-RSA-AES256-GCM-SHA384", 0xc030),
    ("ECDHE-RSA-CHACHA20-POLY1305", 0xcca8),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", 0xcca9),
];

const CURVES: [(&str, &str); 6] = [
    ("X25519", "x25519"),
    ("P-256", "secp256r1"),
    ("prime256v1", "secp256r1"),
    ("P-384", "secp384r1"),
    ("secp384r1", "secp384r1"),
    ("X25519MLKEM768", "x25519mlkem768"),
];

/// How TLS is spoken; `None` where nothing can be said.
pub(super) fn read(said: &Said<'_>, client: bool) -> Option<Vec<Setting>> {
    let role = if client { "client" } else { "server" };
    let mut settings = vec![("role", Value::text(role))];
    match (said.get("cert").or(said.get("pkcs12")), client) {
        (Some(option), _) => settings.push(("certificate", Value::text(ring(option, said)?))),
        (None, true) => {}
        (None, false) => {
            let service = said.service;
            said.notes.refused(&service.place, &service.name, "it has no cert", "add cert = FILE");
            return None;
        }
    }
    if let Some(option) = said.get("key") {
        said.notes.ignored(&option.place, &option.shown(), "a ring has certificate and key together");
    }
    trust(said, client, &mut settings);
    if client {
        names(said, &mut settings);
    } else {
        no_names(said);
    }
    protocol(said, client, &mut settings);
    lists(said, &mut settings);
    Some(settings)
}

/// A ring with the name of the file.
fn ring(option: &Entry, said: &Said<'_>) -> Option<String> {
    let file = option.value.rsplit('/').next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let fits = |c: char| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '-' };
    let name: String = stem.trim_start_matches('.').chars().take(64).map(fits).collect();
    if name.is_empty() {
        said.refused(option, "it names no file", "write the path of a file");
        return None;
    }
    let remedy = format!("ravelin ring create {name}, and ravelin cert import {name} FILE");
    said.approximated(option, &format!("the ring `{name}`, which has to be made here"), &remedy);
    Some(name)
}

/// Whom we believe, and what clients must show.
fn trust(said: &Said<'_>, client: bool, settings: &mut Vec<Setting>) {
    let authorities = said.get("CAfile").or(said.get("CApath"));
    let chain = said.flag("verifyChain").unwrap_or(false);
    let mut level = if chain { 2 } else { 0 };
    if let Some(option) = said.get("verify") {
        match option.value.parse::<u8>() {
            Ok(number @ 0..=2) => {
                said.exact(option, "");
                level = level.max(number);
            }
            _ => said.refused(option, "certificates are judged by their chains", "write verifyChain = yes"),
        }
    }
    if said.flag("verifyPeer") == Some(true)
        && let Some(option) = said.get("verifyPeer")
    {
        said.refused(option, "certificates are judged by their chains", "write verifyChain = yes and CAfile");
    }
    if said.flag("requireCert") == Some(true) && !client {
        level = 2;
    }
    let ring = authorities.and_then(|option| ring(option, said));
    match (client, level, ring) {
        (true, 0, ring) => {
            let service = said.service;
            let text = "stunnel believes every server here, and we none that no trust anchor leads to";
            said.notes.approximated(
                &service.place,
                &service.name,
                text,
                "ravelin ring create roots --store system",
            );
            settings.push(("trust", Value::text(ring.unwrap_or_else(|| "roots".to_owned()))));
        }
        (true, _, Some(ring)) => settings.push(("trust", Value::text(ring))),
        (false, 0, _) => {}
        (false, level, Some(ring)) => {
            settings.push(("trust", Value::text(ring)));
            settings.push(("client_auth", Value::text(if level == 1 { "wanted" } else { "required" })));
        }
        (_, _, None) => {
            let service = said.service;
            said.notes.refused(&service.place, &service.name, "it believes nobody", "add CAfile = FILE");
        }
    }
}

/// The server's name: what is sent, and what must be in its certificate.
fn names(said: &Said<'_>, settings: &mut Vec<Setting>) {
    if let Some(option) = said.get("sni") {
        said.exact(option, "server_name");
        settings.push(("server_name", Value::text(option.value.clone())));
    }
    match said.get("checkHost").or(said.get("checkIP")) {
        Some(option) => {
            said.exact(option, "check_name");
            settings.push(("check_name", Value::text(option.value.clone())));
        }
        None => {
            let service = said.service;
            let text =
                "as with stunnel, the name in the server's certificate is not looked at: check_name = false";
            said.notes.approximated(&service.place, &service.name, text, "add checkHost = NAME");
            settings.push(("check_name", Value::Flag(false)));
        }
    }
}

/// What a server asks of names in certificates of its clients; it may stand for all services.
fn no_names(said: &Said<'_>) {
    for option in ["checkHost", "checkIP", "sni"].iter().filter_map(|key| said.get(key)) {
        let text = "a server of ours takes every client that its trust anchors lead to, under every name";
        said.refused(option, text, "write it into the services that are clients, or say it in our files");
    }
}

fn protocol(said: &Said<'_>, client: bool, settings: &mut Vec<Setting>) {
    let Some(option) = said.get("protocol") else { return };
    if option.value == "proxy" && !client {
        said.approximated(option, "proxy_protocol = \"v2\", in place of version 1", "");
        settings.push(("proxy_protocol", Value::text("v2")));
    } else {
        let text = "connections would begin in clear until the application asks for TLS";
        said.refused(option, text, "use a port where TLS begins at once");
    }
}

/// Versions, suites and curves.
fn lists(said: &Said<'_>, settings: &mut Vec<Setting>) {
    let only = said.get("sslVersion");
    let bound = |key: &str| only.or(said.get(key)).map(|option| (option, option.value.as_str()));
    let (low, high) = (bound("sslVersionMin"), bound("sslVersionMax"));
    let mut versions = vec![Version::Tls13, Version::Tls12];
    for (option, text, lowest) in
        [low.map(|(o, t)| (o, t, true)), high.map(|(o, t)| (o, t, false))].into_iter().flatten()
    {
        match (text, lowest) {
            ("all", _) | ("TLSv1.3", false) | ("TLSv1.2", true) => said.exact(option, ""),
            ("TLSv1.3", true) => {
                said.exact(option, "versions");
                versions.retain(|version| *version == Version::Tls13);
            }
            ("TLSv1.2", false) => {
                said.exact(option, "versions");
                versions.retain(|version| *version == Version::Tls12);
            }
            ("SSLv3" | "TLSv1" | "TLSv1.1", true) if only.is_none() => {
                said.approximated(option, "nothing older than TLS 1.2 is spoken", "");
            }
            _ => said.refused(option, "no version that is spoken here is left", "write TLSv1.2 or TLSv1.3"),
        }
    }
    let mut suites: Vec<Suite> = Vec::new();
    for (key, version) in [("ciphersuites", Version::Tls13), ("ciphers", Version::Tls12)] {
        let listed = said.get(key).map(|option| (option, listed(option)));
        match listed {
            Some((option, (found, true))) if !found.is_empty() => {
                said.exact(option, "suites");
                suites.extend(found);
            }
            Some((option, (found, _))) if !found.is_empty() => {
                said.approximated(option, "suites, without those that are not spoken here", "");
                suites.extend(found);
            }
            Some((option, _)) => {
                said.approximated(option, "all of ours of this version, which are strong", "");
                suites.extend(Suite::ALL.into_iter().filter(|suite| suite.version() == version));
            }
            None => suites.extend(Suite::ALL.into_iter().filter(|suite| suite.version() == version)),
        }
    }
    if versions.len() == 1 {
        let word = if versions[0] == Version::Tls13 { "1.3" } else { "1.2" };
        settings.push(("versions", Value::list([word])));
    }
    if said.get("ciphers").is_some() || said.get("ciphersuites").is_some() {
        let fitting = suites.iter().filter(|suite| versions.contains(&suite.version()));
        settings.push(("suites", Value::list(fitting.map(|suite| suite.name()))));
    }
    if let Some(option) = said.get("curves").or(said.get("curve")) {
        let words: Vec<&str> = option.value.split(':').collect();
        let found: Vec<&str> = words
            .iter()
            .filter_map(|word| CURVES.iter().find(|(name, _)| name == word))
            .map(|(_, ours)| *ours)
            .collect();
        match (found.is_empty(), found.len() == words.len()) {
            (false, true) => said.exact(option, "key_exchange"),
            (false, false) => said.approximated(option, "key_exchange, without what is not spoken here", ""),
            (true, _) => said.approximated(option, "all of ours", ""),
        }
        if !found.is_empty() {
            settings.push(("key_exchange", Value::list(found)));
        }
    }
}

/// The suites, and whether all were known.
fn listed(option: &Entry) -> (Vec<Suite>, bool) {
    let words: Vec<&str> = option.value.split(':').map(str::trim).collect();
    let one = |word: &&str| {
        let named =
            OPENSSL.iter().find(|(name, _)| name == word).and_then(|(_, code)| Suite::from_code(*code));
        named.or_else(|| Suite::ALL.into_iter().find(|suite| suite.name() == *word))
    };
    let found: Vec<Suite> = words.iter().filter_map(one).collect();
    let all = found.len() == words.len();
    (found, all)
}

/// Options that are read here, or in what reads a service.
const READ: [&str; 23] = [
    "client",
    "connect",
    "accept",
    "cert",
    "pkcs12",
    "key",
    "CAfile",
    "CApath",
    "verifyChain",
    "verifyPeer",
    "verify",
    "requireCert",
    "sni",
    "checkHost",
    "checkIP",
    "protocol",
    "sslVersion",
    "sslVersionMin",
    "sslVersionMax",
    "ciphers",
    "ciphersuites",
    "curves",
    "curve",
];

/// Whether an option is known, wherever it stands.
pub(super) fn is_known(option: &Entry) -> bool {
    READ.iter().any(|key| key.eq_ignore_ascii_case(&option.key)) || is_without_meaning(option)
}

/// It says how stunnel runs, or forbids what is never spoken here.
fn is_without_meaning(option: &Entry) -> bool {
    let own = ITS_OWN.iter().any(|key| key.eq_ignore_ascii_case(&option.key));
    let is = |key: &str| option.key.eq_ignore_ascii_case(key);
    own || is("options") && option.value.starts_with("NO_SSL") || is("fips") && option.value == "no"
}

/// What nothing was said of: how stunnel runs means nothing here, unknown words might.
pub(super) fn left_over(option: &Entry, notes: &Notes) {
    if is_without_meaning(option) {
        notes.ignored(
            &option.place,
            &option.shown(),
            "it says how stunnel runs, or forbids what is never spoken here",
        );
    } else {
        let remedy = "say it in our files, or take it out";
        notes.refused(&option.place, &option.key, "it is not taken over", remedy);
    }
}
