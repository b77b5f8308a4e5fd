//! One rule of a chain: what it matches, and its verdict.

use std::slice::Iter;

use ravelin_config::address::{self, AddressError, Written};
use ravelin_config::service;

use super::Options;
use super::tree::Line;
use crate::report::Notes;
use crate::write::Value;

/// What becomes of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Reject,
}

/// A rule.
pub(super) struct Rule {
    pub(super) conditions: Vec<(&'static str, Value)>,
    pub(super) verdict: Verdict,
    /// A part of it cannot be said.
    pub(super) refused: bool,
    /// Nothing is to be written for it.
    pub(super) nothing: bool,
    /// It lets answers of known connections pass.
    pub(super) answers: bool,
    pub(super) logged: bool,
}

impl Rule {
    /// For every packet.
    pub(super) fn of(verdict: Verdict) -> Self {
        Self {
            conditions: Vec::new(),
            verdict,
            refused: false,
            nothing: false,
            answers: false,
            logged: false,
        }
    }
}

/// What is read of a rule so far.
struct Reader {
    rule: Rule,
    decided: bool,
    /// States of connections that it asks for.
    states: Vec<String>,
    /// On the loopback interface, which is not filtered.
    loopback: bool,
    /// The only family that it is for.
    family: Option<&'static str>,
    /// What is not understood.
    odd: Option<String>,
}

/// Reads a rule. What it says that we cannot is told.
pub(super) fn read(line: &Line, stateful: bool, options: Options, notes: &Notes) -> Rule {
    let mut reader = Reader {
        rule: Rule::of(Verdict::Drop),
        decided: false,
        states: Vec::new(),
        loopback: false,
        family: None,
        odd: None,
    };
    let mut words = line.words.iter();
    while let Some(word) = words.next() {
        if reader.one(word, &mut words).is_none() {
            reader.odd.get_or_insert_with(|| word.clone());
        }
    }
    let Reader { mut rule, decided, states, loopback, family, odd } = reader;
    let placed = rule.conditions.iter().any(|(key, _)| ["source", "destination"].contains(key));
    rule.conditions.extend(family.filter(|_| !placed).map(|family| ("source", Value::text(family))));
    let shown = line.shown();
    if !decided && odd.is_none() {
        notes.ignored(&line.place, &shown, "it decides nothing");
        return Rule { nothing: true, ..rule };
    }
    if loopback {
        notes.ignored(&line.place, &shown, "the loopback interface is not filtered");
        return Rule { nothing: true, ..rule };
    }
    if let Some(odd) = odd {
        let remedy = "write it without, or as a rule of ours";
        notes.refused(&line.place, &shown, format!("`{odd}` is not taken over"), remedy);
        // Conditions before it may be read in part, as the first port of `1000 - 2000`: the widest it can be has none.
        rule.conditions.clear();
        // What lets pass is left out, unless it may drop some of its packets on the way.
        let drops =
            |word: &String| ["vmap", "jump", "goto", "drop", "reject", "queue"].contains(&word.as_str());
        if rule.verdict == Verdict::Accept && line.words.iter().any(drops) {
            rule.verdict = Verdict::Drop;
        }
        return Rule { refused: true, ..rule };
    }
    let only =
        |allowed: &[&str]| !states.is_empty() && states.iter().all(|state| allowed.contains(&state.as_str()));
    if only(&["established", "related"]) && rule.verdict == Verdict::Accept {
        let said = "each packet is judged alone, so that answers need rules of their own";
        let remedy = "add rules with source_port in place of destination_port and connect = \"inbound\"";
        notes.approximated(&line.place, &shown, said, remedy);
        return Rule { nothing: true, answers: true, ..rule };
    }
    if only(&["invalid"]) && rule.verdict != Verdict::Accept && options.stateless {
        let said = "left out: you said that packets of no connection need not be dropped";
        notes.approximated(&line.place, &shown, said, "");
        return Rule { nothing: true, ..rule };
    }
    if states == ["new"] && rule.verdict == Verdict::Accept && stateful && options.stateless {
        let said = "for later packets too, which a rule before lets pass as established";
        notes.approximated(&line.place, &shown, said, "");
    } else if !states.is_empty() {
        rule.refused = true;
        let remedy = match only(&["invalid"]) {
            _ if states == ["new"] => "write it without states, or import with --stateless",
            true => "import with --stateless if packets of no connection need not be dropped",
            false => "write it without states",
        };
        notes.refused(&line.place, &shown, "states of connections are not known", remedy);
    } else {
        notes.exact(&line.place, &shown, "");
    }
    rule
}

impl Reader {
    /// One match or verdict; `None` for what is not understood.
    fn one(&mut self, word: &str, words: &mut Iter<'_, String>) -> Option<()> {
        match word {
            "accept" => self.verdict(Verdict::Accept),
            "drop" => self.verdict(Verdict::Drop),
            "reject" => {
                // How senders are told is ours to say.
                while words.next().is_some() {}
                self.verdict(Verdict::Reject)
            }
            "counter" => {
                // Counts so far mean nothing.
                let rest = words.as_slice();
                if let [packets, _, bytes, _, ..] = rest
                    && packets == "packets"
                    && bytes == "bytes"
                {
                    words.nth(3);
                }
                Some(())
            }
            "comment" => words.next().map(drop),
            "log" => {
                while words
                    .as_slice()
                    .first()
                    .is_some_and(|next| ["prefix", "level", "flags"].contains(&next.as_str()))
                {
                    words.nth(1);
                }
                self.rule.logged = true;
                Some(())
            }
            "ip" | "ip6" => self.address(word, words.next()?, words.next()?),
            "tcp" | "udp" | "sctp" => self.port(word, words.next()?, words.next()?),
            "icmp" | "icmpv6" if words.next()? == "type" => self.icmp(word, words.next()?),
            "meta" if words.next()? == "l4proto" => self.protocol(words.next()?),
            "iif" | "iifname" | "oif" | "oifname" => {
                let lo = words.next()?.trim_matches('"') == "lo";
                self.loopback |= lo;
                lo.then_some(())
            }
            "ct" if words.next()? == "state" => {
                let mut text = words.next()?.clone();
                while words.as_slice().first().is_some_and(|next| next == ",") {
                    words.next();
                    text = format!("{text},{}", words.next()?);
                }
                self.states = elements(&text);
                Some(())
            }
            _ => None,
        }
    }

