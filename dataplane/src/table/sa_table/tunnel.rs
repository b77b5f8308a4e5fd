//! The outbound SAs of one tunnel, the newest that may carry a packet first.
//!
//! Many peers may share one tunnel. Their SAs lie in runs, each several times as long as the one before it, so that a new
//! one costs little on average and a lookup asks few runs.

use std::sync::Arc;

use ravelin_contract::address::Family::{V4, V6};
use ravelin_contract::selector::{FlowKey, Selector};

use super::OutboundEntry;
use super::slots::Slots;
use ravelin_lookup::tree::{Coordinate, Entry, Key, Tree};

/// From so many SAs of one run on, selectors are searched by tree rather than one by one.
const MANY: usize = 8;
/// A run is at least so many times as long as the one before.
const RATIO: usize = 4;

/// Positions of the SAs of one tunnel.
#[derive(Debug, Clone, Default)]
pub(super) enum Tunnel {
    #[default]
    Empty,
    One(u32),
    /// The newest first.
    Runs(Arc<Vec<Run>>),
    /// Some are for single workers.
    Bound(Arc<Bound>),
}

/// SAs that all workers share, and those of each.
#[derive(Debug, Clone, Default)]
pub(super) struct Bound {
    shared: Tunnel,
    own: Vec<Tunnel>,
}

/// SAs that were put together, the newest first.
#[derive(Debug, Clone)]
pub(super) struct Run {
    body: Arc<Body>,
    /// Bits of members that have left a body with a search.
    left: Vec<u64>,
    held: usize,
}

#[derive(Debug)]
struct Body {
    members: Box<[u32]>,
    search: Option<Search>,
}

/// Selectors of the members by their rank in the run.
#[derive(Debug)]
struct Search {
    v4: Tree<u32>,
    v6: Tree<u128>,
}

impl Tunnel {
    /// Of these, the newest first.
    pub(super) fn of<O>(members: Vec<u32>, sas: &Slots<OutboundEntry<O>>) -> Self {
        match members[..] {
            [] => Self::Empty,
            [one] => Self::One(one),
            _ => Self::Runs(Arc::new(vec![Run::of(members, sas)])),
        }
    }

    /// The newest SA that may carry the packet: the worker's own, else one that all share, else any.
    pub(super) fn find<O>(&self, worker: u16, flow: &FlowKey, sas: &Slots<OutboundEntry<O>>) -> Option<u32> {
        match self {
            Self::Bound(bound) => {
                let own = bound.own.get(usize::from(worker));
                let mut all = own.into_iter().chain([&bound.shared]).chain(&bound.own);
                all.find_map(|group| group.find(worker, flow, sas))
            }
            Self::Empty => None,
            Self::One(at) => carries(*at, flow, sas).then_some(*at),
            Self::Runs(runs) => runs.iter().find_map(|run| run.find(flow, sas)),
        }
    }

    /// A new SA. Runs that are not much longer than what comes before them join it.
    pub(super) fn push<O>(&mut self, at: u32, sas: &Slots<OutboundEntry<O>>) {
        if let Some(worker) = sas.get(at).and_then(|entry| entry.worker) {
            return self.bind(worker, at, sas);
        }
        self.join(at, sas);
    }

    /// A new SA of one worker.
    fn bind<O>(&mut self, worker: u16, at: u32, sas: &Slots<OutboundEntry<O>>) {
        if !matches!(self, Self::Bound(_)) {
            *self = Self::Bound(Arc::new(Bound { shared: std::mem::take(self), own: Vec::new() }));
        }
        let Self::Bound(bound) = self else { return };
        let own = &mut Arc::make_mut(bound).own;
        let worker = usize::from(worker);
        own.resize(own.len().max(worker + 1), Self::Empty);
        own[worker].join(at, sas);
    }

    fn join<O>(&mut self, at: u32, sas: &Slots<OutboundEntry<O>>) {
        let runs: &[Run] = match self {
            Self::Bound(bound) => return Arc::make_mut(bound).shared.join(at, sas),
            Self::Empty => return *self = Self::One(at),
            Self::One(one) => return *self = Self::of(vec![at, *one], sas),
            Self::Runs(runs) => runs,
        };
        let (mut members, mut rest) = (vec![at], runs);
        while let Some((next, others)) =
            rest.split_first().filter(|(next, _)| members.len() * RATIO >= next.held)
        {
            members.extend(next.members());
            rest = others;
        }
        let first = Run::of(members, sas);
        *self = Self::Runs(Arc::new(std::iter::once(first).chain(rest.iter().cloned()).collect()));
    }

