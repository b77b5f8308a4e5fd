//! The plain back end: well-kept crates that choose AES instructions by themselves. Every other one must
//! give the same octets.

use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm};

use crate::aead::{Algorithm, OpenJob, SealJob, TAG_LEN};
use crate::low::locked::Locked;

/// An expanded key of AES-GCM.
pub(crate) enum Key {
    Aes128Gcm(Aes128Gcm),
    Aes256Gcm(Aes256Gcm),
}

impl Key {
    /// `None` if the length is not the algorithm's, or the algorithm not AES-GCM.
    pub(super) fn new(algorithm: Algorithm, octets: &[u8]) -> Option<Locked<Self>> {
        let key = match algorithm {
            Algorithm::Aes128Gcm => Self::Aes128Gcm(KeyInit::new_from_slice(octets).ok()?),
            Algorithm::Aes256Gcm => Self::Aes256Gcm(KeyInit::new_from_slice(octets).ok()?),
            Algorithm::ChaCha20Poly1305 => return None,
        };
        Some(Locked::new(key))
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Aes128Gcm(_) => Algorithm::Aes128Gcm,
            Self::Aes256Gcm(_) => Algorithm::Aes256Gcm,
        }
    }

    /// Does the job if it was not done before.
    pub(super) fn seal(&self, job: &mut SealJob<'_>) {
        if job.work.begin() {
            match self {
                Self::Aes128Gcm(key) => seal_with(key, job),
                Self::Aes256Gcm(key) => seal_with(key, job),
            }
        }
    }

    /// Does the job if it was not done before.
    pub(super) fn open(&self, job: &mut OpenJob<'_>) {
        if job.work.begin() {
            let authentic = match self {
                Self::Aes128Gcm(key) => open_with(key, job),
                Self::Aes256Gcm(key) => open_with(key, job),
            };
            job.judge(authentic);
        }
    }
}

fn seal_with<A: AeadInOut>(key: &A, job: &mut SealJob<'_>)
where
    Nonce<A>: From<[u8; 12]>,
{
    let work = &mut job.work;
    let made = key.encrypt_inout_detached(&work.nonce.array().into(), work.aad, work.text.gather().into());
    let made = made.expect(
        "TEXT_MAX is below the limit of every algorithm, and no slice reaches that of associated data",
    );
    job.tag.copy_from_slice(&made);
}

/// Whether the text is authentic.
fn open_with<A: AeadInOut>(key: &A, job: &mut OpenJob<'_>) -> bool
where
    Nonce<A>: From<[u8; 12]>,
    Tag<A>: From<[u8; TAG_LEN]>,
{
    let (work, tag) = (&mut job.work, (*job.tag).into());
    let nonce = work.nonce.array().into();
    key.decrypt_inout_detached(&nonce, work.aad, work.text.gather().into(), &tag).is_ok()
}
