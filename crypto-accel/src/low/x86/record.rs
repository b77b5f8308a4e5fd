//! The expanded key of AES-GCM as all vector back ends read it.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::low::locked::Locked;

/// Exponents of the powers that only long texts need, at the head of the table.
const FAR: [usize; 3] = [32, 28, 24];
/// The highest of the powers that follow each other down to 1.
const NEAR: usize = 20;

/// Blocks of the table that hold powers; the rest are mids.
const POWERS: usize = FAR.len() + NEAR;

/// Everything that one key needs: 704 octets in 11 cache lines, of which AES-128 touches 10 and a packet of 64
/// octets five. 4,096 keys fit into 3 MiB.
///
/// The order is the order of need: a short packet reads the last powers and the round keys close by.
#[repr(C, align(64))]
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Record {
    /// Powers of the hash key: those of [`FAR`], then [`NEAR`] down to 1. Then, two in a block, the mids: for
    /// Karatsuba the low half plus the high half of each power in [`Record::stride`], from eight times down.
    ///
    /// A vector of powers is loaded whole even where only its first block counts, so mids may be read as powers;
    /// what they are multiplied with is zero.
    table: [[u8; 16]; POWERS + 4],
    /// Round keys; AES-128 uses the first 11.
    pub(super) rounds: [[u8; 16]; 15],
}

/// The power by which a vector of a run is multiplied in all lanes, and its mid.
pub(super) type Stride<'a> = (&'a [u8; 16], &'a [u8; 8]);

impl Record {
    /// The highest power that it holds.
    pub(super) const HIGHEST: usize = FAR[0];

    /// Where what needs no power above this one begins, in octets.
    #[inline(always)]
    pub(super) fn begin(highest: usize) -> usize {
        16 * POWERS.saturating_sub(highest)
    }

    /// No powers yet. The octets of `rounds` are wiped.
    pub(super) fn new(mut rounds: [[u8; 16]; 15]) -> Locked<Self> {
        let mut record = Locked::new(Self { table: [[0; 16]; POWERS + 4], rounds: [[0; 16]; 15] });
        record.rounds = rounds;
        rounds.zeroize();
        record
    }

    /// Notes a power if the table has a place for it.
    pub(super) fn set_power(&mut self, exponent: usize, power: [u8; 16]) {
        if exponent <= NEAR || FAR.contains(&exponent) {
            self.table[place(exponent)] = power;
        }
    }

    /// Works out what Karatsuba needs; all powers are there, vectors hold `lanes` blocks.
    pub(super) fn set_mids(&mut self, lanes: usize) {
        for i in 0..8 {
            let mid = halves_added(&self.table[place((8 - i) * lanes)]);
            self.table[POWERS + i / 2].as_chunks_mut().0[i % 2] = mid;
        }
    }

    /// Powers `exponent`, `exponent - 1` and so on. `exponent` is 1 to [`NEAR`]; after 1 come other blocks.
    ///
    /// It cannot panic: a branch in the middle of a kernel would make the compiler tear the kernel apart.
    #[inline(always)]
    pub(super) fn powers_from(&self, exponent: usize) -> &[[u8; 16]; 4] {
        debug_assert!((1..=NEAR).contains(&exponent));
        let first = POWERS.wrapping_sub(exponent).min(POWERS);
        match self.table[first..].first_chunk() {
            Some(powers) => powers,
            None => &[[0; 16]; 4],
        }
    }

    /// The power with exponent `times * lanes`, `times` being 1 to 8 and `lanes` the blocks of a vector.
    #[inline(always)]
    pub(super) fn stride(&self, lanes: usize, times: usize) -> Stride<'_> {
        let i = 8 - times;
        (&self.table[place(times * lanes)], &self.table[POWERS + i / 2].as_chunks().0[i % 2])
    }
}

/// Where the table has a power.
#[inline(always)]
const fn place(exponent: usize) -> usize {
    if exponent > NEAR { (32 - exponent) / 4 } else { POWERS - exponent }
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
    }

    #[test]
    fn finds_every_power() {
        for lanes in [1, 2, 4] {
            let mut record = Record::new([[0; 16]; 15]);
            for exponent in 1..=Record::HIGHEST {
                record.set_power(exponent, [exponent as u8; 16]);
            }
            record.set_mids(lanes);
            for exponent in 1..=NEAR {
                assert_eq!(record.powers_from(exponent)[0], [exponent as u8; 16]);
            }
            for times in 1..=8 {
                assert_eq!(record.stride(lanes, times), (&[(times * lanes) as u8; 16], &[0; 8]));
            }
        }
    }
}
