//! Security associations of one generation: inbound by SPI and destination, outbound by tunnel and packet.
//!
//! Both lookups cost the same with one SA and with a million. The table is frozen; what changes with packets lives
//! within the SAs, which are shared with the next generation.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use ravelin_contract::rule::TunnelId;
use ravelin_contract::selector::{FlowKey, Selector};

use super::mix::Mixer;
use super::tree::{Coordinate, Entry, Key, Tree};

/// Slots that are looked at together: one cache line of 64 octets.
const LINE: usize = 8;
/// Most lines of the index that an inbound lookup may touch; an index that would need more is built again, larger.
pub const LONGEST_PROBE: usize = 4;
/// A slot that holds nothing.
const EMPTY: u32 = u32::MAX;
/// Times an index is built again, twice as large, before equal keys are taken for the cause.
const MOST_TRIES: usize = 6;
/// From so many SAs of one tunnel on, selectors are searched by tree rather than one by one.
const MANY: usize = 8;

/// An inbound SA and what it is found by.
#[derive(Debug)]
pub struct InboundEntry<I> {
    /// As on the wire.
    pub spi: u32,
    /// Destination of the outer packet: our security endpoint.
    pub destination: IpAddr,
    /// The tunnel that it belongs to.
    pub tunnel: TunnelId,
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
    pub selectors: Vec<Selector>,
    /// The SA.
    pub sa: Arc<O>,
}

impl<I> Clone for InboundEntry<I> {
    fn clone(&self) -> Self {
        Self { sa: Arc::clone(&self.sa), ..*self }
    }
}

impl<O> Clone for OutboundEntry<O> {
    fn clone(&self) -> Self {
        Self { selectors: self.selectors.clone(), sa: Arc::clone(&self.sa), ..*self }
    }
}

/// The frozen table of inbound SAs `I` and outbound SAs `O`.
#[derive(Debug)]
pub struct SaTable<I, O> {
    inbound: Vec<InboundEntry<I>>,
    index: SpiIndex,
    /// Positions in `outbound`.
    outbound_index: SpiIndex,
    /// By tunnel, within a tunnel the newest first.
    outbound: Vec<OutboundEntry<O>>,
    /// By [`TunnelId`]; tunnels beyond the end have no SA.
    tunnels: Vec<TunnelSas>,
}

impl<I, O> SaTable<I, O> {
    /// The table of these SAs. Of two outbound SAs of one tunnel the later is the newer, and preferred. Of two inbound
    /// SAs with equal SPI and destination, which `Snapshot::check` refuses, one is found.
    pub fn new(inbound: Vec<InboundEntry<I>>, mut outbound: Vec<OutboundEntry<O>>) -> Self {
        let index = SpiIndex::build(inbound.len(), |at| inbound.get(at).map(|sa| (sa.spi, sa.destination)));
        outbound.reverse();
        outbound.sort_by_key(|entry| entry.tunnel);
        let tunnels = by_tunnel(&outbound);
        let key = |at| outbound.get(at).map(|sa: &OutboundEntry<O>| (sa.spi, sa.destination));
        let outbound_index = SpiIndex::build(outbound.len(), key);
        Self { inbound, index, outbound_index, outbound, tunnels }
    }

    /// The inbound SA of this SPI and destination, and its position in this generation.
    pub fn find_inbound(&self, spi: u32, destination: IpAddr) -> Option<(u32, &I)> {
        let is = |at: u32| self.inbound.get(at as usize).is_some_and(|sa| sa.destination == destination);
        let at = self.index.find(spi, destination, is)?;
        Some((at, &self.inbound.get(at as usize)?.sa))
    }

    /// The inbound SA at a position that [`SaTable::find_inbound`] gave in this generation.
    pub fn inbound(&self, at: u32) -> Option<&I> {
        self.inbound.get(at as usize).map(|entry| &*entry.sa)
    }

    /// The tunnel of the inbound SA at a position that [`SaTable::find_inbound`] gave in this generation.
    pub fn inbound_tunnel(&self, at: u32) -> Option<TunnelId> {
        self.inbound.get(at as usize).map(|entry| entry.tunnel)
    }

    /// The newest outbound SA of the tunnel that may carry the packet.
    pub fn outbound(&self, tunnel: TunnelId, flow: &FlowKey) -> Option<&O> {
        let sas = self.tunnels.get(tunnel.0 as usize)?;
        let at = match &sas.search {
            Some(search) => sas.range.start + search.find(flow)?,
            None => sas.range.clone().find(|at| self.carries(*at, flow))?,
        };
        self.outbound.get(at as usize).map(|entry| &*entry.sa)
    }

