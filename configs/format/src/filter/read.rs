//! `[[rule]]` tables as values.

use std::collections::HashMap;

use ravelin_contract::name::Name;
use ravelin_contract::rule::{Discard, Log, Routing};
use ravelin_events::catalogue::{CHECK_NEVER, FILE_CONTRADICTION, FILE_MISPLACED, FILE_MISSING, FILE_TWICE};

use crate::document::Table;
use crate::filter::objects::{AddressTerm, ServiceTerm, read_addresses, read_services};
use crate::filter::{Connect, FilterRule, Traffic, Way, WrittenAction};
use crate::service;
use crate::source::Place;
use crate::value::Value;

/// Keys that say which packets are meant.
pub const TRAFFIC_KEYS: [&str; 8] = [
    "source",
    "destination",
    "service",
    "protocol",
    "source_port",
    "destination_port",
    "icmp_type",
    "icmp_code",
];
/// Keys of a default filter: it permits, so there is nothing to say about denying or protecting.
const DEFAULT_KEYS: [&str; 16] = joined(
    TRAFFIC_KEYS,
    ["name", "direction", "connect", "routing", "zone", "fragments_only", "log", "action"],
);
/// Keys of a rule of a policy.
const POLICY_KEYS: [&str; 19] = joined(DEFAULT_KEYS, ["discard", "tunnel", "remote_identity"]);

