//! The plain back end: well-kept crates that choose AES instructions by themselves. Every other one must
//! give the same octets.

use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;

use crate::aead::{Algorithm, TAG_LEN};
use crate::error::BadTag;
use crate::text::Text;

/// An expanded key.
pub(crate) enum AeadKey {
    Aes128Gcm(Aes128Gcm),
    Aes256Gcm(Aes256Gcm),
    ChaCha20Poly1305(ChaCha20Poly1305),
}

impl AeadKey {
    /// `None` if the length is not the algorithm's.
    pub(crate) fn new(algorithm: Algorithm, octets: &[u8]) -> Option<Box<Self>> {
        let key = match algorithm {
            Algorithm::Aes128Gcm => Self::Aes128Gcm(KeyInit::new_from_slice(octets).ok()?),
            Algorithm::Aes256Gcm => Self::Aes256Gcm(KeyInit::new_from_slice(octets).ok()?),
            Algorithm::ChaCha20Poly1305 => Self::ChaCha20Poly1305(KeyInit::new_from_slice(octets).ok()?),
        };
        Some(Box::new(key))
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Aes128Gcm(_) => Algorithm::Aes128Gcm,
            Self::Aes256Gcm(_) => Algorithm::Aes256Gcm,
            Self::ChaCha20Poly1305(_) => Algorithm::ChaCha20Poly1305,
        }
    }

    /// Encrypts and writes the tag.
    pub(crate) fn seal(&self, nonce: &[u8; 12], aad: &[u8], text: &mut Text<'_>, tag: &mut [u8; TAG_LEN]) {
        match self {
            Self::Aes128Gcm(key) => seal_with(key, nonce.into(), aad, text, tag),
            Self::Aes256Gcm(key) => seal_with(key, nonce.into(), aad, text, tag),
            Self::ChaCha20Poly1305(key) => seal_with(key, nonce.into(), aad, text, tag),
        }
    }

    /// Decrypts if the tag is right, else wipes the output.
    pub(crate) fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        text: &mut Text<'_>,
        tag: &[u8; TAG_LEN],
    ) -> Result<(), BadTag> {
        match self {
            Self::Aes128Gcm(key) => open_with(key, nonce.into(), aad, text, tag.into()),
            Self::Aes256Gcm(key) => open_with(key, nonce.into(), aad, text, tag.into()),
            Self::ChaCha20Poly1305(key) => open_with(key, nonce.into(), aad, text, tag.into()),
        }
    }
}

fn seal_with<A: AeadInOut>(
    key: &A,
    nonce: &Nonce<A>,
    aad: &[u8],
    text: &mut Text<'_>,
    tag: &mut [u8; TAG_LEN],
) {
    let made = key.encrypt_inout_detached(nonce, aad, text.gather().into()).expect(
        "TEXT_MAX is below the limit of every algorithm, and no slice reaches that of associated data",
    );
    tag.copy_from_slice(&made);
}

fn open_with<A: AeadInOut>(
    key: &A,
    nonce: &Nonce<A>,
    aad: &[u8],
    text: &mut Text<'_>,
    tag: &Tag<A>,
) -> Result<(), BadTag> {
    let outcome = key.decrypt_inout_detached(nonce, aad, text.gather().into(), tag);
    outcome.map_err(|_| {
        text.wipe();
        BadTag
    })
}