    fn verdict(&mut self, verdict: Verdict) -> Option<()> {
        self.rule.verdict = verdict;
        self.decided = true;
        Some(())
    }

    /// A second condition of a kind could only be a narrower one: it is not taken for both.
    fn set(&mut self, key: &'static str, value: Value) -> Option<()> {
        if self.rule.conditions.iter().any(|(known, held)| *known == key && *held != value) {
            return None;
        }
        if self.rule.conditions.iter().all(|(known, _)| *known != key) {
            self.rule.conditions.push((key, value));
        }
        Some(())
    }

    fn address(&mut self, family: &str, which: &str, text: &str) -> Option<()> {
        let ours = if family == "ip" { "any4" } else { "any6" };
        if self.family.is_some_and(|known| known != ours) {
            return None;
        }
        self.family = Some(ours);
        let key = match which {
            "saddr" => "source",
            "daddr" => "destination",
            "protocol" | "nexthdr" => return self.protocol(text),
            _ => return None,
        };
        let read = |text: &String| match address::parse(text) {
            Ok(Written::Range(range)) | Err(AddressError::HostBits(range)) => {
                (range.first().is_ipv4() == (family == "ip")).then(|| range.to_string())
            }
            _ => None,
        };
        let list = elements(text).iter().map(read).collect::<Option<Vec<_>>>()?;
        (!list.is_empty()).then_some(())?;
        self.set(key, Value::texts(list))
    }

    fn port(&mut self, protocol: &str, which: &str, text: &str) -> Option<()> {
        let key = match which {
            "sport" => "source_port",
            "dport" => "destination_port",
            _ => return None,
        };
        let read = |text: &String| {
            let number = |text: &str| text.parse::<u16>().ok();
            match text.split_once('-') {
                Some((first, last)) => (number(first)? <= number(last)?).then(|| Value::text(text.clone())),
                None => number(text).map(|port| Value::Number(u64::from(port))),
            }
        };
        let list = elements(text).iter().map(read).collect::<Option<Vec<_>>>()?;
        (!list.is_empty()).then_some(())?;
        self.set("protocol", Value::text(protocol))?;
        self.set(key, Value::one_or_more(list))
    }

    fn icmp(&mut self, protocol: &str, text: &str) -> Option<()> {
        let number = if protocol == "icmp" { 1 } else { 58 };
        let read = |text: &String| {
            let named = text.replace("nd-neighbor-", "neighbour-").replace("nd-router-", "router-");
            let named = named.replace("solicit", "solicitation").replace("advert", "advertisement");
            let known = service::icmp_type(&named, number).or_else(|| text.parse::<u8>().ok().map(u16::from));
            known.map(|number| Value::Number(u64::from(number)))
        };
        let list = elements(text).iter().map(read).collect::<Option<Vec<_>>>()?;
        (!list.is_empty()).then_some(())?;
        self.set("protocol", Value::text(protocol))?;
        self.set("icmp_type", Value::one_or_more(list))
    }

    fn protocol(&mut self, text: &str) -> Option<()> {
        let read = |text: &String| {
            let name = if text == "ipv6-icmp" { "icmpv6" } else { text.as_str() };
            let number = service::protocol_number(name).or_else(|| name.parse().ok());
            number.filter(|number| ![0, 43, 44, 60].contains(number)).map(service::protocol_name)
        };
        let names = elements(text).iter().map(read).collect::<Option<Vec<_>>>()?;
        (!names.is_empty()).then_some(())?;
        let value = |name: String| name.parse().map_or_else(|_| Value::text(name), Value::Number);
        self.set("protocol", Value::one_or_more(names.into_iter().map(value).collect()))
    }
}

/// `{ a, b }`, or what stands alone.
fn elements(text: &str) -> Vec<String> {
    let inner = text.trim_start_matches('{').trim_end_matches('}');
    inner
        .split(',')
        .map(|part| part.trim().trim_matches('"').to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}
