//! Key exchange methods: MODP (RFC 3526), ECP (RFC 5903), Curve25519 (RFC 8031) and ML-KEM (FIPS 203), one face for all.

use aws_lc_rs::{agreement, kem};
use zeroize::Zeroizing;

use super::modp::{Exponent, Modp};
use super::{CryptoError, Random, Secret};
use crate::wire::{GroupId, Slot, Transform, TransformId};

/// A key exchange method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Group 14.
    Modp2048,
    /// Group 15.
    Modp3072,
    /// Group 16.
    Modp4096,
    /// Group 19.
    Ecp256,
    /// Group 20.
    Ecp384,
    /// Group 21.
    Ecp521,
    /// Group 31.
    Curve25519,
    /// Method 36.
    MlKem768,
    /// Method 37.
    MlKem1024,
}

/// How a group computes.
enum Method {
    Modp(Modp),
    /// A curve, and whether its points carry the octet 4 in the library and not in IKE.
    Curve(&'static agreement::Algorithm, bool),
    Kem(&'static kem::Algorithm),
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Ecp256,
        Self::Ecp384,
        Self::Ecp521,
        Self::Curve25519,
        Self::MlKem768,
        Self::MlKem1024,
    ];

    /// Its number.
    pub fn id(self) -> GroupId {
        match self {
            Self::Modp2048 => GroupId::Modp2048,
            Self::Modp3072 => GroupId::Modp3072,
            Self::Modp4096 => GroupId::Modp4096,
            Self::Ecp256 => GroupId::Ecp256,
            Self::Ecp384 => GroupId::Ecp384,
            Self::Ecp521 => GroupId::Ecp521,
            Self::Curve25519 => GroupId::Curve25519,
            Self::MlKem768 => GroupId::MlKem768,
            Self::MlKem1024 => GroupId::MlKem1024,
        }
    }

    /// The method with this number, unless it is weak or unknown.
    pub fn from_id(id: GroupId) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.id() == id)
    }

    /// The method that a transform of type 4 or 6 to 12 names.
    pub fn from_transform(transform: &Transform) -> Option<Self> {
        match transform.id {
            TransformId::Group(id) | TransformId::AdditionalGroup(_, id)
                if transform.key_bits.is_none() && transform.other.is_empty() =>
            {
                Self::from_id(id)
            }
            _ => None,
        }
    }

    /// As it is offered for the first exchange.
    pub fn transform(self) -> Transform {
        Transform::new(TransformId::Group(self.id()))
    }

    /// As it is offered for an additional exchange.
    pub fn additional_transform(self, slot: Slot) -> Transform {
        Transform::new(TransformId::AdditionalGroup(slot, self.id()))
    }

    /// Whether the responder's share depends on the initiator's.
    pub fn is_kem(self) -> bool {
        matches!(self.method(), Method::Kem(_))
    }

    /// Octets of the initiator's share.
    pub fn initiator_share_len(self) -> usize {
        match self {
            Self::MlKem768 => 1_184,
            Self::MlKem1024 => 1_568,
            other => other.responder_share_len(),
        }
    }

    /// Octets of the responder's share.
    pub fn responder_share_len(self) -> usize {
        match self {
            Self::Modp2048 => 256,
            Self::Modp3072 => 384,
            Self::Modp4096 => 512,
            Self::Ecp256 => 64,
            Self::Ecp384 => 96,
            Self::Ecp521 => 132,
            Self::Curve25519 => 32,
            Self::MlKem768 => 1_088,
            Self::MlKem1024 => 1_568,
        }
    }

    /// Whether one computation takes milliseconds.
    pub(crate) fn is_dear(self) -> bool {
        matches!(self.method(), Method::Modp(_))
    }

    fn method(self) -> Method {
        match self {
            Self::Modp2048 => Method::Modp(Modp::Bits2048),
            Self::Modp3072 => Method::Modp(Modp::Bits3072),
            Self::Modp4096 => Method::Modp(Modp::Bits4096),
            Self::Ecp256 => Method::Curve(&agreement::ECDH_P256, true),
            Self::Ecp384 => Method::Curve(&agreement::ECDH_P384, true),
            Self::Ecp521 => Method::Curve(&agreement::ECDH_P521, true),
            Self::Curve25519 => Method::Curve(&agreement::X25519, false),
            Self::MlKem768 => Method::Kem(&kem::ML_KEM_768),
            Self::MlKem1024 => Method::Kem(&kem::ML_KEM_1024),
        }
    }

    /// Answers an initiator: our share and the secret. For a KEM the secret is made here, by the library's own randomness.
    pub fn respond(
        self,
        initiator_share: &[u8],
        random: &mut dyn Random,
    ) -> Result<(Vec<u8>, Secret), CryptoError> {
        check_length(initiator_share, self.initiator_share_len())?;
        if let Method::Kem(algorithm) = self.method() {
            let key =
                kem::EncapsulationKey::new(algorithm, initiator_share).map_err(|_| CryptoError::Share)?;
            let (ciphertext, secret) = key.encapsulate().map_err(|_| CryptoError::Share)?;
            return Ok((ciphertext.as_ref().to_vec(), Secret::new(secret.as_ref().to_vec())));
        }
        let pair = KeyPair::generate(self, random)?;
        let secret = pair.agree(initiator_share)?;
        Ok((pair.share, secret))
    }
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id().fmt(f)
    }
}

