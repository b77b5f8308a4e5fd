//! One worker's dealings with neighbours: asking the kernel to find them, and the packets that wait meanwhile.

use std::net::IpAddr;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use super::pending::Pending;
use crate::clock::Now;
use crate::packet::PortIndex;
use crate::table::forwarding::{Forwarding, address_hash};

/// A neighbour that a worker wants resolved, or kept fresh because it is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The port that leads to it.
    pub port: PortIndex,
    /// Its address.
    pub next_hop: IpAddr,
}

/// The way of questions from all workers to the thread that speaks to the kernel.
pub type Asks = Arc<ArrayQueue<Ask>>;

/// Questions that may wait for that thread; more are asked again by later packets.
const QUEUE: usize = 1024;
/// Questions remembered by each worker, so that not every packet asks.
const REMEMBERED: usize = 256;
/// Milliseconds until an unresolved neighbour is asked for again.
const RESOLVE_MS: u64 = 500;
/// Milliseconds until the kernel is told again that a neighbour is in use. Its own timers are longer: it calls an
/// entry stale 15 s at the least after the last confirmation, by default.
const USE_MS: u64 = 5_000;
/// Most questions of one worker within [`WINDOW_MS`].
const WINDOW_ASKS: u32 = 64;
/// The span of that limit in milliseconds.
const WINDOW_MS: u64 = 100;

/// A queue for [`Ask`]s.
pub fn asks() -> Asks {
    Arc::new(ArrayQueue::new(QUEUE))
}

/// What one worker remembers of neighbours.
#[derive(Debug)]
pub struct Neighbours {
    /// Packets that wait.
    pub(super) pending: Pending,
    /// Where questions go.
    asks: Asks,
    /// The last question of each slot and when it was put. Two neighbours of one slot only ask more often.
    remembered: Box<[Option<(Ask, Now)>; REMEMBERED]>,
    /// When the present window of the limit began, and the questions put in it.
    window: (Now, u32),
}

impl Neighbours {
    /// No packets, no questions; `asks` leads to the kernel thread.
    pub fn new(asks: Asks) -> Self {
        Self {
            pending: Pending::new(),
            asks,
            remembered: Box::new([None; REMEMBERED]),
            window: (Now::default(), 0),
        }
    }

    /// Packets that wait. While there are any, the worker must not sleep longer than a millisecond or so, because
    /// their neighbour's answer comes by a new table and not by a port.
    pub fn waiting(&self) -> usize {
        self.pending.held()
    }

    /// Ends what waits: other filters are in force than those that let it pass.
    pub fn outdate(&mut self) {
        self.pending.outdate();
    }

    /// The MAC address of `next_hop`, and a question to the kernel now and then: whether it is known or not decides
    /// how often.
    pub(super) fn resolve(&mut self, forwarding: &Forwarding, ask: Ask, now: Now) -> Option<[u8; 6]> {
        let mac = forwarding.link_address(ask.port, ask.next_hop);
        self.ask(ask, now, if mac.is_some() { USE_MS } else { RESOLVE_MS });
        mac
    }

    /// Puts the question unless it was put within the last `interval` milliseconds or too many were.
    fn ask(&mut self, ask: Ask, now: Now, interval: u64) {
        let slot = (address_hash(ask.next_hop) as usize).wrapping_add(ask.port.0.into()) % REMEMBERED;
        let last = self.remembered[slot].filter(|(before, _)| *before == ask);
        if last.is_some_and(|(_, at)| now < at.plus_ms(interval)) || !self.within_limit(now) {
            return;
        }
        if self.asks.push(ask).is_ok() {
            self.remembered[slot] = Some((ask, now));
        }
    }

    fn within_limit(&mut self, now: Now) -> bool {
        if now >= self.window.0.plus_ms(WINDOW_MS) {
            self.window = (now, 0);
        }
        self.window.1 += 1;
        self.window.1 <= WINDOW_ASKS
    }
}
