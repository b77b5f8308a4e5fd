//! Room for records that come in several segments, or are longer than one: shared by all connections of a worker, since
//! most of them hold nothing at most times.

use ravelin_records::RECORD_MAX;

/// Room for one record.
pub(super) type Buffer = Box<[u8; RECORD_MAX]>;

/// Free buffers. Nothing is allocated after the start.
#[derive(Debug)]
pub(super) struct Buffers {
    free: Vec<Buffer>,
    /// Connections that found none.
    waiting: Vec<u32>,
}

impl Buffers {
    /// So many, for at most so many connections.
    pub(super) fn new(count: usize, connections: usize) -> Self {
        let free = (0..count).map(|_| Box::new([0; RECORD_MAX])).collect();
        Self { free, waiting: Vec::with_capacity(connections) }
    }

    /// One; else the connection is on the list of [`Buffers::next_waiting`].
    pub(super) fn take(&mut self, connection: u32) -> Option<Buffer> {
        let taken = self.free.pop();
        if taken.is_none() && !self.waiting.contains(&connection) {
            self.waiting.push(connection);
        }
        taken
    }

    /// Takes one back.
    pub(super) fn give(&mut self, buffer: Buffer) {
        self.free.push(buffer);
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }

    /// A connection that may try again.
    pub(super) fn next_waiting(&mut self) -> Option<u32> {
        if self.free.is_empty() { None } else { self.waiting.pop() }
    }
}
