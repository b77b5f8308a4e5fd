//! Algorithms of IKEv2 behind types that know nothing of messages or states.
//!
//! AEAD, HMAC, elliptic curves, ML-KEM and signatures are aws-lc-rs; MODP groups are `crypto-bigint`, in constant time;
//! CBC is `aes` and `cbc`. Which algorithms there are follows RFC 8247 and RFC 8221; weaker ones have no type here, so that
//! no configuration can bring them back.

pub(crate) mod aead;
pub(crate) mod cbc_hmac;
pub(crate) mod der;
mod modp;
mod primes;

pub mod auth;
pub mod cipher;
pub mod cookie;
pub mod group;
pub mod nat;
pub mod prf;
pub mod signature;
pub mod suite;

pub use auth::{Proof, SignedOctets};
pub use cipher::{ChildCipher, Cipher, Integrity, KeySize};
pub use cookie::CookieKeys;
pub use group::{Group, KeyPair};
pub use prf::Prf;
pub use signature::{PublicKey, SignatureScheme, Signer};
pub use suite::{AdditionalGroups, ChildSuite, IkeSuite, SuiteError};

pub use ravelin_contract::secret::Secret;

/// Where random octets come from. In the product it is the system; in simulations a seed.
pub trait Random {
    /// Fills `out`.
    fn fill(&mut self, out: &mut [u8]);
}

/// The system's generator, as aws-lc-rs reaches it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, out: &mut [u8]) {
        // The library aborts the process itself when it has no entropy; there is nothing to hand on.
        aws_lc_rs::rand::fill(out).expect("the system has randomness");
    }
}

/// Whether two values are equal, in a time that depends on their lengths only.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Why an operation on keys failed. Peers learn none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The peer's share has the wrong length for its group.
    #[error("the share has {found} octets, the group's has {wanted}")]
    ShareLength {
        /// What the group asks for.
        wanted: usize,
        /// What came.
        found: usize,
    },
    /// The peer's share is no member of the group, or leads to a secret that anyone could guess.
    #[error("the share is outside of the group or of small order")]
    Share,
    /// A key of the wrong length for its algorithm.
    #[error("a key has the wrong length for its algorithm")]
    KeyLength,
    /// The library refused.
    #[error("the cryptographic library refused")]
    Library,
}
