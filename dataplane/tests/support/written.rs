//! Rules from the text of a policy.

use ravelin_config::diagnostic::Collector;
use ravelin_config::document;
use ravelin_config::filter::compile::{Scope, Tunnels, compile};
use ravelin_config::filter::objects::Objects;
use ravelin_config::filter::read::{self, Kind, Names};
use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_contract::rule::Rule;

/// The rules of a policy with one tunnel, "site-b", and the zones "lan" and "wan", which come with them.
pub(crate) fn rules(text: &str) -> (Vec<Rule>, Vec<Name>) {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap()).to_vec();
    let tunnel = Name::new("site-b").unwrap();
    let notes = Collector::default();
    let source = Source::from_text("ipsec.toml", text);
    let written = document::read(&source, &notes, &["rule"], |file| {
        Some(read::rules(file, Kind::Policy, 0, &mut Names::default()))
    });
    let objects = Objects::default();
    let tunnels = Tunnels::new([&tunnel]);
    let scope = Scope { objects: &objects, zones: &zones, tunnels: &tunnels, notes: &notes };
    let rules = written.unwrap().iter().flat_map(|rule| compile(rule, &scope).unwrap()).collect();
    (rules, zones)
}
