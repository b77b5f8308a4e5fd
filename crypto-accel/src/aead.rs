//! AEAD by the batch: AES-GCM, AES-GMAC (its empty text), ChaCha20-Poly1305; tags of 16 octets.
//!
//! ```
//! use ravelin_crypto_accel::aead::{self, Algorithm, Key};
//! use ravelin_crypto_accel::nonce::{Nonce, NumberRange, ReceivedNonce};
//! use ravelin_crypto_accel::Text;
//!
//! let key = Key::new(Algorithm::Aes128Gcm, &[7; 16])?;
//! let number = NumberRange::from_reserved(1, 1000).take().expect("numbers are left");
//! let (nonce, iv) = Nonce::esp(*b"salt", number);
//!
//! let (mut sealed, mut tag) = ([0; 7], [0; 16]);
//! aead::seal_one(&key, nonce, b"header", Text::across(b"hello", b"\x01\x02", &mut sealed)?, &mut tag);
//!
//! let nonce = ReceivedNonce::esp(*b"salt", iv);
//! aead::open_one(&key, nonce, b"header", Text::in_place(&mut sealed)?, &tag)?;
//! assert_eq!(&sealed, b"hello\x01\x02");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::error::{BadTag, KeyError};
use crate::low::{self, BackEnd};
use crate::nonce::{Nonce, Octets, ReceivedNonce};
use crate::text::Text;

/// Octets of a tag.
pub const TAG_LEN: usize = 16;

/// Which AEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// AES-GCM with a key of 16 octets (NIST SP 800-38D, RFC 4106).
    Aes128Gcm,
    /// AES-GCM with a key of 32 octets.
    Aes256Gcm,
    /// ChaCha20-Poly1305 with a key of 32 octets (RFC 8439, RFC 7634).
    ChaCha20Poly1305,
}

impl Algorithm {
    /// Octets of its key.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }

    /// Its name in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AES-128-GCM",
            Self::Aes256Gcm => "AES-256-GCM",
            Self::ChaCha20Poly1305 => "ChaCha20-Poly1305",
        }
    }
}

/// An expanded key: made once per SA or session, shared by all threads, wiped when dropped.
///
/// It stays where it was made: moving the key moves a pointer and leaves no copy behind.
pub struct Key(pub(crate) low::AeadKey);

impl Key {
    /// Expands a key. The caller wipes its own copy of the octets.
    ///
    /// # Errors
    /// The algorithm takes another length.
    pub fn new(algorithm: Algorithm, octets: &[u8]) -> Result<Self, KeyError> {
        Self::on(BackEnd::best(), algorithm, octets)
    }

    /// The same for a certain back end, for tests and measurements.
    ///
    /// # Errors
    /// The algorithm takes another length.
    pub fn on(back_end: BackEnd, algorithm: Algorithm, octets: &[u8]) -> Result<Self, KeyError> {
        let refused = KeyError { algorithm: algorithm.name(), given: octets.len() };
        low::AeadKey::new(back_end, algorithm, octets).map(Self).ok_or(refused)
    }

    /// The same key at rest. Only those of AES-GCM on our own kernels can: others do not give their octets back, or are
    /// short already.
    pub fn fold(&self) -> Option<Folded> {
        self.0.fold().map(Folded)
    }

    /// Which AEAD it is for.
    #[inline]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
}

/// A key at rest: its octets alone, in one cache line of locked memory, for connections that say nothing for long.
pub struct Folded(low::FoldedKey);

impl Folded {
    /// Expands it again; `None` never comes of a key that was expanded once.
    pub fn unfold(&self) -> Option<Key> {
        self.0.unfold().map(Key)
    }
}

impl std::fmt::Debug for Folded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Folded")
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.algorithm().name())
    }
}

/// One text to seal.
pub struct SealJob<'a> {
    pub(crate) work: Work<'a>,
    pub(crate) tag: &'a mut [u8; TAG_LEN],
}

