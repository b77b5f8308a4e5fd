//! Which connections are ended here for TLS: the first rule that matches (row A25 orders them before they come here).

use ravelin_contract::name::Name;
use ravelin_contract::rule::ZoneId;
use ravelin_contract::selector::FlowKey;
use ravelin_contract::tls::{TlsAction, TlsRule};

use crate::tree::{Coordinate, Entry, Key, Tree};

/// The frozen table.
#[derive(Debug, Default)]
pub struct TlsTable {
    rules: Vec<TlsRule>,
    v4: Option<Tree<u32>>,
    v6: Option<Tree<u128>>,
    fingerprint: String,
}

impl TlsTable {
    /// Of rules that have passed `Snapshot::check`, in order, of the policy with this fingerprint.
    pub fn compile(rules: Vec<TlsRule>, fingerprint: String) -> Self {
        if rules.is_empty() {
            return Self::default();
        }
        let ranked = || rules.iter().zip(0u32..);
        let v4 = ranked().filter_map(|(rule, rank)| Some(in_zone(rule, Entry::new(&rule.selector, rank)?)));
        let v6 = ranked().filter_map(|(rule, rank)| Some(in_zone(rule, Entry::new(&rule.selector, rank)?)));
        let (v4, v6) = (Tree::build(v4.collect()), Tree::build(v6.collect()));
        Self { v4: Some(v4), v6: Some(v6), rules, fingerprint }
    }

    /// Whether no connection is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The policy that the rules are of.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The rules in order.
    pub fn rules(&self) -> &[TlsRule] {
        &self.rules
    }

    /// Position of the rule that [`TlsTable::find`] gives.
    pub fn position(&self, opening: &FlowKey, zone: Option<ZoneId>) -> Option<u32> {
        self.rank(opening, zone, false)
    }

    /// The first rule for a connection whose first SYN has this flow, and comes from the side of this zone.
    pub fn find(&self, opening: &FlowKey, zone: Option<ZoneId>) -> Option<&TlsRule> {
        self.rules.get(self.position(opening, zone)? as usize)
    }

    /// Whether a packet without ports may belong to such a connection, seen from either end.
    pub fn may_concern(&self, flow: &FlowKey) -> bool {
        [*flow, flow.reversed()].iter().any(|flow| {
            let rule = self.rank(flow, None, true).and_then(|rank| self.rules.get(rank as usize));
            rule.is_some_and(|rule| rule.action != TlsAction::Pass)
        })
    }

    /// Name and extension of a rule.
    pub fn label(rule: &TlsRule) -> (Name, u16) {
        (rule.name.clone(), rule.extension)
    }

    fn rank(&self, flow: &FlowKey, zone: Option<ZoneId>, unknown_ports: bool) -> Option<u32> {
        let zone = zone.map(|zone| zone.0);
        if flow.source.is_ipv4() {
            let key = Key::new(flow, zone, 0)?;
            self.v4.as_ref()?.first_match(&if unknown_ports { key.with_unknown_fields() } else { key })
        } else {
            let key = Key::new(flow, zone, 0)?;
            self.v6.as_ref()?.first_match(&if unknown_ports { key.with_unknown_fields() } else { key })
        }
    }
}

fn in_zone<C: Coordinate>(rule: &TlsRule, entry: Entry<C>) -> Entry<C> {
    entry.in_zone(rule.zone.map(|zone| zone.0))
}
