//! The octets of one job as the kernels walk them: read here, write there, the same place or another.
#![expect(unsafe_code, reason = "input and output may be the same memory, which references cannot say")]

use std::marker::PhantomData;

use super::lanes::Lanes;
use crate::text::{Shape, Text};

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
    /// Takes a text up. A tail, with what stands before it in its vector, is brought to the output at once, so
    /// that only one seam remains and it lies between vectors of 64 octets.
    #[inline(always)]
    pub(super) fn new(text: &'a mut Text<'_>) -> Self {
        match &mut text.0 {
            Shape::InPlace(octets) => Self::over(octets.as_ptr(), octets, 0),
            Shape::Across { input, tail: [], output } => Self::over(input.as_ptr(), output, usize::MAX),
            Shape::Across { input, tail, output } => {
                let split = input.len() / 64 * 64;
                output[split..input.len()].copy_from_slice(&input[split..]);
                output[input.len()..].copy_from_slice(tail);
                Self::over(input.as_ptr(), output, split)
            }
        }
    }

    #[inline(always)]
    fn over(input: *const u8, output: &mut [u8], split: usize) -> Self {
        Self { input, output: output.as_mut_ptr(), split, len: output.len(), borrowed: PhantomData }
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

    /// A whole vector of input. `at` is a multiple of its length.
    #[inline(always)]
    pub(super) fn load<L: Lanes>(&self, l: L, at: usize) -> L::V {
        assert!(at <= self.len && self.len - at >= L::OCTETS);
        // SAFETY: the octets are within the text, and the seam is a multiple of every vector's length.
        unsafe { l.load(self.source(at)) }
    }

    /// The last `len - at` octets of input, at most one vector's worth; zeros follow. `at` is as above.
    #[inline(always)]
    pub(super) fn load_rest<L: Lanes>(&self, l: L, at: usize) -> L::V {
        let count = self.rest::<L>(at);
        // SAFETY: the octets are within the text, and the seam is a multiple of every vector's length.
        unsafe { l.load_part(self.source(at), count) }
    }

    /// Writes a whole vector of output.
    #[inline(always)]
    pub(super) fn store<L: Lanes>(&mut self, l: L, at: usize, v: L::V) {
        assert!(at <= self.len && self.len - at >= L::OCTETS);
        // SAFETY: the octets are within the output.
        unsafe { l.store(self.output.wrapping_add(at), v) }
    }

    /// Writes the last `len - at` octets of output.
    #[inline(always)]
    pub(super) fn store_rest<L: Lanes>(&mut self, l: L, at: usize, v: L::V) {
        let count = self.rest::<L>(at);
        // SAFETY: the octets are within the output.
        unsafe { l.store_part(self.output.wrapping_add(at), count, v) }
    }

    /// Octets from `at` to the end, at most one vector's worth.
    #[inline(always)]
    pub(super) fn rest<L: Lanes>(&self, at: usize) -> usize {
        assert!(at <= self.len && self.len - at <= L::OCTETS);
        self.len - at
    }
}
