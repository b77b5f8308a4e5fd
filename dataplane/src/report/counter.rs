//! Counters of one worker. One writer each, so an addition is a plain load and store; readers fold them when asked.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ravelin_contract::report::{BREATH_BOUNDS, PortStatus, WorkerStatus};
use ravelin_contract::verdict::Verdict;

use crate::packet::PortIndex;

/// A count with one writer.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; only the owning worker may call it.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// The value at some recent moment.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces the value; only the owning worker may call it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// Packets and octets.
#[derive(Debug, Default)]
pub struct Traffic {
    packets: Count,
    octets: Count,
}

impl Traffic {
    /// Adds `packets` of together `octets`.
    pub fn add(&self, packets: u64, octets: u64) {
        self.packets.add(packets);
        self.octets.add(octets);
    }

    /// Both.
    pub fn get(&self) -> (u64, u64) {
        (self.packets.get(), self.octets.get())
    }
}

/// What one worker counts of one port.
#[derive(Debug)]
#[repr(align(64))]
pub struct PortCounters {
    /// Frames received.
    pub received: Traffic,
    /// Frames queued for transmission.
    pub sent: Traffic,
    /// By [`Verdict`], of packets that came in here.
    verdicts: Box<[Traffic]>,
    /// Entries and size of the four rings, as [`crate::port::Port::rings`] gave them last.
    rings: [[AtomicU32; 2]; 4],
}

impl PortCounters {
    fn new() -> Self {
        let verdicts = Verdict::ALL.iter().map(|_| Traffic::default()).collect();
        Self { received: Traffic::default(), sent: Traffic::default(), verdicts, rings: Default::default() }
    }

    /// One packet of `octets` ended with `verdict`.
    pub fn ended(&self, verdict: Verdict, octets: u64) {
        self.verdicts[verdict as usize].add(1, octets);
    }

    /// Remembers the fill of the rings.
    pub fn note_rings(&self, rings: [(u32, u32); 4]) {
        for (cell, (waiting, size)) in self.rings.iter().zip(rings) {
            cell[0].store(waiting, Ordering::Relaxed);
            cell[1].store(size, Ordering::Relaxed);
        }
    }

    /// Packets and octets by verdict, where not zero.
    pub fn verdicts(&self) -> Vec<(Verdict, u64, u64)> {
        let counted =
            Verdict::ALL.iter().zip(&self.verdicts).map(|(verdict, traffic)| (*verdict, traffic.get()));
        counted
            .filter(|(_, (packets, _))| *packets > 0)
            .map(|(v, (packets, octets))| (v, packets, octets))
            .collect()
    }

    /// Adds what stands here to `status`.
    pub fn fold_into(&self, status: &mut PortStatus) {
        let add = |to: &mut (u64, u64), (packets, octets): (u64, u64)| {
            *to = (to.0 + packets, to.1 + octets);
        };
        add(&mut status.received, self.received.get());
        add(&mut status.sent, self.sent.get());
        for (verdict, packets, octets) in self.verdicts() {
            match status.verdicts.iter_mut().find(|entry| entry.0 == verdict) {
                Some(entry) => (entry.1, entry.2) = (entry.1 + packets, entry.2 + octets),
                None => status.verdicts.push((verdict, packets, octets)),
            }
        }
        for (total, cell) in status.rings.iter_mut().zip(&self.rings) {
            total.0 += cell[0].load(Ordering::Relaxed);
            total.1 += cell[1].load(Ordering::Relaxed);
        }
    }
}

/// All that one worker counts.
#[derive(Debug)]
#[repr(align(64))]
pub struct WorkerCounters {
    /// Core it is pinned to.
    pub core: u32,
    /// Generation in use.
    pub generation: Count,
    /// Breaths.
    pub breaths: Count,
    /// Free frames.
    pub frames_free: Count,
    /// All frames.
    pub frames: Count,
    busy_ns: Count,
    histogram: [Count; BREATH_BOUNDS.len() + 1],
    ports: Box<[PortCounters]>,
}

impl WorkerCounters {
    /// For a worker with `ports` ports.
    pub fn new(core: u32, ports: usize) -> Self {
        Self {
            core,
            generation: Count::default(),
            breaths: Count::default(),
            frames_free: Count::default(),
            frames: Count::default(),
            busy_ns: Count::default(),
            histogram: Default::default(),
            ports: (0..ports).map(|_| PortCounters::new()).collect(),
        }
    }

    /// Of one port.
    pub fn port(&self, port: PortIndex) -> &PortCounters {
        &self.ports[usize::from(port.0)]
    }

    /// A breath that found work took so long.
    pub fn worked(&self, nanoseconds: u64) {
        self.busy_ns.add(nanoseconds);
        let bucket = BREATH_BOUNDS.partition_point(|bound| *bound < nanoseconds);
        self.histogram[bucket].add(1);
    }

    /// For the report.
    pub fn status(&self) -> WorkerStatus {
        WorkerStatus {
            core: self.core,
            generation: self.generation.get(),
            breaths: self.breaths.get(),
            histogram: self.histogram.iter().map(Count::get).collect(),
            busy_ns: self.busy_ns.get(),
            frames: (self.frames_free.get() as u32, self.frames.get() as u32),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let counters = WorkerCounters::new(0, 1);
        for ns in [0, 250, 251, u64::MAX / 4] {
            counters.worked(ns);
        }
        let histogram = counters.status().histogram;
        assert_eq!((histogram[0], histogram[1], histogram[BREATH_BOUNDS.len()]), (2, 1, 1));
    }
}
