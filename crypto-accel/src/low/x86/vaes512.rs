//! Four blocks per vector: VAES and VPCLMULQDQ on registers of 512 bits, tails by mask.
#![expect(unsafe_code, reason = "vector instructions, and the entry that enables them")]

use std::arch::x86_64::*;

use super::Level;
use super::features::{Aesni, Vaes512};
use super::lanes::Lanes;

/// One instruction that touches no memory.
macro_rules! op {
    ($instruction:expr) => {
        // SAFETY: the proof `self` exists only where the processor has these instructions.
        unsafe { $instruction }
    };
}

impl Vaes512 {
    /// Ones for the first `count` octets.
    #[inline(always)]
    fn mask(self, count: usize) -> __mmask64 {
        op!(_bzhi_u64(u64::MAX, count as u32))
    }

    /// One block in each lane.
    #[inline(always)]
    pub(super) fn side_by_side(self, [a, b, c, d]: [__m128i; 4]) -> __m512i {
        let low = op!(_mm256_castsi128_si256(a));
        let low = op!(_mm256_inserti128_si256::<1>(low, b));
        let high = op!(_mm256_castsi128_si256(c));
        let high = op!(_mm256_inserti128_si256::<1>(high, d));
        let low = op!(_mm512_castsi256_si512(low));
        op!(_mm512_inserti64x4::<1>(low, high))
    }

    /// The blocks of each lane.
    #[inline(always)]
    pub(super) fn apart(self, v: __m512i) -> [__m128i; 4] {
        let b = op!(_mm512_extracti32x4_epi32::<1>(v));
        let c = op!(_mm512_extracti32x4_epi32::<2>(v));
        let d = op!(_mm512_extracti32x4_epi32::<3>(v));
        [self.low(v), b, c, d]
    }

    /// In lane `i` the sum of all lanes of vector `i`.
    #[inline(always)]
    pub(super) fn fold_each(self, [a, b, c, d]: [__m512i; 4]) -> __m512i {
        let ab = self.xor(self.low_halves(a, b), self.high_halves(a, b));
        let cd = self.xor(self.low_halves(c, d), self.high_halves(c, d));
        let even = op!(_mm512_shuffle_i32x4::<0x88>(ab, cd));
        let odd = op!(_mm512_shuffle_i32x4::<0xdd>(ab, cd));
        self.xor(even, odd)
    }

    #[inline(always)]
    fn low_halves(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_shuffle_i32x4::<0x44>(a, b))
    }

    #[inline(always)]
    fn high_halves(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_shuffle_i32x4::<0xee>(a, b))
    }
}

impl Lanes for Vaes512 {
    type V = __m512i;
    const N: usize = 4;

