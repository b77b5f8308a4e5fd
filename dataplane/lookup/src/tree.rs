//! First match over boxes: which of many ranges in six dimensions holds a packet, the lowest rank first.
//!
//! A binary tree of thresholds. A split sends entries that lie wholly below its threshold one way, those wholly above
//! the other way, and those on both sides into a third subtree. So an entry stands once, memory grows linearly
//! with the number of entries, and a lookup walks one side and, only while it holds a rank that could still win, the
//! third. Where not many entries lie on both sides they are copied to both instead, which saves the third walk, until
//! [`COPIES`] copies for each entry are spent.

use std::net::IpAddr;

use arrayvec::ArrayVec;

use ravelin_contract::address::{AddressRange, NumberRange};
use ravelin_contract::selector::{FlowKey, Selector, Upper};

/// Entries that are compared one by one rather than split further.
const LEAF: usize = 8;
/// A split copies what lies on both sides when it is at most one in so many entries.
const COPIED_SHARE: usize = 4;
/// Copies that a tree may hold, for each entry; so its memory stays linear.
const COPIES: usize = 4;
/// Longest way from the root.
const DEPTH: usize = 64;
/// Most entries looked at for candidate thresholds of one split.
const SAMPLE: usize = 512;
/// The coordinate of a packet without a zone: only entries that ask for none reach so far.
const NO_ZONE: u16 = 256;

/// What a lookup asks besides addresses, ports, protocol and zone; bits of [`Entry::require`] and [`Entry::refuse`].
pub mod trait_bits {
    /// One end is this host.
    pub const LOCAL: u8 = 1;
    /// Forwarded.
    pub const ROUTED: u8 = 2;
    /// A fragment, first or later.
    pub const FRAGMENT: u8 = 4;
    /// Opens a TCP connection.
    pub const OPENING: u8 = 8;
}

/// A coordinate: `u32` for IPv4, `u128` for IPv6.
pub trait Coordinate: Copy + Ord + From<u16> + std::fmt::Debug {
    /// The address, or `None` when it is of the other family.
    fn of(address: IpAddr) -> Option<Self>;
    /// The next higher coordinate.
    fn next(self) -> Option<Self>;
}

impl Coordinate for u32 {
    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => Some(v4.to_bits()),
            IpAddr::V6(_) => None,
        }
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Coordinate for u128 {
    fn of(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V6(v6) => Some(v6.to_bits()),
            IpAddr::V4(_) => None,
        }
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// How the port dimensions (or ICMP type and code) are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// Both are known.
    Known,
    /// The packet has none: only entries that ask for none match (RFC 4301 4.4.1.1, OPAQUE).
    Absent,
    /// They are not known: every entry matches that could match with some.
    Unknown,
}

/// One lookup.
#[derive(Debug, Clone, Copy)]
pub struct Key<C> {
    /// By [`Dimension`]; the ports are 0 unless known.
    at: [C; 6],
    /// How the ports are asked.
    fields: Fields,
    /// Of [`trait_bits`].
    traits: u8,
}

impl<C: Coordinate> Key<C> {
    /// `None` when the flow is of the other family. Fields are [`Fields::Known`] or [`Fields::Absent`] as the flow says.
    pub fn new(flow: &FlowKey, zone: Option<u8>, traits: u8) -> Option<Self> {
        let (first, second) = flow.upper.unwrap_or((0, 0));
        let narrow = |value: u16| C::from(value);
        Some(Self {
            at: [
                C::of(flow.source)?,
                C::of(flow.destination)?,
                narrow(first),
                narrow(second),
                narrow(flow.protocol.into()),
                narrow(zone.map_or(NO_ZONE, u16::from)),
            ],
            fields: if flow.upper.is_some() { Fields::Known } else { Fields::Absent },
            traits,
        })
    }

    /// The same lookup with ports not known.
    pub fn with_unknown_fields(self) -> Self {
        Self { fields: Fields::Unknown, ..self }
    }
}

/// The six dimensions, in the order of [`Key::at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Source,
    Destination,
    First,
    Second,
    Protocol,
    Zone,
}

impl Dimension {
    const ALL: [Self; 6] =
        [Self::Source, Self::Destination, Self::First, Self::Second, Self::Protocol, Self::Zone];

    fn is_field(self) -> bool {
        matches!(self, Self::First | Self::Second)
    }
}

/// One box with a rank.
#[derive(Debug, Clone, Copy)]
pub struct Entry<C> {
    source: (C, C),
    destination: (C, C),
    /// Source ports or ICMP types.
    first: (u16, u16),
    /// Destination ports or ICMP codes.
    second: (u16, u16),
    zone: (u16, u16),
    protocol: (u8, u8),
    /// Traits of which the packet must have all.
    require: u8,
    /// Traits of which the packet must have none.
    refuse: u8,
    /// Lower wins.
    rank: u32,
}

