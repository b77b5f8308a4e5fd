//! AEAD keys of one direction of an IKE SA (RFC 5282, RFC 7634): key, salt, and the nonce of both.

use aws_lc_rs::aead;

use super::cipher::{Cipher, KeySize, SALT};
use super::{CryptoError, Secret};

/// Octets of the explicit IV.
pub(crate) const IV: usize = 8;
/// Octets of the tag.
pub(crate) const TAG: usize = 16;

/// As it was derived. What the library makes of a key takes 16 times its room and less than a microsecond: an IKE SA that waits
/// for its next message keeps none of it.
pub(crate) struct AeadKey {
    algorithm: &'static aead::Algorithm,
    key: Secret,
    salt: [u8; SALT],
}

impl AeadKey {
    /// From SK_ei or SK_er: the key with its salt after it.
    pub(crate) fn new(cipher: Cipher, octets: &[u8]) -> Result<Self, CryptoError> {
        let algorithm = match cipher {
            Cipher::AesGcm16(KeySize::Bits128) => &aead::AES_128_GCM,
            Cipher::AesGcm16(KeySize::Bits192) => &aead::AES_192_GCM,
            Cipher::AesGcm16(KeySize::Bits256) => &aead::AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
            Cipher::AesCbc(_) => return Err(CryptoError::KeyLength),
        };
        let (key, salt) = octets.split_last_chunk::<SALT>().ok_or(CryptoError::KeyLength)?;
        if key.len() != algorithm.key_len() {
            return Err(CryptoError::KeyLength);
        }
        Ok(Self { algorithm, key: Secret::new(key.to_vec()), salt: *salt })
    }

    fn expanded(&self) -> Result<aead::LessSafeKey, CryptoError> {
        let key = aead::UnboundKey::new(self.algorithm, self.key.expose());
        key.map(aead::LessSafeKey::new).map_err(|_| CryptoError::KeyLength)
    }

    fn nonce(&self, iv: [u8; IV]) -> aead::Nonce {
        let mut nonce = [0; SALT + IV];
        nonce[..SALT].copy_from_slice(&self.salt);
        nonce[SALT..].copy_from_slice(&iv);
        aead::Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts `text` where it stands and returns the tag. `iv` must be new: see [`crate::sealed::SealingKey`].
    pub(crate) fn seal(
        &self,
        iv: [u8; IV],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG], CryptoError> {
        let tag = self
            .expanded()?
            .seal_in_place_separate_tag(self.nonce(iv), aead::Aad::from(associated), text)
            .map_err(|_| CryptoError::Library)?;
        tag.as_ref().try_into().map_err(|_| CryptoError::Library)
    }

    /// Decrypts `text`, which ends with its tag, where it stands; returns the length of the plaintext.
    pub(crate) fn open(&self, iv: [u8; IV], associated: &[u8], text: &mut [u8]) -> Option<usize> {
        self.expanded()
            .ok()?
            .open_in_place(self.nonce(iv), aead::Aad::from(associated), text)
            .ok()
            .map(|plain| plain.len())
    }
}
