//! Encrypt-then-MAC, the older suites of ESP: AES-CBC (RFC 3602) or no encryption (RFC 2410), each with
//! HMAC-SHA-2 (RFC 4868).

use aes::{Aes128, Aes256};
use cbc::cipher::array::Array;
use cbc::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
    consts::U16,
};
use cbc::{Decryptor, Encryptor};
use hmac::{EagerHash, Hmac, Mac};
use sha2::{Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use crate::error::{BadTag, KeyError, LengthError};
use crate::iv::Iv;
use crate::low::{Locked, cleanly};
use crate::text::Text;

/// Octets of a block and of an IV.
pub const BLOCK_LEN: usize = 16;

/// What encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// Nothing: the text stays in clear (RFC 2410). Key and IV are empty.
    Null,
    /// AES-CBC with a key of 16 or 32 octets and an explicit IV of 16.
    AesCbc,
}

/// What authenticates: HMAC with this hash; the ICV is the first half of its output (RFC 4868 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// HMAC-SHA-256-128: key 32, ICV 16 octets.
    Sha256,
    /// HMAC-SHA-384-192: key 48, ICV 24 octets.
    Sha384,
    /// HMAC-SHA-512-256: key 64, ICV 32 octets.
    Sha512,
}

impl Hash {
    /// Octets of the key, which are those of the hash (RFC 4868 2.1.1).
    pub fn key_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Octets of the ICV.
    pub fn icv_len(self) -> usize {
        self.key_len() / 2
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "HMAC-SHA-256-128",
            Self::Sha384 => "HMAC-SHA-384-192",
            Self::Sha512 => "HMAC-SHA-512-256",
        }
    }
}

/// Why a text was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Lengths that no sender of this suite makes. Nothing was read or written.
    #[error(transparent)]
    Length(#[from] LengthError),
    /// Not authentic. The output holds zeros.
    #[error(transparent)]
    BadTag(#[from] BadTag),
}

/// Expanded keys of one SA: made once, shared by all threads, wiped when dropped.
pub struct Key {
    crypt: Crypt,
    sign: Sign,
    hash: Hash,
}

enum Crypt {
    Null,
    Aes128(Locked<Aes128>),
    Aes256(Locked<Aes256>),
}

/// HMAC states that have read the key already, so that a packet pays no block for it.
enum Sign {
    Sha256(Locked<Hmac<Sha256>>),
    Sha384(Locked<Hmac<Sha384>>),
    Sha512(Locked<Hmac<Sha512>>),
}

impl Key {
    /// Expands both keys. The caller wipes its own copies.
    ///
    /// # Errors
    /// A key whose length its algorithm does not take.
    pub fn new(cipher: Cipher, cipher_key: &[u8], hash: Hash, mac_key: &[u8]) -> Result<Self, KeyError> {
        cleanly(|| Ok(Self { crypt: Crypt::new(cipher, cipher_key)?, sign: Sign::new(hash, mac_key)?, hash }))
    }

    /// Octets of the ICV it makes.
    pub fn icv_len(&self) -> usize {
        self.hash.icv_len()
    }

    /// Octets of the IV that travels in the packet: 16 for CBC, else 0.
    pub fn iv_len(&self) -> usize {
        if self.crypt.is_null() { 0 } else { BLOCK_LEN }
    }

    /// Encrypts `text` and writes the ICV over `before | iv | ciphertext | after` to `icv`.
    ///
    /// For ESP `before` is SPI and sequence number, `after` the upper half of an extended number or empty
    /// (RFC 4303 2.2.1). `iv` comes from [`iv::Generator`](crate::iv::Generator); its octets travel in the packet, but
    /// [`Cipher::Null`] has none and ignores it.
    ///
    /// # Errors
    /// CBC with a text that is no multiple of [`BLOCK_LEN`], or an `icv` not of [`Key::icv_len`] octets.
    pub fn seal(
        &self,
        before: &[u8],
        iv: Iv,
        mut text: Text<'_>,
        after: &[u8],
        icv: &mut [u8],
    ) -> Result<(), LengthError> {
        self.check_lengths(&text, icv.len())?;
        cleanly(|| {
            let octets = text.gather();
            self.crypt.encrypt(&iv.0, octets);
            let icv_len = icv.len();
            let full = self.sign.over(&[before, &iv.0[..self.iv_len()], octets, after]);
            icv.copy_from_slice(&full[..icv_len]);
        });
        Ok(())
    }

    /// Verifies the ICV, and only then decrypts. Arguments as for [`Key::seal`], the IV as it came.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open(
        &self,
        before: &[u8],
        iv: &[u8; BLOCK_LEN],
        mut text: Text<'_>,
        after: &[u8],
        icv: &[u8],
    ) -> Result<(), OpenError> {
        self.check_lengths(&text, icv.len())?;
        // What is cleared holds the right ICV, too: that of a forged packet would let its sender try again.
        cleanly(|| {
            let octets = text.gather();
            let full = self.sign.over(&[before, &iv[..self.iv_len()], octets, after]);
            if bool::from(full[..icv.len()].ct_eq(icv)) {
                self.crypt.decrypt(iv, octets);
                Ok(())
            } else {
                text.wipe();
                Err(BadTag.into())
            }
        })
    }

    fn check_lengths(&self, text: &Text<'_>, icv_len: usize) -> Result<(), LengthError> {
        if icv_len != self.icv_len() {
            return Err(LengthError::Icv { expected: self.icv_len(), given: icv_len });
        }
        if !self.crypt.is_null() && !text.len().is_multiple_of(BLOCK_LEN) {
            return Err(LengthError::Blocks(text.len()));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "etm::Key({}, {})", self.crypt.name(), self.hash.name())
    }
}

