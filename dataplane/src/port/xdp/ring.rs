//! The two ends of a ring that this process shares with the kernel (or, in tests, with itself).
//!
//! One side produces, the other consumes. Each side writes only its own position; an entry belongs to the producer
//! until the producer's position has passed it, then to the consumer until the consumer's has. Positions run freely
//! over `u32`; their difference is what waits.
#![expect(unsafe_code, reason = "entries and positions lie in memory that the kernel writes")]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::xdp::{XdpRingFlags, XdpRingOffset};

use super::mapping::Mapping;

/// `struct xdp_desc`: a packet in packet memory.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Descriptor {
    /// Offset of its first octet from the start of packet memory.
    pub(super) address: u64,
    /// Its octets.
    pub(super) length: u32,
    /// 0, or that more buffers follow (which we never ask for).
    pub(super) options: u32,
}

const _: () = assert!(size_of::<Descriptor>() == 16);

/// Plain data: any octets are a valid value, so what the kernel wrote can be read.
pub(super) trait Entry: Copy {}
impl Entry for u64 {}
impl Entry for Descriptor {}

/// What both ends have.
#[derive(Debug)]
struct Ring<T> {
    /// Keeps the pointers below valid.
    _mapping: Arc<Mapping>,
    producer: NonNull<AtomicU32>,
    consumer: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    /// `size` entries.
    entries: NonNull<T>,
    /// A power of two.
    size: u32,
    /// Our position, published or not.
    own: u32,
    /// The other side's position when we last looked.
    other: u32,
}

