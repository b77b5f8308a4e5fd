//! One direction's key with what hangs on version and suite: nonces, associated data, octets that records have beside
//! their content, and how many records the key may protect.

use ravelin_contract::tls_session::{Aead, Fault, Suite, Traffic, Version};
use ravelin_crypto_accel::KeyError;
use ravelin_crypto_accel::aead::{Algorithm, Folded, Key, TAG_LEN};
use ravelin_crypto_accel::nonce::{Nonce, Number, ReceivedNonce};
use zeroize::ZeroizeOnDrop;

use crate::header::{HEADER_LEN, Header};

/// Octets of the nonce that travel in a record of TLS 1.2 with AES-GCM (RFC 5288 3).
pub(crate) const EXPLICIT_LEN: usize = 8;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// What control sent does not fit together.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The AEAD refused its key.
    #[error("{0}")]
    Key(#[from] KeyError),
}

/// A key in use.
pub(crate) struct Protection {
    key: Held,
    iv: Iv,
    pub(crate) layout: Layout,
}

#[derive(ZeroizeOnDrop)]
struct Iv([u8; 12]);

/// How records look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The content type and padding are inside; the header is the associated data (RFC 8446 5.2).
    Tls13,
    /// Eight octets of the nonce stand before the text (RFC 5288 3).
    Tls12Explicit,
    /// The nonce is static IV and number (RFC 7905 2).
    Tls12Implicit,
}

/// How many records one key may protect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyLimit {
    /// From this number on a new key is asked for.
    pub(crate) soft: u64,
    /// This number and higher ones are not used.
    pub(crate) hard: u64,
}

impl KeyLimit {
    /// RFC 8446 5.5 lets AES-GCM protect 2^24.5 full records, and ChaCha20-Poly1305 as many as there are numbers.
    /// 2^20 records of margin are 16 GiB, in which control can answer.
    pub(crate) fn of(suite: Suite) -> Self {
        let hard: u64 = match suite.aead() {
            Aead::Aes128Gcm | Aead::Aes256Gcm => 1 << 24,
            Aead::ChaCha20Poly1305 => 1 << 62,
        };
        Self { soft: hard - (1 << 20), hard }
    }
}

/// A key, expanded or at rest.
enum Held {
    Ready(Key),
    Folded(Folded),
}

impl Protection {
    pub(crate) fn new(suite: Suite, traffic: &Traffic) -> Result<Self, KeyFault> {
        traffic.check(suite)?;
        let (algorithm, layout) = match (suite.aead(), suite.version()) {
            (Aead::Aes128Gcm, Version::Tls12) => (Algorithm::Aes128Gcm, Layout::Tls12Explicit),
            (Aead::Aes256Gcm, Version::Tls12) => (Algorithm::Aes256Gcm, Layout::Tls12Explicit),
            (Aead::ChaCha20Poly1305, Version::Tls12) => (Algorithm::ChaCha20Poly1305, Layout::Tls12Implicit),
            (Aead::Aes128Gcm, Version::Tls13) => (Algorithm::Aes128Gcm, Layout::Tls13),
            (Aead::Aes256Gcm, Version::Tls13) => (Algorithm::Aes256Gcm, Layout::Tls13),
            (Aead::ChaCha20Poly1305, Version::Tls13) => (Algorithm::ChaCha20Poly1305, Layout::Tls13),
        };
        let iv = traffic.iv.expose().try_into().map_err(|_| Fault::Iv(traffic.iv.len() as u64))?;
        let key = Held::Ready(Key::new(algorithm, traffic.key.expose())?);
        Ok(Self { key, iv: Iv(iv), layout })
    }

    /// The expanded key; none while it is at rest.
    pub(crate) fn key(&self) -> Option<&Key> {
        match &self.key {
            Held::Ready(key) => Some(key),
            Held::Folded(_) => None,
        }
    }

    /// Lets the key rest, where that saves memory.
    pub(crate) fn rest(&mut self) {
        if let Held::Ready(key) = &self.key
            && let Some(folded) = key.fold()
        {
            self.key = Held::Folded(folded);
        }
    }

    /// Has the key expanded.
    pub(crate) fn wake(&mut self) {
        if let Held::Folded(folded) = &self.key
            && let Some(key) = folded.unfold()
        {
            self.key = Held::Ready(key);
        }
    }

    /// The nonce of a record that we send, and what of it travels, where something does.
    ///
    /// The explicit part is mixed from the number and the value that control began with, and not the number alone: control
    /// has sealed its Finished so, and what two numbers give must differ under the same start.
    pub(crate) fn nonce(&self, number: Number) -> (Nonce, [u8; EXPLICIT_LEN]) {
        let [_, _, _, _, start @ ..] = self.iv.0;
        let explicit = (u64::from_be_bytes(start) ^ number.get()).to_be_bytes();
        (Nonce::tls13(&self.iv.0, number), explicit)
    }

    /// The nonce of a record that came.
    pub(crate) fn received_nonce(&self, number: u64, explicit: [u8; EXPLICIT_LEN]) -> ReceivedNonce {
        let [a, b, c, d, ..] = self.iv.0;
        match self.layout {
            Layout::Tls12Explicit => ReceivedNonce::tls12([a, b, c, d], explicit),
            Layout::Tls13 | Layout::Tls12Implicit => ReceivedNonce::tls13(&self.iv.0, number),
        }
    }
}

impl Layout {
    /// Octets between the header and the text.
    pub(crate) fn explicit_len(self) -> usize {
        if self == Self::Tls12Explicit { EXPLICIT_LEN } else { 0 }
    }

    /// Octets of the text that are not content: its type.
    pub(crate) fn inner_len(self) -> usize {
        usize::from(self == Self::Tls13)
    }

    /// Octets that a record has beside its text.
    pub(crate) fn overhead(self) -> usize {
        HEADER_LEN + self.explicit_len() + TAG_LEN
    }
}

/// Associated data: the header in TLS 1.3, number and header of the content in TLS 1.2 (RFC 5246 6.2.3.3).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aad {
    octets: [u8; 13],
    len: u8,
}

impl Aad {
    /// For a record with this header, whose text is so long.
    pub(crate) fn new(layout: Layout, header: Header, number: u64, text_len: usize) -> Self {
        let mut octets = [0; 13];
        if layout == Layout::Tls13 {
            octets[..HEADER_LEN].copy_from_slice(&header.0);
            return Self { octets, len: HEADER_LEN as u8 };
        }
        octets[..8].copy_from_slice(&number.to_be_bytes());
        octets[8..].copy_from_slice(&Header::new(header.kind(), text_len).0);
        Self { octets, len: 13 }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}
