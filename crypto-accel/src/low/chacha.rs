//! ChaCha20-Poly1305 by ring where we have no kernel of our own: of the well-kept libraries the fastest at packet sizes.
#![expect(unsafe_code, reason = "ring leaves its keys in memory when dropped, so we wipe them")]

use std::mem::{ManuallyDrop, MaybeUninit};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use crate::aead::{OpenJob, SealJob};
use crate::error::BadTag;

/// An expanded key.
pub(crate) struct Key(Box<ManuallyDrop<LessSafeKey>>);

impl Key {
    /// `None` if the length is not 32.
    pub(super) fn new(octets: &[u8]) -> Option<Self> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, octets).ok()?;
        Some(Self(Box::new(ManuallyDrop::new(LessSafeKey::new(key)))))
    }

    /// Does the job if it was not done before.
    pub(super) fn seal(&self, job: &mut SealJob<'_>) {
        if std::mem::replace(&mut job.done, true) {
            return;
        }
        let nonce = Nonce::assume_unique_for_key(job.nonce.0.array());
        let made = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(job.aad), job.text.gather())
            .expect("TEXT_MAX is below the limit of the algorithm");
        job.tag.copy_from_slice(made.as_ref());
    }

    /// Does the job if it was not done before.
    pub(super) fn open(&self, job: &mut OpenJob<'_>) {
        if std::mem::replace(&mut job.done, true) {
            return;
        }
        let nonce = Nonce::assume_unique_for_key(job.nonce.0.array());
        let (aad, tag) = (Aad::from(job.aad), (*job.tag).into());
        let outcome = self.0.open_in_place_separate_tag(nonce, aad, tag, job.text.gather(), 0..);
        job.outcome = outcome.map(|_| ()).map_err(|_| BadTag);
        if job.outcome.is_err() {
            job.text.wipe();
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the key is not used again; it has no parts of its own outside its memory.
        unsafe { ManuallyDrop::drop(&mut self.0) };
        let memory: *mut MaybeUninit<[u8; size_of::<LessSafeKey>()]> = (&raw mut *self.0).cast();
        // SAFETY: the box owns as many octets, and what it holds has been dropped and is never dropped again.
        let memory = unsafe { &mut *memory };
        memory.write([0xff; size_of::<LessSafeKey>()]).zeroize();
    }
}
