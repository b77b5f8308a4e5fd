//! The two ways between workers and this host's own network stack.
//!
//! What a tunnel delivers to the gateway itself, and what filters permit to it, goes to the stack by a TUN interface;
//! what the host sends to protected prefixes comes back by it. Reading and writing that interface are system calls, so
//! a thread of its own does them. Workers only copy packets in and out of queues that were made at the start.

use std::io;
use std::sync::Arc;

use super::handoff::{Passage, Post};
use super::run::Bell;
use crate::frame::{Frame, Pool};
use crate::packet::PortIndex;

/// Packets that may wait in each direction: management traffic, not more.
const WAITING: usize = 256;

/// Both ways. Each has one reader: the thread of the interface, and the first worker.
#[derive(Debug)]
pub struct Host {
    to_stack: Post,
    from_stack: Post,
    /// Wakes the thread.
    bell: Arc<Bell>,
}

impl Host {
    /// For packets of at most `longest` octets. `worker` wakes the first worker, where it may sleep.
    pub fn open(longest: usize, worker: Option<Arc<Bell>>) -> io::Result<Arc<Self>> {
        let bell = Bell::new()?;
        let way = |reader| Post::with_parcels(1, WAITING, longest).ringing(reader);
        let to_stack = way(vec![Arc::clone(&bell)]);
        Ok(Arc::new(Self { to_stack, from_stack: way(worker.into_iter().collect()), bell }))
    }

    /// Nothing passes: there is no interface.
    pub fn closed() -> io::Result<Arc<Self>> {
        let way = || Post::with_parcels(1, 0, 0);
        Ok(Arc::new(Self { to_stack: way(), from_stack: way(), bell: Bell::new()? }))
    }

    /// Copies a packet towards the stack. False when there is no room.
    pub(super) fn deliver(&self, packet: &[u8], ingress: PortIndex) -> bool {
        self.to_stack.send(0, Passage::by(ingress), packet)
    }

    /// The next packet that the host sends, in a frame of `pool` at offset `start`.
    pub(super) fn receive(&self, pool: &mut Pool, start: usize) -> Option<Frame> {
        self.from_stack.receive(0, pool, start).map(|(frame, _)| frame)
    }

    /// Whether the host has sent something.
    pub(super) fn has_sent(&self) -> bool {
        !self.from_stack.is_empty(0)
    }

    /// Shows the next packet for the stack. False when none waits.
    pub fn next_for_stack(&self, see: impl FnOnce(&[u8])) -> bool {
        self.to_stack.collect(0, |packet, _| see(packet)).is_some()
    }

    /// Whether a packet for the stack waits.
    pub(crate) fn has_for_stack(&self) -> bool {
        !self.to_stack.is_empty(0)
    }

    /// Copies a packet of the host towards the first worker. False when there is no room.
    pub fn send(&self, packet: &[u8]) -> bool {
        self.from_stack.send(0, Passage::by(PortIndex(0)), packet)
    }

    /// What the thread waits on.
    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }
}
