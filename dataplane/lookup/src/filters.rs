//! The filters: one ordered list of rules, first match wins, no match is a deny (rows B1, B13).
//!
//! Rules are kept per direction and family in a [`crate::tree`]; the answer is that of [`crate::scan`].

use ravelin_contract::identity::IdentityId;
use ravelin_contract::rule::{
    Action, Direction, FilterSettings, Fragments, Log, Opening, Routing, Rule, TunnelId, ZoneId,
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

/// Who is at the far end of the SA that brought a packet, or that would take it, as a rule asks it (row B18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// One of those that the rule is for.
    Meant,
    /// Somebody else.
    Other,
    /// There is no such SA.
    Absent,
}

/// Says who it is for a rule that protects by this tunnel and is for these identities.
pub type Ask<'a> = &'a dyn Fn(TunnelId, &[IdentityId]) -> Peer;

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Position of the deciding rule; `None` is the implicit deny.
    pub index: Option<u32>,
    /// What to do.
    pub action: Action,
    /// What to log.
    pub log: Log,
    /// Who the peer is, where the rule is for some alone: when not [`Peer::Meant`], no other rule takes the packet.
    pub peer: Peer,
}

/// The frozen table.
#[derive(Debug)]
pub struct Filters {
    rules: Vec<Rule>,
    settings: FilterSettings,
    inbound: Table,
    outbound: Table,
    /// Whether any rule is for some peers alone.
    asks: bool,
}

impl Filters {
    /// Of rules that have passed `Snapshot::check`, in order.
    pub fn compile(rules: Vec<Rule>, settings: FilterSettings) -> Self {
        let inbound = Table::build(&rules, Direction::Inbound);
        let outbound = Table::build(&rules, Direction::Outbound);
        let asks = rules.iter().any(|rule| !rule.identities.is_empty());
        Self { rules, settings, inbound, outbound, asks }
    }

    /// The first rule that matches and is for this peer. What a rule for other peers speaks of passes in clear by no rule
    /// after it, so there that rule is the answer.
    pub fn lookup(&self, query: &Query, peer: Ask<'_>) -> Match {
        let table = self.table(query.direction);
        let first = table.first_match(query, |_| true);
        if !self.asks {
            return self.answer(first, peer);
        }
        let meant = table.first_match(query, |index| self.peer(index, peer) == Peer::Meant);
        self.answer(if self.is_open(meant) { first } else { meant }, peer)
    }

    /// As [`Filters::lookup`] for a packet whose ports (or ICMP type and code) are hidden: a later fragment. `None` when
    /// the answer hangs on them.
    pub fn lookup_without_ports(&self, query: &Query, peer: Ask<'_>) -> Option<Match> {
        let table = self.table(query.direction);
        let meant = table.first_match(query, |index| self.peer(index, peer) == Peer::Meant);
        (table.first_possible(query) == meant).then(|| self.answer(meant, peer))
    }

    /// The first rule behind the one at `index` that matches: what would decide if that one were not there.
    pub fn next_match(&self, query: &Query, index: u32) -> Option<u32> {
        self.table(query.direction).first_match(query, |next| next > index)
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

    /// Whether the rule is for the peer.
    fn peer(&self, index: u32, peer: Ask<'_>) -> Peer {
        match self.rule(index) {
            Some(Rule { action: Action::Protect(tunnel), identities, .. }) if !identities.is_empty() => {
                peer(*tunnel, identities)
            }
            _ => Peer::Meant,
        }
    }

    /// Whether no rule protects or denies by this answer.
    fn is_open(&self, index: Option<u32>) -> bool {
        index.and_then(|index| self.rule(index)).is_none_or(|rule| rule.action == Action::Permit)
    }

    fn table(&self, direction: Direction) -> &Table {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    fn answer(&self, index: Option<u32>, peer: Ask<'_>) -> Match {
        let settings = self.settings();
        let (index, action, log) = match index.and_then(|index| self.rule(index)) {
            Some(rule) => (index, rule.action, rule.log),
            None => {
                let log = if settings.log_implicit { Log::Yes } else { Log::No };
                (None, Action::Deny(settings.implicit_discard), log)
            }
        };
        let peer = index.map_or(Peer::Meant, |index| self.peer(index, peer));
        Match { index, action, log: if settings.log { log } else { Log::No }, peer }
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

    /// The first rule that matches, of those that count.
    fn first_match(&self, query: &Query, counts: impl Fn(u32) -> bool) -> Option<u32> {
        match query.flow.source.is_ipv4() {
            true => self.v4.first_match_among(&key(query)?, counts),
            false => self.v6.first_match_among(&key(query)?, counts),
        }
    }

    /// The first rule that matches with some ports and some peer.
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
