//! IVs for CBC: unpredictable and never equal (RFC 3602 3, NIST SP 800-38A appendix C).

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

use crate::low::{Locked, cleanly};
use crate::nonce::Number;

/// Makes the IVs of one SA: the packet's number, encrypted under a key that serves for nothing else.
///
/// A block cipher is a permutation, so different numbers give different IVs; and without the key nobody tells
/// the next one from chance. The same key makes the same IVs, which tests use.
pub struct Generator(Locked<Aes128>);

impl Generator {
    /// `seed` must be random and secret, and another one for each SA and each start.
    pub fn new(seed: &[u8; 16]) -> Self {
        cleanly(|| Self(Locked::new(Aes128::new(seed.into()))))
    }

    /// The IV for the packet with this number. Sealing, which follows, clears the registers.
    pub fn iv(&self, number: Number) -> Iv {
        let mut block = u128::from(number.get()).to_be_bytes().into();
        self.0.encrypt_block(&mut block);
        Iv(block.into())
    }
}

/// A sender's IV. Sealing takes it, so it serves once. Neither `Clone` nor `Copy`:
///
/// ```compile_fail
/// use ravelin_crypto_accel::iv::Generator;
/// use ravelin_crypto_accel::nonce::NumberRange;
/// let number = NumberRange::from_reserved(1, 9).take().unwrap();
/// let copy = Generator::new(&[7; 16]).iv(number).clone();
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Iv(pub(crate) [u8; 16]);

impl Iv {
    /// A given one, as published vectors have it. The caller promises that no other text has it under the same key,
    /// and that nobody could tell it before.
    pub fn promised(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// Its octets, which travel in the packet.
    pub fn octets(&self) -> &[u8; 16] {
        &self.0
    }
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("iv::Generator")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::nonce::NumberRange;

    #[test]
    fn a_million_ivs_are_unique_and_far_apart() {
        let generator = Generator::new(b"sixteen octets!!");
        let mut numbers = NumberRange::from_reserved(1, 1_000_001);
        let mut seen = HashSet::new();
        let mut halves = HashSet::new();
        while let Some(number) = numbers.take() {
            let iv = generator.iv(number);
            assert!(seen.insert(*iv.octets()));
            halves.insert(iv.octets()[..8].to_vec());
        }
        assert_eq!(seen.len(), 1_000_000);
        assert_eq!(halves.len(), 1_000_000, "a counter shows through");
    }

    #[test]
    fn the_seed_decides() {
        let iv = |seed: &[u8; 16]| {
            let number = NumberRange::from_reserved(7, 8).take().unwrap();
            Generator::new(seed).iv(number)
        };
        assert_eq!(iv(&[1; 16]), iv(&[1; 16]));
        assert_ne!(iv(&[1; 16]), iv(&[2; 16]));
    }
}
