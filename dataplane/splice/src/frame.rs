//! Frames, which the splice borrows from packet memory, and the ledger of what each of them is for.
//!
//! A frame in transmission has two owners: the port's ring, until its completion returns, and the leg that may have to
//! send it again, until it is acknowledged. The handle itself goes to the ring, so nobody can rewrite octets
//! that the ring may still read; the leg keeps the ledger's entry of the same slot.

use crate::time::Stamp;
use crate::wire::seq::Seq;

/// One slot of packet memory, held by whoever has the value.
pub trait Frame {
    /// Number of the slot, below [`Memory::slots`].
    fn slot(&self) -> u32;
    /// The whole slot.
    fn octets(&self) -> &[u8];
    /// The whole slot, writable.
    fn octets_mut(&mut self) -> &mut [u8];
}

/// Where frames come from and go to.
pub trait Memory {
    /// Its frames.
    type Frame: Frame;
    /// A free frame.
    fn take(&mut self) -> Option<Self::Frame>;
    /// Takes a frame back.
    fn give(&mut self, frame: Self::Frame);
    /// Free frames.
    fn free(&self) -> u32;
    /// All slots.
    fn slots(&self) -> u32;
}

/// No entry.
pub(crate) const NONE: u32 = u32::MAX;

/// What is true of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Marks(u8);

impl Marks {
    /// A leg still needs it.
    pub(crate) const KEPT: Self = Self(1);
    /// FIN follows its last octet.
    pub(crate) const FIN: Self = Self(2);
    /// The peer has reported it by SACK.
    pub(crate) const SACKED: Self = Self(4);
    /// Judged lost since it was last sent, or was so when it was sent again.
    pub(crate) const LOST: Self = Self(8);
    /// Judged lost and sent again, not yet judged lost once more.
    pub(crate) const FLYING: Self = Self(16);
    /// Was sent more than once, so its acknowledgment is ambiguous (Karn).
    pub(crate) const AGAIN: Self = Self(32);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

/// What the splice knows of one slot.
#[derive(Debug)]
pub(crate) struct Entry<F> {
    /// The handle; absent while a ring has it.
    pub(crate) frame: Option<F>,
    /// The next entry of the same list.
    pub(crate) next: u32,
    /// Number of the first octet.
    pub(crate) seq: Seq,
    /// When it was last sent.
    pub(crate) sent_at: Stamp,
    /// Flow and side that keep it, as `Owner` packs them.
    pub(crate) owner: u32,
    /// Where the data begin in the slot.
    pub(crate) start: u16,
    /// Octets of data.
    pub(crate) len: u16,
    /// What is true of it.
    pub(crate) marks: Marks,
}

impl<F> Entry<F> {
    fn vacant() -> Self {
        let (seq, sent_at, marks) = (Seq(0), Stamp(0), Marks::default());
        Self { frame: None, next: NONE, seq, sent_at, owner: NONE, start: 0, len: 0, marks }
    }

    /// Sequence numbers it takes.
    pub(crate) fn span(&self) -> u32 {
        u32::from(self.len) + u32::from(self.marks.has(Marks::FIN))
    }

    /// The number after its last.
    pub(crate) fn end(&self) -> Seq {
        self.seq.plus(self.span())
    }

    /// Forgets the first `count` octets.
    pub(crate) fn trim_front(&mut self, count: u16) {
        self.seq = self.seq.plus(count.into());
        self.start += count;
        self.len -= count;
    }
}

/// A queue of entries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    pub(crate) head: u32,
    pub(crate) tail: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { head: NONE, tail: NONE }
    }
}

impl List {
    pub(crate) fn is_empty(self) -> bool {
        self.head == NONE
    }
}

/// One entry for each slot of packet memory.
#[derive(Debug)]
pub(crate) struct Ledger<F>(Vec<Entry<F>>);

impl<F: Frame> Ledger<F> {
    pub(crate) fn new(slots: u32) -> Self {
        Self((0..slots).map(|_| Entry::vacant()).collect())
    }

    pub(crate) fn at(&self, index: u32) -> &Entry<F> {
        &self.0[index as usize]
    }

    pub(crate) fn at_mut(&mut self, index: u32) -> &mut Entry<F> {
        &mut self.0[index as usize]
    }

    /// Makes the entry of `frame`, kept by nobody's list yet.
    #[inline]
    pub(crate) fn enter(&mut self, frame: F, owner: u32, seq: Seq, (start, len): (u16, u16)) -> u32 {
        let index = frame.slot();
        let (marks, sent_at) = (Marks::KEPT, Stamp(0));
        *self.at_mut(index) =
            Entry { frame: Some(frame), next: NONE, seq, sent_at, owner, start, len, marks };
        index
    }

    /// Appends an entry.
    pub(crate) fn push(&mut self, list: &mut List, index: u32) {
        match list.tail {
            NONE => list.head = index,
            tail => self.at_mut(tail).next = index,
        }
        list.tail = index;
    }

    /// Puts `index` after `place`, or first when `place` is none.
    pub(crate) fn insert_after(&mut self, list: &mut List, place: u32, index: u32) {
        let next = if place == NONE { list.head } else { self.at(place).next };
        self.at_mut(index).next = next;
        if place == NONE {
            list.head = index;
        } else {
            self.at_mut(place).next = index;
        }
        if next == NONE {
            list.tail = index;
        }
    }

    /// Takes the first entry out of the list.
    pub(crate) fn pop(&mut self, list: &mut List) -> Option<u32> {
        let index = list.head;
        if index == NONE {
            return None;
        }
        list.head = std::mem::replace(&mut self.at_mut(index).next, NONE);
        if list.head == NONE {
            list.tail = NONE;
        }
        Some(index)
    }

    /// Nobody needs this entry any more: its frame goes back now, or when the ring has done with it.
    pub(crate) fn release<M: Memory<Frame = F>>(&mut self, index: u32, memory: &mut M) {
        let entry = self.at_mut(index);
        entry.marks.clear(Marks::KEPT);
        if let Some(frame) = entry.frame.take() {
            memory.give(frame);
        }
    }

    /// Releases a whole list.
    pub(crate) fn release_all<M: Memory<Frame = F>>(&mut self, list: &mut List, memory: &mut M) {
        while let Some(index) = self.pop(list) {
            self.release(index, memory);
        }
    }

    /// The ring has done with `frame`. Gives the owner when an entry waits to be sent again.
    pub(crate) fn complete<M: Memory<Frame = F>>(&mut self, frame: F, memory: &mut M) -> Option<u32> {
        let entry = self.at_mut(frame.slot());
        if !entry.marks.has(Marks::KEPT) {
            memory.give(frame);
            return None;
        }
        entry.frame = Some(frame);
        let waits = entry.marks.has(Marks::LOST) && !entry.marks.has(Marks::FLYING);
        waits.then_some(entry.owner)
    }

    /// Entries that someone keeps; for tests of leaks.
    pub(crate) fn kept(&self) -> usize {
        self.0.iter().filter(|entry| entry.marks.has(Marks::KEPT)).count()
    }
}
