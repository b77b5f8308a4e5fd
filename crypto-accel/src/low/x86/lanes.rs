//! What a back end's vectors can do: `N` blocks of 16 octets side by side.
//!
//! The receiver of each method is the proof that the processor has the instructions, so all but the raw loads
//! and stores are safe to call. Every method must end up inlined in a function that enables those instructions:
//! called from elsewhere it is right but slow.

#![expect(unsafe_code, reason = "raw loads and stores, bounds checked by the callers")]

use std::arch::x86_64::__m128i;

use super::Level;
use super::features::{Aesni, Vaes512};

/// Vectors of blocks.
pub(super) trait Lanes: Copy {
    /// A vector.
    type V: Copy;
    /// Blocks in a vector: 1, 2 or 4.
    const N: usize;
    /// Octets in a vector.
    const OCTETS: usize = 16 * Self::N;

    /// The back end that this is.
    fn level(self) -> Level;
    /// The proof for single blocks.
    fn narrow(self) -> Aesni;
    /// The block in lane 0, zeros in the others.
    fn widen(self, block: __m128i) -> Self::V;
    /// Lane 0.
    fn low(self, v: Self::V) -> __m128i;
    /// The proof for four blocks, if that is what a vector holds.
    fn four(self) -> Option<Vaes512>;
    /// A block in lane 0, one in lane 1, zeros in the others; `None` if there is one lane only.
    fn beside(self, a: __m128i, b: __m128i) -> Option<Self::V>;
    /// The sum of all lanes.
    fn fold(self, v: Self::V) -> __m128i;

    /// All zeros.
    fn zero(self) -> Self::V;
    /// The same block in each lane, from a register.
    fn repeat(self, block: __m128i) -> Self::V;
    /// The same block in each lane.
    fn splat(self, block: &[u8; 16]) -> Self::V;
    /// The same eight octets in each half of each lane.
    fn splat_half(self, half: &[u8; 8]) -> Self::V;
    /// The first `N` blocks. Panics if there are fewer.
    fn blocks(self, blocks: &[[u8; 16]]) -> Self::V;
    /// Counters in the processor's own order: lane `i` ends in `first + i`.
    fn counters(self, first: u32) -> Self::V;
    /// The counters of the next vector: each grows by `N`.
    fn advance(self, counters: Self::V) -> Self::V;
    /// The counters as GCM writes them: big-endian in the last four octets of each lane, zeros before them.
    fn counter_blocks(self, counters: Self::V) -> Self::V;

    /// Reads [`Lanes::OCTETS`] octets.
    ///
    /// # Safety
    /// `from` is valid for reading that many.
    unsafe fn load(self, from: *const u8) -> Self::V;
    /// Reads `count` octets, at most [`Lanes::OCTETS`]; zeros follow.
    ///
    /// # Safety
    /// `from` is valid for reading that many.
    unsafe fn load_part(self, from: *const u8, count: usize) -> Self::V;
    /// Writes [`Lanes::OCTETS`] octets.
    ///
    /// # Safety
    /// `to` is valid for writing that many.
    unsafe fn store(self, to: *mut u8, v: Self::V);
    /// Writes the first `count` octets, at most [`Lanes::OCTETS`].
    ///
    /// # Safety
    /// `to` is valid for writing that many.
    unsafe fn store_part(self, to: *mut u8, count: usize, v: Self::V);
    /// These octets, at most [`Lanes::OCTETS`]; zeros follow.
    #[inline(always)]
    fn part(self, octets: &[u8]) -> Self::V {
        assert!(octets.len() <= Self::OCTETS);
        // SAFETY: the slice has that many octets.
        unsafe { self.load_part(octets.as_ptr(), octets.len()) }
    }
    /// These octets, at most 16; zeros follow.
    fn short(self, octets: &[u8]) -> __m128i;
    /// The first `count` octets, zeros behind them.
    fn keep(self, v: Self::V, count: usize) -> Self::V;

    /// The same vector; what makes it stays before what makes any vector held later. The compiler would else finish
    /// one chain of rounds after the other, to save registers, and the processor would wait for each.
    fn hold(self, v: Self::V) -> Self::V;
    /// Sum in GF(2).
    fn xor(self, a: Self::V, b: Self::V) -> Self::V;
    /// Sum of three in GF(2).
    fn xor3(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// One round of AES in each lane.
    fn aes(self, state: Self::V, key: Self::V) -> Self::V;
    /// The last round of AES in each lane.
    fn aes_last(self, state: Self::V, key: Self::V) -> Self::V;
    /// In each lane the carry-less product of the low halves.
    fn mul_low(self, a: Self::V, b: Self::V) -> Self::V;
    /// In each lane the carry-less product of the high halves.
    fn mul_high(self, a: Self::V, b: Self::V) -> Self::V;
    /// In each lane the carry-less product of the low half of `a` and the high half of `b`.
    fn mul_cross(self, a: Self::V, b: Self::V) -> Self::V;
    /// The octets of each lane in reverse order.
    fn reverse(self, v: Self::V) -> Self::V;
    /// The halves of each lane exchanged.
    fn swap(self, v: Self::V) -> Self::V;
}
