//! Counts of one SA, with one or several writers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ravelin_contract::verdict::Verdict;

/// Packets and octets of inner packets.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    packets: AtomicU64,
    octets: AtomicU64,
}

impl Traffic {
    /// Adds, where several workers may do so at once.
    pub(super) fn add(&self, packets: u64, octets: u64) {
        self.packets.fetch_add(packets, Relaxed);
        self.octets.fetch_add(octets, Relaxed);
    }

    /// Adds without a locked instruction. Only for the one worker that owns the SA.
    pub(super) fn add_as_owner(&self, packets: u64, octets: u64) {
        self.packets.store(self.packets.load(Relaxed) + packets, Relaxed);
        self.octets.store(self.octets.load(Relaxed) + octets, Relaxed);
    }

    /// Packets, octets.
    pub(super) fn read(&self) -> (u64, u64) {
        (self.packets.load(Relaxed), self.octets.load(Relaxed))
    }
}

/// Drops by verdict. Drops are rare, so any worker may count.
#[derive(Debug)]
pub(super) struct Drops<const N: usize> {
    /// Which verdicts are counted.
    verdicts: [Verdict; N],
    /// How often, in the same order.
    counts: [AtomicU64; N],
}

impl<const N: usize> Drops<N> {
    /// All at 0.
    pub(super) fn of(verdicts: [Verdict; N]) -> Self {
        Self { verdicts, counts: [const { AtomicU64::new(0) }; N] }
    }

    /// Counts one. A verdict that is not listed is another stage's, and not counted here.
    pub(super) fn count(&self, verdict: Verdict) {
        if let Some(at) = self.verdicts.iter().position(|listed| *listed == verdict) {
            self.counts[at].fetch_add(1, Relaxed);
        }
    }

    /// Those that happened.
    pub(super) fn read(&self) -> Vec<(Verdict, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Relaxed));
        self.verdicts.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}
