//! The doors to the back ends: the only functions that enable instructions. Everything below is inlined into them,
//! so that it is compiled for those instructions; a door is passed once per batch.
#![expect(unsafe_code, reason = "calling a function that enables instructions")]

use super::features::{Aesni, Vaes256, Vaes512};
use super::record::Record;
use super::{Level, batch, gcm, wipe};
use crate::aead::{OpenJob, SealJob};
use crate::low::locked::Locked;

/// Octets of stack that a back end uses at most. Code that is hardly optimised spills more.
const DEPTH: usize = if cfg!(debug_assertions) { 16 << 10 } else { 2048 };

/// The same door for each back end and each kind of work. The proof among the arguments is what makes it safe.
macro_rules! doors {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $work:path;)*) => {$(
        pub(in crate::low) fn $name(level: Level, $($argument: $type),*) $(-> $result)? {
            #[inline(never)] // a frame of its own, which is wiped
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx2,vaes,vpclmulqdq,aes,pclmulqdq,bmi2")]
            fn vaes512(proof: Vaes512, $($argument: $type),*) $(-> $result)? {
                $work(proof, $($argument),*)
            }
            #[inline(never)]
            #[target_feature(enable = "avx2,vaes,vpclmulqdq,aes,pclmulqdq")]
            fn vaes256(proof: Vaes256, $($argument: $type),*) $(-> $result)? {
                $work(proof, $($argument),*)
            }
            #[inline(never)]
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
            wipe::registers_and_stack::<DEPTH>();
            result
        }
    )*};
}

doors! {
    fn expand_128(key: &[u8; 16]) -> Locked<Record> = gcm::expand_128;
    fn expand_256(key: &[u8; 32]) -> Locked<Record> = gcm::expand_256;
    fn seal_some(jobs: &mut [SealJob<'_>]) -> usize = batch::leading;
    fn open_some(jobs: &mut [OpenJob<'_>]) -> usize = batch::leading;
}
