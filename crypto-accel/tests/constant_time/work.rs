//! The work that is looked at, on buffers that are made beforehand, and what a careless implementation would do.

use ravelin_crypto_accel::aead::{Key, OpenJob, SealJob, open, seal};
use ravelin_crypto_accel::nonce::{Nonce, NumberRange, ReceivedNonce};
use ravelin_crypto_accel::{BadTag, Text};

/// A batch of texts of the same length.
pub(crate) struct Batch<const N: usize> {
    pub(crate) static_iv: [u8; 12],
    pub(crate) aad: Vec<u8>,
    pub(crate) texts: [Vec<u8>; N],
    pub(crate) tags: [[u8; 16]; N],
}

impl<const N: usize> Batch<N> {
    pub(crate) fn new(length: usize, aad: usize) -> Self {
        let texts = std::array::from_fn(|_| vec![0x3c; length]);
        Self { static_iv: [0x7e; 12], aad: vec![0x11; aad], texts, tags: [[0; 16]; N] }
    }

    /// Fills the texts with octets that differ by seed.
    pub(crate) fn fill(&mut self, seed: u64) {
        for (i, text) in self.texts.iter_mut().enumerate() {
            let octets = noise(text.len(), seed + 7 * i as u64);
            text.copy_from_slice(&octets);
        }
    }

    /// Seals every text under the same key and nonce, which only tests may.
    #[inline(never)]
    pub(crate) fn seal(&mut self, key: &Key) {
        let mut tags = self.tags.each_mut().into_iter();
        let mut jobs = self.texts.each_mut().map(|text| {
            let number = NumberRange::from_reserved(5, 6).take().expect("one is left");
            let (text, tag) = (Text::in_place(text).expect("it is short"), tags.next().expect("as many"));
            SealJob::new(key, Nonce::tls13(&self.static_iv, number), &self.aad, text, tag)
        });
        seal(&mut jobs);
    }

    /// Opens every text.
    #[inline(never)]
    pub(crate) fn open(&mut self, key: &Key) -> [Result<(), BadTag>; N] {
        let mut tags = self.tags.iter();
        let mut jobs = self.texts.each_mut().map(|text| {
            let (text, tag) = (Text::in_place(text).expect("it is short"), tags.next().expect("as many"));
            OpenJob::new(key, ReceivedNonce::tls13(&self.static_iv, 5), &self.aad, text, tag)
        });
        open(&mut jobs);
        jobs.each_ref().map(OpenJob::outcome)
    }
}

/// Octets that differ from place to place and by seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let start = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * seed + 1);
    (1..=length as u64).map(|i| (i.wrapping_mul(start) >> 29) as u8).collect()
}

/// What must be found wherever one looks: it goes by the octets of a secret, and looks things up by them.
#[inline(never)]
pub(crate) fn careless(secret: &[u8], table: &[u8; 256]) -> u8 {
    let mut sum = 0;
    for octet in secret {
        if std::hint::black_box(*octet) & 1 == 1 {
            sum ^= table[usize::from(*octet)];
        }
    }
    std::hint::black_box(sum)
}

/// What must be found by the clock: it compares octet by octet and stops at the first that differs.
#[inline(never)]
pub(crate) fn careless_equal(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).all(|(a, b)| std::hint::black_box(*a) == *b)
}
