//! The octets that a job works on, and where its result goes.

use zeroize::Zeroize;

use crate::error::LengthError;

/// Longest text of one job in octets: far above any packet or record, far below every algorithm's own limit
/// (2^36 - 32 for AES-GCM, NIST SP 800-38D 5.2.1.1), so that no counter can wrap.
pub const TEXT_MAX: usize = 1 << 30;

/// Input and output of one job.
///
/// Empty in AES-GMAC, where everything is associated data (RFC 4543).
pub struct Text<'a>(pub(crate) Shape<'a>);

/// Invariant: at most [`TEXT_MAX`] octets; `output.len() == input.len() + tail.len()`.
pub(crate) enum Shape<'a> {
    InPlace(&'a mut [u8]),
    Across { input: &'a [u8], tail: &'a [u8], output: &'a mut [u8] },
}

impl<'a> Text<'a> {
    /// The result replaces the octets.
    ///
    /// # Errors
    /// More than [`TEXT_MAX`] octets.
    #[inline]
    pub fn in_place(octets: &'a mut [u8]) -> Result<Self, LengthError> {
        check_length(octets.len())?;
        Ok(Self(Shape::InPlace(octets)))
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
        let length = input.len().saturating_add(tail.len());
        if output.len() != length {
            return Err(LengthError::Output { input: length, output: output.len() });
        }
        check_length(length)?;
        Ok(Self(Shape::Across { input, tail, output }))
    }

    /// Number of octets.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Shape::InPlace(octets) => octets.len(),
            Shape::Across { output, .. } => output.len(),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Brings input and tail together in the output, to be worked on in place.
    pub(crate) fn gather(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Shape::InPlace(octets) => octets,
            Shape::Across { input, tail, output } => {
                let (head, rest) = output.split_at_mut(input.len());
                head.copy_from_slice(input);
                rest.copy_from_slice(tail);
                output
            }
        }
    }

    /// Leaves zeros in the output, so that nobody reads what was not authentic.
    pub(crate) fn wipe(&mut self) {
        match &mut self.0 {
            Shape::InPlace(octets) => octets.zeroize(),
            Shape::Across { output, .. } => output.zeroize(),
        }
    }
}

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
    fn length_is_bounded() {
        assert_eq!(check_length(TEXT_MAX), Ok(()));
        assert_eq!(check_length(TEXT_MAX + 1), Err(LengthError::TooLong(TEXT_MAX + 1)));
    }
}
