//! Damage to frames, from a seed, so that it comes again.

use ravelin_dataplane::wire::ethernet;
use ravelin_dataplane::wire::ip::IPV4_HEADER;

use super::network::port_mac;
use super::samples::internet_checksum;
use super::seeds::Seed;

/// SplitMix64: numbers that look random and depend on the seed alone.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }
}

/// Longest frame that is made.
pub const LONGEST: usize = 1900;

/// One damaged frame, in `into`; the port it comes in by.
pub fn mutated(dice: &mut Dice, seeds: &[Seed], into: &mut Vec<u8>) -> usize {
    let seed = &seeds[dice.below(seeds.len())];
    into.clone_from(&seed.frame);
    for _ in 0..=dice.below(3) {
        match dice.below(8) {
            0 => flip_bits(dice, into),
            1 => into.truncate(dice.below(into.len() + 1)),
            2 => lengthen(dice, into),
            3 => splice(dice, seeds, seed.port, into),
            4 => address(dice, seeds, into),
            _ => field(dice, into),
        }
    }
    into.truncate(LONGEST);
    repair(dice, seed.port, into);
    seed.port
}

fn flip_bits(dice: &mut Dice, frame: &mut [u8]) {
    for _ in 0..=dice.below(6) {
        // Headers matter most.
        let reach = if dice.below(3) == 0 { frame.len() } else { frame.len().min(90) };
        if let Some(octet) = frame.get_mut(dice.below(reach)) {
            *octet ^= 1 << dice.below(8);
        }
    }
}

fn lengthen(dice: &mut Dice, frame: &mut Vec<u8>) {
    let octet = dice.roll() as u8;
    frame.resize(frame.len() + dice.below(300), octet);
}

/// The start of this frame and the end of another that came in by the same port.
fn splice(dice: &mut Dice, seeds: &[Seed], port: usize, frame: &mut Vec<u8>) {
    let other = &seeds[dice.below(seeds.len())];
    if other.port == port {
        frame.truncate(dice.below(frame.len() + 1));
        frame.extend_from_slice(&other.frame[dice.below(other.frame.len())..]);
    }
}

/// Puts an address of some other frame where an address is.
fn address(dice: &mut Dice, seeds: &[Seed], frame: &mut [u8]) {
    let other = &seeds[dice.below(seeds.len())].frame;
    let places = [(26, 4), (30, 4), (22, 16), (38, 16)];
    let ((from, length), (to, room)) = (places[dice.below(4)], places[dice.below(4)]);
    let length = length.min(room);
    if let (Some(from), Some(to)) = (other.get(from..from + length), frame.get_mut(to..to + length)) {
        to.copy_from_slice(from);
    }
}

/// A value that means something where something is read.
fn field(dice: &mut Dice, frame: &mut [u8]) {
    let values: [u16; 16] =
        [0, 1, 7, 8, 20, 40, 0x2000, 0x4000, 0x1fff, 0x3fff, 0x7fff, 0xffff, 0x0800, 0x86dd, 4500, 0x8100];
    let protocols = [0, 1, 4, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 132, 135, 255];
    let at = 12 + dice.below(70);
    match dice.below(3) {
        0 => set(frame, at, &values[dice.below(16)].to_be_bytes()),
        1 => set(frame, [20, 23, 22, 34, 54][dice.below(5)], &[protocols[dice.below(16)]]),
        _ => set(frame, [16, 18, 20, 34, 36, 38, 54, 56][dice.below(8)], &(dice.roll() as u16).to_be_bytes()),
    }
}

fn set(frame: &mut [u8], at: usize, octets: &[u8]) {
    if let Some(there) = frame.get_mut(at..at + octets.len()) {
        there.copy_from_slice(octets);
    }
}

/// Mends what would end most damaged frames at once: link address, lengths, the IPv4 checksum.
fn repair(dice: &mut Dice, port: usize, frame: &mut [u8]) {
    if dice.below(32) != 0 {
        set(frame, 0, &port_mac(1, port));
    }
    let Some(header) = ethernet::Header::read(frame) else { return };
    let packet = &mut frame[header.size()..];
    let length = packet.len() as u16;
    match packet.first().map(|first| first >> 4) {
        Some(4) if packet.len() >= IPV4_HEADER => {
            if dice.below(2) == 0 {
                set(packet, 2, &length.to_be_bytes());
            }
            let end = usize::from(packet[0] & 15) * 4;
            if dice.below(16) != 0 && (IPV4_HEADER..=packet.len()).contains(&end) {
                set(packet, 10, &[0, 0]);
                let checksum = internet_checksum(&packet[..end]);
                set(packet, 10, &checksum.to_be_bytes());
            }
        }
        Some(6) if packet.len() >= 40 && dice.below(2) == 0 => {
            set(packet, 4, &(length - 40).to_be_bytes());
        }
        _ => {}
    }
}
