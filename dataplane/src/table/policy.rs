//! The policy in force: the compiled filters and TLS rules, the operator's names for what they speak of, and how often each
//! filter matched.
//!
//! Matches are counted per worker, and a rule that a reload left as it was goes on counting where it stood.

use std::collections::HashMap;
use std::sync::Arc;

use ravelin_contract::identity::{IdentityId, Pattern};
use ravelin_contract::limits;
use ravelin_contract::name::Name;
use ravelin_contract::report::RuleStatus;
use ravelin_contract::rule::{FilterSettings, Rule, TunnelId, ZoneId};
use ravelin_contract::tls::TlsRule;
use ravelin_lookup::filters::Filters;
use ravelin_lookup::tls::TlsTable;

use super::rule_counters::{Named, RuleCounters};

/// What a policy is compiled from; the parts of a snapshot that concern filters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicySource {
    /// In order.
    pub rules: Vec<Rule>,
    /// Zone names by [`ZoneId`].
    pub zones: Vec<Name>,
    /// Tunnel names by [`TunnelId`].
    pub tunnels: Vec<Name>,
    /// Patterns of identities by [`IdentityId`].
    pub identities: Vec<Pattern>,
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
    filters: Filters,
    zones: Vec<Name>,
    tunnels: Vec<Name>,
    identities: Vec<Pattern>,
    numbers: HashMap<Pattern, IdentityId>,
    tls: TlsTable,
    counters: RuleCounters,
}

impl Policy {
    /// Compiles `source`, which has passed `Snapshot::check`, for `workers` workers. Counters of rules that stand
    /// unchanged in `previous` (name, extension and content) are taken over.
    pub fn compile(source: PolicySource, workers: usize, previous: Option<&Self>) -> Self {
        let PolicySource { rules, zones, tunnels, identities, settings, tls, fingerprint } = source;
        let before = previous.map(|policy| (policy.named(), &policy.counters));
        let named = Named { rules: &rules, zones: &zones, tunnels: &tunnels, identities: &identities };
        let counters = RuleCounters::new(named, workers, before);
        let (filters, tls) = (Filters::compile(rules, settings), TlsTable::compile(tls, fingerprint));
        let numbers = identities.iter().cloned().zip((0..).map(IdentityId)).collect();
        Self { filters, zones, tunnels, identities, numbers, tls, counters }
    }

    /// The filters.
    #[inline]
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// Which connections are ended here.
    #[inline]
    pub fn tls(&self) -> &TlsTable {
        &self.tls
    }

    /// The operator's name of a tunnel.
    pub fn tunnel_name(&self, tunnel: TunnelId) -> Option<&Name> {
        self.tunnels.get(tunnel.0 as usize)
    }

    /// Those of the patterns that rules of this policy ask for, in order.
    pub fn identities(&self, patterns: &[Pattern]) -> Arc<[IdentityId]> {
        let mut known: Vec<_> =
            patterns.iter().filter_map(|pattern| self.numbers.get(pattern).copied()).collect();
        known.sort_unstable();
        // Most have none; these share one.
        if known.is_empty() { Arc::default() } else { known.into() }
    }

    /// The zone of that name.
    pub fn zone(&self, name: &str) -> Option<ZoneId> {
        let mut numbered = self.zones.iter().take(limits::ZONES).zip(0u8..);
        numbered.find(|(zone, _)| zone.as_str() == name).map(|(_, number)| ZoneId(number))
    }

    /// Adds to the count of a rule. Only the worker of that number may call it with that number.
    pub fn count(&self, worker: usize, index: u32, packets: u64, octets: u64) {
        self.counters.add(worker, index, packets, octets);
    }

    /// At most `most` rules from position `from` on with their counts over all workers, and where to go on.
    pub fn status(&self, from: u32, most: usize) -> (Vec<RuleStatus>, Option<u32>) {
        let rules = self.filters.rules();
        let rest = rules.iter().zip(0..).skip(from as usize);
        let status = |(rule, index): (&Rule, u32)| RuleStatus {
            index,
            rule: rule.clone(),
            matched: self.counters.total(index),
            whom: self.whom(rule),
        };
        let page: Vec<_> = rest.take(most).map(status).collect();
        let next = from as usize + page.len();
        (page, (next < rules.len()).then_some(next as u32))
    }

    fn whom(&self, rule: &Rule) -> Vec<Pattern> {
        let known = rule.identities.iter().filter_map(|id| self.identities.get(id.0 as usize));
        known.take(RuleStatus::WHOM).cloned().collect()
    }

    fn named(&self) -> Named<'_> {
        let Self { zones, tunnels, identities, .. } = self;
        Named { rules: self.filters.rules(), zones, tunnels, identities }
    }
}
