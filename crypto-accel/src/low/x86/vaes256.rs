//! Two blocks per vector: VAES and VPCLMULQDQ on registers of 256 bits, for processors without AVX-512.
#![expect(unsafe_code, reason = "vector instructions, and the entry that enables them")]

use std::arch::x86_64::*;

use super::Level;
use super::features::{Aesni, Vaes256, Vaes512};
use super::lanes::Lanes;

/// One instruction that touches no memory.
macro_rules! op {
    ($instruction:expr) => {
        // SAFETY: the proof `self` exists only where the processor has these instructions.
        unsafe { $instruction }
    };
}

impl Lanes for Vaes256 {
    type V = __m256i;
    const N: usize = 2;

    #[inline(always)]
    fn level(self) -> Level {
        Level::Vaes256(self)
    }
    #[inline(always)]
    fn narrow(self) -> Aesni {
        self.aesni()
    }
    #[inline(always)]
    fn widen(self, block: __m128i) -> __m256i {
        op!(_mm256_zextsi128_si256(block))
    }
    #[inline(always)]
    fn low(self, v: __m256i) -> __m128i {
        op!(_mm256_castsi256_si128(v))
    }
    #[inline(always)]
    fn four(self) -> Option<Vaes512> {
        None
    }
    #[inline(always)]
    fn beside(self, a: __m128i, b: __m128i) -> Option<__m256i> {
        let low = op!(_mm256_castsi128_si256(a));
        Some(op!(_mm256_inserti128_si256::<1>(low, b)))
    }
    #[inline(always)]
    fn fold(self, v: __m256i) -> __m128i {
        let high = op!(_mm256_extracti128_si256::<1>(v));
        let low = op!(_mm256_castsi256_si128(v));
        op!(_mm_xor_si128(low, high))
    }
    #[inline(always)]
    fn zero(self) -> __m256i {
        op!(_mm256_setzero_si256())
    }
    #[inline(always)]
    fn repeat(self, block: __m128i) -> __m256i {
        op!(_mm256_broadcastsi128_si256(block))
    }
    #[inline(always)]
    fn splat(self, block: &[u8; 16]) -> __m256i {
        self.repeat(self.narrow().splat(block))
    }
    #[inline(always)]
    fn splat_half(self, half: &[u8; 8]) -> __m256i {
        op!(_mm256_set1_epi64x(i64::from_le_bytes(*half)))
    }
    #[inline(always)]
    fn blocks(self, blocks: &[[u8; 16]]) -> __m256i {
        // SAFETY: slicing checked that there are two blocks.
        unsafe { self.load(blocks[..2].as_ptr().cast()) }
    }
    #[inline(always)]
    fn counters(self, first: u32) -> __m256i {
        op!(_mm256_set_epi32(first.wrapping_add(1) as i32, 0, 0, 0, first as i32, 0, 0, 0))
    }
    #[inline(always)]
    fn advance(self, counters: __m256i) -> __m256i {
        let step = op!(_mm256_set_epi32(2, 0, 0, 0, 2, 0, 0, 0));
        op!(_mm256_add_epi32(counters, step))
    }
    #[inline(always)]
    fn counter_blocks(self, counters: __m256i) -> __m256i {
        let order = op!(_mm256_set_epi32(0x0c0d_0e0f, -1, -1, -1, 0x0c0d_0e0f, -1, -1, -1));
        op!(_mm256_shuffle_epi8(counters, order))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const u8) -> __m256i {
        // SAFETY: the caller vouches for 32 octets; the load asks for no alignment.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn load_part(self, from: *const u8, count: usize) -> __m256i {
        let mut octets = [0u8; 32];
        // SAFETY: the caller vouches for `count` octets, which fit into 32.
        unsafe { std::ptr::copy_nonoverlapping(from, octets.as_mut_ptr(), count) };
        // SAFETY: the array has 32 octets.
        unsafe { self.load(octets.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8, v: __m256i) {
        // SAFETY: the caller vouches for 32 octets; the store asks for no alignment.
        unsafe { _mm256_storeu_si256(to.cast(), v) }
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut u8, count: usize, v: __m256i) {
        let mut octets = [0u8; 32];
        // SAFETY: the array has 32 octets.
        unsafe { self.store(octets.as_mut_ptr(), v) };
        // SAFETY: the caller vouches for `count` octets, which are no more than 32.
        unsafe { std::ptr::copy_nonoverlapping(octets.as_ptr(), to, count) };
    }
    #[inline(always)]
    fn short(self, octets: &[u8]) -> __m128i {
        self.narrow().short(octets)
    }
    #[inline(always)]
    fn keep(self, v: __m256i, count: usize) -> __m256i {
        let numbers = op!(_mm256_setr_epi8(
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
            27, 28, 29, 30, 31
        ));
        let limit = op!(_mm256_set1_epi8(count as i8));
        let mask = op!(_mm256_cmpgt_epi8(limit, numbers));
        op!(_mm256_and_si256(v, mask))
    }
    #[inline(always)]
    fn hold(self, v: __m256i) -> __m256i {
        v // too few registers to hold many
    }
    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        op!(_mm256_xor_si256(a, b))
    }
    #[inline(always)]
    fn xor3(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        self.xor(self.xor(a, b), c)
    }
    #[inline(always)]
    fn aes(self, state: __m256i, key: __m256i) -> __m256i {
        op!(_mm256_aesenc_epi128(state, key))
    }
    #[inline(always)]
    fn aes_last(self, state: __m256i, key: __m256i) -> __m256i {
        op!(_mm256_aesenclast_epi128(state, key))
    }
    #[inline(always)]
    fn mul_low(self, a: __m256i, b: __m256i) -> __m256i {
        op!(_mm256_clmulepi64_epi128::<0x00>(a, b))
    }
    #[inline(always)]
    fn mul_high(self, a: __m256i, b: __m256i) -> __m256i {
        op!(_mm256_clmulepi64_epi128::<0x11>(a, b))
    }
    #[inline(always)]
    fn mul_cross(self, a: __m256i, b: __m256i) -> __m256i {
        op!(_mm256_clmulepi64_epi128::<0x10>(a, b))
    }
    #[inline(always)]
    fn reverse(self, v: __m256i) -> __m256i {
        let order = op!(_mm256_set_epi64x(
            0x0001_0203_0405_0607,
            0x0809_0a0b_0c0d_0e0f,
            0x0001_0203_0405_0607,
            0x0809_0a0b_0c0d_0e0f
        ));
        op!(_mm256_shuffle_epi8(v, order))
    }
    #[inline(always)]
    fn swap(self, v: __m256i) -> __m256i {
        op!(_mm256_shuffle_epi32::<0x4e>(v))
    }
}
