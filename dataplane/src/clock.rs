//! Time, read once per breath and handed down.

use std::sync::atomic::{AtomicU64, Ordering};
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

/// The one clock of the process, which every worker and the engine read.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Source);

#[derive(Debug, Clone, Copy)]
enum Source {
    /// Time zero of the real clock.
    Start(Instant),
    /// Nanoseconds, as the hand says.
    Hand(&'static AtomicU64),
}

/// Moves a clock that stands still otherwise, so that a test of timers needs no sleep.
#[derive(Debug)]
pub struct Hand(&'static AtomicU64);

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self(Source::Start(Instant::now()))
    }

    /// A clock at 0 and the hand that moves it. Its eight octets are never freed.
    pub fn by_hand() -> (Self, Hand) {
        let time: &AtomicU64 = Box::leak(Box::default());
        (Self(Source::Hand(time)), Hand(time))
    }

    /// Reads it: no system call, by the vDSO.
    pub fn read(&self) -> Now {
        match self.0 {
            Source::Start(start) => Now(start.elapsed().as_nanos() as u64),
            Source::Hand(time) => Now(time.load(Ordering::Relaxed)),
        }
    }
}

impl Hand {
    /// Lets `milliseconds` pass.
    pub fn advance(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds * 1_000_000, Ordering::Relaxed);
    }
}
