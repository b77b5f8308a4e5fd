//! Matches per rule and worker, kept while the rule stays what it is.
//!
//! Cells are allocated once for the rules that are new in a generation, and shared by the generations in which those
//! rules stand. So a worker that still counts in the old generation counts into the same cell, and nothing is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ravelin_contract::identity::Pattern;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Rule, TunnelId, ZoneId};

/// Rules, and the operator's names for what they speak of by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    /// In order.
    pub(super) rules: &'a [Rule],
    /// Zone names by [`ZoneId`].
    pub(super) zones: &'a [Name],
    /// Tunnel names by [`TunnelId`].
    pub(super) tunnels: &'a [Name],
    /// Patterns by [`ravelin_contract::identity::IdentityId`].
    pub(super) identities: &'a [Pattern],
}

/// The counters of one generation's rules.
#[derive(Debug)]
pub(super) struct RuleCounters {
    /// By rule: where its cells are.
    places: Box<[Place]>,
    /// Allocations, of this generation and of earlier ones that still have a living rule.
    blocks: Vec<Arc<Block>>,
}

/// Cells of the rules that were new in one generation: by worker, then by rule.
#[derive(Debug)]
struct Block {
    workers: Box<[Box<[Cell]>]>,
}

/// Written by one worker, read by anybody.
#[derive(Debug, Default)]
struct Cell {
    packets: AtomicU64,
    octets: AtomicU64,
}

/// Position of a block and of a cell within it.
#[derive(Debug, Clone, Copy)]
struct Place {
    block: u32,
    cell: u32,
}

impl RuleCounters {
    /// Counters for `source`, with those of `before` where the rule is the same.
    pub(super) fn new(source: Named<'_>, workers: usize, before: Option<(Named<'_>, &Self)>) -> Self {
        let mut kept = before.map(|(source, counters)| counters.by_identity(source)).unwrap_or_default();
        let mut blocks = Blocks::default();
        let mut fresh = Vec::new();
        let mut places: Vec<Place> = Vec::with_capacity(source.rules.len());
        for (rule, index) in source.rules.iter().zip(0usize..) {
            places.push(match kept.remove(&Identity::of(rule, source)) {
                Some((block, cell)) => Place { block: blocks.number(block), cell },
                None => {
                    fresh.push(index);
                    Place { block: u32::MAX, cell: (fresh.len() - 1) as u32 }
                }
            });
        }
        let block = blocks.number(&Arc::new(Block::new(workers, fresh.len())));
        places.iter_mut().filter(|place| place.block == u32::MAX).for_each(|place| place.block = block);
        Self { places: places.into(), blocks: blocks.list }
    }

    /// Adds to the cell of one worker; only that worker may.
    pub(super) fn add(&self, worker: usize, index: u32, packets: u64, octets: u64) {
        let cell = self.block(index).and_then(|(block, cell)| block.workers.get(worker)?.get(cell));
        if let Some(cell) = cell {
            bump(&cell.packets, packets);
            bump(&cell.octets, octets);
        }
    }

    /// Packets and octets over all workers.
    pub(super) fn total(&self, index: u32) -> (u64, u64) {
        let Some((block, cell)) = self.block(index) else { return (0, 0) };
        let cells = block.workers.iter().filter_map(|cells| cells.get(cell));
        cells.fold((0, 0), |(packets, octets), cell| {
            (packets + cell.packets.load(Ordering::Relaxed), octets + cell.octets.load(Ordering::Relaxed))
        })
    }

    fn block(&self, index: u32) -> Option<(&Arc<Block>, usize)> {
        let place = self.places.get(index as usize)?;
        Some((self.blocks.get(place.block as usize)?, place.cell as usize))
    }

    fn by_identity<'a>(&'a self, source: Named<'a>) -> HashMap<Identity<'a>, (&'a Arc<Block>, u32)> {
        let place = |(rule, place): (&'a Rule, &Place)| {
            Some((Identity::of(rule, source), (self.blocks.get(place.block as usize)?, place.cell)))
        };
        source.rules.iter().zip(&self.places).filter_map(place).collect()
    }
}

/// One writer: a plain load and store, no locked instruction.
fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

impl Block {
    fn new(workers: usize, rules: usize) -> Self {
        let cells = || (0..rules).map(|_| Cell::default()).collect();
        Self { workers: (0..workers).map(|_| cells()).collect() }
    }
}

