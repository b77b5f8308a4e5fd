//! Reading and writing octets in order. A reader cannot run past its end; a writer's lengths are patched where they belong.

use super::error::WriteError;

/// What a payload's body is parsed to, or what is wrong with it.
pub(crate) type Body<T> = Result<T, &'static str>;

/// Octets not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[octet]| octet)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// Everything that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Leaves room for a 16-bit length, lets `body` write, and patches in the octets written from `start` on.
pub(crate) fn with_length(
    out: &mut Vec<u8>,
    start: usize,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let at = out.len();
    out.extend_from_slice(&[0, 0]);
    body(out)?;
    let length = u16::try_from(out.len() - start).map_err(|_| WriteError("more than 65,535 octets"))?;
    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Appends octets that have no limit of their own.
pub(crate) fn put(out: &mut Vec<u8>, octets: &[u8]) -> Result<(), WriteError> {
    out.extend_from_slice(octets);
    Ok(())
}

/// Refuses what exceeds a limit.
pub(crate) fn at_most(count: usize, limit: usize, what: &'static str) -> Result<(), &'static str> {
    if count > limit { Err(what) } else { Ok(()) }
}
