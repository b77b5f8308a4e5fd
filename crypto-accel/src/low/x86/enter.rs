//! The doors to the back ends: the only functions that enable instructions. Everything below is inlined into them,
//! so that it is compiled for those instructions; a door is passed once per batch.
#![expect(unsafe_code, reason = "calling a function that enables instructions")]

use std::arch::x86_64::__m128i;

use super::features::{Aesni, Vaes256, Vaes512};
use super::lanes::Lanes;
use super::record::Record;
use super::{Key, Level, gcm, wipe};
use crate::aead::{OpenJob, SealJob};
use crate::error::BadTag;
use crate::low::AeadKey;
use crate::text::Text;

/// The same door for each back end and each kind of work. The proof among the arguments is what makes it safe.
macro_rules! doors {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $work:path;)*) => {$(
        pub(in crate::low) fn $name(level: Level, $($argument: $type),*) $(-> $result)? {
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,vaes,vpclmulqdq,aes,pclmulqdq,bmi2")]
            fn vaes512(proof: Vaes512, $($argument: $type),*) $(-> $result)? {
                $work(proof, $($argument),*)
            }
            #[target_feature(enable = "avx2,vaes,vpclmulqdq,aes,pclmulqdq")]
            fn vaes256(proof: Vaes256, $($argument: $type),*) $(-> $result)? {
                $work(proof, $($argument),*)
            }
            #[target_feature(enable = "aes,pclmulqdq,ssse3,sse4.1")]
            fn aesni(proof: Aesni, $($argument: $type),*) $(-> $result)? {
                $work(proof, $($argument),*)
            }
            let result = match level {
                // SAFETY: the proof exists only where the processor has these instructions.
                Level::Vaes512(proof) => unsafe { vaes512(proof, $($argument),*) },
                // SAFETY: as above.
                Level::Vaes256(proof) => unsafe { vaes256(proof, $($argument),*) },
                // SAFETY: as above.
                Level::Aesni(proof) => unsafe { aesni(proof, $($argument),*) },
            };
            wipe::registers(level);
            result
        }
    )*};
}

doors! {
    fn expand_128(key: &[u8; 16]) -> Box<Record> = gcm::expand_128;
    fn expand_256(key: &[u8; 32]) -> Box<Record> = gcm::expand_256;
    fn seal_some(jobs: &mut [SealJob<'_>]) -> usize = seal_leading;
    fn open_some(jobs: &mut [OpenJob<'_>]) -> usize = open_leading;
}

/// Seals jobs as long as their keys were made for this back end; returns how many.
#[inline(always)]
fn seal_leading<L: Lanes>(l: L, jobs: &mut [SealJob<'_>]) -> usize {
    for (done, job) in jobs.iter_mut().enumerate() {
        let Some(key) = key_for(l, &job.key.0) else { return done };
        if let Some(nonce) = job.nonce.take() {
            let tag = crypt::<L, true>(l, key, nonce.octets(), job.aad, &mut job.text);
            *job.tag = l.narrow().octets(tag);
        }
    }
    jobs.len()
}

/// Opens jobs as long as their keys were made for this back end; returns how many.
#[inline(always)]
fn open_leading<L: Lanes>(l: L, jobs: &mut [OpenJob<'_>]) -> usize {
    for (done, job) in jobs.iter_mut().enumerate() {
        let Some(key) = key_for(l, &job.key.0) else { return done };
        if let Some(nonce) = job.nonce.take() {
            let tag = crypt::<L, false>(l, key, nonce.octets(), job.aad, &mut job.text);
            job.outcome = if l.narrow().equal(tag, l.narrow().splat(job.tag)) { Ok(()) } else { Err(BadTag) };
            if job.outcome.is_err() {
                job.text.wipe();
            }
        }
    }
    jobs.len()
}

#[inline(always)]
fn key_for<L: Lanes>(l: L, key: &AeadKey) -> Option<&Key> {
    match key {
        AeadKey::X86(key) if key.level == l.level() => Some(key),
        _ => None,
    }
}

#[inline(always)]
fn crypt<L: Lanes, const SEAL: bool>(
    l: L,
    key: &Key,
    nonce: &[u8; 12],
    aad: &[u8],
    text: &mut Text<'_>,
) -> __m128i {
    if key.long {
        gcm::crypt::<L, 14, SEAL>(l, &key.record, nonce, aad, text)
    } else {
        gcm::crypt::<L, 10, SEAL>(l, &key.record, nonce, aad, text)
    }
}
