//! The expanded key of AES-GCM as all vector back ends read it.

use std::ops::Range;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::gcm::LANED;
use crate::low::locked::Locked;

/// Vectors of a run, each multiplied by a power of its own.
pub(super) const STRIDES: usize = 8;
/// Strides that are always among the near powers; vectors hold four blocks at most.
pub(super) const NEAR_STRIDES: usize = 2;
/// The highest of the powers that follow each other down to 1.
const NEAR: usize = 19;
/// The highest of them that a short text needs under a key that is not at hand.
const NEAREST: usize = 4 * LANED + 1;

/// Where the powers of strides that are not near begin, after the mids; then those that follow each other; then the
/// round keys.
const FAR: usize = STRIDES / 2;
const NEARS: usize = FAR + STRIDES - NEAR_STRIDES;
const ROUNDS: usize = NEARS + NEAR;

/// Everything that one key needs: 704 octets in 11 cache lines. Of these AES-128 touches 10 with long texts, 5 with one of
/// 65 to 256 octets, 4 with a shorter one, and AES-256 one more: 4,096 keys take 1 to 2.75 MiB of the caches.
///
/// The order is the order of need. Two lines, the powers from 17 to 10, are for long texts, and for short ones whose key is
/// at hand already.
#[repr(C, align(64))]
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Record {
    /// The mids, two in a block: for Karatsuba the low half plus the high half of each power in [`Record::stride`], from
    /// once up. Then those of these powers that are not near, then the powers of the hash key from [`NEAR`] down to 1,
    /// then the round keys, of which AES-128 has 11.
    ///
    /// A vector of powers is loaded whole even where only its first block counts, so round keys may be read as powers;
    /// what they are multiplied with is zero.
    blocks: [[u8; 16]; ROUNDS + 15],
}

impl Record {
    /// The highest power that it may hold for vectors of so many blocks.
    pub(super) const fn highest(lanes: usize) -> usize {
        if STRIDES * lanes > NEAR { STRIDES * lanes } else { NEAR }
    }

    /// The octets that a text of so many vectors of four blocks needs. `long` keys have 14 rounds.
    #[inline(always)]
    pub(super) fn parts_for(vectors: usize, long: bool) -> [Range<usize>; 2] {
        let far = if vectors > LANED + NEAR_STRIDES { NEARS } else { 0 };
        let near = if far > 0 { NEAR } else { NEAREST.min(4 * vectors + 1) };
        let rounds = if long { 15 } else { 11 };
        [0..16 * far, 16 * (ROUNDS - near)..16 * (ROUNDS + rounds)]
    }

    /// No powers yet. The octets of `rounds` are wiped.
    pub(super) fn new(mut rounds: [[u8; 16]; 15]) -> Locked<Self> {
        let mut record = Locked::new(Self { blocks: [[0; 16]; ROUNDS + 15] });
        record.blocks[ROUNDS..].copy_from_slice(&rounds);
        rounds.zeroize();
        record
    }

    /// Notes a power where there are places for it; vectors hold `lanes` blocks.
    pub(super) fn set_power(&mut self, lanes: usize, exponent: usize, power: [u8; 16]) {
        if exponent <= NEAR {
            self.blocks[ROUNDS - exponent] = power;
        }
        let times = exponent / lanes;
        if !exponent.is_multiple_of(lanes) || times > STRIDES {
            return;
        }
        let i = times - 1;
        self.blocks[i / 2].as_chunks_mut().0[i % 2] = halves_added(&power);
        if times > NEAR_STRIDES {
            self.blocks[far(times)] = power;
        }
    }

    /// The key of a round.
    #[inline(always)]
    pub(super) fn round(&self, number: usize) -> &[u8; 16] {
        &self.blocks[ROUNDS + number]
    }

    /// Powers `exponent`, `exponent - 1` and so on. `exponent` is 1 to [`NEAR`]; after 1 come other blocks.
    ///
    /// It cannot panic: a branch in the middle of a kernel would make the compiler tear the kernel apart.
    #[inline(always)]
    pub(super) fn powers_from(&self, exponent: usize) -> &[[u8; 16]; 4] {
        let first = ROUNDS.wrapping_sub(exponent).min(ROUNDS);
        match self.blocks[first..].first_chunk() {
            Some(powers) => powers,
            None => &[[0; 16]; 4],
        }
    }

    /// The power by which a vector of a run is multiplied in all lanes: its exponent is `times * lanes`, `times` being 1 to
    /// [`STRIDES`] and `lanes` the blocks of a vector.
    #[inline(always)]
    pub(super) fn stride(&self, lanes: usize, times: usize) -> &[u8; 16] {
        &self.blocks[if times > NEAR_STRIDES { far(times) } else { ROUNDS - times * lanes }]
    }

    /// Its mid.
    #[inline(always)]
    pub(super) fn mid(&self, times: usize) -> &[u8; 8] {
        let i = times - 1;
        &self.blocks[i / 2].as_chunks().0[i % 2]
    }
}

/// Where the power of a stride stands that is not near.
#[inline(always)]
const fn far(times: usize) -> usize {
    FAR + STRIDES - times
}

fn halves_added(block: &[u8; 16]) -> [u8; 8] {
    std::array::from_fn(|i| block[i] ^ block[8 + i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_size_that_its_documentation_states() {
        assert_eq!(size_of::<Record>(), 704);
        let lines = |vectors, long| -> usize {
            let parts = Record::parts_for(vectors, long).into_iter();
            let mut lines: Vec<_> = parts.flat_map(|part| part.start / 64..part.end.div_ceil(64)).collect();
            lines.dedup(); // the parts may share one
            lines.len()
        };
        assert_eq!([1, 2, 3, 4, 5, 9].map(|vectors| lines(vectors, false)), [4, 5, 5, 5, 10, 10]);
        assert_eq!([1, 2, 3, 4, 5, 9].map(|vectors| lines(vectors, true)), [5, 6, 6, 6, 11, 11]);
    }

    #[test]
    fn finds_every_power() {
        let power = |exponent: usize| std::array::from_fn(|i| exponent as u8 ^ (i as u8 / 8 * 0x40));
        for lanes in [1, 2, 4] {
            let mut record = Record::new([[0x99; 16]; 15]);
            for exponent in 1..=Record::highest(lanes) {
                record.set_power(lanes, exponent, power(exponent));
            }
            for exponent in 1..=NEAR {
                assert_eq!(record.powers_from(exponent)[0], power(exponent));
            }
            for times in 1..=STRIDES {
                assert_eq!(
                    (record.stride(lanes, times), record.mid(times)),
                    (&power(times * lanes), &[0x40; 8])
                );
            }
            assert_eq!([0, 14].map(|round| record.round(round)), [&[0x99; 16]; 2]);
        }
    }
}
