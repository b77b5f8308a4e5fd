//! As much DER as public keys and names of algorithms need: reading definite lengths, nothing more.

/// Elements not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Der<'a>(&'a [u8]);

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

impl<'a> Der<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element.
    pub(crate) fn peek(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The inside of the next element, which must have this tag.
    pub(crate) fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&found, rest) = self.0.split_first()?;
        let (length, rest) = length(rest)?;
        let (inside, rest) = rest.split_at_checked(length)?;
        if found != tag {
            return None;
        }
        self.0 = rest;
        Some(inside)
    }

    /// The elements of a sequence.
    pub(crate) fn sequence(&mut self) -> Option<Self> {
        self.element(SEQUENCE).map(Self)
    }

    /// The next element, if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.peek() == Some(tag) { self.element(tag).map(Some) } else { Some(None) }
    }
}

/// A definite length in its shortest form, up to 65,535.
fn length(octets: &[u8]) -> Option<(usize, &[u8])> {
    match *octets {
        [short @ 0..=0x7f, ref rest @ ..] => Some((short.into(), rest)),
        [0x81, one @ 0x80..=0xff, ref rest @ ..] => Some((one.into(), rest)),
        [0x82, high @ 1..=0xff, low, ref rest @ ..] => {
            Some((usize::from(high) << 8 | usize::from(low), rest))
        }
        _ => None,
    }
}
