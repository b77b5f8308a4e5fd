//! Where SAs are by SPI and destination: open addressing by cache lines, in pages that generations share.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::mix::Mixer;

/// Slots that are looked at together: one cache line of 64 octets.
const LINE: usize = 8;
/// Lines copied by one change.
const PAGE: usize = 64;
/// Most lines that a lookup may touch; an index that would need more is built again, larger.
pub const LONGEST_PROBE: usize = 4;
/// A slot that holds nothing.
const EMPTY: u32 = u32::MAX;
/// Times an index is built again, twice as large, before equal keys are taken for the cause.
const MOST_TRIES: usize = 6;

/// SPI and destination.
pub(super) type Key = (u32, IpAddr);

/// A full line spills into the next.
#[derive(Debug, Clone)]
pub(super) struct SpiIndex {
    /// A power of two.
    pages: Vec<Arc<[Line; PAGE]>>,
    held: usize,
    /// Most lines that a lookup touches.
    longest: usize,
    /// Most lines that one may touch.
    reach: usize,
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

    fn held(&self) -> impl Iterator<Item = (u32, u32)> {
        self.spis.into_iter().zip(self.at).take_while(|(_, at)| *at != EMPTY)
    }

    /// The last one moves into the gap.
    fn remove(&mut self, at: u32) {
        let last = self.at.iter().rposition(|slot| *slot != EMPTY);
        if let (Some(slot), Some(last)) = (self.at.iter().position(|slot| *slot == at), last) {
            (self.spis[slot], self.at[slot]) = (self.spis[last], self.at[last]);
            self.at[last] = EMPTY;
        }
    }
}

impl SpiIndex {
    /// With room for so many.
    pub(super) fn with_room(count: usize) -> Self {
        // Half full: a line of eight then overflows in one case of fifty.
        Self::sized((count * 2).div_ceil(LINE * PAGE).next_power_of_two(), LONGEST_PROBE)
    }

    fn sized(pages: usize, reach: usize) -> Self {
        let page = Arc::new([Line::FREE; PAGE]);
        Self { pages: vec![page; pages], held: 0, longest: 1, reach, mixer: Mixer::new() }
    }

    /// Most cache lines that a lookup touches; at most [`LONGEST_PROBE`] unless keys are equal.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// The position that is `wanted` among those of `spi`.
    pub(super) fn find(&self, (spi, destination): Key, wanted: impl Fn(u32) -> bool) -> Option<u32> {
        let home = self.home((spi, destination));
        for step in 0..self.longest {
            let line = self.line(home + step);
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

    /// Adds a position. `key` tells the keys of those that are there already.
    pub(super) fn insert(&mut self, new: Key, at: u32, key: impl Fn(u32) -> Option<Key>) {
        self.held += 1;
        let room = self.pages.len() * PAGE * LINE / 2;
        if self.held > room || !self.place(new, at) {
            let mut all = self.all(&key);
            all.push((new, at));
            *self = Self::built(self.pages.len(), &all);
        }
    }

    /// Takes a position out.
    pub(super) fn remove(&mut self, old: Key, at: u32, key: impl Fn(u32) -> Option<Key>) {
        let home = self.home(old);
        let holds = |line: &Line| line.at.contains(&at);
        let Some(step) = (0..self.longest).find(|step| holds(self.line(home + step))) else { return };
        let line = home + step;
        let was_full = self.line(line).is_full();
        self.line_mut(line).remove(at);
        self.held -= 1;
        if was_full {
            self.draw_back(line, key);
        }
    }

    /// A full line has room now: what had to go further because of it must be found by whoever stops there.
    fn draw_back(&mut self, line: usize, key: impl Fn(u32) -> Option<Key>) {
        let mut spilled = Vec::new();
        for step in 1..self.lines() {
            let next = *self.line(line + step);
            spilled.extend(next.held());
            if next.at[0] != EMPTY {
                *self.line_mut(line + step) = Line::FREE;
            }
            if !next.is_full() {
                break;
            }
        }
        // In their order, so that none goes further than it was.
        for (_, at) in spilled {
            if let Some(key) = key(at) {
                self.place(key, at);
            }
        }
    }

    /// An index of all these, larger than `pages` as far as it must be.
    fn built(pages: usize, all: &[(Key, u32)]) -> Self {
        let mut size = pages.max(Self::with_room(all.len()).pages.len());
        for _ in 0..MOST_TRIES {
            if let Some(index) = Self::filled(size, LONGEST_PROBE, all) {
                return index;
            }
            size *= 2;
        }
        // Only equal keys can bring us here; then one of them is found, after a longer way.
        Self::filled(size, size * PAGE, all).unwrap_or_else(|| Self::sized(1, LONGEST_PROBE))
    }

    /// `None` when a key finds no free slot within `reach` lines.
    fn filled(pages: usize, reach: usize, all: &[(Key, u32)]) -> Option<Self> {
        let mut index = Self::sized(pages, reach);
        index.held = all.len();
        all.iter().all(|(key, at)| index.place(*key, *at)).then_some(index)
    }

    /// Whether there was room near enough.
    fn place(&mut self, (spi, destination): Key, at: u32) -> bool {
        let home = self.home((spi, destination));
        let reach = self.reach.min(self.lines());
        let Some(step) = (0..reach).find(|step| !self.line(home + step).is_full()) else { return false };
        self.longest = self.longest.max(step + 1);
        self.line_mut(home + step).put(spi, at)
    }

    fn all(&self, key: impl Fn(u32) -> Option<Key>) -> Vec<(Key, u32)> {
        let lines = self.pages.iter().flat_map(|page| page.iter());
        lines.flat_map(Line::held).filter_map(|(_, at)| Some((key(at)?, at))).collect()
    }

    fn lines(&self) -> usize {
        self.pages.len() * PAGE
    }

    fn line(&self, number: usize) -> &Line {
        let number = number & (self.lines() - 1);
        &self.pages[number / PAGE][number % PAGE]
    }

    fn line_mut(&mut self, number: usize) -> &mut Line {
        let number = number & (self.lines() - 1);
        &mut Arc::make_mut(&mut self.pages[number / PAGE])[number % PAGE]
    }

    fn home(&self, (spi, destination): Key) -> usize {
        let destination = match destination {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        self.mixer.mix_wide(destination, spi.into()) as usize & (self.lines() - 1)
    }
}
