//! A keyed hash of two words for tables in the packet path: one multiplication, and nobody outside can choose what
//! falls together.

use std::hash::{BuildHasher, RandomState};

/// The key, drawn at random for each table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mixer {
    first: u64,
    second: u64,
}

impl Mixer {
    /// A new key.
    pub(crate) fn new() -> Self {
        let random = RandomState::new();
        Self { first: random.hash_one(1u8), second: random.hash_one(2u8) }
    }

    /// The hash of two words.
    pub(crate) fn mix(&self, a: u64, b: u64) -> u64 {
        let product = u128::from(a ^ self.first) * u128::from(b ^ self.second);
        product as u64 ^ (product >> 64) as u64
    }

    /// The hash of a wide word and a word.
    pub(crate) fn mix_wide(&self, wide: u128, word: u64) -> u64 {
        self.mix(self.mix(wide as u64, (wide >> 64) as u64), word)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn neighbouring_words_spread_over_a_small_table() {
        let mixer = Mixer::new();
        let filled: HashSet<u64> = (0..4096).map(|n| mixer.mix_wide(n, 7) & 0xFFF).collect();
        assert!(filled.len() > 2048, "{} of 4096 places used", filled.len());
    }
}
