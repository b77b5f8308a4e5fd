//! `swanctl.conf` of strongSwan: connections and their children as peers, tunnels and rules.
//!
//! [`tree`] reads the text, [`suites`] the proposals; here each connection becomes a `[[peer]]`, each child a `[[tunnel]]` with a
//! rule that protects its traffic, and IKE itself is permitted. All else is denied, as it is where no rule speaks of it.

mod order;
mod suites;
mod tree;

use ravelin_config::address::{self, AddressError, Written};
use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_config::source::{Place, Source};
use ravelin_contract::address::AddressRange;

use crate::report::{Imported, Notes, Output};
use crate::write::{Page, Value};
use order::Traffic;
use tree::{Entry, Section};

type Setting = (&'static str, Value);

/// What a child or connection may say that has no meaning here, or is how we work anyhow.
const WITHOUT_MEANING: [&str; 21] = [
    "version",
    "send_cert",
    "send_certreq",
    "fragmentation",
    "keyingtries",
    "dpd_timeout",
    "over_time",
    "rand_time",
    "life_time",
    "life_bytes",
    "life_packets",
    "rand_bytes",
    "rand_packets",
    "dpd_action",
    "updown",
    "hostaccess",
    "close_action",
    "reqid",
    "childless",
    "ocsp",
    "round",
];

/// Takes the connections of a file over.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn import(source: &Source) -> Result<Imported, Findings> {
    let errors = Collector::default();
    // Keys stand in such files: no line is shown.
    let source = &Source::from_secret(source.name(), source.text());
    let root = tree::parse(source, &errors);
    let Some(root) = root.filter(|_| !errors.has_errors()) else { return Err(errors.finish()) };
    let notes = Notes::default();
    let mut reader = Reader { notes: &notes, peers: Page::default(), children: Vec::new(), count: 0 };
    for entry in &root.entries {
        match entry.name.as_str() {
            "connections" => {
                notes.exact(&entry.place, &entry.name, "");
                entry.sections().for_each(|section| reader.connection(&section));
            }
            "secrets" => secrets(entry, &notes),
            _ => notes.refused(&entry.place, &entry.name, "it is not taken over", "say it in our files"),
        }
    }
    let mut page = Page::default();
    page.comment("Made by `ravelin import swanctl`. Read its report before you put it in force.");
    if reader.count > 0 {
        page.gap();
        page.comment("IKE itself, which strongSwan's own host lets pass.");
        page.head("[[rule]]");
        page.key("name", &Value::text("ike"));
        page.key("protocol", &Value::text("udp"));
        // Of our own ports alone: rules hold both ways, and by those of peers anybody would reach every port here.
        page.key("source_port", &Value::List(vec![Value::Number(500), Value::Number(4500)]));
        page.key("routing", &Value::text("local"));
        page.key("action", &Value::text("permit"));
        page.gap();
    }
    let (rules, tunnels) = children(&mut reader.children, &notes);
    let text = [page, rules, reader.peers, tunnels].map(Page::into_text).join("\n");
    root.walk(&mut |entry| {
        if !notes.knows(&entry.place) {
            notes.ignored(&entry.place, &entry.name, "nothing uses it");
        }
    });
    let files = vec![Output { name: "ipsec.toml", text }];
    Ok(Imported { files, report: notes.finish() })
}

/// Keys are not taken over, and not shown.
fn secrets(entry: &Entry, notes: &Notes) {
    notes.exact(&entry.place, &entry.name, "");
    for secret in entry.sections() {
        let said = "keys are not taken over";
        let remedy = "write the key into keys.toml, under the name of the peer, with at least 16 characters";
        notes.approximated(secret.place, secret.name, said, remedy);
    }
}

/// In our words. strongSwan writes the country of a distinguished name first, we last (RFC 4514).
fn identity(text: &str) -> String {
    match text {
        "%any" => "*".to_owned(),
        text if text.contains('=') => text.rsplit(',').map(str::trim).collect::<Vec<_>>().join(","),
        text => text.to_owned(),
    }
}

