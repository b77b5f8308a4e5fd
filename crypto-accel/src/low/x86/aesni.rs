//! One block per vector: AES-NI and PCLMULQDQ. Also the key schedule, which every back end shares.
#![expect(unsafe_code, reason = "vector instructions, and the entry that enables them")]

use std::arch::x86_64::*;
use std::ops::Range;

use super::Level;
use super::features::{Aesni, Vaes512};
use super::lanes::Lanes;

/// Reverses the octets of a block.
const REVERSE: [u8; 16] = [15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

/// One instruction that touches no memory.
macro_rules! op {
    ($instruction:expr) => {
        // SAFETY: the proof `self` exists only where the processor has these instructions.
        unsafe { $instruction }
    };
}

impl Lanes for Aesni {
    type V = __m128i;
    const N: usize = 1;

    #[inline(always)]
    fn level(self) -> Level {
        Level::Aesni(self)
    }
    #[inline(always)]
    fn narrow(self) -> Self {
        self
    }
    #[inline(always)]
    fn widen(self, block: __m128i) -> __m128i {
        block
    }
    #[inline(always)]
    fn low(self, v: __m128i) -> __m128i {
        v
    }
    #[inline(always)]
    fn four(self) -> Option<Vaes512> {
        None
    }
    #[inline(always)]
    fn beside(self, _a: __m128i, _b: __m128i) -> Option<__m128i> {
        None
    }
    #[inline(always)]
    fn fold(self, v: __m128i) -> __m128i {
        v
    }
    #[inline(always)]
    fn zero(self) -> __m128i {
        op!(_mm_setzero_si128())
    }
    #[inline(always)]
    fn repeat(self, block: __m128i) -> __m128i {
        block
    }
    #[inline(always)]
    fn splat(self, block: &[u8; 16]) -> __m128i {
        // SAFETY: a block is 16 readable octets; the load asks for no alignment.
        unsafe { _mm_loadu_si128(block.as_ptr().cast()) }
    }
    #[inline(always)]
    fn splat_half(self, half: &[u8; 8]) -> __m128i {
        op!(_mm_set1_epi64x(i64::from_le_bytes(*half)))
    }
    #[inline(always)]
    fn blocks(self, blocks: &[[u8; 16]]) -> __m128i {
        self.splat(&blocks[0])
    }
    #[inline(always)]
    fn counters(self, first: u32) -> __m128i {
        op!(_mm_set_epi32(first as i32, 0, 0, 0))
    }
    #[inline(always)]
    fn advance(self, counters: __m128i) -> __m128i {
        let step = op!(_mm_set_epi32(1, 0, 0, 0));
        op!(_mm_add_epi32(counters, step))
    }
    #[inline(always)]
    fn counter_blocks(self, counters: __m128i) -> __m128i {
        let order = op!(_mm_set_epi32(0x0c0d_0e0f, -1, -1, -1));
        op!(_mm_shuffle_epi8(counters, order))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const u8) -> __m128i {
        // SAFETY: the caller vouches for 16 octets; the load asks for no alignment.
        unsafe { _mm_loadu_si128(from.cast()) }
    }
    #[inline(always)]
    unsafe fn load_part(self, from: *const u8, count: usize) -> __m128i {
        let mut octets = [0; 16];
        // SAFETY: the caller vouches for `count` octets, which fit into 16.
        unsafe { std::ptr::copy_nonoverlapping(from, octets.as_mut_ptr(), count) };
        self.splat(&octets)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8, v: __m128i) {
        // SAFETY: the caller vouches for 16 octets; the store asks for no alignment.
        unsafe { _mm_storeu_si128(to.cast(), v) }
    }
    #[inline(always)]
    unsafe fn store_part(self, to: *mut u8, count: usize, v: __m128i) {
        let mut octets = [0u8; 16];
        // SAFETY: the array has 16 octets; the store asks for no alignment.
        unsafe { _mm_storeu_si128(octets.as_mut_ptr().cast(), v) };
        // SAFETY: the caller vouches for `count` octets, which are no more than 16.
        unsafe { std::ptr::copy_nonoverlapping(octets.as_ptr(), to, count) };
    }
    #[inline(always)]
    fn short(self, octets: &[u8]) -> __m128i {
        let block = gathered(octets);
        self.block(block as u64, (block >> 64) as u64)
    }
    #[inline(always)]
    fn keep(self, v: __m128i, count: usize) -> __m128i {
        let numbers = op!(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
        let limit = op!(_mm_set1_epi8(count as i8));
        let mask = op!(_mm_cmplt_epi8(numbers, limit));
        op!(_mm_and_si128(v, mask))
    }
    #[inline(always)]
    fn hold(self, mut v: __m128i) -> __m128i {
        // SAFETY: the assembly is empty.
        unsafe { std::arch::asm!("/* {} */", inout(xmm_reg) v, options(nomem, nostack, preserves_flags)) };
        v
    }
    #[inline(always)]
    fn xor(self, a: __m128i, b: __m128i) -> __m128i {
        op!(_mm_xor_si128(a, b))
    }
    #[inline(always)]
    fn xor3(self, a: __m128i, b: __m128i, c: __m128i) -> __m128i {
        self.xor(self.xor(a, b), c)
    }
    #[inline(always)]
    fn aes(self, state: __m128i, key: __m128i) -> __m128i {
        op!(_mm_aesenc_si128(state, key))
    }
    #[inline(always)]
    fn aes_last(self, state: __m128i, key: __m128i) -> __m128i {
        op!(_mm_aesenclast_si128(state, key))
    }
    #[inline(always)]
    fn mul_low(self, a: __m128i, b: __m128i) -> __m128i {
        op!(_mm_clmulepi64_si128::<0x00>(a, b))
    }
    #[inline(always)]
    fn mul_high(self, a: __m128i, b: __m128i) -> __m128i {
        op!(_mm_clmulepi64_si128::<0x11>(a, b))
    }
    #[inline(always)]
    fn mul_cross(self, a: __m128i, b: __m128i) -> __m128i {
        op!(_mm_clmulepi64_si128::<0x10>(a, b))
    }
    #[inline(always)]
    fn reverse(self, v: __m128i) -> __m128i {
        let order = self.splat(&REVERSE);
        op!(_mm_shuffle_epi8(v, order))
    }
    #[inline(always)]
    fn swap(self, v: __m128i) -> __m128i {
        op!(_mm_shuffle_epi32::<0x4e>(v))
    }
}

/// At most 16 octets, least first, by whole loads that overlap instead of a call to copy a few.
#[inline(always)]
fn gathered(octets: &[u8]) -> u128 {
    match octets.len() {
        0..4 => octets.iter().rev().fold(0, |sum, octet| (sum << 8) | u128::from(*octet)),
        4..8 => {
            let (first, last) = (octets.first_chunk(), octets.last_chunk());
            let [first, last] =
                [first, last].map(|four| four.map_or(0, |four| u128::from(u32::from_le_bytes(*four))));
            first | (last << (8 * (octets.len() - 4)))
        }
        _ => {
            let (first, last) = (octets.first_chunk(), octets.last_chunk());
            let [first, last] =
                [first, last].map(|all| all.map_or(0, |all| u128::from(u64::from_le_bytes(*all))));
            first | (last << (8 * (octets.len() - 8)))
        }
    }
}

impl Aesni {
    /// The block with these halves. Unlike a block written to memory in parts, it need not wait to be read back.
    #[inline(always)]
    pub(super) fn block(self, low: u64, high: u64) -> __m128i {
        op!(_mm_set_epi64x(high as i64, low as i64))
    }

    /// A vector's octets.
    #[inline(always)]
    pub(super) fn octets(self, v: __m128i) -> [u8; 16] {
        let mut octets = [0; 16];
        self.write(&mut octets, v);
        octets
    }

    /// Writes a vector's octets there, by no general register.
    #[inline(always)]
    pub(super) fn write(self, to: &mut [u8; 16], v: __m128i) {
        // SAFETY: the array has 16 octets.
        unsafe { self.store(to.as_mut_ptr(), v) };
    }

    /// Asks for the cache lines with these octets of a value, which are needed soon. Lines begin where the value does.
    #[inline(always)]
    pub(super) fn prefetch<T>(self, value: &T, octets: Range<usize>) {
        let start: *const i8 = std::ptr::from_ref(value).cast();
        for line in (octets.start / 64 * 64..octets.end).step_by(64) {
            op!(_mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(line)));
        }
    }

    /// Whether two blocks are equal, without a branch on where they differ.
    #[inline(always)]
    pub(super) fn equal(self, a: __m128i, b: __m128i) -> bool {
        let difference = self.xor(a, b);
        op!(_mm_testz_si128(difference, difference)) == 1
    }
}

/// One step of a key schedule (FIPS 197 5.2): `old` and the block that the step adds to it.
macro_rules! grown {
    ($self:ident, $old:expr, $assist:expr) => {{
        let mut new = $old;
        for _ in 0..3 {
            let moved = op!(_mm_slli_si128::<4>(new));
            new = $self.xor($old, moved);
        }
        $self.xor(new, $assist)
    }};
}

/// The word that a round of the schedule adds, from the block before, in all four places.
macro_rules! assist {
    ($before:expr, $constant:literal) => {{
        let words = op!(_mm_aeskeygenassist_si128::<$constant>($before));
        op!(_mm_shuffle_epi32::<0xff>(words))
    }};
    ($before:expr) => {{
        let words = op!(_mm_aeskeygenassist_si128::<0>($before));
        op!(_mm_shuffle_epi32::<0xaa>(words))
    }};
}

impl Aesni {
    /// The 11 round keys of AES-128; zeros follow.
    #[inline(always)]
    pub(super) fn schedule_128(self, key: &[u8; 16]) -> [[u8; 16]; 15] {
        let mut rounds = [[0; 16]; 15];
        let mut last = self.splat(key);
        rounds[0] = *key;
        macro_rules! grow {
            ($($round:literal $constant:literal)*) => {$(
                last = grown!(self, last, assist!(last, $constant));
                rounds[$round] = self.octets(last);
            )*};
        }
        grow!(1 0x01 2 0x02 3 0x04 4 0x08 5 0x10 6 0x20 7 0x40 8 0x80 9 0x1b 10 0x36);
        rounds
    }

    /// The 15 round keys of AES-256.
    #[inline(always)]
    pub(super) fn schedule_256(self, key: &[u8; 32]) -> [[u8; 16]; 15] {
        let mut rounds = [[0; 16]; 15];
        rounds[0].copy_from_slice(&key[..16]);
        rounds[1].copy_from_slice(&key[16..]);
        let (mut even, mut odd) = (self.splat(&rounds[0]), self.splat(&rounds[1]));
        macro_rules! grow {
            ($($round:literal $constant:literal)*) => {$(
                even = grown!(self, even, assist!(odd, $constant));
                odd = grown!(self, odd, assist!(even));
                rounds[$round] = self.octets(even);
                rounds[$round + 1] = self.octets(odd);
            )*};
        }
        grow!(2 0x01 4 0x02 6 0x04 8 0x08 10 0x10 12 0x20);
        even = grown!(self, even, assist!(odd, 0x40));
        rounds[14] = self.octets(even);
        rounds
    }
}