fn check_length(share: &[u8], wanted: usize) -> Result<(), CryptoError> {
    if share.len() == wanted { Ok(()) } else { Err(CryptoError::ShareLength { wanted, found: share.len() }) }
}

enum Private {
    Modp(Exponent),
    Curve { key: Box<agreement::PrivateKey>, prefixed: bool },
    Kem(Box<kem::DecapsulationKey>),
}

/// The initiator's half of a key exchange until the answer comes. It is used once.
pub struct KeyPair {
    group: Group,
    share: Vec<u8>,
    private: Private,
}

impl KeyPair {
    /// A new pair. The library draws ML-KEM keys by itself; all others come from `random`.
    pub fn generate(group: Group, random: &mut dyn Random) -> Result<Self, CryptoError> {
        match group.method() {
            Method::Modp(modp) => {
                let exponent = Exponent::generate(modp, random);
                Ok(Self { group, share: exponent.share()?, private: Private::Modp(exponent) })
            }
            Method::Curve(algorithm, prefixed) => {
                Self::from_curve_key(group, random_curve_key(algorithm, random)?, prefixed)
            }
            Method::Kem(algorithm) => {
                let key = kem::DecapsulationKey::generate(algorithm).map_err(|_| CryptoError::Library)?;
                let public = key.encapsulation_key().map_err(|_| CryptoError::Library)?;
                let share = public.key_bytes().map_err(|_| CryptoError::Library)?.as_ref().to_vec();
                Ok(Self { group, share, private: Private::Kem(Box::new(key)) })
            }
        }
    }

    fn from_curve_key(group: Group, key: agreement::PrivateKey, prefixed: bool) -> Result<Self, CryptoError> {
        let public = key.compute_public_key().map_err(|_| CryptoError::Library)?;
        // RFC 5903 7: x and y without the octet that says "uncompressed".
        let share = public.as_ref()[usize::from(prefixed)..].to_vec();
        Ok(Self { group, share, private: Private::Curve { key: Box::new(key), prefixed } })
    }

    /// The method.
    pub fn group(&self) -> Group {
        self.group
    }

    /// What goes into the KE payload.
    pub fn share(&self) -> &[u8] {
        &self.share
    }

    /// The secret with the responder's share.
    pub fn finish(self, responder_share: &[u8]) -> Result<Secret, CryptoError> {
        check_length(responder_share, self.group.responder_share_len())?;
        self.agree(responder_share)
    }

    /// `share` has the right length.
    fn agree(&self, share: &[u8]) -> Result<Secret, CryptoError> {
        match &self.private {
            Private::Modp(exponent) => exponent.agree(share),
            Private::Curve { key, prefixed: true } => agree_on_curve(key, &[&[4], share].concat()),
            Private::Curve { key, prefixed: false } => agree_on_curve(key, share),
            Private::Kem(key) => {
                let secret = key.decapsulate(share.into()).map_err(|_| CryptoError::Share)?;
                Ok(Secret::new(secret.as_ref().to_vec()))
            }
        }
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPair({})", self.group)
    }
}

/// The library refuses points off the curve and the X25519 result that is all zero; the latter is asked again here, since
/// RFC 8031 makes it ours to know (seen elsewhere: an all-zero share was answered).
fn agree_on_curve(key: &agreement::PrivateKey, share: &[u8]) -> Result<Secret, CryptoError> {
    let peer = agreement::UnparsedPublicKey::new(key.algorithm(), share);
    let secret = agreement::agree(key, peer, CryptoError::Share, |secret| Ok(Secret::new(secret.to_vec())))?;
    let zero = secret.expose().iter().fold(0, |seen, octet| seen | octet) == 0;
    if zero && *key.algorithm() == agreement::X25519 { Err(CryptoError::Share) } else { Ok(secret) }
}

/// Draws until the number is a private key; more than a few tries have no chance to happen with sound randomness.
fn random_curve_key(
    algorithm: &'static agreement::Algorithm,
    random: &mut dyn Random,
) -> Result<agreement::PrivateKey, CryptoError> {
    const TRIES: usize = 64;
    let (length, top) = match algorithm {
        a if *a == agreement::ECDH_P521 => (66, 0x01),
        a if *a == agreement::ECDH_P384 => (48, 0xff),
        _ => (32, 0xff),
    };
    let mut octets = Zeroizing::new(vec![0; length]);
    for _ in 0..TRIES {
        random.fill(&mut octets);
        octets[0] &= top;
        if let Ok(key) = agreement::PrivateKey::from_private_key(algorithm, &octets) {
            return Ok(key);
        }
    }
    Err(CryptoError::Library)
}

#[cfg(test)]
mod tests;
