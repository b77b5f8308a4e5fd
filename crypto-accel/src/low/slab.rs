//! Memory from the system that keys may lie in.
#![expect(unsafe_code, reason = "maps memory")]

use std::ptr::NonNull;

/// Octets of a slab: 372 keys of AES-GCM.
pub(super) const OCTETS: usize = 1 << 18;

/// What the system granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// Seen by this process alone, and locked.
    Secret,
    /// Locked in RAM.
    Locked,
    /// Nothing.
    Unlocked,
}

/// Zeros on a whole slab, which stays mapped to the end of the process. `None` if there is no memory.
#[cfg(all(target_os = "linux", not(miri)))]
pub(super) fn map(may_lock: bool) -> Option<(NonNull<u8>, Protection)> {
    if let Some(slab) = may_lock.then(secret).flatten() {
        return Some((slab, Protection::Secret));
    }
    let slab = mapped(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
    let address = slab.as_ptr().cast();
    // SAFETY: the slab was just mapped; the advice changes only what a core file holds.
    unsafe { libc::madvise(address, OCTETS, libc::MADV_DONTDUMP) };
    // SAFETY: the slab was just mapped; locking changes nothing that it holds.
    let locked = may_lock && unsafe { libc::mlock(address, OCTETS) } == 0;
    Some((slab, if locked { Protection::Locked } else { Protection::Unlocked }))
}

/// A slab that not even the kernel sees by its own map of memory (`memfd_secret(2)`), which is always locked. `None`
/// where the kernel has no such memory or the limit on locked memory is reached.
#[cfg(all(target_os = "linux", not(miri)))]
fn secret() -> Option<NonNull<u8>> {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    // SAFETY: the call takes one number and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the system just gave us this descriptor.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the call touches no memory of ours.
    let sized = unsafe { libc::ftruncate(file.as_raw_fd(), OCTETS as libc::off_t) };
    if sized == 0 { mapped(libc::MAP_SHARED, file.as_raw_fd()) } else { None }
}

#[cfg(all(target_os = "linux", not(miri)))]
fn mapped(flags: libc::c_int, fd: libc::c_int) -> Option<NonNull<u8>> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the system chooses an address where nothing is.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), OCTETS, rights, flags, fd, 0) };
    if address == libc::MAP_FAILED { None } else { NonNull::new(address.cast()) }
}

/// Zeros on a whole slab, which is never freed. `None` if there is no memory.
#[cfg(any(not(target_os = "linux"), miri))]
pub(super) fn map(_may_lock: bool) -> Option<(NonNull<u8>, Protection)> {
    let layout = std::alloc::Layout::from_size_align(OCTETS, 4096).ok()?;
    // SAFETY: the layout has a size.
    let slab = unsafe { std::alloc::alloc_zeroed(layout) };
    Some((NonNull::new(slab)?, Protection::Unlocked))
}
