//! Which connections stand at any worker. A rule may be gone while its connections run, and then only their owner knows them:
//! the others must not take their segments for those of a connection that passes as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Places for each connection, and the least of all.
const SHARE: usize = 4;
const LEAST: usize = 1 << 10;

/// Counts by a hash of both ends: a connection may seem to stand that does not, never the other way round.
#[derive(Debug)]
pub struct Standing {
    places: Box<[AtomicU32]>,
    all: AtomicU32,
}

impl Standing {
    /// None stands; there will be so many at most, of all workers.
    pub fn new(connections: usize) -> Arc<Self> {
        let places = connections.saturating_mul(SHARE).next_power_of_two().max(LEAST);
        let places = (0..places).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self { places, all: AtomicU32::new(0) })
    }

    /// Whether none does.
    pub(super) fn is_empty(&self) -> bool {
        self.all.load(Ordering::Acquire) == 0
    }

    /// There is a power of two of them.
    fn place(&self, hash: u64) -> usize {
        hash as usize & (self.places.len() - 1)
    }

    /// Whether one of this hash may.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.places[self.place(hash)].load(Ordering::Acquire) > 0
    }
}

/// One connection that stands, for as long as this lives.
#[derive(Debug)]
pub(super) struct Stay {
    standing: Arc<Standing>,
    place: usize,
}

impl Stay {
    pub(super) fn begin(standing: &Arc<Standing>, hash: u64) -> Self {
        let place = standing.place(hash);
        standing.places[place].fetch_add(1, Ordering::Release);
        standing.all.fetch_add(1, Ordering::Release);
        Self { standing: Arc::clone(standing), place }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.standing.places[self.place].fetch_sub(1, Ordering::Release);
        self.standing.all.fetch_sub(1, Ordering::Release);
    }
}