// SAFETY: the pointers lead into the mapping, which may be used from any thread, and a ring end has one owner.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T: Entry> Ring<T> {
    /// `None` when the offsets do not lie within the mapping or `size` is no power of two.
    fn new(mapping: &Arc<Mapping>, offset: &XdpRingOffset, size: u32) -> Option<Self> {
        size.is_power_of_two().then_some(())?;
        Some(Self {
            producer: mapping.at(offset.producer, 1)?,
            consumer: mapping.at(offset.consumer, 1)?,
            flags: mapping.at(offset.flags?, 1)?,
            entries: mapping.at(offset.desc, size as usize)?,
            _mapping: mapping.clone(),
            size,
            own: 0,
            other: 0,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: aligned, within the mapping that we keep, and both sides use it atomically.
        unsafe { self.producer.as_ref() }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as `producer`.
        unsafe { self.consumer.as_ref() }
    }

    fn flags(&self) -> &AtomicU32 {
        // SAFETY: as `producer`.
        unsafe { self.flags.as_ref() }
    }

    /// The place of the entry at a position.
    fn entry(&self, position: u32) -> NonNull<T> {
        // SAFETY: masked, so below `size`.
        unsafe { self.entries.add((position & (self.size - 1)) as usize) }
    }
}

/// The end that gives: fill and transmit rings.
#[derive(Debug)]
pub(super) struct Producer<T>(Ring<T>);

impl<T: Entry> Producer<T> {
    /// The producing end of a new ring; `None` when it does not lie within the mapping.
    pub(super) fn new(mapping: &Arc<Mapping>, offset: &XdpRingOffset, size: u32) -> Option<Self> {
        Ring::new(mapping, offset, size).map(Self)
    }

    /// Entries that still find room.
    pub(super) fn room(&mut self) -> u32 {
        let ring = &mut self.0;
        if ring.own.wrapping_sub(ring.other) == ring.size {
            // Acquire: the consumer has read the entries that we are going to overwrite.
            ring.other = ring.consumer().load(Ordering::Acquire);
        }
        ring.size - ring.own.wrapping_sub(ring.other)
    }

    /// Writes an entry that the consumer sees after `publish`. `false`: no room.
    pub(super) fn push(&mut self, entry: T) -> bool {
        if self.room() == 0 {
            return false;
        }
        let place = self.0.entry(self.0.own);
        // SAFETY: within the ring, and ours: the consumer has passed it and we have not.
        unsafe { place.write(entry) };
        self.0.own = self.0.own.wrapping_add(1);
        true
    }

    /// Shows the consumer everything written.
    pub(super) fn publish(&mut self) {
        // Release: the entries are written before the position is.
        self.0.producer().store(self.0.own, Ordering::Release);
    }

    /// Entries that the consumer has not taken, published or not.
    pub(super) fn waiting(&self) -> u32 {
        self.0.own.wrapping_sub(self.0.consumer().load(Ordering::Relaxed))
    }

    /// Whether the kernel wants to be told of new entries by a system call.
    pub(super) fn wants_kick(&self) -> bool {
        self.0.flags().load(Ordering::Relaxed) & XdpRingFlags::XDP_RING_NEED_WAKEUP.bits() != 0
    }

    /// Entries of the ring.
    pub(super) fn size(&self) -> u32 {
        self.0.size
    }
}

/// The end that takes: receive and completion rings.
#[derive(Debug)]
pub(super) struct Consumer<T>(Ring<T>);

impl<T: Entry> Consumer<T> {
    /// The consuming end of a new ring; `None` when it does not lie within the mapping.
    pub(super) fn new(mapping: &Arc<Mapping>, offset: &XdpRingOffset, size: u32) -> Option<Self> {
        Ring::new(mapping, offset, size).map(Self)
    }

    /// The next entry. The producer may use its place again after `release`.
    pub(super) fn pop(&mut self) -> Option<T> {
        let ring = &mut self.0;
        if ring.own == ring.other {
            // Acquire: the entries were written before the position was.
            ring.other = ring.producer().load(Ordering::Acquire);
            if ring.own == ring.other {
                return None;
            }
        }
        let place = ring.entry(ring.own);
        // SAFETY: within the ring, and ours: the producer has passed it and we have not.
        let entry = unsafe { place.read() };
        ring.own = ring.own.wrapping_add(1);
        Some(entry)
    }

    /// Gives the places of everything taken back to the producer.
    pub(super) fn release(&mut self) {
        // Release: the entries are read before the producer may overwrite them.
        self.0.consumer().store(self.0.own, Ordering::Release);
    }

    /// Entries that wait to be taken.
    pub(super) fn waiting(&self) -> u32 {
        self.0.producer().load(Ordering::Relaxed).wrapping_sub(self.0.own)
    }

    /// Entries of the ring.
    pub(super) fn size(&self) -> u32 {
        self.0.size
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    /// Both ends of a ring that no kernel knows.
    pub(in super::super) fn both_ends<T: Entry>(size: u32) -> (Producer<T>, Consumer<T>) {
        let memory = memfd_create("ring", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memory, 1 << 16).unwrap();
        let mapping = Arc::new(Mapping::new(memory.as_fd(), 1 << 16, 0).unwrap());
        let offset = XdpRingOffset { producer: 0, consumer: 64, flags: Some(128), desc: 192 };
        (Producer::new(&mapping, &offset, size).unwrap(), Consumer::new(&mapping, &offset, size).unwrap())
    }

    #[test]
    fn entries_are_seen_after_publish_and_places_again_after_release() {
        let (mut give, mut take) = both_ends::<u64>(4);
        assert!((0..4).all(|entry| give.push(entry)));
        assert!(!give.push(4));
        assert_eq!((take.pop(), give.waiting()), (None, 4));
        give.publish();
        assert_eq!((take.pop(), take.pop(), take.waiting()), (Some(0), Some(1), 2));
        assert!(!give.push(4), "taken but not released");
        take.release();
        assert_eq!((give.room(), give.waiting()), (2, 2));
    }

    #[test]
    fn positions_may_wrap() {
        let (mut give, mut take) = both_ends::<Descriptor>(8);
        for end in [&mut give.0, &mut take.0] {
            (end.own, end.other) = (u32::MAX - 3, u32::MAX - 3);
        }
        give.publish();
        take.release();
        for address in 0..100 {
            assert!(give.push(Descriptor { address, length: 1, options: 0 }));
            give.publish();
            assert_eq!(take.pop().map(|entry| entry.address), Some(address));
            take.release();
        }
    }

    #[test]
    fn two_threads_pass_everything_in_order() {
        const COUNT: u64 = 200_000;
        let (mut give, mut take) = both_ends::<u64>(64);
        let sender = std::thread::spawn(move || {
            for entry in 0..COUNT {
                while !give.push(entry) {
                    std::thread::yield_now();
                }
                give.publish();
            }
        });
        let mut expected = 0;
        while expected < COUNT {
            match take.pop() {
                Some(entry) => {
                    assert_eq!(entry, expected);
                    expected += 1;
                    take.release();
                }
                None => std::thread::yield_now(),
            }
        }
        sender.join().unwrap();
    }

    #[test]
    fn a_ring_must_lie_within_its_mapping() {
        let memory = memfd_create("ring", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memory, 4096).unwrap();
        let mapping = Arc::new(Mapping::new(memory.as_fd(), 4096, 0).unwrap());
        let offset = XdpRingOffset { producer: 0, consumer: 64, flags: Some(128), desc: 192 };
        assert!(Producer::<u64>::new(&mapping, &offset, 256).is_some());
        assert!(Producer::<u64>::new(&mapping, &offset, 512).is_none(), "too long");
        assert!(Producer::<u64>::new(&mapping, &offset, 100).is_none(), "no power of two");
        let crooked = XdpRingOffset { producer: 1, ..offset };
        assert!(Producer::<u64>::new(&mapping, &crooked, 256).is_none(), "not aligned");
    }
}
