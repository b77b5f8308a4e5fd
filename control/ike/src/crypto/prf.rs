//! Pseudorandom functions: HMAC with SHA-2 (RFC 4868), and prf+ (RFC 7296 2.13).

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::Secret;
use crate::wire::{PrfId, Transform, TransformId};

/// A pseudorandom function with a key of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prf {
    /// PRF_HMAC_SHA2_256.
    HmacSha256,
    /// PRF_HMAC_SHA2_384.
    HmacSha384,
    /// PRF_HMAC_SHA2_512.
    HmacSha512,
}

impl Prf {
    /// All, the common one first.
    pub const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// Its number.
    pub fn id(self) -> PrfId {
        match self {
            Self::HmacSha256 => PrfId::HmacSha2_256,
            Self::HmacSha384 => PrfId::HmacSha2_384,
            Self::HmacSha512 => PrfId::HmacSha2_512,
        }
    }

    /// The function with this number, unless it is weak or unknown.
    pub fn from_id(id: PrfId) -> Option<Self> {
        Self::ALL.into_iter().find(|prf| prf.id() == id)
    }

    /// The function that a transform names.
    pub fn from_transform(transform: &Transform) -> Option<Self> {
        match transform.id {
            TransformId::Prf(id) if transform.key_bits.is_none() && transform.other.is_empty() => {
                Self::from_id(id)
            }
            _ => None,
        }
    }

    /// As it is offered.
    pub fn transform(self) -> Transform {
        Transform::new(TransformId::Prf(self.id()))
    }

    /// Octets of its output, which is also the length of SK_d, SK_pi and SK_pr.
    pub fn output_len(self) -> usize {
        self.algorithm().tag_len()
    }

    fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }

    /// `prf(key, parts | ..)`.
    pub fn mac(self, key: &[u8], parts: &[&[u8]]) -> Secret {
        Secret::new(sign(&hmac::Key::new(self.algorithm(), key), parts).as_ref().to_vec())
    }

    /// The first `length` octets of `prf+(key, seed | ..)`. At most 255 times the output's length.
    pub fn plus(self, key: &[u8], seed: &[&[u8]], length: usize) -> Secret {
        assert!(length <= 255 * self.output_len(), "prf+ ends after 255 blocks (RFC 7296 2.13)");
        let key = hmac::Key::new(self.algorithm(), key);
        let mut out = Vec::with_capacity(length + self.output_len());
        let mut block: Zeroizing<Vec<u8>> = Zeroizing::new(Vec::new());
        let mut parts = Vec::with_capacity(seed.len() + 2);
        for count in 1..=255u8 {
            if out.len() >= length {
                break;
            }
            let count = [count];
            parts.clear();
            parts.push(&block[..]);
            parts.extend_from_slice(seed);
            parts.push(&count);
            let next = sign(&key, &parts);
            out.extend_from_slice(next.as_ref());
            parts = Vec::with_capacity(seed.len() + 2);
            block = Zeroizing::new(next.as_ref().to_vec());
        }
        zeroize::Zeroize::zeroize(&mut out[length..]);
        out.truncate(length);
        Secret::new(out)
    }
}

fn sign(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    context.sign()
}

impl std::fmt::Display for Prf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id().fmt(f)
    }
}