    /// The outbound SA of this SPI and destination: whoever quotes a packet of ours names it so.
    pub fn find_outbound(&self, spi: u32, destination: IpAddr) -> Option<&O> {
        let is = |at: u32| self.outbound.get(at as usize).is_some_and(|sa| sa.destination == destination);
        let at = self.outbound_index.find(spi, destination, is)?;
        self.outbound.get(at as usize).map(|entry| &*entry.sa)
    }

    /// All inbound SAs, by position.
    pub fn all_inbound(&self) -> &[InboundEntry<I>] {
        &self.inbound
    }

    /// All outbound SAs.
    pub fn all_outbound(&self) -> &[OutboundEntry<O>] {
        &self.outbound
    }

    /// Most cache lines of the index that a lookup touches; at most [`LONGEST_PROBE`].
    pub fn longest_probe(&self) -> usize {
        self.index.longest
    }

    fn carries(&self, at: u32, flow: &FlowKey) -> bool {
        let selectors = self.outbound.get(at as usize).map(|entry| entry.selectors.as_slice());
        selectors.is_some_and(|all| all.is_empty() || all.iter().any(|selector| selector.matches(flow)))
    }
}

impl<I, O> Default for SaTable<I, O> {
    /// A table without SAs.
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new())
    }
}

/// The outbound SAs of one tunnel.
#[derive(Debug, Default)]
struct TunnelSas {
    /// Positions in [`SaTable::outbound`].
    range: Range<u32>,
    /// Where there are many.
    search: Option<Box<Search>>,
}

/// Selectors of the SAs of one tunnel; the rank is the position within the tunnel, so the newest wins.
#[derive(Debug)]
struct Search {
    v4: Tree<u32>,
    v6: Tree<u128>,
}

impl Search {
    fn new<O>(sas: &[OutboundEntry<O>]) -> Self {
        Self { v4: Tree::build(selector_entries(sas)), v6: Tree::build(selector_entries(sas)) }
    }

    fn find(&self, flow: &FlowKey) -> Option<u32> {
        match flow.source.is_ipv4() {
            true => self.v4.first_match(&Key::new(flow, None, 0)?),
            false => self.v6.first_match(&Key::new(flow, None, 0)?),
        }
    }
}

fn selector_entries<O, C: Coordinate>(sas: &[OutboundEntry<O>]) -> Vec<Entry<C>> {
    use ravelin_contract::address::Family::{V4, V6};
    let everything = [Selector::all(V4), Selector::all(V6)];
    let of = |(sa, rank): (&OutboundEntry<O>, u32)| -> Vec<Entry<C>> {
        let selectors = if sa.selectors.is_empty() { &everything[..] } else { &sa.selectors };
        selectors.iter().filter_map(|selector| Entry::new(selector, rank)).collect()
    };
    sas.iter().zip(0..).flat_map(of).collect()
}

/// Where each tunnel's SAs are in a list sorted by tunnel.
fn by_tunnel<O>(sorted: &[OutboundEntry<O>]) -> Vec<TunnelSas> {
    let mut tunnels: Vec<TunnelSas> = Vec::new();
    let mut start = 0;
    for run in sorted.chunk_by(|a, b| a.tunnel == b.tunnel) {
        let tunnel = run.first().map_or(0, |entry| entry.tunnel.0 as usize);
        tunnels.resize_with(tunnel + 1, TunnelSas::default);
        let range = start..start + run.len() as u32;
        start = range.end;
        let search = (run.len() >= MANY).then(|| Box::new(Search::new(run)));
        if let Some(place) = tunnels.get_mut(tunnel) {
            *place = TunnelSas { range, search };
        }
    }
    tunnels
}

/// Open addressing by lines of [`LINE`] slots: a full line spills into the next.
#[derive(Debug)]
struct SpiIndex {
    lines: Box<[Line]>,
    /// Most lines that a lookup touches.
    longest: usize,
    mixer: Mixer,
}

/// `spis[n]` and `at[n]` belong together; `at[n]` is [`EMPTY`] in a free slot. Slots fill from the front.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line {
    spis: [u32; LINE],
    at: [u32; LINE],
}

impl Line {
    const FREE: Self = Self { spis: [0; LINE], at: [EMPTY; LINE] };

