//! Names for keys that do not tell the key: SHA-256 over everything that the name must tell apart.

use ravelin_contract::sa::{Sa, Transform};
use ravelin_contract::secret::Secret;
use sha2::{Digest, Sha256};

/// A key's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Names algorithm, keys and salt: equal exactly when the transforms are.
    pub fn of_transform(transform: &Transform) -> Self {
        let algorithm = transform.name().as_bytes();
        match transform {
            Transform::AesGcm16 { key, salt }
            | Transform::ChaCha20Poly1305 { key, salt }
            | Transform::AesGmac { key, salt } => Self::of(&[b"transform", algorithm, key.expose(), salt]),
            Transform::AesCbc { key, integrity } => {
                Self::of(&[b"transform", algorithm, key.expose(), integrity.key.expose()])
            }
            Transform::Null { integrity } => Self::of(&[b"transform", algorithm, integrity.key.expose()]),
        }
    }

    /// Names the space of sequence numbers that the SA draws from or checks against.
    ///
    /// Where a repeated number would repeat a nonce, that is the cipher's key with the salt, and nothing else: a new SPI
    /// or a change between AES-GCM and AES-GMAC under the same key must go on counting. For other suites, and for every
    /// inbound SA, numbers matter only to the receiver's window, which belongs to the SPI.
    pub fn of_numbers(sa: &Sa) -> Self {
        let nonce_space =
            |cipher: &[u8], key: &Secret, salt: &[u8; 4]| Self::of(&[b"nonces", cipher, key.expose(), salt]);
        match &sa.transform {
            Transform::AesGcm16 { key, salt } | Transform::AesGmac { key, salt } if sa.is_outbound() => {
                nonce_space(b"aes", key, salt)
            }
            Transform::ChaCha20Poly1305 { key, salt } if sa.is_outbound() => {
                nonce_space(b"chacha20", key, salt)
            }
            transform => {
                let direction: &[u8] = if sa.is_outbound() { b"outbound" } else { b"inbound" };
                let keys = Self::of_transform(transform).0;
                Self::of(&[b"window", direction, &sa.spi.get().to_be_bytes(), &keys])
            }
        }
    }

    /// Enough of it to tell a million keys apart.
    pub(super) fn short(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The lengths keep the parts apart.
    fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
