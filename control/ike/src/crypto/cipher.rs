//! Encryption and integrity: what an IKE SA and what a child SA may use, and how long their keys are.

use aws_lc_rs::hmac;
use ravelin_contract::sa::Hash;

use crate::wire::{EncryptionId, IntegrityId, Transform, TransformId};

/// Length of an AES key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySize {
    /// 128 bits.
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
}

impl KeySize {
    /// Its octets.
    pub fn octets(self) -> usize {
        usize::from(self.bits() / 8)
    }

    /// Its bits.
    pub fn bits(self) -> u16 {
        match self {
            Self::Bits128 => 128,
            Self::Bits192 => 192,
            Self::Bits256 => 256,
        }
    }
}

/// Encryption of an IKE SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// ENCR_AES_GCM_16 (RFC 5282).
    AesGcm16(KeySize),
    /// ENCR_CHACHA20_POLY1305 (RFC 7634).
    ChaCha20Poly1305,
    /// ENCR_AES_CBC (RFC 3602), which needs an [`Integrity`].
    AesCbc(KeySize),
}

impl Cipher {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::AesGcm16(KeySize::Bits128),
        Self::AesGcm16(KeySize::Bits192),
        Self::AesGcm16(KeySize::Bits256),
        Self::ChaCha20Poly1305,
        Self::AesCbc(KeySize::Bits128),
        Self::AesCbc(KeySize::Bits192),
        Self::AesCbc(KeySize::Bits256),
    ];

    /// As it is offered.
    pub fn transform(self) -> Transform {
        let id = TransformId::Encryption;
        match self {
            Self::AesGcm16(size) => Transform::with_key_bits(id(EncryptionId::AesGcm16), size.bits()),
            Self::ChaCha20Poly1305 => Transform::new(id(EncryptionId::ChaCha20Poly1305)),
            Self::AesCbc(size) => Transform::with_key_bits(id(EncryptionId::AesCbc), size.bits()),
        }
    }

    /// The cipher that a transform names, unless it is weak or unknown.
    pub fn from_transform(transform: &Transform) -> Option<Self> {
        Self::ALL.into_iter().find(|cipher| cipher.transform() == *transform)
    }

    /// Whether it authenticates by itself, so that an integrity transform has no place.
    pub fn is_aead(self) -> bool {
        !matches!(self, Self::AesCbc(_))
    }

    /// Octets of SK_ei or SK_er: the key, and for AEAD the salt of the nonce after it.
    pub fn key_len(self) -> usize {
        match self {
            Self::AesGcm16(size) => size.octets() + SALT,
            Self::ChaCha20Poly1305 => 32 + SALT,
            Self::AesCbc(size) => size.octets(),
        }
    }

    /// Octets of the IV in each message.
    pub fn iv_len(self) -> usize {
        if self.is_aead() { 8 } else { 16 }
    }

    /// Octets that plaintext with padding is a multiple of.
    pub fn block_len(self) -> usize {
        if self.is_aead() { 1 } else { 16 }
    }
}

/// Octets of the salt of an AEAD's nonce.
pub(crate) const SALT: usize = 4;

impl std::fmt::Display for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.transform().fmt(f)
    }
}

/// Integrity beside a cipher that has none (RFC 4868). The checksum is half of the hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Integrity {
    /// AUTH_HMAC_SHA2_256_128.
    HmacSha256,
    /// AUTH_HMAC_SHA2_384_192.
    HmacSha384,
    /// AUTH_HMAC_SHA2_512_256.
    HmacSha512,
}

impl Integrity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// Its number.
    pub fn id(self) -> IntegrityId {
        match self {
            Self::HmacSha256 => IntegrityId::HmacSha2_256_128,
            Self::HmacSha384 => IntegrityId::HmacSha2_384_192,
            Self::HmacSha512 => IntegrityId::HmacSha2_512_256,
        }
    }

    /// As it is offered.
    pub fn transform(self) -> Transform {
        Transform::new(TransformId::Integrity(self.id()))
    }

    /// The algorithm that a transform names, unless it is weak or unknown.
    pub fn from_transform(transform: &Transform) -> Option<Self> {
        Self::ALL.into_iter().find(|integrity| integrity.transform() == *transform)
    }

    /// As the dataplane names it.
    pub fn hash(self) -> Hash {
        match self {
            Self::HmacSha256 => Hash::Sha256,
            Self::HmacSha384 => Hash::Sha384,
            Self::HmacSha512 => Hash::Sha512,
        }
    }

    /// Octets of its key.
    pub fn key_len(self) -> usize {
        self.hash().key_len()
    }

    /// Octets of the checksum.
    pub fn checksum_len(self) -> usize {
        self.key_len() / 2
    }

    pub(crate) fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }
}

