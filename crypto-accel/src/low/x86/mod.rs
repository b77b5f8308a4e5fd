//! The back ends for x86-64. `gcm` holds the algorithm, `aesni`, `vaes256` and `vaes512` the instructions.

mod aesni;
mod batch;
pub(super) mod chacha;
mod enter;
mod features;
mod gcm;
mod here;
mod job;
mod lanes;
mod record;
mod several;
mod span;
mod vaes256;
mod vaes512;
pub(super) mod wipe;

pub(super) use enter::{open_some, seal_some};

use crate::aead::Algorithm;
use crate::low::locked::Locked;
use features::{Aesni, Vaes256, Vaes512};
use record::Record;

/// Which instructions, with the proof that the processor has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Vaes512(Vaes512),
    Vaes256(Vaes256),
    Aesni(Aesni),
}

impl Level {
    /// Those that may be used here, the fastest first.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        let features = features::detect();
        let all = [
            features.vaes512.map(Self::Vaes512),
            features.vaes256.map(Self::Vaes256),
            features.aesni.map(Self::Aesni),
        ];
        all.into_iter().flatten()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Vaes512(_) => "vaes512",
            Self::Vaes256(_) => "vaes256",
            Self::Aesni(_) => "aesni",
        }
    }
}

/// An expanded key of AES-GCM.
pub(crate) struct Key {
    level: Level,
    /// AES with 14 rounds, not 10.
    long: bool,
    record: Locked<Record>,
}

impl Key {
    /// `None` if the length is not the algorithm's, or the algorithm not AES-GCM.
    pub(super) fn new(level: Level, algorithm: Algorithm, octets: &[u8]) -> Option<Self> {
        let (long, record) = match algorithm {
            Algorithm::Aes128Gcm => (false, enter::expand_128(level, octets.try_into().ok()?)),
            Algorithm::Aes256Gcm => (true, enter::expand_256(level, octets.try_into().ok()?)),
            Algorithm::ChaCha20Poly1305 => return None,
        };
        Some(Self { level, long, record })
    }

    /// The octets that it was made of: they are the first round keys (FIPS 197 5.2).
    pub(super) fn fold(&self) -> Locked<[u8; 32]> {
        let mut octets = Locked::new([0; 32]);
        for (round, part) in
            octets.as_chunks_mut::<16>().0.iter_mut().enumerate().take(1 + usize::from(self.long))
        {
            *part = *self.record.round(round);
        }
        octets
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        if self.long { Algorithm::Aes256Gcm } else { Algorithm::Aes128Gcm }
    }

    pub(super) fn level(&self) -> Level {
        self.level
    }
}
