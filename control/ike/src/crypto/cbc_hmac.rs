//! AES-CBC (RFC 3602) with HMAC (RFC 4868), encrypt then MAC, of one direction of an IKE SA.

use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use aws_lc_rs::hmac;

use super::cipher::{Integrity, KeySize};
use super::{CryptoError, Secret};

/// Octets of a block and of the IV.
pub(crate) const BLOCK: usize = 16;

pub(crate) struct CbcHmacKey {
    size: KeySize,
    key: Secret,
    integrity: Integrity,
    /// A prepared key would take 1,200 octets of each IKE SA for a microsecond of each message.
    mac: Secret,
}

impl CbcHmacKey {
    pub(crate) fn new(
        size: KeySize,
        key: &[u8],
        integrity: Integrity,
        mac_key: &[u8],
    ) -> Result<Self, CryptoError> {
        if key.len() != size.octets() || mac_key.len() != integrity.key_len() {
            return Err(CryptoError::KeyLength);
        }
        Ok(Self { size, key: Secret::new(key.to_vec()), integrity, mac: Secret::new(mac_key.to_vec()) })
    }

    /// Octets of the checksum at the end of each message.
    pub(crate) fn checksum_len(&self) -> usize {
        self.integrity.checksum_len()
    }

    /// Encrypts whole blocks where they stand.
    pub(crate) fn encrypt(&self, iv: [u8; BLOCK], text: &mut [u8]) -> Result<(), CryptoError> {
        match self.size {
            KeySize::Bits128 => {
                encrypt_with(cbc::Encryptor::<aes::Aes128>::new_from_slices(self.key.expose(), &iv), text)
            }
            KeySize::Bits192 => {
                encrypt_with(cbc::Encryptor::<aes::Aes192>::new_from_slices(self.key.expose(), &iv), text)
            }
            KeySize::Bits256 => {
                encrypt_with(cbc::Encryptor::<aes::Aes256>::new_from_slices(self.key.expose(), &iv), text)
            }
        }
    }

    /// Decrypts whole blocks where they stand. Only after [`Self::verify`].
    pub(crate) fn decrypt(&self, iv: [u8; BLOCK], text: &mut [u8]) -> Result<(), CryptoError> {
        match self.size {
            KeySize::Bits128 => {
                decrypt_with(cbc::Decryptor::<aes::Aes128>::new_from_slices(self.key.expose(), &iv), text)
            }
            KeySize::Bits192 => {
                decrypt_with(cbc::Decryptor::<aes::Aes192>::new_from_slices(self.key.expose(), &iv), text)
            }
            KeySize::Bits256 => {
                decrypt_with(cbc::Decryptor::<aes::Aes256>::new_from_slices(self.key.expose(), &iv), text)
            }
        }
    }

    /// The checksum over these parts one after the other.
    pub(crate) fn checksum(&self, parts: [&[u8]; 2]) -> Vec<u8> {
        let key = hmac::Key::new(self.integrity.algorithm(), self.mac.expose());
        let mut context = hmac::Context::with_key(&key);
        parts.iter().for_each(|part| context.update(part));
        context.sign().as_ref()[..self.checksum_len()].to_vec()
    }

    /// Whether `found` is the checksum of these parts.
    pub(crate) fn verify(&self, parts: [&[u8]; 2], found: &[u8]) -> bool {
        super::equal(&self.checksum(parts), found)
    }
}

fn encrypt_with<M: BlockModeEncrypt, E>(mode: Result<M, E>, text: &mut [u8]) -> Result<(), CryptoError> {
    let mut mode = mode.map_err(|_| CryptoError::KeyLength)?;
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    mode.encrypt_blocks(blocks);
    if rest.is_empty() { Ok(()) } else { Err(CryptoError::Library) }
}

fn decrypt_with<M: BlockModeDecrypt, E>(mode: Result<M, E>, text: &mut [u8]) -> Result<(), CryptoError> {
    let mut mode = mode.map_err(|_| CryptoError::KeyLength)?;
    let (blocks, rest) = Array::slice_as_chunks_mut(text);
    mode.decrypt_blocks(blocks);
    if rest.is_empty() { Ok(()) } else { Err(CryptoError::Library) }
}
