//! Outbound sequence numbers: each is given out once, by whichever worker asks, and only when it has been reserved.
//!
//! A number feeds the nonce, so one that repeats under the same key gives the key away. Workers take a range for a run
//! of packets; another thread raises the limit ahead of them, after the reservation is on disk (see
//! [`reservation`](super::reservation)). Keys that do not survive a restart need no reservation.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use ravelin_contract::verdict::Verdict;
use ravelin_crypto_accel::nonce::NumberRange;

/// The last number of an SA without extended numbers; it must not cycle (RFC 4303 3.3.3).
const LAST_SHORT: u64 = u32::MAX as u64;
/// The last number of an SA with extended numbers. 2^64 - 1 itself stays unused: no range can end after it.
const LAST_EXTENDED: u64 = u64::MAX - 1;

/// The last number that may be used.
pub fn last_number(extended: bool) -> u64 {
    if extended { LAST_EXTENDED } else { LAST_SHORT }
}

/// Why no number could be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// The SA has used its last one and must be replaced.
    Exhausted,
    /// There are more, but they have not been reserved yet.
    NotReserved,
}

impl From<Shortage> for Verdict {
    fn from(shortage: Shortage) -> Self {
        match shortage {
            Shortage::Exhausted => Self::SequenceExhausted,
            Shortage::NotReserved => Self::SequenceNotReserved,
        }
    }
}

/// The numbers of one key. All SAs that seal under that key share it.
#[derive(Debug)]
#[repr(align(64))]
pub struct Sequence {
    /// The next number to give out: 1 at first, never lowered.
    next: AtomicU64,
    /// Numbers below this are reserved. Never lowered.
    limit: AtomicU64,
}

impl Sequence {
    /// Begins at `next` with nothing reserved. 0 is never sent, so 1 stands for it.
    pub fn starting_at(next: u64) -> Self {
        let next = next.max(1);
        Self { next: AtomicU64::new(next), limit: AtomicU64::new(next) }
    }

    /// For a key that is thrown away at a restart: begins at 1 and has everything reserved.
    pub fn unbounded() -> Self {
        Self { next: AtomicU64::new(1), limit: AtomicU64::new(u64::MAX) }
    }

    /// Takes at most `wanted` numbers, none above `last`; fewer when fewer are left, but at least one.
    ///
    /// # Errors
    /// None is left, or none is reserved.
    pub fn take(&self, wanted: u32, last: u64) -> Result<NumberRange, Shortage> {
        let mut end = 0;
        // A plain addition could pass the limit and burn numbers on every failed try; so the end is computed first.
        self.next
            .fetch_update(Relaxed, Relaxed, |next| {
                end = next.saturating_add(wanted.into()).min(self.limit()).min(last.saturating_add(1));
                (end > next).then_some(end)
            })
            .map(|first| NumberRange::from_reserved(first, end))
            .map_err(|next| if next > last { Shortage::Exhausted } else { Shortage::NotReserved })
    }

    /// The next number that will be given out.
    pub fn next(&self) -> u64 {
        self.next.load(Relaxed)
    }

    /// Numbers below this are reserved.
    pub fn limit(&self) -> u64 {
        self.limit.load(Acquire)
    }

    /// Lets workers use all numbers below `limit`, which the caller has reserved for good. Never takes any back.
    pub fn allow_below(&self, limit: u64) {
        self.limit.fetch_max(limit, Release);
    }

    /// Whether fewer than `low_water` reserved numbers are left, so that it is time to reserve more.
    pub fn is_low(&self, low_water: u64) -> bool {
        self.limit().saturating_sub(self.next()) < low_water
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    fn numbers(mut range: NumberRange) -> Vec<u64> {
        std::iter::from_fn(|| range.take()).map(|number| number.get()).collect()
    }

    #[test]
    fn begins_at_one_and_stops_at_the_limit() {
        let sequence = Sequence::starting_at(0);
        assert_eq!(sequence.take(1, LAST_SHORT).unwrap_err(), Shortage::NotReserved);
        sequence.allow_below(4);
        assert_eq!(numbers(sequence.take(2, LAST_SHORT).unwrap()), [1, 2]);
        assert_eq!(numbers(sequence.take(2, LAST_SHORT).unwrap()), [3], "fewer are left than wanted");
        assert_eq!(sequence.take(1, LAST_SHORT).unwrap_err(), Shortage::NotReserved);
        sequence.allow_below(2);
        assert_eq!(sequence.limit(), 4, "nothing is taken back");
    }

    #[test]
    fn exhausted_at_the_last_number_of_each_width() {
        for (extended, last) in [(false, 0xffff_ffff), (true, u64::MAX - 1)] {
            let sequence = Sequence::starting_at(last - 1);
            sequence.allow_below(u64::MAX);
            let taken = sequence.take(64, last_number(extended)).unwrap();
            assert_eq!(numbers(taken), [last - 1, last]);
            assert_eq!(sequence.take(1, last_number(extended)).unwrap_err(), Shortage::Exhausted);
        }
    }

    #[test]
    fn low_water_is_seen_before_the_end() {
        let sequence = Sequence::starting_at(100);
        sequence.allow_below(200);
        assert!(!sequence.is_low(100) && sequence.is_low(101));
    }

    /// Four workers and a reserver: no number twice, none beyond what was reserved when it was given out.
    #[test]
    fn threads_never_share_a_number() {
        let sequence = Sequence::starting_at(1);
        let worker = || {
            let mut mine = Vec::new();
            while mine.len() < 20_000 {
                match sequence.take(7, LAST_SHORT) {
                    Ok(range) => mine.extend(numbers(range)),
                    Err(_) => thread::yield_now(),
                }
            }
            mine
        };
        let all: Vec<u64> = thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
            for limit in (0..=81_000).step_by(50) {
                sequence.allow_below(limit);
                assert!(sequence.next() <= sequence.limit());
                thread::yield_now();
            }
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}
