//! The octets of one job as the kernels walk them: read here, write there, the same place or another.
#![expect(unsafe_code, reason = "input and output may be the same memory, which references cannot say")]

use std::marker::PhantomData;

use super::lanes::Lanes;
use crate::text::Text;

/// Input and output of equal length.
///
/// Invariant: `output` is valid for writing and reading `len` octets. Octet `i` of the input is read at `output`
/// if `i >= split`, else at `input`, which is valid for reading `min(split, len)` octets.
pub(super) struct Span<'a> {
    input: *const u8,
    output: *mut u8,
    split: usize,
    len: usize,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> Span<'a> {
    /// Takes a text up.
    ///
    /// A tail, with what stands before it in its vector or run, is brought to the output at once, so that no
    /// vector is read from two places.
    #[inline(always)]
    pub(super) fn new<L: Lanes>(text: &'a mut Text<'_>) -> Self {
        let split = if text.head == text.len { usize::MAX } else { bring_tail::<L>(text) };
        Self { input: text.input, output: text.output, split, len: text.len, borrowed: PhantomData }
    }

    /// `K` whole vectors from `at` on, a multiple of the length of [`HALF`] a run. Panics if the text ends before.
    ///
    /// One check for all, so that no branch stands between them.
    #[inline(always)]
    pub(super) fn run<L: Lanes, const K: usize>(&self, at: usize) -> Run<'a, K> {
        assert!(at <= self.len && self.len - at >= K * L::OCTETS);
        let from = [0, HALF].map(|i| self.source(at + i * L::OCTETS));
        Run { from, to: self.output.wrapping_add(at), borrowed: PhantomData }
    }

    /// The same, but what is read is the output.
    #[inline(always)]
    pub(super) fn written<L: Lanes, const K: usize>(&self, at: usize) -> Run<'a, K> {
        let mut run = self.run::<L, K>(at);
        run.from = [0, HALF].map(|i| self.output.cast_const().wrapping_add(at + i * L::OCTETS));
        run
    }

    /// All from `at` on, a multiple of a vector's length, as `T` vectors. Panics if that is not their number.
    #[inline(always)]
    pub(super) fn rest<L: Lanes, const T: usize>(self, at: usize) -> Rest<'a, T> {
        assert!(at <= self.len && (self.len - at).div_ceil(L::OCTETS) == T);
        let last = (self.len - at).wrapping_sub(T.saturating_sub(1) * L::OCTETS);
        Rest { at, last, span: self }
    }

    /// Number of octets.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    fn source(&self, at: usize) -> *const u8 {
        let from = if at >= self.split { self.output.cast_const() } else { self.input };
        from.wrapping_add(at)
    }
}

/// Vectors of a run.
pub(super) const RUN: usize = 8;
/// Vectors of half a run. No half is read from two places.
pub(super) const HALF: usize = RUN / 2;

/// How many halves of runs a text of `length` octets has; a rest of one to `5 * N - 2` blocks remains, or nothing.
///
/// A smaller rest would ask for powers below 1, since each lane of a run expects the blocks of all later lanes, and
/// that of the lengths, behind it.
#[inline(always)]
pub(super) fn halves<L: Lanes>(length: usize) -> usize {
    let least = if L::N == 4 { 3 } else { 1 };
    length.div_ceil(16).saturating_sub(least) / (HALF * L::N)
}

/// Brings the tail to the output; returns from where on all is there.
#[inline(always)]
fn bring_tail<L: Lanes>(text: &mut Text<'_>) -> usize {
    let in_runs = text.head < halves::<L>(text.len) * HALF * L::OCTETS;
    let seam = if in_runs { HALF * VECTOR_MOST } else { VECTOR_MOST };
    let split = text.head / seam * seam;
    text.gather_from(split);
    split
}

/// Octets of the longest vector.
const VECTOR_MOST: usize = 64;

/// `K` whole vectors, at most [`RUN`].
///
/// Invariant: all pointers are valid, that of the output for `K` vectors, those of the input for the vectors of each
/// half as far as there are any.
pub(super) struct Run<'a, const K: usize> {
    from: [*const u8; 2],
    to: *mut u8,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<const K: usize> Run<'_, K> {
    /// Input vector `i`.
    #[inline(always)]
    pub(super) fn load<L: Lanes>(&self, l: L, i: usize) -> L::V {
        assert!(i < K);
        // SAFETY: the run has that many vectors.
        unsafe { l.load(self.from[i / HALF].wrapping_add(i % HALF * L::OCTETS)) }
    }

    /// Output vector `i`.
    #[inline(always)]
    pub(super) fn store<L: Lanes>(&mut self, l: L, i: usize, v: L::V) {
        assert!(i < K);
        // SAFETY: the run has that many vectors.
        unsafe { l.store(self.to.wrapping_add(i * L::OCTETS), v) }
    }
}

/// The last `T` vectors of a text.
///
/// Invariant: from `at` on the span has `T - 1` whole vectors and `last` octets, at most a vector's worth.
pub(super) struct Rest<'a, const T: usize> {
    span: Span<'a>,
    at: usize,
    last: usize,
}

impl<const T: usize> Rest<'_, T> {
    /// Adds the stream to vector `i`. Gives the ciphertext as GHASH reads it.
    #[inline(always)]
    pub(super) fn crypt<L: Lanes, const SEAL: bool>(&mut self, l: L, i: usize, stream: L::V) -> L::V {
        let input = self.load(l, i);
        let output = l.xor(stream, input);
        self.store(l, i, output);
        let hashed = match SEAL {
            true if i + 1 == T => l.keep(output, self.last),
            true => output,
            false => input,
        };
        l.reverse(hashed)
    }

    /// Input vector `i`, zeros behind the last octet.
    #[inline(always)]
    fn load<L: Lanes>(&self, l: L, i: usize) -> L::V {
        assert!(i < T);
        let from = self.span.source(self.at + i * L::OCTETS);
        if i + 1 < T {
            // SAFETY: a whole vector, all before or all behind the seam.
            unsafe { l.load(from) }
        } else {
            // SAFETY: the last octets, all before or all behind the seam.
            unsafe { l.load_part(from, self.last) }
        }
    }

    /// Output vector `i`.
    #[inline(always)]
    fn store<L: Lanes>(&mut self, l: L, i: usize, v: L::V) {
        assert!(i < T);
        let to = self.span.output.wrapping_add(self.at + i * L::OCTETS);
        if i + 1 < T {
            // SAFETY: a whole vector.
            unsafe { l.store(to, v) }
        } else {
            // SAFETY: the last octets.
            unsafe { l.store_part(to, self.last, v) }
        }
    }
}
