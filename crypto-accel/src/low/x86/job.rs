//! What sealing and opening have in common for the kernels.

use crate::aead::{OpenJob, SealJob, TAG_LEN, Work};

/// A job of either kind.
pub(super) trait Job<'a> {
    /// Which way.
    const SEAL: bool;

    /// What it is about.
    fn work(&self) -> &Work<'a>;
    /// The same, to do it.
    fn work_mut(&mut self) -> &mut Work<'a>;
    /// Takes the tag of the ciphertext.
    fn finish(&mut self, tag: impl MadeTag);
}

/// A tag as a kernel made it.
pub(super) trait MadeTag {
    /// Writes its octets there.
    fn write(self, to: &mut [u8; TAG_LEN]);
    /// Compares in constant time.
    fn equals(self, other: &[u8; TAG_LEN]) -> bool;
}

impl<'a> Job<'a> for SealJob<'a> {
    const SEAL: bool = true;

    #[inline(always)]
    fn work(&self) -> &Work<'a> {
        &self.work
    }

    #[inline(always)]
    fn work_mut(&mut self) -> &mut Work<'a> {
        &mut self.work
    }

    #[inline(always)]
    fn finish(&mut self, tag: impl MadeTag) {
        tag.write(self.tag);
    }
}

impl<'a> Job<'a> for OpenJob<'a> {
    const SEAL: bool = false;

    #[inline(always)]
    fn work(&self) -> &Work<'a> {
        &self.work
    }

    #[inline(always)]
    fn work_mut(&mut self) -> &mut Work<'a> {
        &mut self.work
    }

    #[inline(always)]
    fn finish(&mut self, tag: impl MadeTag) {
        let authentic = tag.equals(self.tag);
        self.judge(authentic);
    }
}
