//! A wheel of timers with one entry a flow, armed lazily (Varghese and Lauck's hierarchy of three).
//!
//! An entry never moves to a later time: it comes up when it was first wanted, and whoever owns it arms it again. So a
//! clock that is pushed back with every segment costs nothing but the write of its deadline.

use crate::frame::NONE;
use crate::time::Tick;

/// Slots of a level, as a power of two.
const BITS: u32 = 8;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 3;

#[derive(Debug, Clone, Copy)]
struct Node {
    previous: u32,
    next: u32,
    at: Tick,
    /// Level and slot; `UNARMED` when it is in none.
    place: u16,
}

const UNARMED: u16 = u16::MAX;

/// The wheel.
#[derive(Debug)]
pub(crate) struct Wheel {
    nodes: Vec<Node>,
    /// First entry of each slot of each level.
    heads: [[u32; SLOTS]; LEVELS],
    /// Entries of each level.
    counts: [u32; LEVELS],
    /// Everything until here has come up.
    current: Tick,
}

impl Wheel {
    pub(crate) fn new(entries: u32, now: Tick) -> Self {
        let node = Node { previous: NONE, next: NONE, at: now, place: UNARMED };
        Self {
            nodes: vec![node; entries as usize],
            heads: [[NONE; SLOTS]; LEVELS],
            counts: [0; LEVELS],
            current: now,
        }
    }

    /// Looks at an entry before its turn.
    pub(crate) fn glance(&self, index: u32) -> u32 {
        self.nodes[index as usize].at.0
    }

    /// Lets the entry come up at `at`, or earlier when it was armed for earlier.
    pub(crate) fn arm(&mut self, index: u32, at: Tick) {
        let node = self.nodes[index as usize];
        if node.place != UNARMED {
            if !at.before(node.at) {
                return;
            }
            self.disarm(index);
        }
        self.insert(index, at);
    }

    /// Takes the entry out.
    pub(crate) fn disarm(&mut self, index: u32) {
        let node = self.nodes[index as usize];
        if node.place == UNARMED {
            return;
        }
        let (level, slot) = (usize::from(node.place) / SLOTS, usize::from(node.place) % SLOTS);
        match node.previous {
            NONE => self.heads[level][slot] = node.next,
            previous => self.nodes[previous as usize].next = node.next,
        }
        if node.next != NONE {
            self.nodes[node.next as usize].previous = node.previous;
        }
        self.nodes[index as usize].place = UNARMED;
        self.counts[level] -= 1;
    }

    fn insert(&mut self, index: u32, at: Tick) {
        // What is due already comes up with the next tick, what lies too far ahead when the wheel is round.
        let ahead = (at.since(self.current) as i32).clamp(1, (1 << (BITS * LEVELS as u32)) - 1) as u32;
        let at = self.current.plus(ahead);
        let level = (1..LEVELS).find(|level| ahead >> (BITS * *level as u32) == 0).unwrap_or(LEVELS) - 1;
        let slot = (at.0 >> (BITS * level as u32)) as usize % SLOTS;
        let next = std::mem::replace(&mut self.heads[level][slot], index);
        if next != NONE {
            self.nodes[next as usize].previous = index;
        }
        self.nodes[index as usize] = Node { previous: NONE, next, at, place: (level * SLOTS + slot) as u16 };
        self.counts[level] += 1;
    }

    /// Moves to `now` and gives everything that has come up, disarmed, to `due`.
    pub(crate) fn advance(&mut self, now: Tick, mut due: impl FnMut(u32)) {
        while self.current.before(now) {
            self.current = self.next_stop(now);
            for level in (1..LEVELS).rev() {
                if self.current.0.is_multiple_of(1 << (BITS * level as u32)) {
                    self.cascade(level);
                }
            }
            let slot = self.current.0 as usize % SLOTS;
            while self.heads[0][slot] != NONE {
                let index = self.heads[0][slot];
                self.disarm(index);
                due(index);
            }
        }
    }

    /// The next tick at which there may be something to do: the very next, or the end of a turn of an empty level.
    fn next_stop(&self, now: Tick) -> Tick {
        let empty = self.counts.iter().take_while(|count| **count == 0).count().min(LEVELS - 1) as u32;
        let unit = 1u32 << (BITS * empty);
        let stop = Tick((self.current.0 & !(unit - 1)).wrapping_add(unit));
        if now.before(stop) { now } else { stop }
    }

    /// Spreads a slot of a level over the level below.
    fn cascade(&mut self, level: usize) {
        let slot = (self.current.0 >> (BITS * level as u32)) as usize % SLOTS;
        let mut index = std::mem::replace(&mut self.heads[level][slot], NONE);
        while index != NONE {
            let Node { next, at, .. } = self.nodes[index as usize];
            self.counts[level] -= 1;
            self.nodes[index as usize].place = UNARMED;
            self.insert_due(index, at);
            index = next;
        }
    }

    /// Like `insert`, but what is due at this very tick goes to the slot that is about to come up.
    fn insert_due(&mut self, index: u32, at: Tick) {
        if at != self.current {
            return self.insert(index, at);
        }
        let slot = at.0 as usize % SLOTS;
        let next = std::mem::replace(&mut self.heads[0][slot], index);
        if next != NONE {
            self.nodes[next as usize].previous = index;
        }
        self.nodes[index as usize] = Node { previous: NONE, next, at, place: slot as u16 };
        self.counts[0] += 1;
    }

    /// A tick before which nothing comes up; exact when something is due within one turn of the first level.
    pub(crate) fn next(&self) -> Option<Tick> {
        let occupied = |level: usize| {
            let unit = BITS * level as u32;
            let base = self.current.0 >> unit;
            let steps = (1..=SLOTS as u32)
                .find(|step| self.heads[level][base.wrapping_add(*step) as usize % SLOTS] != NONE)?;
            Some(Tick(base.wrapping_add(steps) << unit))
        };
        (0..LEVELS)
            .filter(|level| self.counts[*level] > 0)
            .filter_map(occupied)
            .reduce(|first, second| if second.before(first) { second } else { first })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Beside a sorted map: each entry comes up once, not early, and not later than the step that passes it.
        #[test]
        fn same_as_a_sorted_map(
            start: u32,
            steps in prop::collection::vec((0u32..8, prop_oneof![0u32..300, 0u32..70_000, 0u32..20_000_000], 0u32..90_000), 1..60),
        ) {
            let mut now = Tick(start);
            let mut wheel = Wheel::new(8, now);
            let mut model = BTreeMap::new();
            for (index, ahead, pass) in steps {
                let at = now.plus(ahead);
                let kept = model.get(&index).copied().filter(|old: &Tick| !at.before(*old)).unwrap_or(at);
                wheel.arm(index, at);
                model.insert(index, kept);
                if index == 7 {
                    wheel.disarm(7);
                    model.remove(&7);
                }
                if let Some(next) = wheel.next() {
                    prop_assert!(model.values().all(|at| !at.before(next) || !now.before(*at)));
                } else {
                    prop_assert!(model.is_empty());
                }
                now = now.plus(pass);
                let mut up = Vec::new();
                wheel.advance(now, |index| up.push(index));
                for index in up {
                    let at = model.remove(&index);
                    prop_assert!(at.is_some_and(|at| !now.before(at) || at.since(now) > 1 << 20), "{index} {at:?}");
                }
                // What was due when it was armed comes up with the next tick.
                prop_assert!(model.values().all(|at| now.before(*at) || pass == 0), "{model:?} {now:?}");
            }
        }
    }
}
