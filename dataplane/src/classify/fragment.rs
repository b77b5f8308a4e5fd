//! Ports of fragmented packets, so that later fragments share the fate of their first (RFC 4301 7.3).
//!
//! Only ports (or ICMP type and code) and the opening flag are remembered, not the answer: the rules in force are asked
//! again for each fragment. The way a packet came is part of the key, so no fragment profits from one that came another
//! way. Interfaces spread fragments over queues by addresses alone, so first and later ones meet at one worker.

use ravelin_lookup::crossing::Crossing;

use super::crossing::Packed;
use crate::clock::Now;
use crate::table::mix::Mixer;

/// How long a first fragment is remembered, in nanoseconds: as long as hosts commonly wait for the rest.
pub(crate) const LIFETIME: u64 = 30_000_000_000;
/// Fragmented packets that fall together before the oldest is forgotten.
const WAYS: usize = 4;

/// What a first fragment shows and later ones do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Ports, or ICMP type and code.
    pub(crate) upper: (u16, u16),
    /// Whether it opens a TCP connection.
    pub(crate) opens_tcp: bool,
}

/// First fragments that one worker has seen. Never grows.
#[derive(Debug)]
pub(crate) struct Fragments {
    /// A power of two.
    sets: Box<[[Option<First>; WAYS]]>,
    mixer: Mixer,
}

#[derive(Debug, Clone, Copy)]
struct First {
    key: Packed,
    id: u32,
    seen: Now,
    shown: Shown,
}

impl Fragments {
    /// An empty memory for `packets`, rounded up.
    pub(crate) fn new(packets: usize) -> Self {
        let sets = packets.div_ceil(WAYS).next_power_of_two();
        Self { sets: vec![[None; WAYS]; sets].into(), mixer: Mixer::new() }
    }

    /// Remembers a first fragment. The oldest of those that fall together makes room.
    pub(crate) fn remember(&mut self, crossing: &Crossing, id: u32, shown: Shown, now: Now) {
        let key = anonymous(crossing);
        let set = self.set(&key, id);
        let same = |first: &First| first.id == id && first.key == key;
        let oldest = |place: &&mut Option<First>| match place {
            Some(first) if same(first) => (false, Now(0)),
            Some(first) => (true, first.seen),
            None => (true, Now(0)),
        };
        if let Some(place) = set.iter_mut().min_by_key(oldest) {
            *place = Some(First { key, id, seen: now, shown });
        }
    }

    /// What the first fragment of this later one showed, if it was seen and not long ago.
    pub(crate) fn recall(&mut self, crossing: &Crossing, id: u32, now: Now) -> Option<Shown> {
        let key = anonymous(crossing);
        let alive = |first: &&First| first.id == id && first.key == key && now.since(first.seen) < LIFETIME;
        self.set(&key, id).iter().flatten().find(alive).map(|first| first.shown)
    }

    fn set(&mut self, key: &Packed, id: u32) -> &mut [Option<First>; WAYS] {
        let addresses = key.source.rotate_left(64) ^ key.destination.wrapping_mul(3);
        let hash = self.mixer.mix_wide(addresses, key.rest ^ u64::from(id) << 8);
        &mut self.sets[hash as usize & (self.sets.len() - 1)]
    }
}

/// The crossing without what only a first fragment shows.
fn anonymous(crossing: &Crossing) -> Packed {
    let mut crossing = *crossing;
    crossing.shown.flow.upper = None;
    crossing.shown.opens_tcp = false;
    Packed::new(&crossing)
}
