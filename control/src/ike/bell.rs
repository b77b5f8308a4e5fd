//! Wakes the driver where it waits: beside its sockets, where no channel can be waited for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// Whoever knocks rings it afterwards. Only the first ring for one who sleeps is a system call.
#[derive(Debug)]
pub(super) struct Bell {
    descriptor: OwnedFd,
    /// Whether the driver sleeps or is about to.
    asleep: AtomicBool,
}

impl Bell {
    /// A silent one.
    pub(super) fn new() -> io::Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { descriptor, asleep: AtomicBool::new(false) })
    }

    pub(super) fn ring(&self) {
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            // The only failure is a full counter, and then it rings already.
            let _ = rustix::io::write(&self.descriptor, &1u64.to_ne_bytes());
        }
    }

    /// Whoever knocks from here on rings. The driver looks once more for those before, and sleeps then.
    pub(super) fn lie_down(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// Nobody need ring any more.
    pub(super) fn get_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// It has rung.
    pub(super) fn silence(&self) {
        let _ = rustix::io::read(&self.descriptor, &mut [0u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