    #[inline(always)]
    fn level(self) -> Level {
        Level::Vaes512(self)
    }
    #[inline(always)]
    fn narrow(self) -> Aesni {
        self.vaes256().aesni()
    }
    #[inline(always)]
    fn widen(self, block: __m128i) -> __m512i {
        op!(_mm512_zextsi128_si512(block))
    }
    #[inline(always)]
    fn low(self, v: __m512i) -> __m128i {
        op!(_mm512_castsi512_si128(v))
    }
    #[inline(always)]
    fn four(self) -> Option<Vaes512> {
        Some(self)
    }
    #[inline(always)]
    fn beside(self, a: __m128i, b: __m128i) -> Option<__m512i> {
        let low = self.widen(a);
        Some(op!(_mm512_inserti32x4::<1>(low, b)))
    }
    #[inline(always)]
    fn fold(self, v: __m512i) -> __m128i {
        let high = op!(_mm512_extracti64x4_epi64::<1>(v));
        let low = op!(_mm512_castsi512_si256(v));
        let half = op!(_mm256_xor_si256(low, high));
        let high = op!(_mm256_extracti128_si256::<1>(half));
        let low = op!(_mm256_castsi256_si128(half));
        op!(_mm_xor_si128(low, high))
    }
    #[inline(always)]
    fn zero(self) -> __m512i {
        op!(_mm512_setzero_si512())
    }
    #[inline(always)]
    fn repeat(self, block: __m128i) -> __m512i {
        op!(_mm512_broadcast_i32x4(block))
    }
    #[inline(always)]
    fn splat(self, block: &[u8; 16]) -> __m512i {
        self.repeat(self.narrow().splat(block))
    }
    #[inline(always)]
    fn splat_half(self, half: &[u8; 8]) -> __m512i {
        op!(_mm512_set1_epi64(i64::from_le_bytes(*half)))
    }
    #[inline(always)]
    fn blocks(self, blocks: &[[u8; 16]]) -> __m512i {
        // SAFETY: slicing checked that there are four blocks.
        unsafe { self.load(blocks[..4].as_ptr().cast()) }
    }
    #[inline(always)]
    fn counters(self, first: u32) -> __m512i {
        let base = op!(_mm512_set1_epi32(first as i32));
        let steps = op!(_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3));
        op!(_mm512_add_epi32(base, steps))
    }
    #[inline(always)]
    fn advance(self, counters: __m512i) -> __m512i {
        let step = op!(_mm512_set1_epi32(4));
        op!(_mm512_add_epi32(counters, step))
    }
    #[inline(always)]
    fn counter_blocks(self, counters: __m512i) -> __m512i {
        let order = op!(_mm512_set4_epi32(0x0c0d_0e0f, -1, -1, -1));
        op!(_mm512_shuffle_epi8(counters, order))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const u8) -> __m512i {
        // SAFETY: the caller vouches for 64 octets; the load asks for no alignment.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn load_part(self, from: *const u8, count: usize) -> __m512i {
        // SAFETY: the caller vouches for `count` octets; the mask keeps the load from touching more.
        unsafe { _mm512_maskz_loadu_epi8(self.mask(count), from.cast()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8, v: __m512i) {
        // SAFETY: the caller vouches for 64 octets; the store asks for no alignment.
        unsafe { _mm512_storeu_si512(to.cast(), v) }
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut u8, count: usize, v: __m512i) {
        // SAFETY: the caller vouches for `count` octets; the mask keeps the store from touching more.
        unsafe { _mm512_mask_storeu_epi8(to.cast(), self.mask(count), v) }
    }
    #[inline(always)]
    fn short(self, octets: &[u8]) -> __m128i {
        assert!(octets.len() <= 16);
        // SAFETY: the slice has that many octets; the mask keeps the load from touching more.
        unsafe { _mm_maskz_loadu_epi8(self.mask(octets.len()) as __mmask16, octets.as_ptr().cast()) }
    }
    #[inline(always)]
    fn keep(self, v: __m512i, count: usize) -> __m512i {
        op!(_mm512_maskz_mov_epi8(self.mask(count), v))
    }
    #[inline(always)]
    fn hold(self, v: __m512i) -> __m512i {
        op!(hold(v))
    }
    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_xor_si512(a, b))
    }
    #[inline(always)]
    fn xor3(self, a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        op!(_mm512_ternarylogic_epi64::<0x96>(a, b, c))
    }
    #[inline(always)]
    fn aes(self, state: __m512i, key: __m512i) -> __m512i {
        op!(_mm512_aesenc_epi128(state, key))
    }
    #[inline(always)]
    fn aes_last(self, state: __m512i, key: __m512i) -> __m512i {
        op!(_mm512_aesenclast_epi128(state, key))
    }
    #[inline(always)]
    fn mul_low(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_clmulepi64_epi128::<0x00>(a, b))
    }
    #[inline(always)]
    fn mul_high(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_clmulepi64_epi128::<0x11>(a, b))
    }
    #[inline(always)]
    fn mul_cross(self, a: __m512i, b: __m512i) -> __m512i {
        op!(_mm512_clmulepi64_epi128::<0x10>(a, b))
    }
    #[inline(always)]
    fn reverse(self, v: __m512i) -> __m512i {
        let order = op!(_mm512_set_epi64(
            0x0001_0203_0405_0607,
            0x0809_0a0b_0c0d_0e0f,
            0x0001_0203_0405_0607,
            0x0809_0a0b_0c0d_0e0f,
            0x0001_0203_0405_0607,
            0x0809_0a0b_0c0d_0e0f,
            0x0001_0203_0405_0607,
            0x0809_0a0b_0c0d_0e0f
        ));
        op!(_mm512_shuffle_epi8(v, order))
    }
    #[inline(always)]
    fn swap(self, v: __m512i) -> __m512i {
        op!(_mm512_shuffle_epi32::<0x4e>(v))
    }
}

/// See [`Lanes::hold`].
#[inline]
#[target_feature(enable = "avx512f")]
fn hold(mut v: __m512i) -> __m512i {
    // SAFETY: the assembly is empty.
    unsafe { std::arch::asm!("/* {} */", inout(zmm_reg) v, options(nomem, nostack, preserves_flags)) };
    v
}