impl<C: Coordinate> Entry<C> {
    /// `None` when the selector is not of this family.
    pub fn new(selector: &Selector, rank: u32) -> Option<Self> {
        let (protocol, first, second) = upper_ranges(&selector.upper);
        Some(Self {
            source: address_range(&selector.source)?,
            destination: address_range(&selector.destination)?,
            first,
            second,
            zone: (0, NO_ZONE),
            protocol,
            require: 0,
            refuse: 0,
            rank,
        })
    }

    /// Only in this zone.
    pub fn in_zone(self, zone: Option<u8>) -> Self {
        let zone = zone.map_or((0, NO_ZONE), |zone| (zone.into(), zone.into()));
        Self { zone, ..self }
    }

    /// Only with all of `require` and none of `refuse`.
    pub fn with_traits(self, require: u8, refuse: u8) -> Self {
        Self { require, refuse, ..self }
    }

    fn range(&self, dimension: Dimension) -> (C, C) {
        let wide = |(low, high): (u16, u16)| (C::from(low), C::from(high));
        match dimension {
            Dimension::Source => self.source,
            Dimension::Destination => self.destination,
            Dimension::First => wide(self.first),
            Dimension::Second => wide(self.second),
            Dimension::Protocol => wide((self.protocol.0.into(), self.protocol.1.into())),
            Dimension::Zone => wide(self.zone),
        }
    }

    fn matches(&self, key: &Key<C>) -> bool {
        let holds = |dimension: Dimension| {
            let (low, high) = self.range(dimension);
            let at = key.at[dimension as usize];
            low <= at && at <= high
        };
        let fields = match key.fields {
            Fields::Known => holds(Dimension::First) & holds(Dimension::Second),
            Fields::Absent => self.first == (0, u16::MAX) && self.second == (0, u16::MAX),
            Fields::Unknown => true,
        };
        // Without branches: which of the comparisons fails first cannot be foretold.
        holds(Dimension::Source)
            & holds(Dimension::Destination)
            & fields
            & holds(Dimension::Protocol)
            & holds(Dimension::Zone)
            & (key.traits & self.require == self.require)
            & (key.traits & self.refuse == 0)
    }
}

fn address_range<C: Coordinate>(range: &AddressRange) -> Option<(C, C)> {
    Some((C::of(range.first())?, C::of(range.last())?))
}

/// Protocol, and the two fields.
fn upper_ranges(upper: &Upper) -> ((u8, u8), (u16, u16), (u16, u16)) {
    let all = (0, u16::MAX);
    let numbers = |range: &NumberRange| (range.first(), range.last());
    match upper {
        Upper::Any => ((0, u8::MAX), all, all),
        Upper::Protocol(protocol) => ((*protocol, *protocol), all, all),
        Upper::Ports { protocol, source, destination } => {
            ((*protocol, *protocol), numbers(source), numbers(destination))
        }
        Upper::Icmp { protocol, types, codes } => ((*protocol, *protocol), numbers(types), numbers(codes)),
    }
}

/// A point of the tree. Nodes name each other by position in [`Tree::nodes`].
#[derive(Debug, Clone, Copy)]
struct Node<C> {
    /// Lowest rank below: the walk turns back where a lower one has been found.
    lowest: u32,
    what: What<C>,
}

#[derive(Debug, Clone, Copy)]
enum What<C> {
    /// Entries `start..end`, by rank.
    Leaf { start: u32, end: u32 },
    /// Coordinates below `threshold` are in `below`, others in `above`; `across` holds what lies on both sides.
    Split { dimension: Dimension, threshold: C, below: u32, above: u32, across: Option<u32> },
}

/// The frozen tree.
#[derive(Debug)]
pub struct Tree<C> {
    /// The root is the last. Empty when there are no entries.
    nodes: Box<[Node<C>]>,
    /// Of all leaves.
    entries: Box<[Entry<C>]>,
}

impl<C: Coordinate> Tree<C> {
    /// The tree of these entries; ranks are distinct, order is free.
    pub fn build(mut entries: Vec<Entry<C>>) -> Self {
        entries.sort_unstable_by_key(|entry| entry.rank);
        let mut growth = Growth { nodes: Vec::new(), entries: Vec::with_capacity(entries.len()) };
        if !entries.is_empty() {
            let spare = entries.len() * COPIES;
            growth.grow(entries, 0, spare);
        }
        Self { nodes: growth.nodes.into(), entries: growth.entries.into() }
    }

    /// The lowest rank among the entries that hold `key`.
    pub fn first_match(&self, key: &Key<C>) -> Option<u32> {
        self.first_match_among(key, |_| true)
    }

