//! The back ends, and the choice among them.

#[cfg(target_arch = "x86_64")]
mod x86;

mod chacha;
mod erase;
mod leave;
mod locked;
mod portable;
mod slab;
mod switch;

pub(crate) use erase::erase;
pub(crate) use leave::cleanly;
pub(crate) use locked::Locked;
pub use locked::{KeyMemory, key_memory};
pub use switch::{SwitchError, check_environment};

use std::sync::OnceLock;

use crate::aead::{Algorithm, OpenJob, SealJob};

/// One way to carry out AES-GCM. All give the same octets. A value exists only if the processor can do it and the
/// environment variable `RAVELIN_CRYPTO_DISABLE` (names separated by commas) does not forbid it.
///
/// ChaCha20-Poly1305 has a way of its own on `vaes512` (with AVX-512 IFMA), else one and the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackEnd(Way);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    #[cfg(target_arch = "x86_64")]
    X86(x86::Level),
    Portable,
}

impl BackEnd {
    /// Those that may be used here, the fastest first. The portable one is always the last.
    pub fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let special = x86::Level::available().map(|level| Self(Way::X86(level)));
        #[cfg(not(target_arch = "x86_64"))]
        let special = std::iter::empty();
        special.chain([Self(Way::Portable)])
    }

    /// The fastest. Chosen once.
    pub fn best() -> Self {
        static BEST: OnceLock<BackEnd> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().next().unwrap_or(Self(Way::Portable)))
    }

    /// Its name, for logs, metrics and the environment variable.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Way::X86(level) => level.name(),
            Way::Portable => "portable",
        }
    }
}

/// The name of the back end in use, for logs and metrics.
pub fn back_end() -> &'static str {
    BackEnd::best().name()
}

/// An expanded key. What moves is a pointer; the octets stay where they were made.
pub(crate) enum AeadKey {
    #[cfg(target_arch = "x86_64")]
    X86(x86::Key),
    Portable(Locked<portable::Key>),
    ChaCha(chacha::Key),
    #[cfg(target_arch = "x86_64")]
    ChaCha512(x86::chacha::Key),
}

/// A key that is not expanded.
pub(crate) struct FoldedKey {
    back_end: BackEnd,
    algorithm: Algorithm,
    /// As many of them as the algorithm takes.
    octets: Locked<[u8; 32]>,
}

impl FoldedKey {
    pub(crate) fn unfold(&self) -> Option<AeadKey> {
        AeadKey::new(self.back_end, self.algorithm, &self.octets[..self.algorithm.key_len()])
    }
}

impl AeadKey {
    /// `None` if the length is not the algorithm's.
    pub(crate) fn new(back_end: BackEnd, algorithm: Algorithm, octets: &[u8]) -> Option<Self> {
        cleanly(|| match back_end.0 {
            _ if algorithm == Algorithm::ChaCha20Poly1305 => Self::cha_cha(back_end, octets),
            #[cfg(target_arch = "x86_64")]
            Way::X86(level) => x86::Key::new(level, algorithm, octets).map(Self::X86),
            Way::Portable => portable::Key::new(algorithm, octets).map(Self::Portable),
        })
    }

    /// The key at rest, if its octets can be had.
    pub(crate) fn fold(&self) -> Option<FoldedKey> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::X86(key) => {
                let (back_end, algorithm) = (BackEnd(Way::X86(key.level())), key.algorithm());
                Some(FoldedKey { back_end, algorithm, octets: cleanly(|| key.fold()) })
            }
            #[cfg(target_arch = "x86_64")]
            Self::ChaCha512(_) => None,
            Self::Portable(_) | Self::ChaCha(_) => None,
        }
    }

    /// By our own kernel where there is one, else by ring.
    fn cha_cha(back_end: BackEnd, octets: &[u8]) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if let Way::X86(level) = back_end.0
            && let Some(key) = x86::chacha::Key::new(level, octets)
        {
            return Some(Self::ChaCha512(key));
        }
        let _ = back_end;
        chacha::Key::new(octets).map(Self::ChaCha)
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::X86(key) => key.algorithm(),
            Self::Portable(key) => key.algorithm(),
            Self::ChaCha(_) => Algorithm::ChaCha20Poly1305,
            #[cfg(target_arch = "x86_64")]
            Self::ChaCha512(_) => Algorithm::ChaCha20Poly1305,
        }
    }
}

/// Seals the jobs at the head that share a back end, at least one if there are any; returns how many.
pub(crate) fn seal_some(jobs: &mut [SealJob<'_>]) -> usize {
    match jobs.first().map(|job| job.work.key) {
        #[cfg(target_arch = "x86_64")]
        Some(AeadKey::X86(key)) => x86::seal_some(key.level(), jobs),
        #[cfg(target_arch = "x86_64")]
        Some(AeadKey::ChaCha512(key)) => x86::chacha::seal_some(key.proof(), jobs),
        _ => leading(jobs, |job| {
            match job.work.key {
                AeadKey::Portable(key) => key.seal(job),
                AeadKey::ChaCha(key) => key.seal(job),
                #[cfg(target_arch = "x86_64")]
                AeadKey::X86(_) | AeadKey::ChaCha512(_) => return false,
            }
            true
        }),
    }
}

/// Opens the jobs at the head that share a back end, at least one if there are any; returns how many.
pub(crate) fn open_some(jobs: &mut [OpenJob<'_>]) -> usize {
    match jobs.first().map(|job| job.work.key) {
        #[cfg(target_arch = "x86_64")]
        Some(AeadKey::X86(key)) => x86::open_some(key.level(), jobs),
        #[cfg(target_arch = "x86_64")]
        Some(AeadKey::ChaCha512(key)) => x86::chacha::open_some(key.proof(), jobs),
        _ => leading(jobs, |job| {
            match job.work.key {
                AeadKey::Portable(key) => key.open(job),
                AeadKey::ChaCha(key) => key.open(job),
                #[cfg(target_arch = "x86_64")]
                AeadKey::X86(_) | AeadKey::ChaCha512(_) => return false,
            }
            true
        }),
    }
}

/// Does jobs until `one` refuses; returns how many were done.
fn leading<J>(jobs: &mut [J], mut one: impl FnMut(&mut J) -> bool) -> usize {
    let all = jobs.len();
    cleanly(|| jobs.iter_mut().position(|job| !one(job)).unwrap_or(all))
}
