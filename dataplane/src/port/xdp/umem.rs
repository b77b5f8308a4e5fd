//! Packet memory of one worker: a memfd cut into frames, which every port of the worker registers as its UMEM.
//!
//! Each socket registers the same memory for itself instead of binding to a shared UMEM. A shared bind takes no flag of
//! its own, so one port without zero-copy would take it from all; registered apart, each port gets what its driver can.
//! Frames stay valid until the process ends: the memory is never unmapped.
#![expect(unsafe_code, reason = "descriptors from the kernel become frames again")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::net::xdp::{XdpUmemReg, XdpUmemRegFlags};

use super::mapping::Mapping;
use super::ring::Descriptor;
use crate::frame::Frame;

/// The memory. Made once per worker and never freed.
#[derive(Debug)]
pub struct Umem {
    memory: OwnedFd,
    mapping: Mapping,
    frames: u32,
    /// A power of two.
    frame_size: u16,
}

impl Umem {
    /// Memory for `frames` frames of `frame_size` octets (2048 or 4096, which is what AF_XDP takes), and the frames.
    pub fn new(frames: u32, frame_size: u16) -> io::Result<(&'static Self, Vec<Frame>)> {
        if !matches!(frame_size, 2048 | 4096) || frames == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let length = u64::from(frames) * u64::from(frame_size);
        let memory = memfd_create("ravelin-packets", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, length)?;
        let mapping = Mapping::new(memory.as_fd(), length as usize, 0)?;
        let umem: &'static Self = Box::leak(Box::new(Self { memory, mapping, frames, frame_size }));
        // SAFETY: each slot gets one handle, here, before anybody else knows the memory.
        let all = (0..frames).map(|slot| unsafe { umem.frame(slot) }).collect();
        Ok((umem, all))
    }

    /// The memfd, by which a successor can map the same memory.
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// What a socket tells the kernel of it.
    pub(super) fn registration(&self) -> XdpUmemReg {
        XdpUmemReg {
            addr: self.mapping.base().addr().get() as u64,
            len: u64::from(self.frames) * u64::from(self.frame_size),
            chunk_size: self.frame_size.into(),
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        }
    }

    /// Turns a frame into the descriptor of its packet. From here on the slot has no handle, until `reclaim`.
    pub(super) fn lend(&self, frame: Frame) -> Descriptor {
        debug_assert_eq!(frame.capacity(), usize::from(self.frame_size), "a frame of another memory");
        let address = u64::from(frame.slot()) * u64::from(self.frame_size) + frame.headroom() as u64;
        Descriptor { address, length: frame.len() as u32, options: 0 }
    }

    /// Makes the handle of a lent frame again; its packet is `length` octets from `address` on. `None` when that does
    /// not lie within one slot.
    ///
    /// # Safety
    /// `address` lies in a slot that was lent by `lend`, that the kernel has since given back, and that was not
    /// reclaimed before.
    pub(super) unsafe fn reclaim(&self, address: u64, length: u32) -> Option<Frame> {
        let slot =
            u32::try_from(address / u64::from(self.frame_size)).ok().filter(|slot| *slot < self.frames)?;
        // SAFETY: the slot is within the memory, and the caller promises that it has no handle.
        let mut frame = unsafe { self.frame(slot) };
        frame.place((address % u64::from(self.frame_size)) as usize, length as usize)?;
        Some(frame)
    }

    /// The handle of a slot.
    ///
    /// # Safety
    /// `slot` is below `frames` and has no handle.
    unsafe fn frame(&self, slot: u32) -> Frame {
        // SAFETY: within the mapping, by the caller's word.
        let base = unsafe { self.mapping.base().add(slot as usize * usize::from(self.frame_size)) };
        // SAFETY: mapped until the process ends (only ever made in `new`, which leaks it), zeroed by the kernel, and
        // without another handle by the caller's word.
        unsafe { Frame::from_raw(base, slot, self.frame_size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_as_it_was_lent() {
        let (umem, mut frames) = Umem::new(4, 2048).unwrap();
        let mut frame = frames.remove(2);
        frame.place(300, 5).unwrap();
        frame.bytes_mut().copy_from_slice(b"hello");
        let lent = umem.lend(frame);
        assert_eq!(lent, Descriptor { address: 2 * 2048 + 300, length: 5, options: 0 });
        // SAFETY: lent just above, and no kernel knows of it.
        let back = unsafe { umem.reclaim(lent.address, lent.length) }.unwrap();
        assert_eq!((back.slot(), back.headroom(), back.bytes()), (2, 300, &b"hello"[..]));
    }

    #[test]
    fn descriptors_outside_a_slot_are_refused() {
        let (umem, frames) = Umem::new(2, 2048).unwrap();
        drop(frames);
        // SAFETY: the handles were dropped, and each slot is named once.
        assert!(unsafe { umem.reclaim(2 * 2048, 1) }.is_none());
        // SAFETY: as above.
        assert!(unsafe { umem.reclaim(2047, 2) }.is_none());
    }

    #[test]
    fn only_sizes_that_the_kernel_takes() {
        assert!(Umem::new(2, 3000).is_err() && Umem::new(0, 2048).is_err());
    }
}