impl std::fmt::Display for Integrity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.id().fmt(f)
    }
}

/// Encryption of a child SA: what the dataplane can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChildCipher {
    /// ENCR_AES_GCM_16 (RFC 4106).
    AesGcm16(KeySize),
    /// ENCR_CHACHA20_POLY1305 (RFC 7634).
    ChaCha20Poly1305,
    /// ENCR_AES_CBC with an [`Integrity`].
    AesCbc(KeySize),
    /// ENCR_NULL_AUTH_AES_GMAC (RFC 4543): integrity alone.
    AesGmac(KeySize),
    /// ENCR_NULL with an [`Integrity`].
    Null,
}

impl ChildCipher {
    /// All of them. The dataplane has no AES-192.
    pub const ALL: [Self; 8] = [
        Self::AesGcm16(KeySize::Bits128),
        Self::AesGcm16(KeySize::Bits256),
        Self::ChaCha20Poly1305,
        Self::AesCbc(KeySize::Bits128),
        Self::AesCbc(KeySize::Bits256),
        Self::AesGmac(KeySize::Bits128),
        Self::AesGmac(KeySize::Bits256),
        Self::Null,
    ];

    /// As it is offered.
    pub fn transform(self) -> Transform {
        let id = TransformId::Encryption;
        match self {
            Self::AesGcm16(size) => Cipher::AesGcm16(size).transform(),
            Self::ChaCha20Poly1305 => Cipher::ChaCha20Poly1305.transform(),
            Self::AesCbc(size) => Cipher::AesCbc(size).transform(),
            Self::AesGmac(size) => Transform::with_key_bits(id(EncryptionId::NullAuthAesGmac), size.bits()),
            Self::Null => Transform::new(id(EncryptionId::Null)),
        }
    }

    /// The cipher that a transform names, unless it is weak or unknown.
    pub fn from_transform(transform: &Transform) -> Option<Self> {
        Self::ALL.into_iter().find(|cipher| cipher.transform() == *transform)
    }

    /// Whether it authenticates by itself.
    pub fn is_aead(self) -> bool {
        !matches!(self, Self::AesCbc(_) | Self::Null)
    }

    /// Octets of key material, with the salt after the key.
    pub fn key_len(self) -> usize {
        match self {
            Self::AesGcm16(size) | Self::AesGmac(size) => size.octets() + SALT,
            Self::ChaCha20Poly1305 => 32 + SALT,
            Self::AesCbc(size) => size.octets(),
            Self::Null => 0,
        }
    }
}

impl std::fmt::Display for ChildCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.transform().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transforms_name_each_algorithm_once() {
        for cipher in Cipher::ALL {
            assert_eq!(Cipher::from_transform(&cipher.transform()), Some(cipher));
        }
        for cipher in ChildCipher::ALL {
            assert_eq!(ChildCipher::from_transform(&cipher.transform()), Some(cipher));
        }
    }

    #[test]
    fn weak_or_odd_transforms_name_nothing() {
        let des = Transform::new(TransformId::Encryption(EncryptionId::TripleDes));
        let gcm_without_length = Transform::new(TransformId::Encryption(EncryptionId::AesGcm16));
        let chacha_with_length =
            Transform::with_key_bits(TransformId::Encryption(EncryptionId::ChaCha20Poly1305), 256);
        for transform in [des, gcm_without_length, chacha_with_length] {
            assert_eq!(Cipher::from_transform(&transform), None, "{transform}");
            assert_eq!(ChildCipher::from_transform(&transform), None, "{transform}");
        }
    }
}