    fn put(&mut self, spi: u32, at: u32) -> bool {
        let Some(slot) = self.at.iter().position(|slot| *slot == EMPTY) else { return false };
        (self.spis[slot], self.at[slot]) = (spi, at);
        true
    }

    fn is_full(&self) -> bool {
        self.at[LINE - 1] != EMPTY
    }
}

impl SpiIndex {
    /// An index of `count` SAs whose SPI and destination `key` tells by position.
    fn build(count: usize, key: impl Fn(usize) -> Option<(u32, IpAddr)>) -> Self {
        // Half full: a line of eight then overflows in one case of fifty.
        let mut lines = (count * 2).div_ceil(LINE).next_power_of_two();
        let mut reach = LONGEST_PROBE;
        for _ in 0..MOST_TRIES {
            match Self::fill(lines, reach, (0..count).map(&key)) {
                Some(index) => return index,
                None => lines *= 2,
            }
        }
        // Only equal keys can bring us here; then one of them is found, after a longer way.
        reach = lines;
        Self::fill(lines, reach, (0..count).map(&key)).unwrap_or_else(Self::empty)
    }

    fn empty() -> Self {
        Self { lines: [Line::FREE].into(), longest: 1, mixer: Mixer::new() }
    }

    /// `None` when a key finds no free slot within `reach` lines.
    fn fill(
        lines: usize,
        reach: usize,
        mut keys: impl Iterator<Item = Option<(u32, IpAddr)>>,
    ) -> Option<Self> {
        let mut index = Self { lines: vec![Line::FREE; lines].into(), ..Self::empty() };
        let mut at = 0u32..;
        keys.all(|key| key.zip(at.next()).is_none_or(|(key, at)| index.insert(key, at, reach.min(lines))))
            .then_some(index)
    }

    /// Whether there was room near enough.
    fn insert(&mut self, (spi, destination): (u32, IpAddr), at: u32, reach: usize) -> bool {
        let home = self.home(spi, destination);
        let line = (0..reach).find(|step| {
            let line = (home + step) & (self.lines.len() - 1);
            self.lines[line].put(spi, at)
        });
        self.longest = self.longest.max(line.map_or(0, |step| step + 1));
        line.is_some()
    }

    /// The position that is `wanted` among those of `spi`.
    fn find(&self, spi: u32, destination: IpAddr, wanted: impl Fn(u32) -> bool) -> Option<u32> {
        let home = self.home(spi, destination);
        for step in 0..self.longest {
            let line = &self.lines[(home + step) & (self.lines.len() - 1)];
            let mut slots = line.spis.iter().zip(line.at);
            let found = slots.find(|(stored, at)| **stored == spi && *at != EMPTY && wanted(*at));
            if let Some((_, at)) = found {
                return Some(at);
            }
            if !line.is_full() {
                return None;
            }
        }
        None
    }

