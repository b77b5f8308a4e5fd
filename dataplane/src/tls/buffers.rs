//! Room for records that come in several segments, or are longer than one: shared by all connections of a worker, since
//! most of them hold nothing at most times.

use std::collections::VecDeque;

use ravelin_records::RECORD_MAX;

/// Room for one record, cut out of an area that is never freed.
pub(super) type Buffer = &'static mut [u8];

/// Free buffers. Nothing is allocated after the start; the system gives a buffer its memory when it is first used, and those
/// that were used before are used first.
#[derive(Debug)]
pub(super) struct Buffers {
    free: Vec<Buffer>,
    /// Connections that found none, in order, and whether each connection is among them.
    waiting: VecDeque<u32>,
    waits: Box<[bool]>,
}

impl Buffers {
    /// So many, for at most so many connections.
    pub(super) fn new(count: usize, connections: usize) -> Self {
        // Zeros of the system's, in one piece: buffers by themselves would be written with zeros, and so be there from the start.
        let area = Box::leak(vec![0; count * RECORD_MAX].into_boxed_slice());
        let free = area.chunks_exact_mut(RECORD_MAX).collect();
        let waits = vec![false; connections].into_boxed_slice();
        Self { free, waiting: VecDeque::with_capacity(connections), waits }
    }

    /// One; else the connection has its turn by [`Buffers::next_waiting`].
    pub(super) fn take(&mut self, connection: u32) -> Option<Buffer> {
        let taken = self.free.pop();
        if taken.is_none() && !std::mem::replace(&mut self.waits[connection as usize], true) {
            self.waiting.push_back(connection);
        }
        taken
    }

    /// Takes one back.
    pub(super) fn give(&mut self, buffer: Buffer) {
        self.free.push(buffer);
    }

    /// How many nobody has.
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// A connection that may try again: who waited longest.
    pub(super) fn next_waiting(&mut self) -> Option<u32> {
        if self.free.is_empty() {
            return None;
        }
        let connection = self.waiting.pop_front()?;
        self.waits[connection as usize] = false;
        Some(connection)
    }
}