/// One address of a peer.
fn address_of(peer: &[Setting], key: &str) -> Option<AddressRange> {
    let found = peer.iter().find(|(of, _)| *of == key)?;
    let Value::Text(text) = &found.1 else { return None };
    text.parse().ok().map(AddressRange::single)
}

/// A child, read.
struct Child {
    place: Place,
    /// As the file calls it.
    called: String,
    name: String,
    traffic: Traffic,
    settings: Vec<Setting>,
    refused: bool,
    /// strongSwan prefers it to narrower ones, or may: `priority`, and modes without protection.
    preferred: bool,
}

/// Rules and tunnels of all children, narrow ones first. Those that strongSwan prefers for other reasons are denied
/// before them. Where no order says what strongSwan does they are denied.
fn children(children: &mut [Child], notes: &Notes) -> (Page, Page) {
    let unknown = [None, None];
    let traffic = children.iter().map(|child| if child.preferred { &unknown } else { &child.traffic });
    let (order, spoilt) = order::order(&traffic.collect::<Vec<_>>());
    for (one, other) in spoilt {
        let said = format!(
            "its traffic is that of `{}`, too, and neither lies within the other",
            children[other].name
        );
        let remedy = "write traffic that is for one child alone";
        notes.refused(&children[one].place, &children[one].called, said, remedy);
        children[one].refused = true;
    }
    let (mut rules, mut tunnels) = (Page::default(), Page::default());
    order.into_iter().for_each(|at| children[at].write(&mut rules, &mut tunnels));
    (rules, tunnels)
}

impl Child {
    fn write(&self, rules: &mut Page, tunnels: &mut Page) {
        rules.gap();
        rules.comment(&format!("child {}, {}", self.called, crate::name::at(&self.place)));
        if self.refused {
            rules.comment(
                "A part of it cannot be said here, so that all that it may be for is denied: see the report.",
            );
        }
        rules.head("[[rule]]");
        rules.key("name", &Value::text(self.name.clone()));
        for (key, list) in ["source", "destination"].into_iter().zip(&self.traffic) {
            if let Some(list) = list {
                rules.key(key, &Value::texts(list.iter().map(AddressRange::to_string)));
            }
        }
        if self.refused {
            rules.key("action", &Value::text("deny"));
            return;
        }
        rules.key("action", &Value::text("ipsec"));
        rules.key("tunnel", &Value::text(self.name.clone()));
        tunnels.gap();
        tunnels.head("[[tunnel]]");
        tunnels.key("name", &Value::text(self.name.clone()));
        tunnels.keys(&self.settings);
    }
}

struct Reader<'n> {
    notes: &'n Notes,
    peers: Page,
    children: Vec<Child>,
    count: usize,
}

