//! The algorithms that a tunnel may name, and the keys that each asks for.

use ravelin_contract::sa::Hash;

/// How packets are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES-GCM with a 16-octet ICV (RFC 4106).
    AesGcm16,
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
    /// AES-GMAC, integrity alone (RFC 4543).
    AesGmac,
    /// AES-CBC (RFC 3602) with a hash.
    AesCbc(Hash),
    /// No encryption (RFC 2410), with a hash.
    Null(Hash),
}

/// A suite by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithm {
    /// As `[tunnel.manual]` and `ravelin sa list` write it.
    pub name: &'static str,
    /// What it does.
    pub cipher: Cipher,
    /// Octets of `key`; 0 for none.
    pub key: usize,
}

impl Algorithm {
    /// Whether it needs a `salt` of four octets.
    pub fn has_salt(&self) -> bool {
        matches!(self.cipher, Cipher::AesGcm16 | Cipher::ChaCha20Poly1305 | Cipher::AesGmac)
    }

    /// The hash, whose key is `integrity`.
    pub fn hash(&self) -> Option<Hash> {
        match self.cipher {
            Cipher::AesCbc(hash) | Cipher::Null(hash) => Some(hash),
            _ => None,
        }
    }
}

const fn suite(name: &'static str, cipher: Cipher, key: usize) -> Algorithm {
    Algorithm { name, cipher, key }
}

/// All of them, the recommended first. Suites without integrity do not exist.
pub const ALGORITHMS: &[Algorithm] = &[
    suite("aes256-gcm16", Cipher::AesGcm16, 32),
    suite("aes128-gcm16", Cipher::AesGcm16, 16),
    suite("chacha20-poly1305", Cipher::ChaCha20Poly1305, 32),
    suite("aes256-gmac", Cipher::AesGmac, 32),
    suite("aes128-gmac", Cipher::AesGmac, 16),
    suite("aes256-cbc-hmac-sha2-256", Cipher::AesCbc(Hash::Sha256), 32),
    suite("aes256-cbc-hmac-sha2-384", Cipher::AesCbc(Hash::Sha384), 32),
    suite("aes256-cbc-hmac-sha2-512", Cipher::AesCbc(Hash::Sha512), 32),
    suite("aes128-cbc-hmac-sha2-256", Cipher::AesCbc(Hash::Sha256), 16),
    suite("aes128-cbc-hmac-sha2-384", Cipher::AesCbc(Hash::Sha384), 16),
    suite("aes128-cbc-hmac-sha2-512", Cipher::AesCbc(Hash::Sha512), 16),
    suite("null-hmac-sha2-256", Cipher::Null(Hash::Sha256), 0),
    suite("null-hmac-sha2-384", Cipher::Null(Hash::Sha384), 0),
    suite("null-hmac-sha2-512", Cipher::Null(Hash::Sha512), 0),
];
