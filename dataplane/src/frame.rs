//! Exclusive loan of one slot of packet memory.
//!
//! Packet memory (a UMEM, or a plain area for tests) is cut into slots of equal size. A [`Frame`] is the only handle
//! of its slot: it cannot be cloned, so whoever holds it may read and write the slot without a lock. Who drops a
//! frame without giving it back to its [`Pool`] loses the slot until the process ends; nothing worse happens.
#![expect(unsafe_code, reason = "a slot is reached by pointer; every other file sees safe slices")]

use std::ptr::NonNull;

/// One slot: `[base .. base + capacity]`, of which `[start .. start + len]` holds the packet.
#[must_use = "give the frame back to its pool or to a port"]
#[derive(Debug)]
pub struct Frame {
    /// First octet of the slot.
    base: NonNull<u8>,
    /// Number of the slot within its memory.
    slot: u32,
    /// Usable octets from `base`.
    capacity: u16,
    /// Offset of the packet; `start + len <= capacity` always.
    start: u16,
    /// Length of the packet.
    len: u16,
}

// SAFETY: a frame is the exclusive owner of its slot (contract of `from_raw`), so it may move between threads.
unsafe impl Send for Frame {}

impl Frame {
    /// Makes the handle of a slot.
    ///
    /// # Safety
    /// `base` points to `capacity` octets, initialised, readable and writable until the process ends, and no other
    /// reference or handle to any of them is used while this one lives (the kernel may, while the slot is in a ring
    /// and its frame therefore not held by anyone).
    pub unsafe fn from_raw(base: NonNull<u8>, slot: u32, capacity: u16) -> Self {
        Self { base, slot, capacity, start: 0, len: 0 }
    }

    /// Number of the slot within its memory.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Octets of the slot.
    pub fn capacity(&self) -> usize {
        self.capacity.into()
    }

    /// Octets before the packet.
    pub fn headroom(&self) -> usize {
        self.start.into()
    }

    /// Length of the packet.
    pub fn len(&self) -> usize {
        self.len.into()
    }

    /// Whether there is no packet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Says where in the slot the packet lies. `None` when that is not within the slot; nothing changes then.
    pub fn place(&mut self, start: usize, len: usize) -> Option<()> {
        if start.checked_add(len)? > self.capacity() {
            return None;
        }
        // Both fit: they are at most `capacity`, which is a u16.
        (self.start, self.len) = (start as u16, len as u16);
        Some(())
    }

    /// Cuts `count` octets off the front. `None` when there are fewer.
    pub fn trim_front(&mut self, count: usize) -> Option<()> {
        self.place(self.headroom() + count, self.len().checked_sub(count)?)
    }

    /// Uncovers `count` octets before the packet. `None` when the headroom is smaller.
    pub fn grow_front(&mut self, count: usize) -> Option<()> {
        self.place(self.headroom().checked_sub(count)?, self.len() + count)
    }

    /// The packet.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `start + len <= capacity`, and `from_raw` promised that the slot is ours and valid.
        unsafe { std::slice::from_raw_parts(self.at_start(), self.len.into()) }
    }

    /// The packet, writable.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` makes the borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.at_start(), self.len.into()) }
    }

    /// The whole slot.
    pub fn whole(&self) -> &[u8] {
        // SAFETY: `from_raw` promised that all of the slot is ours and valid.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.capacity.into()) }
    }

    /// The whole slot, writable.
    pub fn whole_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `whole`, and `&mut self` makes the borrow exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), self.capacity.into()) }
    }

    fn at_start(&self) -> *mut u8 {
        // SAFETY: `start <= capacity`, so the pointer stays within the slot or one past its end.
        unsafe { self.base.as_ptr().add(self.start.into()) }
    }
}

/// The free frames of one worker.
#[derive(Debug)]
pub struct Pool {
    /// Never grows beyond its first capacity, which is the number of slots.
    free: Vec<Frame>,
    /// Number of slots.
    total: u32,
}

impl Pool {
    /// A pool of these frames, all free.
    pub fn new(frames: Vec<Frame>) -> Self {
        let total = frames.len() as u32;
        Self { free: frames, total }
    }

    /// A pool of `count` slots of `capacity` octets in ordinary memory, which is never freed.
    pub fn in_memory(count: u32, capacity: u16) -> Self {
        let area = Box::leak(vec![0u8; count as usize * usize::from(capacity)].into_boxed_slice());
        let slots = area.chunks_exact_mut(capacity.into()).zip(0..);
        let frames = slots.map(|(slot, number)| {
            // SAFETY: the area is leaked, so it lives on, and the chunks are disjoint, each used once.
            unsafe { Frame::from_raw(NonNull::from(slot).cast(), number, capacity) }
        });
        Self::new(frames.collect())
    }

    /// A free frame with no packet in it.
    pub fn take(&mut self) -> Option<Frame> {
        let mut frame = self.free.pop()?;
        (frame.start, frame.len) = (0, 0);
        Some(frame)
    }

    /// Takes a frame back.
    pub fn give(&mut self, frame: Frame) {
        debug_assert!(self.free.len() < self.total as usize, "a frame of another pool came back");
        self.free.push(frame);
    }

    /// Free frames.
    pub fn free(&self) -> u32 {
        self.free.len() as u32
    }

    /// All slots.
    pub fn total(&self) -> u32 {
        self.total
    }
}