    /// The same among those ranks that count.
    pub fn first_match_among(&self, key: &Key<C>, counts: impl Fn(u32) -> bool) -> Option<u32> {
        let mut best = u32::MAX;
        // At most two per level wait: the walk goes on with a third.
        let mut waiting: ArrayVec<u32, { 2 * DEPTH + 2 }> = ArrayVec::new();
        waiting.push((self.nodes.len() as u32).checked_sub(1)?);
        while let Some(mut at) = waiting.pop() {
            while let Some(node) = self.nodes.get(at as usize).filter(|node| node.lowest < best) {
                match node.what {
                    What::Leaf { start, end } => {
                        best = self.scan(start, end, key, best, &counts);
                        break;
                    }
                    What::Split { dimension, threshold, below, above, across } => {
                        at = self.descend(key, dimension, threshold, (below, above, across), &mut waiting);
                    }
                }
            }
        }
        (best != u32::MAX).then_some(best)
    }

    /// Entries and copies, for bounds on memory.
    #[cfg(test)]
    pub fn stored(&self) -> usize {
        self.entries.len()
    }

    /// Chooses the next node; what must be seen later goes to `waiting`.
    fn descend(
        &self,
        key: &Key<C>,
        dimension: Dimension,
        threshold: C,
        (below, above, across): (u32, u32, Option<u32>),
        waiting: &mut ArrayVec<u32, { 2 * DEPTH + 2 }>,
    ) -> u32 {
        if dimension.is_field() && key.fields != Fields::Known {
            return match (key.fields, across) {
                // What asks for no ports lies on both sides: in the third subtree, or copied to each.
                (Fields::Absent, Some(across)) => across,
                (Fields::Absent, None) => below,
                _ => {
                    waiting.extend(across);
                    waiting.push(above);
                    below
                }
            };
        }
        waiting.extend(across);
        if key.at[dimension as usize] < threshold { below } else { above }
    }

    fn scan(&self, start: u32, end: u32, key: &Key<C>, best: u32, counts: &impl Fn(u32) -> bool) -> u32 {
        let leaf = self.entries.get(start as usize..end as usize).unwrap_or_default();
        let better = leaf.iter().take_while(|entry| entry.rank < best);
        better
            .into_iter()
            .find(|entry| entry.matches(key) && counts(entry.rank))
            .map_or(best, |entry| entry.rank)
    }
}

/// A tree while it grows, children before parents.
struct Growth<C> {
    nodes: Vec<Node<C>>,
    entries: Vec<Entry<C>>,
}

/// A threshold and how many entries it parts.
#[derive(Clone, Copy)]
struct Cut<C> {
    dimension: Dimension,
    threshold: C,
    below: usize,
    above: usize,
    across: usize,
}

impl<C: Coordinate> Growth<C> {
    /// Adds the subtree of `entries` (by rank), with at most `spare` copies, and gives its number.
    fn grow(&mut self, entries: Vec<Entry<C>>, depth: usize, spare: usize) -> u32 {
        let lowest = entries.first().map_or(u32::MAX, |entry| entry.rank);
        let cut = if entries.len() <= LEAF || depth == DEPTH { None } else { best_cut(&entries) };
        let what = match cut {
            None => self.leaf(&entries),
            Some(cut) => self.split(entries, &cut, depth + 1, spare),
        };
        self.nodes.push(Node { lowest, what });
        (self.nodes.len() - 1) as u32
    }

    fn leaf(&mut self, entries: &[Entry<C>]) -> What<C> {
        let start = self.entries.len() as u32;
        self.entries.extend_from_slice(entries);
        What::Leaf { start, end: self.entries.len() as u32 }
    }

    fn split(&mut self, entries: Vec<Entry<C>>, cut: &Cut<C>, depth: usize, spare: usize) -> What<C> {
        let copy = cut.across <= spare && cut.across * COPIED_SHARE <= entries.len();
        let part = |keep: fn(bool, bool) -> bool| -> Vec<Entry<C>> {
            let sides = |entry: &Entry<C>| {
                let (low, high) = entry.range(cut.dimension);
                (low < cut.threshold, high >= cut.threshold)
            };
            entries
                .iter()
                .copied()
                .filter(|entry| {
                    let (b, a) = sides(entry);
                    keep(b, a)
                })
                .collect()
        };
        let below = part(if copy { |below, _| below } else { |_, above| !above });
        let above = part(if copy { |_, above| above } else { |below, _| !below });
        let across = (!copy).then(|| part(|below, above| below && above));
        drop(entries);
        // What may still be copied is shared out by size.
        let spare = if copy { spare - cut.across } else { spare };
        let total = below.len() + above.len() + across.as_ref().map_or(0, Vec::len);
        let mut grow = |part: Vec<Entry<C>>| {
            let share = spare * part.len() / total;
            self.grow(part, depth, share)
        };
        let (below, above, across) = (grow(below), grow(above), across.map(&mut grow));
        What::Split { dimension: cut.dimension, threshold: cut.threshold, below, above, across }
    }
}

