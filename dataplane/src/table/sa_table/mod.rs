//! Security associations of one generation: inbound by SPI and destination, outbound by tunnel and packet.
//!
//! Both lookups cost the same with one SA and with a million. A table that workers have is frozen; what changes with
//! packets lives within the SAs, which are shared with the next generation. That one begins as a clone, which shares all
//! but the lists of its parts, and a change copies the few parts that it touches.

mod index;
mod slots;
mod tunnel;

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::identity::IdentityId;
use ravelin_contract::rule::TunnelId;
use ravelin_contract::selector::{FlowKey, Selector};

pub use index::LONGEST_PROBE;
use index::{Key, SpiIndex};
use slots::Slots;
use tunnel::Tunnel;

/// Tunnels whose SAs are copied by one change.
const TUNNELS: usize = 64;

/// An inbound SA and what it is found by.
#[derive(Debug)]
pub struct InboundEntry<I> {
    /// As on the wire.
    pub spi: u32,
    /// Destination of the outer packet: our security endpoint.
    pub destination: IpAddr,
    /// The tunnel that it belongs to.
    pub tunnel: TunnelId,
    /// Who the peer proved to be, of those that rules ask for; in order.
    pub identities: Arc<[IdentityId]>,
    /// The SA.
    pub sa: Arc<I>,
}

/// An outbound SA and what it is found by.
#[derive(Debug)]
pub struct OutboundEntry<O> {
    /// As on the wire.
    pub spi: u32,
    /// Destination of the outer packet: the peer's security endpoint.
    pub destination: IpAddr,
    /// The tunnel that it belongs to.
    pub tunnel: TunnelId,
    /// What may travel inside; empty means everything.
    pub selectors: Arc<[Selector]>,
    /// The worker that it is for; none for those that all share.
    pub worker: Option<u16>,
    /// As of an inbound SA.
    pub identities: Arc<[IdentityId]>,
    /// The SA.
    pub sa: Arc<O>,
}

impl<I> InboundEntry<I> {
    fn key(&self) -> Key {
        (self.spi, self.destination)
    }
}

impl<O> OutboundEntry<O> {
    fn key(&self) -> Key {
        (self.spi, self.destination)
    }
}

impl<I> Clone for InboundEntry<I> {
    fn clone(&self) -> Self {
        Self { identities: Arc::clone(&self.identities), sa: Arc::clone(&self.sa), ..*self }
    }
}

impl<O> Clone for OutboundEntry<O> {
    fn clone(&self) -> Self {
        let (selectors, identities) = (Arc::clone(&self.selectors), Arc::clone(&self.identities));
        Self { selectors, identities, sa: Arc::clone(&self.sa), ..*self }
    }
}

/// The table of inbound SAs `I` and outbound SAs `O`.
#[derive(Debug)]
pub struct SaTable<I, O> {
    inbound: Slots<InboundEntry<I>>,
    index: SpiIndex,
    outbound: Slots<OutboundEntry<O>>,
    outbound_index: SpiIndex,
    /// By [`TunnelId`]; tunnels beyond the end have no SA.
    tunnels: Vec<Arc<[Tunnel; TUNNELS]>>,
}

impl<I, O> Clone for SaTable<I, O> {
    fn clone(&self) -> Self {
        Self {
            inbound: self.inbound.clone(),
            index: self.index.clone(),
            outbound: self.outbound.clone(),
            outbound_index: self.outbound_index.clone(),
            tunnels: self.tunnels.clone(),
        }
    }
}

impl<I, O> Default for SaTable<I, O> {
    /// A table without SAs.
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new())
    }
}