/// Two lists of keys as one. `N` is the sum of the other two; anything else does not compile.
pub const fn joined<const A: usize, const B: usize, const N: usize>(
    first: [&'static str; A],
    second: [&'static str; B],
) -> [&'static str; N] {
    assert!(A + B == N);
    let mut all = [""; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < A { first[at] } else { second[at - A] };
        at += 1;
    }
    all
}

/// Names that the product gives itself (row B24).
const RESERVED: &str = "SYSDEFAULT";

/// Which file the rules are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `ipsec.toml`.
    Policy,
    /// `default-filters.toml`: permits only (row B21).
    Default,
}

/// Names given so far, over all files.
#[derive(Debug, Default)]
pub struct Names(HashMap<Name, Place>);

/// The rules of a file in order. `before` is how many rules other files had, for the names of those without one.
pub fn rules(file: &Table<'_>, kind: Kind, before: usize, names: &mut Names) -> Vec<FilterRule> {
    let (what, keys) = match kind {
        Kind::Policy => ("a rule", &POLICY_KEYS[..]),
        Kind::Default => ("a default filter", &DEFAULT_KEYS[..]),
    };
    let tables = file.tables("rule", what, keys);
    let number = |index: usize| before + index + 1;
    let rules = tables.iter().enumerate().map(|(index, table)| rule(table, kind, number(index), names));
    rules.collect::<Vec<_>>().into_iter().flatten().collect()
}

impl Names {
    /// Notes a name; one that stands already is an error.
    pub fn take(&mut self, name: &Name, what: &str, value: &Value<'_>) {
        if let Some(first) = self.0.get(name) {
            let at = first.span.as_ref().map_or(0, |span| first.source.position(span.start).line);
            let message = FILE_TWICE
                .of(format!("{what} `{name}` stands twice, first in {} line {at}", first.source.name()));
            value.error(message, "give each a name of its own");
            return;
        }
        self.0.insert(name.clone(), value.place());
    }
}

/// Every part is read before any is asked for, so that all mistakes of a rule are told at once.
fn rule(table: &Table<'_>, kind: Kind, number: usize, names: &mut Names) -> Option<FilterRule> {
    let name = read_name(table, kind, number, names);
    let traffic = traffic(table);
    let direction = choice(table, "direction", &WAYS, Way::Both);
    let connect = choice(table, "connect", &CONNECTS, Connect::Either);
    let routing = choice(table, "routing", &ROUTINGS, Routing::Either);
    let zone = table.optional("zone", |value| Some((value.name()?, value.place())));
    let fragments_only = table.optional("fragments_only", Value::flag);
    let action = match kind {
        Kind::Policy => read_action(table),
        Kind::Default => read_default_action(table),
    };
    let log = choice(table, "log", &LOGS, Log::No);
    let remote_identity = match kind {
        Kind::Policy => read_identity(table, action.as_ref()),
        Kind::Default => Some(None),
    };
    let (action, log) = (action?, log?);
    check_log(table, &action, log);
    Some(FilterRule {
        name: name?,
        traffic: traffic?,
        direction: direction?,
        connect: (connect?, table.get("connect").map(|value| value.place())),
        routing: routing?,
        zone: zone?,
        fragments_only: fragments_only?.unwrap_or(false),
        action,
        log,
        remote_identity: remote_identity?,
    })
}

/// Addresses and services of a table that knows `source`, `destination`, `service` and [`service::KEYS`].
pub fn traffic(table: &Table<'_>) -> Option<Traffic> {
    let (source, destination) = (addresses(table, "source"), addresses(table, "destination"));
    let services = services(table);
    Some(Traffic { place: table.place(), source: source?, destination: destination?, services: services? })
}

const WAYS: [(&str, Way); 3] = [("inbound", Way::Inbound), ("outbound", Way::Outbound), ("both", Way::Both)];
const CONNECTS: [(&str, Connect); 3] =
    [("inbound", Connect::Inbound), ("outbound", Connect::Outbound), ("either", Connect::Either)];
const ROUTINGS: [(&str, Routing); 3] =
    [("local", Routing::Local), ("routed", Routing::Routed), ("either", Routing::Either)];
const LOGS: [(&str, Log); 4] =
    [("no", Log::No), ("yes", Log::Yes), ("permit", Log::Permitted), ("deny", Log::Denied)];
/// What may be said to the sender of a packet that is dropped.
pub const DISCARDS: [(&str, Discard); 2] = [("silent", Discard::Silent), ("icmp", Discard::Icmp)];

fn choice<T: Copy>(table: &Table<'_>, key: &'static str, of: &[(&'static str, T)], default: T) -> Option<T> {
    table.get(key).map_or(Some(default), |value| value.choice(of))
}

fn read_name(table: &Table<'_>, kind: Kind, number: usize, names: &mut Names) -> Option<Name> {
    let Some(value) = table.get("name") else {
        let base = if kind == Kind::Default { "SYSDEFAULTRULE" } else { "rule" };
        return Name::new(format!("{base}.{number}")).ok();
    };
    let name = value.name()?;
    if name.as_str().to_ascii_uppercase().starts_with(RESERVED) {
        value.error(format!("names with {RESERVED} are the product's own"), "choose another name");
    }
    names.take(&name, "rule", &value);
    Some(name)
}

fn addresses(table: &Table<'_>, key: &'static str) -> Option<Vec<AddressTerm>> {
    match table.get(key) {
        None => Some(vec![AddressTerm::Any(table.place())]),
        Some(value) => read_addresses(&value),
    }
}

/// Either `service`, or the keys of a service in the rule itself.
fn services(table: &Table<'_>) -> Option<Vec<ServiceTerm>> {
    let own = service::KEYS.iter().find_map(|key| table.get(key));
    match (table.get("service"), own) {
        (Some(_), Some(own)) => {
            own.error(
                FILE_CONTRADICTION.of(format!("`{}` beside `service`", own.key())),
                "write it into the service, or leave `service` out",
            );
            None
        }
        (Some(service), None) => read_services(&service),
        (None, _) => service::read(table).map(|parts| vec![ServiceTerm::Parts(parts)]),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Permit,
    Deny,
    Ipsec,
}

fn read_action(table: &Table<'_>) -> Option<WrittenAction> {
    let verbs = [("permit", Verb::Permit), ("deny", Verb::Deny), ("ipsec", Verb::Ipsec)];
    let value = table.need("action", "action = \"permit\", \"deny\" or \"ipsec\"")?;
    let verb = value.choice(&verbs)?;
    if let Some(stray) = table.get("tunnel").filter(|_| verb != Verb::Ipsec) {
        stray.error(
            FILE_MISPLACED.of("`tunnel` in a rule that does not protect"),
            "write action = \"ipsec\", or remove the line",
        );
    }
    if let Some(stray) = table.get("discard").filter(|_| verb != Verb::Deny) {
        stray.error(
            FILE_MISPLACED.of("`discard` in a rule that does not deny"),
            "write action = \"deny\", or remove the line",
        );
    }
    match verb {
        Verb::Permit => Some(WrittenAction::Permit),
        Verb::Deny => choice(table, "discard", &DISCARDS, Discard::Silent).map(WrittenAction::Deny),
        Verb::Ipsec => match table.get("tunnel") {
            Some(tunnel) => tunnel.name().map(|name| WrittenAction::Ipsec(name, tunnel.place())),
            None => {
                value.error(
                    FILE_MISSING.of("action \"ipsec\" without a tunnel"),
                    "add a line such as: tunnel = \"site-b\"",
                );
                None
            }
        },
    }
}

fn read_default_action(table: &Table<'_>) -> Option<WrittenAction> {
    let Some(value) = table.get("action") else { return Some(WrittenAction::Permit) };
    match value.text()? {
        "permit" => Some(WrittenAction::Permit),
        _ => {
            let remedy = "remove the rule: what no default filter permits is denied";
            value.error(FILE_MISPLACED.of("default filters can only permit"), remedy);
            None
        }
    }
}

/// Texts, each with its place. What they mean depends on what reads the policy.
fn identities(value: &Value<'_>) -> Option<Vec<(String, Place)>> {
    let all: Vec<_> =
        value.one_or_more().iter().map(|one| Some((one.text()?.to_owned(), one.place()))).collect();
    all.into_iter().collect::<Option<Vec<_>>>().filter(|list| !list.is_empty())
}

/// Only where packets come and go by an SA somebody has proved who he is.
fn read_identity(table: &Table<'_>, action: Option<&WrittenAction>) -> Option<Option<Vec<(String, Place)>>> {
    let Some(value) = table.get("remote_identity") else { return Some(None) };
    match action {
        Some(WrittenAction::Ipsec(..)) | None => {}
        Some(WrittenAction::Permit) => value.error(
            FILE_MISPLACED.of("`remote_identity` in a rule that permits in clear, where nobody proves who he is"),
            "write action = \"ipsec\" and the tunnel of a peer, or remove the line",
        ),
        Some(WrittenAction::Deny(_)) => value.error(
            FILE_MISPLACED.of("`remote_identity` in a rule that denies"),
            "write rules with action = \"ipsec\" for those who may: what these speak of passes for nobody else",
        ),
    }
    identities(&value).map(Some)
}

/// A log flag for what the action can never do would stay silent for ever.
fn check_log(table: &Table<'_>, action: &WrittenAction, log: Log) {
    let Some(value) = table.get("log") else { return };
    match (action, log) {
        (WrittenAction::Permit, Log::Denied) => {
            value.error(CHECK_NEVER.of("a rule that permits never denies"), "write log = \"yes\" or \"no\"");
        }
        (WrittenAction::Deny(_), Log::Permitted) => {
            value.error(CHECK_NEVER.of("a rule that denies never permits"), "write log = \"yes\" or \"no\"");
        }
        _ => {}
    }
}
