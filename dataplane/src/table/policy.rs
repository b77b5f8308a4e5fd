//! The filter table: one ordered list of rules, first match wins, no match is a deny (rows B1, B13).
//!
//! Rules are kept per direction and family in a [`super::tree`]; the answer is that of [`super::policy_model`].
//! Matches are counted per worker, and a rule that a reload left as it was goes on counting where it stood.

use ravelin_contract::limits;
use ravelin_contract::name::Name;
use ravelin_contract::report::RuleStatus;
use ravelin_contract::rule::{
    Action, Direction, FilterSettings, Fragments, Log, Opening, Routing, Rule, TunnelId, ZoneId,
};
use ravelin_contract::selector::FlowKey;
use ravelin_contract::tls::TlsRule;

use super::rule_counters::RuleCounters;
use super::tls::TlsTable;
use super::tree::{Coordinate, Entry, Key, Tree, trait_bits};

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

/// What a policy is compiled from; the parts of a snapshot that concern filters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicySource {
    /// In order.
    pub rules: Vec<Rule>,
    /// Zone names by [`ZoneId`].
    pub zones: Vec<Name>,
    /// Tunnel names by [`TunnelId`].
    pub tunnels: Vec<Name>,
    /// What holds for all of them.
    pub settings: FilterSettings,
    /// TLS, in order.
    pub tls: Vec<TlsRule>,
    /// See [`ravelin_contract::snapshot::Snapshot::fingerprint`].
    pub fingerprint: String,
}

/// The frozen table.
#[derive(Debug)]
pub struct Policy {
    source: PolicySource,
    inbound: Table,
    outbound: Table,
    tls: TlsTable,
    counters: RuleCounters,
}

impl Policy {
    /// Compiles `source`, which has passed `Snapshot::check`, for `workers` workers. Counters of rules that stand
    /// unchanged in `previous` (name, extension and content) are taken over.
    pub fn compile(source: PolicySource, workers: usize, previous: Option<&Self>) -> Self {
        let before = previous.map(|policy| (&policy.source, &policy.counters));
        let counters = RuleCounters::new(&source, workers, before);
        let inbound = Table::build(&source.rules, Direction::Inbound);
        let outbound = Table::build(&source.rules, Direction::Outbound);
        let tls = TlsTable::compile(source.tls.clone(), source.fingerprint.clone());
        Self { source, inbound, outbound, tls, counters }
    }

    /// The first rule that matches.
    pub fn lookup(&self, query: &Query) -> Match {
        self.answer(self.table(query.direction).first_match(query))
    }

    /// As [`Policy::lookup`] for a packet whose ports (or ICMP type and code) are hidden: a later fragment. `None` when
    /// the answer hangs on them.
    pub fn lookup_without_ports(&self, query: &Query) -> Option<Match> {
        let table = self.table(query.direction);
        let found = table.first_match(query);
        (table.first_possible(query) == found).then(|| self.answer(found))
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.source.rules
    }

    /// Which connections are ended here.
    pub fn tls(&self) -> &TlsTable {
        &self.tls
    }

    /// What holds for all rules.
    pub fn settings(&self) -> &FilterSettings {
        &self.source.settings
    }

    /// The rule at `index`.
    pub fn rule(&self, index: u32) -> Option<&Rule> {
        self.source.rules.get(index as usize)
    }

    /// The operator's name of a tunnel.
    pub fn tunnel_name(&self, tunnel: TunnelId) -> Option<&Name> {
        self.source.tunnels.get(tunnel.0 as usize)
    }

    /// The zone of that name.
    pub fn zone(&self, name: &str) -> Option<ZoneId> {
        let mut numbered = self.source.zones.iter().take(limits::ZONES).zip(0u8..);
        numbered.find(|(zone, _)| zone.as_str() == name).map(|(_, number)| ZoneId(number))
    }

    /// Adds to the count of a rule. Only the worker of that number may call it with that number.
    pub fn count(&self, worker: usize, index: u32, packets: u64, octets: u64) {
        self.counters.add(worker, index, packets, octets);
    }

    /// At most `most` rules from position `from` on with their counts over all workers, and where to go on.
    pub fn status(&self, from: u32, most: usize) -> (Vec<RuleStatus>, Option<u32>) {
        let rest = self.source.rules.iter().zip(0..).skip(from as usize);
        let status = |(rule, index): (&Rule, u32)| RuleStatus {
            index,
            rule: rule.clone(),
            matched: self.counters.total(index),
        };
        let page: Vec<_> = rest.take(most).map(status).collect();
        let next = from as usize + page.len();
        (page, (next < self.source.rules.len()).then_some(next as u32))
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

    fn first_match(&self, query: &Query) -> Option<u32> {
        match query.flow.source.is_ipv4() {
            true => self.v4.first_match(&key(query)?),
            false => self.v6.first_match(&key(query)?),
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
