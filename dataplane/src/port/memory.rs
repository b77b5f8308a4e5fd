//! A cable in memory: what one end transmits, the other end receives. For tests and benchmarks.
//!
//! An end is a [`MemoryPort`] for a worker, or a [`Plug`] by which a test feeds frames in and takes frames out. Octets
//! are copied over the cable, as on a real one, so each end keeps to its own pool. Both directions have room for a
//! fixed number of frames; a full cable holds frames back at the sender and loses none. The cable is locked once per
//! burst, and nothing is allocated after it was made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrayvec::ArrayVec;

use super::{HEADROOM, Port};
use crate::frame::{Frame, Pool};
use crate::packet::{BATCH, BURST};

/// Frames that a port accepts between two flushes.
const QUEUE: usize = 2 * BATCH;

/// One end of a cable, as a worker sees it.
#[derive(Debug)]
pub struct MemoryPort {
    /// What the other end sent.
    incoming: Arc<Lane>,
    /// What the other end will receive.
    outgoing: Arc<Lane>,
    /// Frames accepted by `transmit` and not yet on the cable.
    queue: ArrayVec<Frame, QUEUE>,
    /// Received frames that no frame of the pool could hold.
    oversized: u64,
}

/// One end of a cable, as a test sees it.
#[derive(Debug)]
pub struct Plug {
    /// What the port sent.
    from_port: Arc<Lane>,
    /// What the port will receive.
    to_port: Arc<Lane>,
}

/// Two ports joined by a cable with room for `slots` frames of at most `frame_size` octets in each direction.
pub fn pair(slots: u32, frame_size: u16) -> (MemoryPort, MemoryPort) {
    let (there, back) = (Lane::new(slots, frame_size), Lane::new(slots, frame_size));
    (MemoryPort::new(back.clone(), there.clone()), MemoryPort::new(there, back))
}

/// A port and the plug at the other end of its cable; sizes as in [`pair`].
pub fn plugged(slots: u32, frame_size: u16) -> (MemoryPort, Plug) {
    let (there, back) = (Lane::new(slots, frame_size), Lane::new(slots, frame_size));
    (MemoryPort::new(back.clone(), there.clone()), Plug { from_port: there, to_port: back })
}

impl MemoryPort {
    fn new(incoming: Arc<Lane>, outgoing: Arc<Lane>) -> Self {
        Self { incoming, outgoing, queue: ArrayVec::new(), oversized: 0 }
    }

    /// Received frames lost because they were larger than the frames of the pool.
    pub fn oversized(&self) -> u64 {
        self.oversized
    }
}

impl Port for MemoryPort {
    fn receive(&mut self, pool: &mut Pool, into: &mut ArrayVec<Frame, BURST>) {
        let mut lane = self.incoming.lock();
        while !into.is_full()
            && !lane.is_empty()
            && let Some(mut frame) = pool.take()
        {
            let Some(octets) = lane.front() else { return pool.give(frame) };
            match copy_in(&mut frame, octets) {
                Some(()) => into.push(frame),
                None => {
                    self.oversized += 1;
                    pool.give(frame);
                }
            }
            lane.pop();
        }
    }

    fn transmit(&mut self, frame: Frame) -> Result<(), Frame> {
        if frame.is_empty() {
            return Err(frame);
        }
        self.queue.try_push(frame).map_err(|full| full.element())
    }

    fn flush(&mut self, pool: &mut Pool) {
        if self.queue.is_empty() {
            return;
        }
        let mut lane = self.outgoing.lock();
        let sent = self.queue.iter().take_while(|frame| lane.push(frame.bytes())).count();
        self.queue.drain(..sent).for_each(|frame| pool.give(frame));
    }

    fn rings(&self) -> [(u32, u32); 4] {
        let incoming = self.incoming.lock();
        [(incoming.len(), incoming.slots()), (0, 0), (self.queue.len() as u32, QUEUE as u32), (0, 0)]
    }