impl<I, O> SaTable<I, O> {
    /// The table of these SAs. Of two outbound SAs of one tunnel the later is the newer, and preferred. Of two inbound
    /// SAs with equal SPI and destination, which `Snapshot::check` refuses, one is found.
    pub fn new(inbound: Vec<InboundEntry<I>>, outbound: Vec<OutboundEntry<O>>) -> Self {
        let (index, outbound_index) =
            (SpiIndex::with_room(inbound.len()), SpiIndex::with_room(outbound.len()));
        let outbound = Slots::of(outbound);
        let tunnels = by_tunnel(&outbound);
        let mut table = Self { inbound: Slots::of(inbound), index, outbound, outbound_index, tunnels };
        let Self { inbound, index, outbound, outbound_index, .. } = &mut table;
        for (at, entry) in inbound.from(0) {
            index.insert(entry.key(), at, |at| inbound.get(at).map(InboundEntry::key));
        }
        for (at, entry) in outbound.from(0) {
            outbound_index.insert(entry.key(), at, |at| outbound.get(at).map(OutboundEntry::key));
        }
        table
    }

    /// The inbound SA of this SPI and destination, and its position in this generation.
    pub fn find_inbound(&self, spi: u32, destination: IpAddr) -> Option<(u32, &I)> {
        let is = |at: u32| self.inbound.get(at).is_some_and(|sa| sa.destination == destination);
        let at = self.index.find((spi, destination), is)?;
        Some((at, self.inbound(at)?))
    }

    /// The inbound SA at a position that [`SaTable::find_inbound`] gave in this generation.
    pub fn inbound(&self, at: u32) -> Option<&I> {
        self.inbound.get(at).map(|entry| &*entry.sa)
    }

    /// The tunnel of the inbound SA at a position that [`SaTable::find_inbound`] gave in this generation.
    pub fn inbound_tunnel(&self, at: u32) -> Option<TunnelId> {
        self.inbound.get(at).map(|entry| entry.tunnel)
    }

    /// Who the peer of that SA is, of those that rules ask for.
    pub fn inbound_identities(&self, at: u32) -> &[IdentityId] {
        self.inbound.get(at).map_or(&[], |entry| &entry.identities)
    }

    /// The newest outbound SA of the tunnel that may carry the packet: of the worker's own, else of those that all share, else
    /// of any.
    pub fn outbound(&self, tunnel: TunnelId, worker: u16, flow: &FlowKey) -> Option<&O> {
        self.outbound_entry(tunnel, worker, flow).map(|entry| &*entry.sa)
    }

    /// That SA with all that is known of it.
    pub fn outbound_entry(&self, tunnel: TunnelId, worker: u16, flow: &FlowKey) -> Option<&OutboundEntry<O>> {
        let (page, place) = (tunnel.0 as usize / TUNNELS, tunnel.0 as usize % TUNNELS);
        let at = self.tunnels.get(page)?[place].find(worker, flow, &self.outbound)?;
        self.outbound.get(at)
    }

    /// The outbound SA of this SPI and destination: whoever quotes a packet of ours names it so.
    pub fn find_outbound(&self, spi: u32, destination: IpAddr) -> Option<&O> {
        let is = |at: u32| self.outbound.get(at).is_some_and(|sa| sa.destination == destination);
        let at = self.outbound_index.find((spi, destination), is)?;
        self.outbound.get(at).map(|entry| &*entry.sa)
    }

