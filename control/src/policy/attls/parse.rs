//! `attls.toml` into the model: its values, each checked alone.

use std::collections::HashMap;

use ravelin_config::diagnostic::Collector;
use ravelin_config::document::{self, Table};
use ravelin_config::filter::Traffic;
use ravelin_config::filter::objects::{AddressTerm, Objects, ServiceTerm, read_addresses};
use ravelin_config::filter::read::{Names, joined};
use ravelin_config::service;
use ravelin_config::source::Source;
use ravelin_contract::address::NumberRange;
use ravelin_contract::name::Name;
use ravelin_contract::selector::Upper;
use ravelin_events::catalogue::{FILE_MISPLACED, FILE_MISSING};

use super::layer::{self, Layer};
use super::model::{Action, Level, Model, OnNoMatch, Rule};

const KEYS: &[&str] = &[
    "rule",
    "groups",
    "environments",
    "connections",
    "addresses",
    "services",
    "secure_ports",
    "on_no_match",
];
/// What a rule may be about.
const CONDITIONS: [&str; 5] = ["client", "server", "client_port", "server_port", "zone"];
const RULE_KEYS: [&str; 37] = joined(
    layer::KEYS,
    joined::<5, 5, 10>(CONDITIONS, ["name", "priority", "group", "environment", "connection"]),
);

/// The rule that stands for all that no other speaks of.
pub(super) const NO_MATCH: &str = "on-no-match";
/// Highest priority (row A25).
const PRIORITY: u64 = 2_000_000_000;

/// Reads the file. Its objects are those of all files of a policy. `None` when it is not TOML.
pub(in crate::policy) fn add(source: &Source, objects: &mut Objects, notes: &Collector) -> Option<Model> {
    document::read(source, notes, KEYS, |file| {
        objects.read(file);
        let mut names = Names::default();
        let tables = file.tables("rule", "a rule", &RULE_KEYS);
        let rules = tables.iter().zip(1..).map(|(table, number)| rule(table, number, &mut names));
        Some(Model {
            rules: rules.collect::<Vec<_>>().into_iter().flatten().collect(),
            actions: actions(file),
            secure: secure(file),
        })
    })
}

fn actions(file: &Table<'_>) -> HashMap<(Level, Name), Action> {
    let mut found = HashMap::new();
    for level in Level::ALL {
        let section = file.get(level.section());
        for (place, value) in section.map(|section| section.named()).unwrap_or_default() {
            let layer = value.table("an action", &layer::KEYS).map(|table| Layer::read(&table));
            match Name::new(value.key()) {
                Ok(name) => found.extend(layer.map(|layer| ((level, name), Action { place, layer }))),
                Err(why) => file.context().notes.error(place, why.to_string(), "choose another name"),
            }
        }
    }
    found
}

/// Every part is read before any is asked for, so that all mistakes of a rule are told at once.
fn rule(table: &Table<'_>, number: usize, names: &mut Names) -> Option<Rule> {
    let name = read_name(table, number, names);
    let priority = table.optional("priority", |value| {
        value.number(1..=PRIORITY).map(|priority| (priority as u32, value.place()))
    });
    let traffic = traffic(table);
    let named = |key| table.optional(key, |value| Some((value.name()?, value.place())));
    let zone = named("zone");
    let actions = Level::ALL.map(|level| named(level.key()));
    let own = Layer::read(table);
    if CONDITIONS.iter().all(|key| table.get(key).is_none()) {
        let remedy = "say for which connections, such as server_port = 992";
        table.error(FILE_MISSING.of("the rule is for every TCP connection"), remedy);
    }
    let [group, environment, connection] = actions;
    Some(Rule {
        name: name?,
        place: table.place(),
        priority: priority?,
        traffic: traffic?,
        zone: zone?,
        named: [group?, environment?, connection?],
        own,
    })
}

fn read_name(table: &Table<'_>, number: usize, names: &mut Names) -> Option<Name> {
    let Some(value) = table.get("name") else { return Name::new(format!("tls.{number}")).ok() };
    let name = value.name()?;
    if name.as_str() == NO_MATCH {
        value.error(format!("`{NO_MATCH}` is the product's own name"), "choose another name");
    }
    names.take(&name, "rule", &value);
    Some(name)
}

fn traffic(table: &Table<'_>) -> Option<Traffic> {
    let addresses = |key| match table.get(key) {
        None => Some(vec![AddressTerm::Any(table.place())]),
        Some(value) => read_addresses(&value),
    };
    let (source, destination) = (addresses("client"), addresses("server"));
    let parts = service::tcp(table.get("client_port"), table.get("server_port"), &table.place());
    let services = parts.map(|parts| vec![ServiceTerm::Parts(parts)]);
    Some(Traffic { place: table.place(), source: source?, destination: destination?, services: services? })
}

fn secure(file: &Table<'_>) -> Option<(Vec<NumberRange>, OnNoMatch)> {
    let choices = [("permit", OnNoMatch::Permit), ("deny", OnNoMatch::Deny)];
    let verdict = file.optional("on_no_match", |value| value.choice(&choices));
    let Some(ports) = file.get("secure_ports") else {
        if let Some(stray) = file.get("on_no_match") {
            let remedy = "list them, such as secure_ports = [992], or remove the line";
            stray.error(
                FILE_MISPLACED.of("`on_no_match` speaks of the ports in `secure_ports`, and there are none"),
                remedy,
            );
        }
        return None;
    };
    let parts = service::tcp(None, Some(ports), &ports.place());
    let range = |upper| match upper {
        Upper::Ports { destination, .. } => Some(destination),
        _ => None,
    };
    let ranges = parts?.into_iter().filter_map(|part| range(part.upper)).collect();
    Some((ranges, verdict?.unwrap_or(OnNoMatch::Deny)))
}