    fn driver(&self) -> &'static str {
        "memory"
    }
}

impl Plug {
    /// Puts a frame, from its link header on, on the cable toward the port. `false`: no room, or longer than the
    /// cable's frame size, or empty.
    pub fn feed(&self, octets: &[u8]) -> bool {
        self.to_port.lock().push(octets)
    }

    /// Puts frames on the cable until it is full; gives how many found room.
    pub fn feed_all<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) -> usize {
        let mut lane = self.to_port.lock();
        frames.into_iter().take_while(|octets| lane.push(octets)).count()
    }

    /// Takes the next frame that the port sent.
    pub fn take(&self) -> Option<Vec<u8>> {
        let mut lane = self.from_port.lock();
        let octets = lane.front()?.to_vec();
        lane.pop();
        Some(octets)
    }

    /// Shows every frame that the port sent to `see`, takes them off the cable and gives their number. Allocates
    /// nothing.
    pub fn drain(&self, mut see: impl FnMut(&[u8])) -> usize {
        let mut lane = self.from_port.lock();
        let mut count = 0;
        while let Some(octets) = lane.front() {
            see(octets);
            lane.pop();
            count += 1;
        }
        count
    }
}

/// Copies a received frame behind the headroom. `None` when it does not fit.
pub(super) fn copy_in(frame: &mut Frame, octets: &[u8]) -> Option<()> {
    frame.place(HEADROOM, octets.len())?;
    frame.bytes_mut().copy_from_slice(octets);
    Some(())
}

/// One direction of a cable.
#[derive(Debug)]
struct Lane(Mutex<Ring>);

/// Frames in order of arrival.
#[derive(Debug)]
struct Ring {
    /// Slots of `frame_size` octets.
    octets: Box<[u8]>,
    /// Length of the frame in each slot.
    lengths: Box<[u16]>,
    /// Octets of a slot.
    frame_size: u16,
    /// Frames ever taken; `pushed - popped` is at most the number of slots.
    popped: u64,
    /// Frames ever put.
    pushed: u64,
}

impl Lane {
    fn new(slots: u32, frame_size: u16) -> Arc<Self> {
        let octets = vec![0; slots as usize * usize::from(frame_size)].into();
        let lengths = vec![0; slots as usize].into();
        Arc::new(Self(Mutex::new(Ring { octets, lengths, frame_size, popped: 0, pushed: 0 })))
    }

