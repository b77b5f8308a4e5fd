//! ChaCha20-Poly1305 by ring where we have no kernel of our own: of the well-kept libraries the fastest at packet sizes.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

use crate::aead::{OpenJob, SealJob};
use crate::low::locked::Locked;

/// An expanded key. ring leaves its keys in memory when dropped; [`Locked`] does not.
pub(crate) struct Key(Locked<LessSafeKey>);

impl Key {
    /// `None` if the length is not 32.
    pub(super) fn new(octets: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, octets).ok()?;
        Some(Self(Locked::new(LessSafeKey::new(key))))
    }

    /// Does the job if it was not done before.
    pub(super) fn seal(&self, job: &mut SealJob<'_>) {
        let work = &mut job.work;
        if work.begin() {
            let nonce = Nonce::assume_unique_for_key(work.nonce.array());
            let made = self.0.seal_in_place_separate_tag(nonce, Aad::from(work.aad), work.text.gather());
            let made = made.expect("TEXT_MAX is below the limit of the algorithm");
            job.tag.copy_from_slice(made.as_ref());
        }
    }

    /// Does the job if it was not done before.
    pub(super) fn open(&self, job: &mut OpenJob<'_>) {
        let work = &mut job.work;
        if work.begin() {
            let nonce = Nonce::assume_unique_for_key(work.nonce.array());
            let (aad, tag) = (Aad::from(work.aad), (*job.tag).into());
            let outcome = self.0.open_in_place_separate_tag(nonce, aad, tag, work.text.gather(), 0..);
            let authentic = outcome.is_ok();
            job.judge(authentic);
        }
    }
}
