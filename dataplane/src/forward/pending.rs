//! Packets that wait until the link address of their next hop is known.
//!
//! Everything is bounded: next hops, packets of each, time. Whoever sends to a thousand absent hosts fills the room for
//! others that are not yet resolved either, and for nobody else.

use arrayvec::{ArrayVec, CapacityError};
use ravelin_contract::verdict::Verdict;

use super::neighbour::Ask;
use crate::clock::Now;
use crate::packet::{Batch, Packet};
use crate::table::forwarding::Forwarding;

/// Next hops that may be waited for at once.
const HOPS: usize = 64;
/// Packets that may wait for one of them.
const PER_HOP: usize = 16;
/// Packets that may wait in all.
const PACKETS: usize = 256;
/// How long packets wait, in milliseconds since the first of their next hop.
const PATIENCE_MS: u64 = 1_000;

/// The packets of one next hop.
#[derive(Debug)]
struct Waiting {
    hop: Ask,
    since: Now,
    /// Whether the filters that let these packets pass are no longer in force.
    outdated: bool,
    /// In order of arrival; never empty.
    packets: ArrayVec<Packet, PER_HOP>,
}

/// All that wait.
#[derive(Debug)]
pub(super) struct Pending {
    /// Never grows beyond its first capacity, [`HOPS`]; no hop stands twice.
    waiting: Vec<Waiting>,
    /// Sum of all packets in `waiting`.
    held: usize,
}

impl Pending {
    /// Nothing waits.
    pub(super) fn new() -> Self {
        Self { waiting: Vec::with_capacity(HOPS), held: 0 }
    }

    /// Packets that wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether packets wait for `hop`.
    pub(super) fn waits_for(&self, hop: Ask) -> bool {
        self.waiting.iter().any(|waiting| waiting.hop == hop)
    }

    /// Keeps a packet, or gives it back when there is no room.
    #[expect(clippy::result_large_err, reason = "the error is the packet itself, and it must not be lost")]
    pub(super) fn hold(&mut self, hop: Ask, packet: Packet, now: Now) -> Result<(), Packet> {
        if self.held == PACKETS {
            return Err(packet);
        }
        match self.waiting.iter().position(|waiting| waiting.hop == hop) {
            Some(index) => {
                self.waiting[index].packets.try_push(packet).map_err(CapacityError::element)?;
            }
            None if self.waiting.len() == HOPS => return Err(packet),
            None => {
                let packets = ArrayVec::from_iter([packet]);
                self.waiting.push(Waiting { hop, since: now, outdated: false, packets });
            }
        }
        self.held += 1;
        Ok(())
    }

    /// Other filters are in force: what waits must not leave any more, since it might not pass them.
    pub(super) fn outdate(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.outdated = true);
    }

    /// Puts the packets whose next hop is known by now in front of `batch`, which they are older than, and those that
    /// waited too long or are outdated too, ended with `NoNeighbour` or `PolicyChanged`. A next hop's packets go together, and wait on when there is no
    /// room for all.
    pub(super) fn release(&mut self, forwarding: &Forwarding, now: Now, batch: &mut Batch) {
        let before = batch.packets.len();
        for index in (0..self.waiting.len()).rev() {
            let waiting = &self.waiting[index];
            let known = forwarding.link_address(waiting.hop.port, waiting.hop.next_hop).is_some();
            let end = match waiting.outdated {
                true => Some(Verdict::PolicyChanged),
                false => (!known).then_some(Verdict::NoNeighbour),
            };
            let due = known || waiting.outdated || now >= waiting.since.plus_ms(PATIENCE_MS);
            if !due || waiting.packets.len() > batch.packets.remaining_capacity() {
                continue;
            }
            let waiting = self.waiting.swap_remove(index);
            self.held -= waiting.packets.len();
            batch.packets.extend(waiting.packets.into_iter().map(|mut packet| {
                packet.verdict = end;
                packet
            }));
        }
        let released = batch.packets.len() - before;
        batch.packets.rotate_right(released);
    }
}