    /// A panic under the lock leaves a ring that is still whole, so poison is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn slots(&self) -> u32 {
        self.lengths.len() as u32
    }

    fn len(&self) -> u32 {
        (self.pushed - self.popped) as u32
    }

    fn is_empty(&self) -> bool {
        self.pushed == self.popped
    }

    /// Slot of the frame with this number, and the offset of its octets.
    fn locate(&self, number: u64) -> (usize, usize) {
        let slot = (number % self.lengths.len() as u64) as usize;
        (slot, slot * usize::from(self.frame_size))
    }

    fn push(&mut self, octets: &[u8]) -> bool {
        let fits = (1..=usize::from(self.frame_size)).contains(&octets.len());
        if !fits || self.len() == self.slots() {
            return false;
        }
        let (slot, at) = self.locate(self.pushed);
        self.octets[at..at + octets.len()].copy_from_slice(octets);
        self.lengths[slot] = octets.len() as u16;
        self.pushed += 1;
        true
    }

    fn front(&self) -> Option<&[u8]> {
        if self.is_empty() {
            return None;
        }
        let (slot, at) = self.locate(self.popped);
        Some(&self.octets[at..at + usize::from(self.lengths[slot])])
    }

    /// Takes the front off; only after `front` gave one.
    fn pop(&mut self) {
        debug_assert!(!self.is_empty(), "nothing to take");
        self.popped += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(pool: &mut Pool, octets: &[u8]) -> Frame {
        let mut frame = pool.take().unwrap();
        copy_in(&mut frame, octets).unwrap();
        frame
    }

    #[test]
    fn what_one_end_sends_the_other_receives_behind_the_headroom() {
        let (mut left, mut right) = pair(8, 256);
        let (mut here, mut there) = (Pool::in_memory(4, 512), Pool::in_memory(4, 512));
        let sent = frame(&mut here, b"over the cable");
        left.transmit(sent).unwrap();
        assert_eq!(here.free(), 3);
        left.flush(&mut here);
        assert_eq!(here.free(), 4, "a sent frame is free again");

        let mut burst = ArrayVec::new();
        right.receive(&mut there, &mut burst);
        assert_eq!(
            (burst.len(), burst[0].bytes(), burst[0].headroom()),
            (1, &b"over the cable"[..], HEADROOM)
        );
        assert_eq!(there.free(), 3);
    }

    #[test]
    fn a_full_cable_holds_frames_back_and_loses_none() {
        let (mut port, plug) = plugged(2, 64);
        let mut pool = Pool::in_memory(8, 128);
        for number in 0..4u8 {
            let sent = frame(&mut pool, &[number]);
            port.transmit(sent).unwrap();
        }
        port.flush(&mut pool);
        assert_eq!((pool.free(), port.rings()[2].0), (6, 2));
        assert_eq!([plug.take(), plug.take(), plug.take()], [Some(vec![0]), Some(vec![1]), None]);
        port.flush(&mut pool);
        assert_eq!([plug.take(), plug.take()], [Some(vec![2]), Some(vec![3])]);
        assert_eq!(pool.free(), 8);
    }

    #[test]
    fn frames_that_fit_nowhere_are_refused_or_counted() {
        let (mut port, plug) = plugged(4, 200);
        let mut pool = Pool::in_memory(2, 128);
        assert!(!plug.feed(&[0; 201]) && !plug.feed(&[]));
        assert!(plug.feed(&[7; 200]) && plug.feed(&[8; 60]));
        let mut burst = ArrayVec::new();
        port.receive(&mut pool, &mut burst);
        assert_eq!((burst.len(), burst[0].bytes(), port.oversized(), pool.free()), (1, &[8; 60][..], 1, 1));
        assert!(port.transmit(pool.take().unwrap()).is_err(), "an empty frame");
    }

    #[test]
    fn an_empty_pool_leaves_frames_on_the_cable() {
        let (mut port, plug) = plugged(4, 64);
        let mut pool = Pool::in_memory(1, 128);
        plug.feed_all([&b"first"[..], b"second"]);
        let mut burst = ArrayVec::<Frame, BURST>::new();
        port.receive(&mut pool, &mut burst);
        assert_eq!((burst.len(), port.rings()[0]), (1, (1, 4)));
        pool.give(burst.pop().unwrap());
        port.receive(&mut pool, &mut burst);
        assert_eq!(burst[0].bytes(), b"second");
    }

    proptest! {
        /// Whatever the pattern of feeding and taking, frames arrive whole, once and in order.
        #[test]
        fn order_and_content_survive(steps in prop::collection::vec((any::<bool>(), 1..64usize), 1..200)) {
            let (mut port, plug) = plugged(7, 64);
            let mut pool = Pool::in_memory(64, 128);
            let mut expected = std::collections::VecDeque::new();
            for (number, (feed, length)) in steps.into_iter().enumerate() {
                if feed {
                    let octets = vec![number as u8; length];
                    let room = expected.len() < 7;
                    prop_assert_eq!(plug.feed(&octets), room);
                    if room { expected.push_back(octets) }
                } else {
                    let mut burst = ArrayVec::new();
                    port.receive(&mut pool, &mut burst);
                    for frame in burst {
                        let wanted = expected.pop_front();
                        prop_assert_eq!(Some(frame.bytes()), wanted.as_deref());
                        pool.give(frame);
                    }
                    prop_assert!(expected.is_empty());
                }
            }
            prop_assert_eq!(pool.free(), 64);
        }
    }
}