    /// An SA is gone; its place in `sas` may be empty already.
    pub(super) fn remove<O>(&mut self, at: u32, sas: &Slots<OutboundEntry<O>>) {
        match self {
            Self::Empty => {}
            Self::Bound(bound) => {
                let bound = Arc::make_mut(bound);
                bound.shared.remove(at, sas);
                bound.own.iter_mut().for_each(|own| own.remove(at, sas));
                if bound.own.iter().all(|own| matches!(own, Self::Empty)) {
                    *self = std::mem::take(&mut bound.shared);
                }
            }
            Self::One(one) => {
                if *one == at {
                    *self = Self::Empty;
                }
            }
            Self::Runs(runs) => {
                let runs = Arc::make_mut(runs);
                runs.iter_mut().for_each(|run| run.remove(at, sas));
                runs.retain(|run| run.held > 0);
                let mut first = runs.iter().flat_map(Run::members);
                match (first.next(), first.next()) {
                    (Some(_), Some(_)) => {}
                    (one, _) => {
                        drop(first);
                        *self = one.map_or(Self::Empty, Self::One);
                    }
                }
            }
        }
    }
}

impl Run {
    fn of<O>(members: Vec<u32>, sas: &Slots<OutboundEntry<O>>) -> Self {
        let search = (members.len() >= MANY).then(|| Search::new(&members, sas));
        let left = if search.is_some() { vec![0; members.len().div_ceil(64)] } else { Vec::new() };
        Self { held: members.len(), left, body: Arc::new(Body { members: members.into(), search }) }
    }

    fn has_left(&self, rank: u32) -> bool {
        self.left.get(rank as usize / 64).is_some_and(|bits| bits >> (rank % 64) & 1 == 1)
    }

    fn members(&self) -> impl Iterator<Item = u32> {
        let all = self.body.members.iter().zip(0..);
        all.filter(|(_, rank)| !self.has_left(*rank)).map(|(at, _)| *at)
    }

    fn find<O>(&self, flow: &FlowKey, sas: &Slots<OutboundEntry<O>>) -> Option<u32> {
        match &self.body.search {
            Some(search) => {
                let rank = search.find(flow, |rank| !self.has_left(rank))?;
                self.body.members.get(rank as usize).copied()
            }
            None => self.body.members.iter().copied().find(|at| carries(*at, flow, sas)),
        }
    }

    fn remove<O>(&mut self, at: u32, sas: &Slots<OutboundEntry<O>>) {
        let ranks = self.body.members.iter().zip(0u32..);
        let Some((_, rank)) =
            ranks.into_iter().find(|(member, rank)| **member == at && !self.has_left(*rank))
        else {
            return;
        };
        self.held -= 1;
        match self.left.get_mut(rank as usize / 64) {
            // At half, those that are left pay for a search without the others.
            Some(bits) if self.held * 2 >= self.body.members.len() => *bits |= 1 << (rank % 64),
            _ => *self = Self::of(self.members().filter(|member| *member != at).collect(), sas),
        }
    }
}

impl Search {
    fn new<O>(members: &[u32], sas: &Slots<OutboundEntry<O>>) -> Self {
        Self { v4: Tree::build(entries(members, sas)), v6: Tree::build(entries(members, sas)) }
    }

    fn find(&self, flow: &FlowKey, counts: impl Fn(u32) -> bool) -> Option<u32> {
        match flow.source.is_ipv4() {
            true => self.v4.first_match_among(&Key::new(flow, None, 0)?, counts),
            false => self.v6.first_match_among(&Key::new(flow, None, 0)?, counts),
        }
    }
}

fn carries<O>(at: u32, flow: &FlowKey, sas: &Slots<OutboundEntry<O>>) -> bool {
    let selectors = sas.get(at).map(|entry| &*entry.selectors);
    selectors.is_some_and(|all| all.is_empty() || all.iter().any(|selector| selector.matches(flow)))
}

/// Nothing for a place that is empty.
fn entries<O, C: Coordinate>(members: &[u32], sas: &Slots<OutboundEntry<O>>) -> Vec<Entry<C>> {
    let everything = [Selector::all(V4), Selector::all(V6)];
    let of = |(at, rank): (&u32, u32)| -> Vec<Entry<C>> {
        let Some(sa) = sas.get(*at) else { return Vec::new() };
        let selectors = if sa.selectors.is_empty() { &everything[..] } else { &sa.selectors };
        selectors.iter().filter_map(|selector| Entry::new(selector, rank)).collect()
    };
    members.iter().zip(0..).flat_map(of).collect()
}