impl Crypt {
    fn new(cipher: Cipher, key: &[u8]) -> Result<Self, KeyError> {
        match (cipher, key.len()) {
            (Cipher::Null, 0) => Ok(Self::Null),
            (Cipher::Null, given) => Err(KeyError { algorithm: "NULL", given }),
            (Cipher::AesCbc, given) => Self::aes(key).ok_or(KeyError { algorithm: "AES-CBC", given }),
        }
    }

    fn aes(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Some(Self::Aes128(Locked::new(Aes128::new_from_slice(key).ok()?))),
            32 => Some(Self::Aes256(Locked::new(Aes256::new_from_slice(key).ok()?))),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Aes128(_) => "AES-128-CBC",
            Self::Aes256(_) => "AES-256-CBC",
        }
    }

    /// `octets` are whole blocks unless NULL.
    fn encrypt(&self, iv: &[u8; BLOCK_LEN], octets: &mut [u8]) {
        match self {
            Self::Null => {}
            Self::Aes128(aes) => cbc_encrypt(&**aes, iv, octets),
            Self::Aes256(aes) => cbc_encrypt(&**aes, iv, octets),
        }
    }

    /// `octets` are whole blocks unless NULL.
    fn decrypt(&self, iv: &[u8; BLOCK_LEN], octets: &mut [u8]) {
        match self {
            Self::Null => {}
            Self::Aes128(aes) => cbc_decrypt(&**aes, iv, octets),
            Self::Aes256(aes) => cbc_decrypt(&**aes, iv, octets),
        }
    }
}

fn cbc_encrypt<C>(aes: &C, iv: &[u8; BLOCK_LEN], octets: &mut [u8])
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    let (blocks, _) = Array::slice_as_chunks_mut(octets);
    Encryptor::inner_iv_init(aes, iv.into()).encrypt_blocks(blocks);
}

fn cbc_decrypt<C>(aes: &C, iv: &[u8; BLOCK_LEN], octets: &mut [u8])
where
    C: BlockCipherDecrypt<BlockSize = U16>,
{
    let (blocks, _) = Array::slice_as_chunks_mut(octets);
    Decryptor::inner_iv_init(aes, iv.into()).decrypt_blocks(blocks);
}

impl Sign {
    fn new(hash: Hash, key: &[u8]) -> Result<Self, KeyError> {
        let refused = KeyError { algorithm: hash.name(), given: key.len() };
        if key.len() != hash.key_len() {
            return Err(refused);
        }
        let sign = match hash {
            Hash::Sha256 => Hmac::new_from_slice(key).map(|mac| Self::Sha256(Locked::new(mac))),
            Hash::Sha384 => Hmac::new_from_slice(key).map(|mac| Self::Sha384(Locked::new(mac))),
            Hash::Sha512 => Hmac::new_from_slice(key).map(|mac| Self::Sha512(Locked::new(mac))),
        };
        sign.map_err(|_| refused)
    }

    /// The whole HMAC over the parts in order, zeros behind it.
    fn over(&self, parts: &[&[u8]]) -> [u8; 64] {
        match self {
            Self::Sha256(mac) => mac_over(mac, parts),
            Self::Sha384(mac) => mac_over(mac, parts),
            Self::Sha512(mac) => mac_over(mac, parts),
        }
    }
}

fn mac_over<D: EagerHash>(keyed: &Hmac<D>, parts: &[&[u8]]) -> [u8; 64]
where
    Hmac<D>: Mac + Clone,
{
    let mut mac = keyed.clone();
    for part in parts {
        mac.update(part);
    }
    let made = mac.finalize().into_bytes();
    let mut full = [0; 64];
    full[..made.len()].copy_from_slice(&made);
    full
}
