//! A worker's memory of past judgements: one cache line per flow and crossing, dead when the generation moves.

use ravelin_lookup::crossing::Crossing;
use ravelin_lookup::judge::Judgement;

use super::crossing::Packed;
use crate::table::mix::Mixer;

/// Past judgements of one worker. Full places are overwritten; nothing is ever counted on to be there.
#[derive(Debug)]
pub(crate) struct FlowCache {
    /// A power of two, at least two. A flow is in one of two neighbouring places.
    places: Box<[Place]>,
    mixer: Mixer,
}

/// Exactly one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Place(Option<Entry>);

/// One remembered judgement; the fields before the generation are those of [`Packed`], which alone would be padded.
#[derive(Debug, Clone, Copy)]
struct Entry {
    source: u128,
    destination: u128,
    rest: u64,
    came_by: u32,
    /// Lower half of the generation's number: 2^32 publications pass before one could be taken for another.
    generation: u32,
    judgement: Judgement,
}

const _: () = assert!(size_of::<Place>() == 64);

impl Entry {
    fn new(key: Packed, generation: u32, judgement: Judgement) -> Self {
        let Packed { source, destination, rest, came_by } = key;
        Self { source, destination, rest, came_by, generation, judgement }
    }

    fn is_for(&self, key: &Packed, generation: u32) -> bool {
        self.source == key.source
            && self.destination == key.destination
            && self.rest == key.rest
            && self.came_by == key.came_by
            && self.generation == generation
    }
}

impl FlowCache {
    /// An empty cache of `places`, rounded up to a power of two.
    pub(crate) fn new(places: usize) -> Self {
        Self { places: vec![Place(None); places.max(2).next_power_of_two()].into(), mixer: Mixer::new() }
    }

    /// What was said in this generation of `crossing` out of the inbound SA at position `sa`, or in clear, else what `judge` says
    /// now.
    pub(crate) fn get(
        &mut self,
        generation: u64,
        crossing: &Crossing,
        sa: Option<u32>,
        judge: impl FnOnce() -> Judgement,
    ) -> Judgement {
        // The SA has the tunnel, and says who the peer is besides.
        let key = Packed { came_by: sa.unwrap_or(u32::MAX), ..Packed::new(crossing) };
        let generation = generation as u32;
        let home = self.home(&key);
        let is = |entry: &&Entry| entry.is_for(&key, generation);
        let found = [home, home ^ 1].into_iter().find_map(|at| self.places[at].0.as_ref().filter(is));
        if let Some(entry) = found {
            return entry.judgement;
        }
        let judgement = judge();
        // The newest keeps the home; what it displaces gets a second chance next door.
        self.places[home ^ 1] = self.places[home];
        self.places[home] = Place(Some(Entry::new(key, generation, judgement)));
        judgement
    }

    fn home(&self, key: &Packed) -> usize {
        let addresses = key.source.rotate_left(64) ^ key.destination.wrapping_mul(3);
        let hash = self.mixer.mix_wide(addresses, key.rest ^ u64::from(key.came_by) << 24);
        hash as usize & (self.places.len() - 1)
    }
}