/// The cut that leaves least to walk, or `None` when every cut leaves nearly everything together.
fn best_cut<C: Coordinate>(entries: &[Entry<C>]) -> Option<Cut<C>> {
    let all = entries.len();
    let cuts = Dimension::ALL.into_iter().flat_map(|dimension| {
        thresholds(entries, dimension)
            .into_iter()
            .map(move |threshold| measure(entries, dimension, threshold))
    });
    let useful = cuts.filter(|cut| cut.below.max(cut.above).max(cut.across) * 16 <= all * 15);
    useful.min_by_key(|cut| cut.below.max(cut.above) + cut.across)
}

/// Candidates: around the middle of where ranges begin, and the middle of where they end.
fn thresholds<C: Coordinate>(entries: &[Entry<C>], dimension: Dimension) -> ArrayVec<C, 3> {
    let sample = || entries.iter().step_by(entries.len().div_ceil(SAMPLE)).map(|e| e.range(dimension));
    let mut lows: Vec<C> = sample().map(|(low, _)| low).collect();
    let mut ends: Vec<C> = sample().filter_map(|(_, high)| high.next()).collect();
    lows.sort_unstable();
    ends.sort_unstable();
    let mut found = ArrayVec::new();
    if let Some(&middle) = lows.get(lows.len() / 2) {
        found.push(middle);
        found.extend(lows.iter().copied().find(|low| *low > middle));
    }
    found.extend(ends.get(ends.len() / 2).copied());
    found
}

fn measure<C: Coordinate>(entries: &[Entry<C>], dimension: Dimension, threshold: C) -> Cut<C> {
    let (mut below, mut above) = (0, 0);
    for entry in entries {
        let (low, high) = entry.range(dimension);
        below += usize::from(high < threshold);
        above += usize::from(low >= threshold);
    }
    Cut { dimension, threshold, below, above, across: entries.len() - below - above }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_bits(bits: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(bits).into()
    }

    /// Boxes of source and destination, in order of rank.
    fn tree(boxes: impl Iterator<Item = ((u32, u32), (u32, u32))>) -> Tree<u32> {
        let range = |(low, high)| AddressRange::new(from_bits(low), from_bits(high)).unwrap();
        let entry = |((source, destination), rank)| {
            let selector =
                Selector { source: range(source), destination: range(destination), upper: Upper::Any };
            Entry::new(&selector, rank).unwrap()
        };
        Tree::build(boxes.zip(0u32..).map(entry).collect())
    }

    fn key(source: u32, destination: u32) -> Key<u32> {
        let (source, destination) = (from_bits(source), from_bits(destination));
        Key::new(&FlowKey { source, destination, protocol: 6, upper: Some((1, 2)) }, None, 0).unwrap()
    }

    #[test]
    fn an_empty_tree_matches_nothing() {
        assert_eq!(tree(std::iter::empty()).first_match(&key(0, 0)), None);
    }

    #[test]
    fn sites_are_stored_once_and_the_last_rule_for_all_is_the_last_resort() {
        let site = |n: u32| ((0x0A00_0000, 0x0AFF_FFFF), (n << 8, (n << 8) + 255));
        let tree = tree((0..20_000).map(site).chain([((0, u32::MAX), (0, u32::MAX))]));
        assert!(tree.stored() <= 20_001 * (1 + COPIES), "{} entries stored", tree.stored());
        for n in 0..20_000 {
            assert_eq!(tree.first_match(&key(0x0A00_0001, (n << 8) + 9)), Some(n));
            assert_eq!(tree.first_match(&key(0x0B00_0001, (n << 8) + 9)), Some(20_000));
        }
    }

    #[test]
    fn nested_ranges_stay_linear_in_memory() {
        let shell = |n: u32| ((n, 100_000 - n), (n, 100_000 - n));
        let tree = tree((0..10_000).rev().map(shell));
        assert!(tree.stored() <= 10_000 * (1 + COPIES), "{} entries stored", tree.stored());
        for at in [0, 1, 77, 5_000, 9_999, 50_000, 99_000, 100_000] {
            let innermost = (0..10_000).rev().position(|n: u32| n <= at && at <= 100_000 - n);
            assert_eq!(tree.first_match(&key(at, 50_000)), innermost.map(|rank| rank as u32), "{at}");
        }
    }
}
