//! The filters: one ordered list of rules, first match wins, no match is a deny (rows B1, B13).
//!
//! Rules are kept per direction and family in a [`crate::tree`]; the answer is that of [`crate::scan`].

use ravelin_contract::rule::{
    Action, Direction, FilterSettings, Fragments, Log, Opening, Routing, Rule, ZoneId,
};
use ravelin_contract::selector::FlowKey;

use crate::tree::{Coordinate, Entry, Key, Tree, trait_bits};

/// What one crossing of the boundary asks the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Query {
    /// Inbound or outbound.
    pub direction: Direction,
    /// Addresses and upper layer of the packet (the inner one, when it came protected).
    pub flow: FlowKey,
    /// Whether one end is this host (row B10).
    pub local: bool,
    /// Zone of the port on the unprotected side: ingress when inbound, egress when outbound.
    pub zone: Option<ZoneId>,
    /// Whether the packet is a fragment, first or later.
    pub fragment: bool,
    /// Whether it is a TCP segment with SYN and without ACK.
    pub opens_tcp: bool,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Position of the deciding rule; `None` is the implicit deny.
    pub index: Option<u32>,
    /// What to do.
    pub action: Action,
    /// What to log.
    pub log: Log,
}

/// The frozen table.
#[derive(Debug)]
pub struct Filters {
    rules: Vec<Rule>,
    settings: FilterSettings,
    inbound: Table,
    outbound: Table,
}

impl Filters {
    /// Of rules that have passed `Snapshot::check`, in order.
    pub fn compile(rules: Vec<Rule>, settings: FilterSettings) -> Self {
        let inbound = Table::build(&rules, Direction::Inbound);
        let outbound = Table::build(&rules, Direction::Outbound);
        Self { rules, settings, inbound, outbound }
    }

    /// The first rule that matches.
    pub fn lookup(&self, query: &Query) -> Match {
        self.answer(self.table(query.direction).first_match(query, None))
    }

    /// As [`Filters::lookup`] for a packet whose ports (or ICMP type and code) are hidden: a later fragment. `None` when
    /// the answer hangs on them.
    pub fn lookup_without_ports(&self, query: &Query) -> Option<Match> {
        let table = self.table(query.direction);
        let found = table.first_match(query, None);
        (table.first_possible(query) == found).then(|| self.answer(found))
    }

    /// The first rule behind the one at `index` that matches: what would decide if that one were not there.
    pub fn next_match(&self, query: &Query, index: u32) -> Option<u32> {
        self.table(query.direction).first_match(query, Some(index))
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What holds for all rules.
    #[inline]
    pub fn settings(&self) -> &FilterSettings {
        &self.settings
    }

    /// The rule at `index`.
    pub fn rule(&self, index: u32) -> Option<&Rule> {
        self.rules.get(index as usize)
    }

    fn table(&self, direction: Direction) -> &Table {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    fn answer(&self, index: Option<u32>) -> Match {
        let settings = self.settings();
        let (index, action, log) = match index.and_then(|index| self.rule(index)) {
            Some(rule) => (index, rule.action, rule.log),
            None => {
                let log = if settings.log_implicit { Log::Yes } else { Log::No };
                (None, Action::Deny(settings.implicit_discard), log)
            }
        };
        Match { index, action, log: if settings.log { log } else { Log::No } }
    }
}

/// The rules of one direction.
#[derive(Debug)]
struct Table {
    v4: Tree<u32>,
    v6: Tree<u128>,
}

impl Table {
    fn build(rules: &[Rule], direction: Direction) -> Self {
        Self { v4: Tree::build(entries(rules, direction)), v6: Tree::build(entries(rules, direction)) }
    }

    /// The first rule that matches, of those behind `after` if one is given.
    fn first_match(&self, query: &Query, after: Option<u32>) -> Option<u32> {
        match query.flow.source.is_ipv4() {
            true => first(&self.v4, &key(query)?, after),
            false => first(&self.v6, &key(query)?, after),
        }
    }

    /// The first rule that matches with some ports.
    fn first_possible(&self, query: &Query) -> Option<u32> {
        match query.flow.source.is_ipv4() {
            true => self.v4.first_match(&key(query)?.with_unknown_fields()),
            false => self.v6.first_match(&key(query)?.with_unknown_fields()),
        }
    }
}

fn first<C: Coordinate>(tree: &Tree<C>, key: &Key<C>, after: Option<u32>) -> Option<u32> {
    match after {
        None => tree.first_match(key),
        Some(after) => tree.first_match_among(key, |rank| rank > after),
    }
}

fn key<C: Coordinate>(query: &Query) -> Option<Key<C>> {
    let end = if query.local { trait_bits::LOCAL } else { trait_bits::ROUTED };
    let fragment = if query.fragment { trait_bits::FRAGMENT } else { 0 };
    let opening = if query.opens_tcp { trait_bits::OPENING } else { 0 };
    Key::new(&query.flow, query.zone.map(|zone| zone.0), end | fragment | opening)
}

/// What the rules of one direction and family ask, ranked by position.
fn entries<C: Coordinate>(rules: &[Rule], direction: Direction) -> Vec<Entry<C>> {
    let ranked = rules.iter().zip(0..).filter(|(rule, _)| rule.direction == direction);
    ranked.filter_map(|(rule, rank)| entry(rule, rank)).collect()
}

fn entry<C: Coordinate>(rule: &Rule, rank: u32) -> Option<Entry<C>> {
    let end = match rule.routing {
        Routing::Local => trait_bits::LOCAL,
        Routing::Routed => trait_bits::ROUTED,
        Routing::Either => 0,
    };
    let fragment = if rule.fragments == Fragments::Only { trait_bits::FRAGMENT } else { 0 };
    let refuse = if rule.opening == Opening::Excluded { trait_bits::OPENING } else { 0 };
    let entry = Entry::new(&rule.selector, rank)?;
    Some(entry.in_zone(rule.zone.map(|zone| zone.0)).with_traits(end | fragment, refuse))
}
