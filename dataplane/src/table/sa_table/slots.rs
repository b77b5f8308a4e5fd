//! A list whose places stay, in chunks that generations share: a change copies one chunk.

use std::sync::Arc;

/// Places copied by one change.
const CHUNK: usize = 64;
/// No place.
const NONE: u32 = u32::MAX;

/// Things by place. A place that is given back is the first to be taken again.
#[derive(Debug)]
pub(super) struct Slots<T> {
    chunks: Vec<Arc<[Slot<T>]>>,
    /// The first free place; each names the next.
    free: u32,
    held: usize,
}

#[derive(Debug, Clone)]
enum Slot<T> {
    Held(T),
    Free(u32),
}

impl<T> Clone for Slots<T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), free: self.free, held: self.held }
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: NONE, held: 0 }
    }
}

impl<T> Slots<T> {
    /// What is at that place.
    pub(super) fn get(&self, at: u32) -> Option<&T> {
        match self.chunks.get(at as usize / CHUNK)?.get(at as usize % CHUNK)? {
            Slot::Held(thing) => Some(thing),
            Slot::Free(_) => None,
        }
    }

    /// How many things there are.
    pub(super) fn len(&self) -> usize {
        self.held
    }

    /// The place after the last.
    pub(super) fn end(&self) -> u32 {
        (self.chunks.len() * CHUNK) as u32
    }

    /// All things with their places, from a place on.
    pub(super) fn from(&self, at: u32) -> impl Iterator<Item = (u32, &T)> {
        let first = at as usize / CHUNK;
        let chunks = self.chunks.get(first..).unwrap_or_default().iter();
        let places = ((first * CHUNK) as u32)..;
        let slots = chunks.flat_map(|chunk| chunk.iter()).zip(places).skip(at as usize % CHUNK);
        slots.filter_map(|(slot, at)| match slot {
            Slot::Held(thing) => Some((at, thing)),
            Slot::Free(_) => None,
        })
    }
}

impl<T: Clone> Slots<T> {
    /// The things in their order, from place 0 on.
    pub(super) fn of(things: Vec<T>) -> Self {
        let mut slots = Self::default();
        for thing in things {
            slots.put(thing);
        }
        slots
    }

    /// Finds a place.
    pub(super) fn put(&mut self, thing: T) -> u32 {
        if self.free == NONE {
            self.grow();
        }
        let at = self.free;
        if let Some(slot) = self.slot(at) {
            match std::mem::replace(slot, Slot::Held(thing)) {
                Slot::Free(next) => self.free = next,
                Slot::Held(_) => unreachable!("a free place holds nothing"),
            }
            self.held += 1;
        }
        at
    }

    /// Puts another thing in the place of one.
    pub(super) fn set(&mut self, at: u32, thing: T) {
        if let Some(slot @ Slot::Held(_)) = self.slot(at) {
            *slot = Slot::Held(thing);
        }
    }

    /// Gives a place back.
    pub(super) fn take(&mut self, at: u32) {
        let next = self.free;
        if let Some(slot @ Slot::Held(_)) = self.slot(at) {
            *slot = Slot::Free(next);
            self.free = at;
            self.held -= 1;
        }
    }

    /// For a change: what other generations share is copied first.
    fn slot(&mut self, at: u32) -> Option<&mut Slot<T>> {
        Arc::make_mut(self.chunks.get_mut(at as usize / CHUNK)?).get_mut(at as usize % CHUNK)
    }

    fn grow(&mut self) {
        let begin = (self.chunks.len() * CHUNK) as u32;
        let next = |at: u32| if at % CHUNK as u32 == CHUNK as u32 - 1 { NONE } else { at + 1 };
        self.chunks.push((begin..).take(CHUNK).map(|at| Slot::Free(next(at))).collect());
        self.free = begin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_and_older_generations_do_not_see_changes() {
        let mut slots = Slots::of((0..100).collect());
        let before = slots.clone();
        for at in (0..100).step_by(2) {
            slots.take(at);
        }
        slots.set(1, 1001);
        slots.set(2, 9999);
        assert_eq!(
            (slots.len(), slots.get(1), slots.get(2), slots.get(99)),
            (50, Some(&1001), None, Some(&99))
        );
        assert_eq!(slots.put(7), 98, "what was given back last is taken first");
        assert!(before.from(0).map(|(at, thing)| (at, *thing)).eq((0..100).zip(0..100)));
        assert_eq!(slots.from(97).collect::<Vec<_>>(), [(97, &97), (98, &7), (99, &99)]);
        for thing in 0..60 {
            assert!(slots.get(slots.clone().put(thing)).is_none());
            slots.put(thing);
        }
        assert_eq!(slots.len(), 111);
    }
}
