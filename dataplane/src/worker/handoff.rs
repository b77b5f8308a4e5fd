//! Packets for an SA or a TLS connection that another worker owns.
//!
//! An inbound SA has one owner, so that its anti-replay window has one writer; a connection has one, so that both its legs
//! meet. Cards spread packets by addresses and ports, which a sender may choose; what arrives at the wrong worker is
//! copied into a parcel and given to the owner.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::run::Bell;
use crate::frame::{Frame, Pool};
use crate::packet::PortIndex;

/// Parcels that may wait for one worker.
const WAITING: usize = 512;

/// How a packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// By this port.
    pub ingress: PortIndex,
    /// Under the SA at this position, in the tables of this generation; positions mean nothing in others.
    pub opened: Option<(u32, u64)>,
}

impl Passage {
    /// As it came by a port.
    pub fn by(ingress: PortIndex) -> Self {
        Self { ingress, opened: None }
    }
}

/// A copy of one IP packet on its way to another worker.
#[derive(Debug)]
struct Parcel {
    octets: Box<[u8]>,
    /// Octets in use; at most `octets.len()`.
    len: usize,
    passage: Passage,
}

/// The pigeonholes of all workers. Lock-free; nothing is allocated after start.
#[derive(Debug)]
pub struct Post {
    inboxes: Box<[ArrayQueue<Parcel>]>,
    /// Empty parcels.
    spare: ArrayQueue<Parcel>,
    /// Of all workers, or none when nobody sleeps.
    bells: Vec<Arc<Bell>>,
}

impl Post {
    /// For `workers` workers and packets of at most `longest` octets. A single worker needs no parcels.
    pub fn new(workers: usize, longest: usize) -> Self {
        Self::with_parcels(workers, if workers > 1 { WAITING * workers } else { 0 }, longest)
    }

    /// With so many pigeonholes, and parcels for all of them together.
    pub fn with_parcels(inboxes: usize, parcels: usize, longest: usize) -> Self {
        let spare = ArrayQueue::new(parcels.max(1));
        for _ in 0..parcels {
            let passage = Passage::by(PortIndex(0));
            let parcel = Parcel { octets: vec![0; longest].into(), len: 0, passage };
            // There is room: the queue was made for as many.
            drop(spare.push(parcel));
        }
        Self { inboxes: (0..inboxes).map(|_| ArrayQueue::new(WAITING)).collect(), spare, bells: vec![] }
    }

    /// With the bells of all workers, in order, for those that sleep when idle.
    pub fn ringing(self, bells: Vec<Arc<Bell>>) -> Self {
        Self { bells, ..self }
    }

    /// Copies the packet to `owner`. False when there is no room; the packet is then the caller's to drop.
    pub fn send(&self, owner: usize, passage: Passage, packet: &[u8]) -> bool {
        let Some(mut parcel) = self.spare.pop() else { return false };
        let Some(room) = parcel.octets.get_mut(..packet.len()) else {
            drop(self.spare.push(parcel));
            return false;
        };
        room.copy_from_slice(packet);
        (parcel.len, parcel.passage) = (packet.len(), passage);
        match self.inboxes[owner].push(parcel) {
            Ok(()) => {
                self.bells.get(owner).inspect(|bell| bell.rouse());
                true
            }
            Err(parcel) => {
                drop(self.spare.push(parcel));
                false
            }
        }
    }

    /// Whether nothing waits for `owner`.
    pub fn is_empty(&self, owner: usize) -> bool {
        self.inboxes[owner].is_empty()
    }

    /// The next packet for `owner`, in a frame of its pool at offset `start`. `None` when there is none or no frame.
    pub fn receive(&self, owner: usize, pool: &mut Pool, start: usize) -> Option<(Frame, Passage)> {
        if self.inboxes[owner].is_empty() {
            return None;
        }
        let mut frame = pool.take()?;
        let arrived = self.collect(owner, |packet, passage| {
            frame.place(start, packet.len())?;
            frame.bytes_mut().copy_from_slice(packet);
            Some(passage)
        });
        match arrived.flatten() {
            Some(passage) => Some((frame, passage)),
            None => {
                pool.give(frame);
                None
            }
        }
    }

    /// Shows the next packet for `owner` to `see`.
    pub fn collect<T>(&self, owner: usize, see: impl FnOnce(&[u8], Passage) -> T) -> Option<T> {
        let parcel = self.inboxes[owner].pop()?;
        let seen = see(&parcel.octets[..parcel.len], parcel.passage);
        drop(self.spare.push(parcel));
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_arrives_whole_and_a_full_post_refuses() {
        let post = Post::new(2, 100);
        let passage = Passage { ingress: PortIndex(3), opened: Some((4, 5)) };
        let mut pool = Pool::in_memory(4, 256);
        for number in 0..WAITING {
            assert!(post.send(1, passage, &[number as u8; 60]));
        }
        assert!(!post.send(1, passage, &[0; 60]), "the owner's pigeonhole is full");
        assert!(!post.send(0, passage, &[0; 101]), "longer than a parcel");
        let (frame, came) = post.receive(1, &mut pool, 64).expect("first parcel");
        assert_eq!((frame.bytes(), came, frame.headroom()), (&[0u8; 60][..], passage, 64));
        assert!(post.receive(0, &mut pool, 64).is_none());
        assert!(post.send(1, passage, &[0; 60]), "room again");
    }
}