    fn home(&self, spi: u32, destination: IpAddr) -> usize {
        let destination = match destination {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        self.mixer.mix_wide(destination, spi.into()) as usize & (self.lines.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use ravelin_contract::address::AddressRange;
    use ravelin_contract::selector::Upper;

    use super::*;

    const ENDS: [&str; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];

    fn end(number: u32) -> IpAddr {
        ENDS[number as usize % ENDS.len()].parse().unwrap()
    }

    /// SA `n` has the SPI `spi(n)`, ends at `end(n)` and is its own number.
    fn inbound(count: u32, spi: impl Fn(u32) -> u32) -> SaTable<u32, u32> {
        let entry =
            |n| InboundEntry { spi: spi(n), destination: end(n), tunnel: TunnelId(n), sa: Arc::new(n) };
        SaTable::new((0..count).map(entry).collect(), Vec::new())
    }

    fn finds_exactly(table: &SaTable<u32, u32>, count: u32, spi: impl Fn(u32) -> u32) {
        for n in 0..count {
            let (at, sa) = table.find_inbound(spi(n), end(n)).unwrap();
            assert_eq!((*sa, table.inbound(at), table.inbound_tunnel(at)), (n, Some(&n), Some(TunnelId(n))));
            assert!(table.find_inbound(spi(n), end(n + 1)).is_none(), "SPI of SA {n} at another end");
        }
        assert!(table.longest_probe() <= LONGEST_PROBE);
    }

    #[test]
    fn every_sa_is_found_by_spi_and_end_whatever_their_number() {
        for count in [0, 1, 8, 9, 1000] {
            finds_exactly(&inbound(count, |n| 256 + n), count, |n| 256 + n);
        }
    }

    #[test]
    fn a_million_sas_stay_within_four_cache_lines() {
        let orderly = |n| 256 + n;
        let scattered = |n: u32| 256 + n.wrapping_mul(0x9E37_79B1) % 0xFFFF_FE00;
        finds_exactly(&inbound(1_000_000, orderly), 1_000_000, orderly);
        finds_exactly(&inbound(1_000_000, scattered), 1_000_000, scattered);
    }

    #[test]
    fn one_spi_may_stand_for_each_end_and_equal_keys_do_no_harm() {
        let table = inbound(3, |_| 4096);
        for n in 0..3 {
            assert_eq!(table.find_inbound(4096, end(n)).map(|(_, sa)| *sa), Some(n));
        }
        let same = |n| InboundEntry { spi: 300, destination: end(0), tunnel: TunnelId(0), sa: Arc::new(n) };
        let table: SaTable<u32, u32> = SaTable::new((0..200).map(same).collect(), Vec::new());
        assert!(table.find_inbound(300, end(0)).is_some());
        assert!(table.find_inbound(301, end(0)).is_none());
    }

    fn flow(destination: &str) -> FlowKey {
        let source = if destination.contains(':') { "2001:db8::9" } else { "10.0.0.1" };
        FlowKey {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol: 17,
            upper: Some((1, 2)),
        }
    }

    fn to(destination: &str, length: u8) -> Vec<Selector> {
        let destination = AddressRange::prefix(destination.parse().unwrap(), length).unwrap();
        let source = AddressRange::all(destination.family());
        vec![Selector { source, destination, upper: Upper::Any }]
    }

    fn outbound(tunnel: u32, selectors: Vec<Selector>, sa: u32) -> OutboundEntry<u32> {
        let destination = IpAddr::from([192, 0, 2, 1]);
        OutboundEntry { spi: 1000 + sa, destination, tunnel: TunnelId(tunnel), selectors, sa: Arc::new(sa) }
    }

    #[test]
    fn the_newest_sa_that_may_carry_the_packet_is_taken() {
        let list = vec![
            outbound(2, Vec::new(), 20),
            outbound(0, to("10.1.0.0", 16), 1),
            outbound(0, to("10.1.1.0", 24), 2),
            outbound(0, to("10.1.0.0", 16), 3),
            outbound(0, to("2001:db8::", 32), 4),
            outbound(2, Vec::new(), 21),
        ];
        let table: SaTable<u32, u32> = SaTable::new(Vec::new(), list);
        let sa = |tunnel, destination| table.outbound(TunnelId(tunnel), &flow(destination)).copied();
        assert_eq!(sa(0, "10.1.1.1"), Some(3));
        assert_eq!(sa(0, "10.2.1.1"), None);
        assert_eq!(sa(0, "2001:db8::5"), Some(4));
        assert_eq!(sa(1, "10.1.1.1"), None);
        assert_eq!(sa(2, "10.1.1.1"), Some(21));
        assert_eq!(sa(3, "10.1.1.1"), None);
        let quoted = |spi, end: u8| table.find_outbound(spi, [192, 0, 2, end].into()).copied();
        assert_eq!((quoted(1003, 1), quoted(1020, 1)), (Some(3), Some(20)));
        assert_eq!((quoted(1003, 2), quoted(5, 1)), (None, None));
    }

    #[test]
    fn a_tunnel_with_many_sas_answers_like_a_scan() {
        let narrow = |n: u32| match n % 7 {
            0 => to("2001:db8::", (n % 128) as u8),
            1 => to("10.0.0.0", 8 + (n % 24) as u8),
            _ => to(&format!("10.0.{}.{}", n / 256, n % 256), 24 + (n % 9) as u8),
        };
        let mut list: Vec<_> = (0..2000).map(|n| outbound(1, narrow(n), n)).collect();
        list.push(outbound(0, Vec::new(), 9999));
        let model: Vec<_> = (0..2000).map(narrow).collect();
        let table: SaTable<u32, u32> = SaTable::new(Vec::new(), list);
        for n in 0..2000u32 {
            let destination = match n % 3 {
                0 => format!("2001:db8::{n:x}"),
                _ => format!("10.0.{}.{}", n / 256, n % 256),
            };
            let flow = flow(&destination);
            let newest = (0..2000).rev().find(|m| model[*m].iter().any(|s| s.matches(&flow)));
            assert_eq!(
                table.outbound(TunnelId(1), &flow).copied(),
                newest.map(|m| m as u32),
                "{destination}"
            );
        }
    }
}