/// Blocks in the order in which they were first met.
#[derive(Default)]
struct Blocks {
    list: Vec<Arc<Block>>,
    numbers: HashMap<*const Block, u32>,
}

impl Blocks {
    fn number(&mut self, block: &Arc<Block>) -> u32 {
        *self.numbers.entry(Arc::as_ptr(block)).or_insert_with(|| {
            self.list.push(Arc::clone(block));
            (self.list.len() - 1) as u32
        })
    }
}

/// A rule with names instead of numbers, since numbers may shift when a zone or tunnel is added.
#[derive(PartialEq, Eq, Hash)]
struct Identity<'a> {
    rule: Rule,
    zone: Option<&'a Name>,
    tunnel: Option<&'a Name>,
    identities: Vec<&'a Pattern>,
}

impl<'a> Identity<'a> {
    fn of(rule: &Rule, source: Named<'a>) -> Self {
        let zone = rule.zone.and_then(|zone| source.zones.get(usize::from(zone.0)));
        let mut rule = rule.clone();
        let tunnel = match &mut rule.action {
            Action::Protect(tunnel) => {
                let number = std::mem::replace(tunnel, TunnelId(0));
                source.tunnels.get(number.0 as usize)
            }
            _ => None,
        };
        rule.zone = rule.zone.map(|_| ZoneId(0));
        let identities = std::mem::take(&mut rule.identities).into_iter();
        let identities = identities.filter_map(|id| source.identities.get(id.0 as usize)).collect();
        Self { rule, zone, tunnel, identities }
    }
}

#[cfg(test)]
mod tests {
    use ravelin_contract::address::Family;
    use ravelin_contract::rule::{Direction, Fragments, Log, Opening, Routing};
    use ravelin_contract::selector::Selector;

    use super::*;

    fn rule(name: &str, action: Action) -> Rule {
        Rule {
            name: Name::new(name).unwrap(),
            extension: 1,
            direction: Direction::Inbound,
            selector: Selector::all(Family::V4),
            routing: Routing::Either,
            zone: None,
            fragments: Fragments::Any,
            opening: Opening::Allowed,
            action,
            log: Log::No,
            identities: Vec::new(),
        }
    }

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| Name::new(*name).unwrap()).collect()
    }

    fn named<'a>(rules: &'a [Rule], tunnels: &'a [Name]) -> Named<'a> {
        Named { rules, zones: &[], tunnels, identities: &[] }
    }

    #[test]
    fn counts_of_all_workers_are_folded() {
        let counters = RuleCounters::new(named(&[rule("a", Action::Permit)], &[]), 2, None);
        counters.add(0, 0, 1, 100);
        counters.add(1, 0, 2, 300);
        counters.add(2, 0, 7, 7);
        counters.add(0, 1, 7, 7);
        assert_eq!((counters.total(0), counters.total(1)), ((3, 400), (0, 0)));
    }

    #[test]
    fn an_unchanged_rule_counts_on_and_so_does_a_worker_of_the_old_generation() {
        let old = [rule("a", Action::Permit), rule("b", Action::Permit)];
        let before = RuleCounters::new(named(&old, &[]), 1, None);
        before.add(0, 1, 5, 50);
        let mut changed = rule("b", Action::Permit);
        changed.log = Log::Yes;
        let new = [rule("c", Action::Permit), changed, rule("b", Action::Permit)];
        let after = RuleCounters::new(named(&new, &[]), 1, Some((named(&old, &[]), &before)));
        before.add(0, 1, 1, 10);
        after.add(0, 2, 1, 10);
        assert_eq!((after.total(0), after.total(1), after.total(2)), ((0, 0), (0, 0), (7, 70)));
    }

    #[test]
    fn a_tunnel_is_the_same_by_name_not_by_number() {
        let to = |tunnel| [rule("a", Action::Protect(TunnelId(tunnel)))];
        let (first, moved, other) = (to(0), to(1), to(0));
        let (paris, both) = (names(&["paris"]), names(&["oslo", "paris"]));
        let old = named(&first, &paris);
        let before = RuleCounters::new(old, 1, None);
        before.add(0, 0, 1, 1);
        let after = |rules| RuleCounters::new(named(rules, &both), 1, Some((old, &before))).total(0);
        assert_eq!((after(&moved), after(&other)), ((1, 1), (0, 0)));
    }
}
