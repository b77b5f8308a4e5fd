//! Time, read once per breath and handed down.

use std::time::Instant;

/// Nanoseconds of a monotonic clock since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now(pub u64);

impl Now {
    /// Seconds, rounded down.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Nanoseconds from `earlier` until now; 0 when it is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This moment and `milliseconds` more.
    pub fn plus_ms(self, milliseconds: u64) -> Self {
        Self(self.0 + milliseconds * 1_000_000)
    }
}

/// The one clock of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Time zero.
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Reads it: no system call, by the vDSO.
    pub fn read(&self) -> Now {
        Now(self.start.elapsed().as_nanos() as u64)
    }
}