impl<'a> SealJob<'a> {
    /// `aad` is authenticated and stays in clear; the ciphertext goes where `text` says, the tag to `tag`.
    #[inline]
    pub fn new(
        key: &'a Key,
        nonce: Nonce,
        aad: &'a [u8],
        text: Text<'a>,
        tag: &'a mut [u8; TAG_LEN],
    ) -> Self {
        Self { work: Work::new(key, nonce.0, aad, text), tag }
    }
}

/// One text to open.
pub struct OpenJob<'a> {
    pub(crate) work: Work<'a>,
    pub(crate) tag: &'a [u8; TAG_LEN],
    pub(crate) outcome: Result<(), BadTag>,
}

impl<'a> OpenJob<'a> {
    /// `tag` is the one that came with the ciphertext in `text`.
    #[inline]
    pub fn new(
        key: &'a Key,
        nonce: ReceivedNonce,
        aad: &'a [u8],
        text: Text<'a>,
        tag: &'a [u8; TAG_LEN],
    ) -> Self {
        Self { work: Work::new(key, nonce.0, aad, text), tag, outcome: Err(BadTag) }
    }

    /// Whether the text was authentic. [`BadTag`] before it was opened.
    ///
    /// # Errors
    /// It was not; its output holds zeros.
    #[inline]
    pub fn outcome(&self) -> Result<(), BadTag> {
        self.outcome
    }

    /// Notes whether the text was authentic, and wipes what was made of it if not.
    #[inline(always)]
    pub(crate) fn judge(&mut self, authentic: bool) {
        if authentic {
            self.outcome = Ok(());
        } else {
            self.outcome = Err(BadTag);
            self.work.text.wipe();
        }
    }
}

/// What both kinds of job are about.
pub(crate) struct Work<'a> {
    pub(crate) nonce: Octets,
    pub(crate) key: &'a low::AeadKey,
    pub(crate) aad: &'a [u8],
    pub(crate) text: Text<'a>,
    /// Set before the job is done. Sealing again would use the nonce twice; opening in place again would destroy the
    /// cleartext.
    begun: bool,
}

impl<'a> Work<'a> {
    #[inline(always)]
    fn new(key: &'a Key, nonce: Octets, aad: &'a [u8], text: Text<'a>) -> Self {
        Self { nonce, key: &key.0, begun: false, aad, text }
    }

    /// Whether nobody has begun it.
    #[inline(always)]
    pub(crate) fn is_fresh(&self) -> bool {
        !self.begun
    }

    /// Marks it as begun; whether it was fresh, so that nobody does it twice.
    #[inline(always)]
    pub(crate) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.begun, true)
    }
}

/// Seals each job; keys, algorithms and lengths may differ. A job that was sealed before is left alone.
pub fn seal(jobs: &mut [SealJob<'_>]) {
    let mut done = 0;
    while done < jobs.len() {
        done += low::seal_some(&mut jobs[done..]);
    }
}

/// Opens each job and notes its outcome. A job that was opened before is left alone.
pub fn open(jobs: &mut [OpenJob<'_>]) {
    let mut done = 0;
    while done < jobs.len() {
        done += low::open_some(&mut jobs[done..]);
    }
}

/// Seals one text; see [`SealJob::new`].
pub fn seal_one(key: &Key, nonce: Nonce, aad: &[u8], text: Text<'_>, tag: &mut [u8; TAG_LEN]) {
    seal(&mut [SealJob::new(key, nonce, aad, text, tag)]);
}

/// Opens one text; see [`OpenJob::new`].
///
/// # Errors
/// It was not authentic; its output holds zeros.
pub fn open_one(
    key: &Key,
    nonce: ReceivedNonce,
    aad: &[u8],
    text: Text<'_>,
    tag: &[u8; TAG_LEN],
) -> Result<(), BadTag> {
    let mut jobs = [OpenJob::new(key, nonce, aad, text, tag)];
    open(&mut jobs);
    jobs[0].outcome
}
