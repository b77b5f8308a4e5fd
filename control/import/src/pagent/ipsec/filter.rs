//! One `IpFilterRule`: which packets, and what becomes of them.

use ravelin_config::service;

use super::Setting;
use super::action::{self, Verb};
use super::peer::Exchange;
use super::service::{Part, Parts};
use crate::pagent::book::Book;
use crate::pagent::condition::{self, AddressKeys, Set};
use crate::pagent::tree::Node;
use crate::write::Value;

const SOURCE: AddressKeys = AddressKeys {
    plain: &["IpSourceAddr", "IpSourceAddrSet"],
    references: ["IpSourceAddrRef", "IpSourceAddrSetRef", "IpSourceAddrGroupRef"],
};
const DESTINATION: AddressKeys = AddressKeys {
    plain: &["IpDestAddr", "IpDestAddrSet"],
    references: ["IpDestAddrRef", "IpDestAddrSetRef", "IpDestAddrGroupRef"],
};

/// A rule.
pub(super) struct Filter<'n> {
    pub(super) node: &'n Node,
    pub(super) name: String,
    /// Something of it cannot be said.
    pub(super) refused: bool,
    pub(super) verb: Verb,
    logged: Option<&'static str>,
    source: Option<Set>,
    destination: Option<Set>,
    services: Parts,
}

/// What a rule is called here. Some names are the product's own.
pub(super) fn our_name(node: &Node) -> String {
    match crate::pagent::our_name(node.first()) {
        name if name.to_ascii_uppercase().starts_with("SYSDEFAULT") => format!("zos.{name}"),
        name => name,
    }
}

/// In the place of a rule that is not known: all is denied, so that nothing behind it is opened.
pub(super) fn missing(node: &Node, name: String) -> Filter<'_> {
    let (source, destination) = (Some(Set::All), Some(Set::All));
    let services = Parts::Known(vec![Part::default()]);
    Filter { node, name, refused: true, verb: Verb::Unknown, logged: None, source, destination, services }
}

/// Reads a rule with all that it names.
pub(super) fn read<'n>(
    node: &'n Node,
    name: String,
    book: &Book<'n>,
    exchange: &Exchange<'_, 'n>,
    on_demand: bool,
) -> Filter<'n> {
    let before = book.notes.refusals();
    let body = book.open(node);
    if node.first().is_empty() {
        book.refused(node, "it has no name", "give it one");
    }
    let source = condition::addresses(&body, &SOURCE);
    let destination = condition::addresses(&body, &DESTINATION);
    let services = super::service::read(&body);
    // What does not hold at all times was told.
    let _ = condition::always(&body);
    let ends = (source.as_ref(), destination.as_ref());
    let (verb, logged) = action::read(&body, &name, ends, exchange, on_demand);
    let refused = book.notes.refusals() > before;
    Filter { node, name, refused, verb, logged, source, destination, services }
}

impl Filter<'_> {
    /// Conditions of each rule of ours that it becomes.
    pub(super) fn parts(&self) -> Vec<Vec<Setting>> {
        let ends = |turned: bool| {
            let (source, destination) =
                if turned { (&self.destination, &self.source) } else { (&self.source, &self.destination) };
            let value = |set: &Option<Set>| set.as_ref().and_then(Set::addresses);
            let all = [("source", value(source)), ("destination", value(destination))];
            all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect::<Vec<_>>()
        };
        match &self.services {
            // Nobody knows which direction was meant: both ends either way.
            Parts::Unknown => vec![ends(false), ends(true)],
            Parts::Known(parts) => parts
                .iter()
                .map(|part| ends(false).into_iter().chain(part.settings(self.refused)).collect())
                .collect(),
        }
    }

    /// What becomes of packets.
    pub(super) fn verdict(&self) -> Vec<Setting> {
        let mut keys = match (&self.verb, self.refused) {
            (Verb::Permit, false) => vec![("action", Value::text("permit"))],
            (Verb::Ipsec(tunnel), false) => {
                let mut keys =
                    vec![("action", Value::text("ipsec")), ("tunnel", Value::text(tunnel.name.clone()))];
                keys.extend(
                    tunnel.identity.clone().map(|identity| ("remote_identity", Value::text(identity))),
                );
                keys
            }
            (Verb::Deny { icmp: true }, _) => {
                vec![("action", Value::text("deny")), ("discard", Value::text("icmp"))]
            }
            _ => vec![("action", Value::text("deny"))],
        };
        let fits = match (&self.verb, self.refused) {
            (Verb::Permit, _) => ["yes", "no", "permit"].as_slice(),
            (Verb::Ipsec(_), false) => &["yes", "no", "permit", "deny"],
            _ => &["yes", "no", "deny"],
        };
        keys.extend(self.logged.filter(|log| fits.contains(log)).map(|log| ("log", Value::text(log))));
        keys
    }
}

/// The number of a protocol by name or number.
pub(super) fn protocol(text: &str) -> Option<u8> {
    service::protocol_number(&text.to_ascii_lowercase()).or_else(|| text.parse().ok())
}

impl Part {
    /// As keys of a rule.
    fn settings(&self, refused: bool) -> Vec<Setting> {
        let mut keys = self.traffic.clone();
        if let Some(direction) = self.direction {
            keys.push(("direction", Value::text(direction)));
        }
        if let Some(connect) = self.connect {
            keys.push(("connect", Value::text(connect)));
        }
        // What is refused is so whether it is forwarded or not.
        if let Some(routing) = self.routing.filter(|_| !refused) {
            keys.push(("routing", Value::text(routing)));
        }
        if self.fragments_only {
            keys.push(("fragments_only", Value::Flag(true)));
        }
        keys
    }
}
