//! The algorithms of one SA: expanded keys, and the lengths that they bring.

use ravelin_contract::sa::{Hash, Transform};
use ravelin_crypto_accel::aead::{self, Algorithm};
use ravelin_crypto_accel::error::KeyError;
use ravelin_crypto_accel::etm;

use super::trailer::{self, TRAILER};
use crate::wire::esp::HEADER;

/// ESP payloads end on 4 octets whatever the cipher (RFC 4303 2.4).
const WORD: u8 = 4;

/// Keys, and how much of a packet the algorithms take.
#[derive(Debug)]
pub(super) struct Suite {
    /// What does the work.
    pub(super) cipher: Cipher,
    /// Octets of IV between header and payload.
    iv_len: u8,
    /// Octets of ICV at the end.
    icv_len: u8,
    /// What payload and trailer together are a multiple of: 4 or 16.
    align: u8,
}

/// The two shapes of protection.
#[derive(Debug)]
pub(super) enum Cipher {
    /// Combined mode.
    Aead {
        /// Expanded key.
        key: aead::Key,
        /// First four octets of the nonce.
        salt: Salt,
        /// AES-GMAC: nothing is encrypted, IV and payload are authenticated with the header (RFC 4543 3.3).
        in_clear: bool,
    },
    /// Cipher, or none, and HMAC.
    Etm(etm::Key),
}

/// Half a secret: Debug does not show it.
#[derive(Clone, Copy)]
pub(super) struct Salt(pub(super) [u8; 4]);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt")
    }
}

impl Suite {
    /// Expands the keys.
    pub(super) fn new(transform: &Transform) -> Result<Self, KeyError> {
        let aes = |key_len| if key_len == 32 { Algorithm::Aes256Gcm } else { Algorithm::Aes128Gcm };
        let combined = |algorithm, key: &[u8], salt: &[u8; 4], in_clear| {
            let cipher = Cipher::Aead { key: aead::Key::new(algorithm, key)?, salt: Salt(*salt), in_clear };
            Ok(Self { cipher, iv_len: 8, icv_len: aead::TAG_LEN as u8, align: WORD })
        };
        match transform {
            Transform::AesGcm16 { key, salt } => combined(aes(key.len()), key.expose(), salt, false),
            Transform::AesGmac { key, salt } => combined(aes(key.len()), key.expose(), salt, true),
            Transform::ChaCha20Poly1305 { key, salt } => {
                combined(Algorithm::ChaCha20Poly1305, key.expose(), salt, false)
            }
            Transform::AesCbc { key, integrity } => {
                let mac = (hash(integrity.hash), integrity.key.expose());
                Self::encrypt_then_mac(etm::Cipher::AesCbc, key.expose(), mac, etm::BLOCK_LEN as u8)
            }
            Transform::Null { integrity } => {
                let mac = (hash(integrity.hash), integrity.key.expose());
                Self::encrypt_then_mac(etm::Cipher::Null, &[], mac, WORD)
            }
        }
    }

    fn encrypt_then_mac(
        cipher: etm::Cipher,
        key: &[u8],
        mac: (etm::Hash, &[u8]),
        align: u8,
    ) -> Result<Self, KeyError> {
        let key = etm::Key::new(cipher, key, mac.0, mac.1)?;
        let (iv_len, icv_len) = (key.iv_len() as u8, key.icv_len() as u8);
        Ok(Self { cipher: Cipher::Etm(key), iv_len, icv_len, align })
    }

    /// Octets of SPI, sequence number and IV.
    pub(super) fn front(&self) -> usize {
        HEADER + usize::from(self.iv_len)
    }

    /// Octets of ICV.
    pub(super) fn icv_len(&self) -> usize {
        self.icv_len.into()
    }

    /// Octets of padding after `payload` octets.
    pub(super) fn padding(&self, payload: usize) -> usize {
        trailer::padding(payload, self.align.into())
    }

    /// Most octets of payload in an ESP packet of `esp` octets, header to ICV.
    pub(super) fn most_payload(&self, esp: usize) -> usize {
        let text = esp.saturating_sub(self.front() + self.icv_len());
        (text - text % usize::from(self.align)).saturating_sub(TRAILER)
    }

    /// Octets of payload, padding and trailer in an ESP packet of `esp` octets, header to ICV. `None` when no sender
    /// makes such a packet: too short, or not in whole units.
    pub(super) fn text_len(&self, esp: usize) -> Option<usize> {
        let text = esp.checked_sub(self.front() + self.icv_len())?;
        (text >= TRAILER && text.is_multiple_of(self.align.into())).then_some(text)
    }
}

fn hash(hash: Hash) -> etm::Hash {
    match hash {
        Hash::Sha256 => etm::Hash::Sha256,
        Hash::Sha384 => etm::Hash::Sha384,
        Hash::Sha512 => etm::Hash::Sha512,
    }
}
