//! What all tests of the splice share: packet memory in boxes, packets, and dice.

use std::net::IpAddr;

use ravelin_splice::wire::checksum::Sum;
use ravelin_splice::{Frame, Memory};

/// A slot in ordinary memory.
#[derive(Debug)]
pub(crate) struct Slot {
    number: u32,
    octets: Box<[u8]>,
}

impl Frame for Slot {
    fn slot(&self) -> u32 {
        self.number
    }

    fn octets(&self) -> &[u8] {
        &self.octets
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        &mut self.octets
    }
}

/// Packet memory that knows who has its frames only by how many are free.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Vec<Slot>,
    total: u32,
}

impl Slots {
    pub(crate) fn new(count: u32, size: usize) -> Self {
        let slot = |number| Slot { number, octets: vec![0; size].into() };
        Self { free: (0..count).map(slot).collect(), total: count }
    }
}

impl Memory for Slots {
    type Frame = Slot;

    fn take(&mut self) -> Option<Slot> {
        self.free.pop()
    }

    fn give(&mut self, frame: Slot) {
        debug_assert!(!self.free.iter().rev().take(8).any(|free| free.number == frame.number), "given twice");
        self.free.push(frame);
    }

    fn free(&self) -> u32 {
        self.free.len() as u32
    }

    fn slots(&self) -> u32 {
        self.total
    }
}

/// SplitMix64: small, and the same for the same seed everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.word() % limit.max(1)
    }

    /// True so many times in ten thousand.
    pub(crate) fn in_ten_thousand(&mut self, times: u64) -> bool {
        self.below(10_000) < times
    }

    pub(crate) fn either(&mut self) -> bool {
        self.word() & 1 == 1
    }

    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// An IPv4 packet around a segment.
pub(crate) fn ip(source: IpAddr, destination: IpAddr, segment: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) else { panic!("IPv4 here") };
    let mut packet = vec![0x45, 0];
    packet.extend((20 + segment.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    let sum = Sum::default().octets(&packet).finish();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(segment);
    packet
}
