//! Which connections stand at any worker. A rule may be gone while its connections run, and then only their owner knows them:
//! the others must not take their segments for those of a connection that passes as it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Places; a power of two, well above the connections of a worker.
const PLACES: usize = 1 << 16;

/// Counts by a hash of both ends: a connection may seem to stand that does not, never the other way round.
#[derive(Debug)]
pub struct Standing {
    places: Box<[AtomicU32]>,
    all: AtomicU32,
}

impl Standing {
    /// None stands.
    pub fn new() -> Arc<Self> {
        let places = (0..PLACES).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self { places, all: AtomicU32::new(0) })
    }

    /// Whether none does.
    pub(super) fn is_empty(&self) -> bool {
        self.all.load(Ordering::Acquire) == 0
    }

    /// Whether one of this hash may.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.places[hash as usize % PLACES].load(Ordering::Acquire) > 0
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
        let place = hash as usize % PLACES;
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
