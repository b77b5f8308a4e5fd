//! The octets that a job works on, and where its result goes.
#![expect(unsafe_code, reason = "input and output may be the same place, which references cannot say")]

use std::marker::PhantomData;
use std::ptr;

use crate::error::LengthError;
use crate::low::erase;

/// Longest text of one job in octets: far above any packet or record, far below every algorithm's own limit
/// (2^36 - 32 for AES-GCM, NIST SP 800-38D 5.2.1.1), so that no counter can wrap.
pub const TEXT_MAX: usize = 1 << 30;

/// Input and output of one job.
///
/// Empty in AES-GMAC, where everything is associated data (RFC 4543).
///
/// Invariant: `output` is valid for reading and writing `len` octets and borrowed alone; `len` is at most
/// [`TEXT_MAX`]. `input` is valid for reading `head` octets and is either `output` or apart from it; `tail` has the other
/// `len - head` octets and is apart from it.
pub struct Text<'a> {
    pub(crate) input: *const u8,
    pub(crate) output: *mut u8,
    tail: Tail<'a>,
    pub(crate) head: usize,
    pub(crate) len: usize,
    borrowed: PhantomData<&'a mut [u8]>,
}

/// What follows the input.
enum Tail<'a> {
    One(&'a [u8]),
    Parts(&'a [&'a [u8]]),
}

impl<'a> Text<'a> {
    /// The result replaces the octets.
    ///
    /// # Errors
    /// More than [`TEXT_MAX`] octets.
    #[inline]
    pub fn in_place(octets: &'a mut [u8]) -> Result<Self, LengthError> {
        let len = octets.len();
        check_length(len)?;
        let output = octets.as_mut_ptr();
        Ok(Self { input: output, output, tail: Tail::One(&[]), head: len, len, borrowed: PhantomData })
    }

    /// `input`, then `tail`, are the text; the result goes to `output`, which may hold anything before.
    ///
    /// The tail saves a copy where the sender adds octets: an ESP trailer (RFC 4303 2.4) or the content type of
    /// a TLS 1.3 record (RFC 8446 5.2). Else it is empty.
    ///
    /// # Errors
    /// `output` has another length than both together, or they are more than [`TEXT_MAX`] octets.
    #[inline]
    pub fn across(input: &'a [u8], tail: &'a [u8], output: &'a mut [u8]) -> Result<Self, LengthError> {
        Self::after(input, tail.len(), Tail::One(tail), output)
    }

    /// `parts` one after the other are the text; the result goes to `output`, which may hold anything before.
    ///
    /// For a TLS record that came in several segments, or that is made from several. The first part is read where it
    /// lies, the others are brought together first, so it pays to cut at few places.
    ///
    /// # Errors
    /// As for [`Text::across`].
    #[inline]
    pub fn scattered(parts: &'a [&'a [u8]], output: &'a mut [u8]) -> Result<Self, LengthError> {
        let (first, rest) = parts.split_first().map_or((&[][..], parts), |(first, rest)| (*first, rest));
        let behind = rest.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        Self::after(first, behind, Tail::Parts(rest), output)
    }

    /// `input`, then a tail of so many octets.
    #[inline]
    fn after(
        input: &'a [u8],
        behind: usize,
        tail: Tail<'a>,
        output: &'a mut [u8],
    ) -> Result<Self, LengthError> {
        let (head, len) = (input.len(), output.len());
        if head.checked_add(behind) != Some(len) {
            return Err(LengthError::Output { input: head.saturating_add(behind), output: len });
        }
        check_length(len)?;
        let (input, output) = (input.as_ptr(), output.as_mut_ptr());
        Ok(Self { input, output, tail, head, len, borrowed: PhantomData })
    }

    /// Number of octets.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Brings input and tail together in the output, to be worked on in place.
    pub(crate) fn gather(&mut self) -> &mut [u8] {
        self.gather_from(0)
    }

    /// The same for the octets from `start` on, at most `head`: those before stay where they are, and the output is
    /// not theirs yet.
    pub(crate) fn gather_from(&mut self, start: usize) -> &mut [u8] {
        assert!(start <= self.head);
        if !ptr::eq(self.input, self.output) {
            let (from, to) = (self.input.wrapping_add(start), self.output.wrapping_add(start));
            // SAFETY: the invariant says that both are valid for `head` octets and apart.
            unsafe { ptr::copy_nonoverlapping(from, to, self.head - start) };
        }
        let head = self.head;
        match self.tail {
            Tail::One(tail) => self.octets()[head..].copy_from_slice(tail),
            Tail::Parts(parts) => {
                let mut to = &mut self.octets()[head..];
                for part in parts {
                    let place;
                    (place, to) = to.split_at_mut(part.len());
                    place.copy_from_slice(part);
                }
            }
        }
        self.octets()
    }

    /// Leaves zeros in the output, so that nobody reads what was not authentic.
    #[cold]
    pub(crate) fn wipe(&mut self) {
        erase(self.octets());
    }

    /// The output.
    fn octets(&mut self) -> &mut [u8] {
        // SAFETY: the invariant says that it is valid and borrowed by us alone. In place nobody reads the input
        // through another reference.
        unsafe { std::slice::from_raw_parts_mut(self.output, self.len) }
    }
}

#[inline]
fn check_length(length: usize) -> Result<(), LengthError> {
    if length > TEXT_MAX { Err(LengthError::TooLong(length)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_must_fit_input_and_tail_exactly() {
        for output in [0, 4, 6] {
            let mut room = vec![0; output];
            let refused = Text::across(b"abc", b"de", &mut room).err();
            assert_eq!(refused, Some(LengthError::Output { input: 5, output }));
        }
        assert!(Text::across(b"abc", b"de", &mut [0; 5]).is_ok());
    }

    #[test]
    fn gathers_input_then_tail() {
        let mut room = [9; 5];
        let mut text = Text::across(b"abc", b"de", &mut room).unwrap();
        assert_eq!(text.gather(), b"abcde");
        text.wipe();
        assert_eq!(room, [0; 5]);
    }

    #[test]
    fn gathers_parts_in_order() {
        let parts: [&[u8]; 5] = [b"ab", b"", b"cde", b"f", b""];
        let mut room = [9; 6];
        assert_eq!(Text::scattered(&parts, &mut room).unwrap().gather(), b"abcdef");
        assert_eq!(Text::scattered(&parts[1..], &mut room[..4]).unwrap().gather(), b"cdef");
        assert!(Text::scattered(&[], &mut []).unwrap().is_empty());
        let refused = Text::scattered(&parts, &mut room[..5]).err();
        assert_eq!(refused, Some(LengthError::Output { input: 6, output: 5 }));
    }

    #[test]
    fn length_is_bounded() {
        assert_eq!(check_length(TEXT_MAX), Ok(()));
        assert_eq!(check_length(TEXT_MAX + 1), Err(LengthError::TooLong(TEXT_MAX + 1)));
    }
}
