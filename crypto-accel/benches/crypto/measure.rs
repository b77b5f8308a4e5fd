//! Cycles, measured in turns.
#![expect(unsafe_code, reason = "the time-stamp counter, a chain of additions, and pinning")]

use std::arch::asm;
use std::arch::x86_64::{_mm_lfence, _rdtsc};

use crate::peer::{AAD, BATCH, Case, Keyed, Operation, Packet, Peer};

/// Batches of each turn that are not counted: they bring code and predictors back.
const WARM: usize = 2;

/// What one implementation needs.
pub(crate) struct Figure<'a> {
    pub(crate) peer: &'a Peer,
    /// Cycles per packet, median.
    pub(crate) cycles: f64,
    /// How many times the cycles of the first implementation, median of the ratios of each turn.
    pub(crate) ratio: f64,
}

/// Keeps to the core it runs on.
pub(crate) fn pin_to_one_core() {
    // SAFETY: a set of zeros is a valid, empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: it takes nothing.
    let core = unsafe { libc::sched_getcpu() };
    // SAFETY: the kernel gave a core number, which is within the set.
    unsafe { libc::CPU_SET(core as usize, &mut set) };
    // SAFETY: the set outlives the call and has the size given.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(result, 0, "cannot pin");
}

/// One implementation in the middle of a case.
struct Runner<'a> {
    peer: &'a Peer,
    keyed: Box<dyn Keyed>,
    packets: Vec<Packet>,
    /// What the packets hold before each batch.
    fresh: Vec<Box<[u8]>>,
    /// The key of the next packet.
    next_key: usize,
    samples: Vec<f64>,
}

/// Figures of all implementations that are present and have the algorithm, in `turns` turns.
pub(crate) fn interleaved<'a>(case: &Case, peers: &'a [Peer], turns: usize) -> Vec<Figure<'a>> {
    let keys: Vec<Vec<u8>> = (0..case.keys).map(|key| noise(case.algorithm.key_len(), key)).collect();
    let mut runners: Vec<Runner<'_>> =
        peers.iter().filter_map(|peer| Runner::new(case, peer, &keys)).collect();
    for _ in 0..turns {
        for runner in &mut runners {
            runner.turn(case);
        }
    }
    let first = runners.first().map(|runner| runner.samples.clone()).unwrap_or_default();
    runners.into_iter().map(|runner| runner.figure(&first)).collect()
}

impl<'a> Runner<'a> {
    fn new(case: &Case, peer: &'a Peer, keys: &[Vec<u8>]) -> Option<Self> {
        let expand = peer.expand.as_ref().ok()?;
        let mut keyed = expand(case.algorithm, keys)?;
        let mut packets: Vec<Packet> = (0..BATCH).map(|i| packet(case.size, i)).collect();
        let mut fresh = Vec::new();
        if case.operation == Operation::Open {
            // Every key seals every packet once; with many keys the packets of a batch share a text per key.
            for key in 0..case.keys.max(BATCH) {
                let i = key % BATCH;
                packets[i] = packet(case.size, i);
                packets[i].key = key % case.keys;
                if i + 1 == BATCH {
                    keyed.seal(&mut packets);
                    fresh.extend(packets.iter().map(|packet| packet.octets.clone()));
                }
            }
        }
        Some(Self { peer, keyed, packets, fresh, next_key: 0, samples: Vec::new() })
    }

    fn turn(&mut self, case: &Case) {
        for i in 0..=WARM {
            self.prepare(case);
            let scale = core_cycles_per_tick();
            let start = ticks();
            match case.operation {
                Operation::Seal => self.keyed.seal(&mut self.packets),
                Operation::Open => self.keyed.open(&mut self.packets),
            }
            let cycles = (ticks() - start) as f64 * scale / BATCH as f64;
            if i == WARM {
                self.samples.push(cycles);
            }
        }
    }

    /// Keys for the next batch, and ciphertext if it is to be opened.
    fn prepare(&mut self, case: &Case) {
        for (i, packet) in self.packets.iter_mut().enumerate() {
            let index = (self.next_key + i) % case.keys.max(BATCH);
            packet.key = index % case.keys;
            if case.operation == Operation::Open {
                packet.octets.copy_from_slice(&self.fresh[index]);
            }
        }
        // Batches of keys follow in an order that no prefetcher guesses; 37 is odd, so all have their turn.
        self.next_key = (self.next_key + 37 * BATCH) % case.keys.max(BATCH);
    }

    fn figure(mut self, first: &[f64]) -> Figure<'a> {
        let mut ratios: Vec<f64> = self.samples.iter().zip(first).map(|(own, first)| own / first).collect();
        Figure { peer: self.peer, cycles: median(&mut self.samples), ratio: median(&mut ratios) }
    }
}

fn packet(size: usize, i: usize) -> Packet {
    let nonce = [i as u8 + 1; 12];
    Packet { key: 0, nonce, aad: [7; AAD], octets: noise(size + 16, i).into() }
}

fn noise(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| ((i + 1).wrapping_mul(2_654_435_761 + 2 * seed) >> 13) as u8).collect()
}

pub(crate) fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// The time-stamp counter, after everything before has been done.
pub(crate) fn ticks() -> u64 {
    // SAFETY: every x86-64 processor has it.
    unsafe { _mm_lfence() };
    // SAFETY: as above.
    let now = unsafe { _rdtsc() };
    // SAFETY: as above.
    unsafe { _mm_lfence() };
    now
}

/// Additions that wait for each other take one cycle each.
pub(crate) fn core_cycles_per_tick() -> f64 {
    const ROUNDS: u64 = 300;
    let start = ticks();
    // SAFETY: it changes two registers, both named.
    unsafe {
        asm!(
            "2:",
            "add {sum}, 1", "add {sum}, 1", "add {sum}, 1", "add {sum}, 1", "add {sum}, 1",
            "add {sum}, 1", "add {sum}, 1", "add {sum}, 1", "add {sum}, 1", "add {sum}, 1",
            "dec {left}",
            "jnz 2b",
            sum = inout(reg) 0u64 => _, left = inout(reg) ROUNDS => _,
            options(nomem, nostack)
        );
    }
    (10 * ROUNDS) as f64 / (ticks() - start) as f64
}