    /// How many inbound and outbound SAs there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.inbound.len(), self.outbound.len())
    }

    /// Inbound SAs from a position on, with their positions.
    pub fn inbound_from(&self, at: u32) -> impl Iterator<Item = (u32, &InboundEntry<I>)> {
        self.inbound.from(at)
    }

    /// A position beyond those of all inbound SAs.
    pub fn inbound_end(&self) -> u32 {
        self.inbound.end()
    }

    /// Outbound SAs from a position on, with their positions.
    pub fn outbound_from(&self, at: u32) -> impl Iterator<Item = (u32, &OutboundEntry<O>)> {
        self.outbound.from(at)
    }

    /// Most cache lines of the index that a lookup touches; at most [`LONGEST_PROBE`].
    pub fn longest_probe(&self) -> usize {
        self.index.longest()
    }

    /// Adds an inbound SA.
    pub fn add_inbound(&mut self, entry: InboundEntry<I>) {
        let key = entry.key();
        let at = self.inbound.put(entry);
        let Self { inbound, index, .. } = self;
        index.insert(key, at, |at| inbound.get(at).map(InboundEntry::key));
    }

    /// Takes an inbound SA out, if it is there.
    pub fn remove_inbound(&mut self, entry: &InboundEntry<I>) {
        let Self { inbound, index, .. } = self;
        let is = |at: u32| inbound.get(at).is_some_and(|found| Arc::ptr_eq(&found.sa, &entry.sa));
        let Some(at) = index.find(entry.key(), is) else { return };
        index.remove(entry.key(), at, |at| inbound.get(at).map(InboundEntry::key));
        self.inbound.take(at);
    }

    /// Adds an outbound SA, the newest of its tunnel.
    pub fn add_outbound(&mut self, entry: OutboundEntry<O>) {
        let (key, tunnel) = (entry.key(), entry.tunnel);
        let at = self.outbound.put(entry);
        let Self { outbound, outbound_index, .. } = self;
        outbound_index.insert(key, at, |at| outbound.get(at).map(OutboundEntry::key));
        tunnel_mut(&mut self.tunnels, tunnel).push(at, &self.outbound);
    }

    /// Takes an outbound SA out, if it is there.
    pub fn remove_outbound(&mut self, entry: &OutboundEntry<O>) {
        let Some(at) = self.position(entry) else { return };
        tunnel_mut(&mut self.tunnels, entry.tunnel).remove(at, &self.outbound);
        let Self { outbound, outbound_index, .. } = self;
        outbound_index.remove(entry.key(), at, |at| outbound.get(at).map(OutboundEntry::key));
        self.outbound.take(at);
    }

    /// Puts `new` where `old` is: as new as that one was, with its tunnel and its selectors.
    pub fn replace_outbound(&mut self, old: &OutboundEntry<O>, new: OutboundEntry<O>) {
        let Some(at) = self.position(old) else { return };
        let Self { outbound, outbound_index, .. } = self;
        outbound_index.remove(old.key(), at, |at| outbound.get(at).map(OutboundEntry::key));
        let key = new.key();
        outbound.set(at, new);
        outbound_index.insert(key, at, |at| outbound.get(at).map(OutboundEntry::key));
    }

    fn position(&self, entry: &OutboundEntry<O>) -> Option<u32> {
        let is = |at: u32| self.outbound.get(at).is_some_and(|found| Arc::ptr_eq(&found.sa, &entry.sa));
        self.outbound_index.find(entry.key(), is)
    }
}

/// For a change.
fn tunnel_mut(tunnels: &mut Vec<Arc<[Tunnel; TUNNELS]>>, tunnel: TunnelId) -> &mut Tunnel {
    let (page, place) = (tunnel.0 as usize / TUNNELS, tunnel.0 as usize % TUNNELS);
    if tunnels.len() <= page {
        let empty = Arc::new([const { Tunnel::Empty }; TUNNELS]);
        tunnels.resize(page + 1, empty);
    }
    &mut Arc::make_mut(&mut tunnels[page])[place]
}

/// Each tunnel with its SAs, of which the later is the newer.
fn by_tunnel<O>(outbound: &Slots<OutboundEntry<O>>) -> Vec<Arc<[Tunnel; TUNNELS]>> {
    let mut order: Vec<(TunnelId, u32)> = outbound.from(0).map(|(at, entry)| (entry.tunnel, at)).collect();
    order.sort_unstable_by_key(|(tunnel, at)| (*tunnel, std::cmp::Reverse(*at)));
    let mut tunnels = Vec::new();
    for run in order.chunk_by(|a, b| a.0 == b.0) {
        let is_bound = |at: &u32| outbound.get(*at).is_some_and(|entry| entry.worker.is_some());
        let (bound, shared): (Vec<u32>, Vec<u32>) = run.iter().map(|(_, at)| *at).partition(is_bound);
        if let Some((tunnel, _)) = run.first() {
            let tunnel = tunnel_mut(&mut tunnels, *tunnel);
            *tunnel = Tunnel::of(shared, outbound);
            bound.into_iter().rev().for_each(|at| tunnel.push(at, outbound));
        }
    }
    tunnels
}

#[cfg(test)]
mod tests;
