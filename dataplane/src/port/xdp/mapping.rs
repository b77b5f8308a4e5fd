//! Memory that the kernel sees too: mapped on creation, unmapped on drop.
#![expect(unsafe_code, reason = "mmap and munmap")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A shared, writable mapping. Who hands out pointers into it answers for their use.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping is plain memory that belongs to no thread; it gives out raw pointers only.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` octets of `fd` from `offset` on, all pages present.
    pub(super) fn new(fd: BorrowedFd<'_>, length: usize, offset: u64) -> io::Result<Self> {
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping where the kernel likes, so it covers nothing that is in use.
        let base = unsafe { mmap(ptr::null_mut(), length, access, flags, fd, offset) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }

    /// The first octet.
    pub(super) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// The place of a `T` at `offset`. `None` when it does not lie within, or is not aligned.
    pub(super) fn at<T>(&self, offset: u64, count: usize) -> Option<NonNull<T>> {
        let offset = usize::try_from(offset).ok()?;
        let end = size_of::<T>().checked_mul(count)?.checked_add(offset)?;
        // SAFETY: only used when `offset <= end <= length`, so it stays within the mapping.
        let place = (end <= self.length).then(|| unsafe { self.base.add(offset) })?.cast::<T>();
        place.is_aligned().then_some(place)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and who uses pointers into it keeps it alive. Failing is harmless: it stays.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
    }
}
