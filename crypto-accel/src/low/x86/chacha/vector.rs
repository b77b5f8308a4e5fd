//! Loads, stores and turning of registers of 512 bits.
#![expect(unsafe_code, reason = "loads and stores of vectors")]

use std::arch::x86_64::*;
use std::hint::black_box;

/// A register.
pub(super) type V = __m512i;

/// The same length, hidden from the compiler, which would else take all lengths through vectors: what comes from there to
/// a general register, or gathers, looks like a secret to the check of the machine code.
#[inline(always)]
pub(super) fn scalar(length: usize) -> usize {
    black_box(length)
}

/// 64 octets.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn load(from: &[u8; 64]) -> V {
    // SAFETY: the array has 64 octets; the load asks for no alignment.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// Eight numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn numbers(from: &[u64; 8]) -> V {
    // SAFETY: as above.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// Sixteen words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn words(from: &[u32; 16]) -> V {
    // SAFETY: as above.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// At most 64 octets, zeros behind them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn load_part(from: &[u8]) -> V {
    let mask = _bzhi_u64(u64::MAX, from.len().min(64) as u32);
    // SAFETY: the mask keeps the load within the slice.
    unsafe { _mm512_maskz_loadu_epi8(mask, from.as_ptr().cast()) }
}

/// Writes 64 octets.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn store(to: &mut [u8; 64], v: V) {
    // SAFETY: the array has 64 octets; the store asks for no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) }
}

/// Writes eight numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn store_numbers(to: &mut [u64; 8], v: V) {
    // SAFETY: as above.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) }
}

/// Writes sixteen words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn store_words(to: &mut [u32; 16], v: V) {
    // SAFETY: as above.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) }
}

/// Adds a stream to octets, at most 64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn xor_part(octets: &mut [u8], stream: V) {
    let mask = _bzhi_u64(u64::MAX, octets.len().min(64) as u32);
    // SAFETY: the mask keeps the load within the slice.
    let old = unsafe { _mm512_maskz_loadu_epi8(mask, octets.as_ptr().cast()) };
    let new = _mm512_xor_si512(old, stream);
    // SAFETY: the mask keeps the store within the slice.
    unsafe { _mm512_mask_storeu_epi8(octets.as_mut_ptr().cast(), mask, new) }
}

/// Puts 16 octets into those quarters of `v` that the mask names by words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn with_quarter<const WORDS: u16>(v: V, quarter: &[u8; 16]) -> V {
    // SAFETY: the array has 16 octets.
    let quarter = unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) };
    _mm512_mask_broadcast_i32x4(v, WORDS, quarter)
}

/// Four rows of four words in each quarter become columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn turn_words(v: [V; 4]) -> [V; 4] {
    let (a, b) = (_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpacklo_epi32(v[2], v[3]));
    let (c, d) = (_mm512_unpackhi_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[2], v[3]));
    [
        _mm512_unpacklo_epi64(a, b),
        _mm512_unpackhi_epi64(a, b),
        _mm512_unpacklo_epi64(c, d),
        _mm512_unpackhi_epi64(c, d),
    ]
}

/// Four rows of four quarters become columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn turn_quarters(v: [V; 4]) -> [V; 4] {
    let (a, b) = (_mm512_shuffle_i32x4::<0x44>(v[0], v[1]), _mm512_shuffle_i32x4::<0x44>(v[2], v[3]));
    let (c, d) = (_mm512_shuffle_i32x4::<0xee>(v[0], v[1]), _mm512_shuffle_i32x4::<0xee>(v[2], v[3]));
    [
        _mm512_shuffle_i32x4::<0x88>(a, b),
        _mm512_shuffle_i32x4::<0xdd>(a, b),
        _mm512_shuffle_i32x4::<0x88>(c, d),
        _mm512_shuffle_i32x4::<0xdd>(c, d),
    ]
}

/// Eight rows of eight numbers become columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn turn_numbers(v: [V; 8]) -> [V; 8] {
    // In quarter `q` of pair `i`: number `2q` of rows `2i` and `2i + 1`; then number `2q + 1`.
    let even = turn_quarters([
        _mm512_unpacklo_epi64(v[0], v[1]),
        _mm512_unpacklo_epi64(v[2], v[3]),
        _mm512_unpacklo_epi64(v[4], v[5]),
        _mm512_unpacklo_epi64(v[6], v[7]),
    ]);
    let odd = turn_quarters([
        _mm512_unpackhi_epi64(v[0], v[1]),
        _mm512_unpackhi_epi64(v[2], v[3]),
        _mm512_unpackhi_epi64(v[4], v[5]),
        _mm512_unpackhi_epi64(v[6], v[7]),
    ]);
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}