impl Reader<'_> {
    fn connection(&mut self, section: &Section<'_>) {
        let before = self.notes.refusals();
        self.notes.exact(section.place, section.name, "");
        let name = crate::name::ours(section.name);
        let peer = self.peer(section, &name);
        let peer = peer.filter(|_| self.notes.refusals() == before);
        if let Some(settings) = &peer {
            self.count += 1;
            self.peers.gap();
            self.peers.comment(&format!("connection {}, {}", section.name, crate::name::at(section.place)));
            self.peers.head("[[peer]]");
            self.peers.key("name", &Value::text(name.clone()));
            self.peers.keys(settings);
        }
        let callable = peer.as_deref().is_some_and(|settings| address_of(settings, "remote").is_some());
        for children in section.all("children") {
            self.notes.exact(children.place, children.name, "");
            children.sections().for_each(|child| self.child(&child, &name, peer.as_deref(), callable));
        }
    }

    fn peer(&self, section: &Section<'_>, name: &str) -> Option<Vec<Setting>> {
        let local = self.one_address(section, "local_addrs", false);
        let remote = self.one_address(section, "remote_addrs", true);
        let offers = suites::ike(section, self.notes);
        let mut settings = vec![("local", Value::text(local?)), ("remote", Value::text(remote?))];
        settings.extend(self.proofs(section, name)?);
        settings.extend(offers);
        for (key, ours) in [("mobike", "mobike"), ("encap", "force_udp")] {
            settings.extend(self.switch(section, key).map(|on| (ours, Value::Flag(on))));
        }
        for (key, ours) in [("dpd_delay", "liveness"), ("reauth_time", "reauthenticate")] {
            let seconds = self.seconds(section, key).filter(|seconds| *seconds > 0);
            settings.extend(seconds.map(|seconds| (ours, Value::Number(seconds))));
        }
        let rekey = self.seconds(section, "rekey_time").filter(|seconds| *seconds > 1);
        settings
            .extend(rekey.map(|seconds| ("rekey", Value::Table(vec![("seconds", Value::Number(seconds))]))));
        for entry in section.settings() {
            match entry.name.as_str() {
                "pools" | "vips" | "aggressive" | "ppk_id" | "ppk_required" | "if_id_in" | "if_id_out" => {
                    self.refuse(entry, "it is not taken over", "say it in our files");
                }
                "unique" => {
                    self.notes.approximated(
                        &entry.place,
                        &entry.shown(),
                        "a new IKE SA replaces the old one",
                        "",
                    );
                }
                "version" if entry.value == "1" => {
                    self.notes.approximated(
                        &entry.place,
                        &entry.shown(),
                        "IKEv2 is spoken, and nothing else",
                        "",
                    );
                }
                other => self.pass_over(entry, other),
            }
        }
        Some(settings)
    }

    /// What nothing was said of: known words mean nothing here, unknown ones might.
    fn pass_over(&self, entry: &Entry, name: &str) {
        if self.notes.knows(&entry.place) || name == "proposals" || name == "esp_proposals" {
            return;
        }
        if WITHOUT_MEANING.contains(&name) {
            self.notes.ignored(&entry.place, &entry.shown(), "it has no part in what is protected");
        } else {
            self.refuse(entry, "it is not known here", "say it in our files, or take it out");
        }
    }

    fn refuse(&self, entry: &Entry, said: &str, remedy: &str) {
        self.notes.refused(&entry.place, &entry.shown(), said, remedy);
    }

    fn proofs(&self, section: &Section<'_>, name: &str) -> Option<Vec<Setting>> {
        let mut settings = Vec::new();
        let mut shared = false;
        for (side, id, ring) in [("local", "local_id", "certificate"), ("remote", "remote_id", "trust")] {
            let rounds: Vec<&Entry> =
                section.entries.iter().filter(|entry| entry.braces && entry.name.starts_with(side)).collect();
            let [round] = rounds.as_slice() else {
                let remedy = "write one local and one remote section";
                self.notes.refused(section.place, section.name, format!("not one section `{side}`"), remedy);
                return None;
            };
            self.notes.exact(&round.place, &round.name, "");
            let round = round.as_section();
            let auth = round.value("auth");
            let key = auth.is_some_and(|auth| auth.value == "psk");
            if let Some(auth) = auth {
                match auth.value.as_str() {
                    "psk" | "pubkey" => self.notes.exact(&auth.place, &auth.shown(), ""),
                    text if text.starts_with("pubkey-") => self.refuse(
                        auth,
                        "which keys and signatures are taken is not said for each peer",
                        "write pubkey",
                    ),
                    _ => self.refuse(
                        auth,
                        "this way to prove oneself is not taken over",
                        "write psk or pubkey",
                    ),
                }
            }
            if let Some(entry) = round.value("id") {
                self.notes.exact(&entry.place, &entry.shown(), id);
                settings.push((id, Value::text(identity(&entry.value))));
            }
            let certificates: Vec<&Entry> =
                ["certs", "cacerts", "pubkeys"].iter().filter_map(|key| round.value(key)).collect();
            for entry in certificates {
                let said = format!("the ring `{name}`, which has to be made here");
                let remedy = format!("ravelin ring create {name}, and ravelin cert import {name} FILE");
                self.notes.approximated(&entry.place, &entry.shown(), said, &remedy);
            }
            for entry in round.settings() {
                match entry.name.as_str() {
                    "auth" | "id" | "certs" | "cacerts" => {}
                    "revocation" if side == "remote" => {
                        settings.extend(self.revocation(entry).filter(|_| !key));
                    }
                    other => self.pass_over(entry, other),
                }
            }
            if !key && round.value("cacerts").or(round.value("certs")).is_none() {
                let said = format!("{ring} = \"{name}\", a ring that has to be made here");
                self.notes.approximated(
                    round.place,
                    round.name,
                    said,
                    "ravelin ring create, and ravelin cert import",
                );
            }
            shared |= key;
            if !key {
                settings.push((ring, Value::text(name)));
            }
        }
        if shared {
            settings.insert(0, ("shared_key", Value::text(name)));
        }
        Some(settings)
    }

    /// Nothing is softer than it was.
    fn revocation(&self, entry: &Entry) -> Option<Setting> {
        let hard = ("revocation", Value::text("hard"));
        match entry.value.as_str() {
            "strict" => {
                self.notes.exact(&entry.place, &entry.shown(), "revocation = \"hard\"");
                Some(hard)
            }
            "ifuri" => {
                let said =
                    "revocation = \"hard\": certificates that name no list or responder are refused, too";
                self.notes.approximated(&entry.place, &entry.shown(), said, "");
                Some(hard)
            }
            "relaxed" => {
                self.notes.exact(&entry.place, &entry.shown(), "revocation = \"soft\"");
                Some(("revocation", Value::text("soft")))
            }
            _ => {
                self.refuse(entry, "it is not known here", "write strict, ifuri or relaxed");
                None
            }
        }
    }

    fn child(&mut self, child: &Section<'_>, peer: &str, known: Option<&[Setting]>, callable: bool) {
        let before = self.notes.refusals();
        self.notes.exact(child.place, child.name, "");
        let end = |key| known.and_then(|known| address_of(known, key));
        let traffic = [("local_ts", "local"), ("remote_ts", "remote")]
            .map(|(key, side)| self.traffic(child, key, end(side)));
        let unread = self.notes.refusals();
        let mode = child.value("mode").map_or("tunnel", |entry| match entry.value.as_str() {
            "tunnel" | "transport" => {
                self.notes.exact(&entry.place, &entry.shown(), "mode");
                if entry.value == "tunnel" { "tunnel" } else { "transport" }
            }
            _ => {
                self.refuse(
                    entry,
                    "a mode that protects nothing, or that we do not have",
                    "write tunnel or transport",
                );
                "tunnel"
            }
        });
        let preferred = self.notes.refusals() != unread
            || child.value("priority").is_some_and(|priority| priority.value != "0");
        let start = self.start(child, callable);
        let mut settings = vec![("peer", Value::text(peer)), ("mode", Value::text(mode))];
        settings.extend(suites::esp(child, self.notes));
        let rekey: Vec<Setting> =
            [("rekey_time", "seconds"), ("rekey_bytes", "octets"), ("rekey_packets", "packets")]
                .into_iter()
                .filter_map(|(key, ours)| {
                    Some((ours, Value::Number(self.seconds(child, key).filter(|count| *count > 1)?)))
                })
                .collect();
        if !rekey.is_empty() {
            settings.push(("rekey", Value::Table(rekey)));
        }
        settings.push(("start", Value::text(start)));
        for entry in child.settings() {
            match entry.name.as_str() {
                "local_ts" | "remote_ts" | "mode" | "start_action" | "rekey_time" | "rekey_bytes"
                | "rekey_packets" => {}
                "priority" if entry.value != "0" => {
                    let said = "children are put in order by their traffic, the narrower first";
                    self.refuse(entry, said, "write traffic that is for one child alone");
                }
                "priority" => self.notes.exact(&entry.place, &entry.shown(), ""),
                other => self.pass_over(entry, other),
            }
        }
        let refused =
            known.is_none() || self.notes.refusals() != before || traffic.iter().any(Option::is_none);
        self.children.push(Child {
            place: child.place.clone(),
            called: child.name.to_owned(),
            name: format!("{peer}.{}", crate::name::ours(child.name)),
            traffic,
            settings,
            refused,
            preferred,
        });
    }

    fn start(&self, child: &Section<'_>, callable: bool) -> &'static str {
        let entry = child.value("start_action");
        let word = match entry.map_or("none", |entry| entry.value.as_str()) {
            "none" => "on-command",
            "trap" => "on-demand",
            "start" | "trap|start" => "at-once",
            _ => {
                entry.into_iter().for_each(|entry| {
                    self.refuse(entry, "it is not known here", "write none, trap or start")
                });
                "on-command"
            }
        };
        if let Some(entry) = entry {
            self.notes.exact(&entry.place, &entry.shown(), "start");
        }
        if callable { word } else { "remote" }
    }

    /// Addresses of traffic. `dynamic`, and nothing written, is the address of that end itself; protocols are not taken over.
    fn traffic(
        &self,
        child: &Section<'_>,
        key: &str,
        end: Option<AddressRange>,
    ) -> Option<Vec<AddressRange>> {
        let Some(entry) = child.value(key) else {
            if let Some(end) = end {
                return Some(vec![end]);
            }
            let remedy = format!("write {key} with addresses");
            self.notes.refused(
                child.place,
                child.name,
                format!("it has no {key}, so it is for what is agreed on"),
                &remedy,
            );
            return None;
        };
        let read = |text: &str| match address::parse(text.trim()) {
            _ if text.trim() == "dynamic" => end,
            Ok(Written::Range(range)) | Err(AddressError::HostBits(range)) => Some(range),
            _ => None,
        };
        let list: Option<Vec<AddressRange>> = entry.value.split(',').map(read).collect();
        match &list {
            Some(_) => self.notes.exact(&entry.place, &entry.shown(), ""),
            None => {
                self.refuse(entry, "traffic by name, protocol or port is not taken over", "write addresses")
            }
        }
        list
    }

    fn one_address(&self, section: &Section<'_>, key: &str, remote: bool) -> Option<String> {
        let Some(entry) = section.value(key) else {
            if remote {
                return Some("any".to_owned());
            }
            self.notes.refused(section.place, section.name, format!("it has no {key}"), "write our address");
            return None;
        };
        let value = entry.value.trim();
        let one = value.parse::<std::net::IpAddr>().is_ok();
        let prefix = remote
            && matches!(address::parse(value), Ok(Written::Range(range)) if range.to_string().contains('/'));
        if one || prefix {
            self.notes.exact(&entry.place, &entry.shown(), "");
            return Some(value.to_owned());
        }
        if remote && value == "%any" {
            self.notes.exact(&entry.place, &entry.shown(), "remote = \"any\"");
            return Some("any".to_owned());
        }
        self.refuse(entry, "it is not one address", "write one address, and a connection for each");
        None
    }

    fn switch(&self, section: &Section<'_>, key: &str) -> Option<bool> {
        let entry = section.value(key)?;
        let on = match entry.value.as_str() {
            "yes" | "true" | "1" => true,
            "no" | "false" | "0" => false,
            _ => {
                self.refuse(entry, "it is not yes or no", "write yes or no");
                return None;
            }
        };
        self.notes.exact(&entry.place, &entry.shown(), "");
        Some(on)
    }

    /// `3600`, `60m`, `4h`, `1d`; octets as `500M`.
    fn seconds(&self, section: &Section<'_>, key: &str) -> Option<u64> {
        let entry = section.value(key)?;
        let bytes = key.ends_with("bytes") || key.ends_with("packets");
        let digits = entry.value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let factor = match (&entry.value[digits.len()..], bytes) {
            ("", _) | ("s", false) => Some(1),
            ("m", false) => Some(60),
            ("h", false) => Some(3600),
            ("d", false) => Some(86400),
            ("k" | "K", true) => Some(1024),
            ("m" | "M", true) => Some(1 << 20),
            ("g" | "G", true) => Some(1 << 30),
            _ => None,
        };
        let number =
            digits.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        let number = number.filter(|number| bytes || *number <= 365 * 86400);
        match number {
            Some(_) => self.notes.exact(&entry.place, &entry.shown(), ""),
            None => self.refuse(entry, "it is no time or amount", "write a number such as 3600, 60m or 4h"),
        }
        number
    }
}
