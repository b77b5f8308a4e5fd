//! Waiting without turning in circles.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use arrayvec::ArrayVec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::Port;

/// Most descriptors that are waited on; ports beyond are found when the time is up.
const MOST: usize = 64;

/// Sleeps until a port has something to receive, `wake` becomes readable, or `at_most` is over. One system call. Returns
/// whether `wake` is readable.
///
/// Ports without a descriptor do not wake; a port with frames still to send is to be flushed until none wait, not slept
/// upon.
pub fn wait<'a>(
    ports: impl Iterator<Item = &'a dyn Port>,
    wake: Option<BorrowedFd<'a>>,
    at_most: Duration,
) -> io::Result<bool> {
    let descriptors = wake.iter().copied().chain(ports.filter_map(|port| port.descriptor()));
    let mut waited: ArrayVec<PollFd<'a>, MOST> =
        descriptors.take(MOST).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let time = Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: at_most.subsec_nanos().into() };
    match poll(&mut waited, Some(&time)) {
        Ok(_) => Ok(wake.is_some() && waited.first().is_some_and(|first| !first.revents().is_empty())),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::Instant;

    use super::*;
    use crate::port::memory;

    #[test]
    fn it_wakes_when_told_and_when_the_time_is_up() {
        let (port, _plug) = memory::plugged(4, 64);
        let (end, other) = rustix::pipe::pipe().unwrap();
        let wait_long = |at_most| {
            let began = Instant::now();
            let woken = wait([&port as &dyn Port].into_iter(), Some(end.as_fd()), at_most).unwrap();
            (woken, began.elapsed())
        };
        let (woken, time) = wait_long(Duration::from_millis(30));
        assert!(!woken && time >= Duration::from_millis(30));
        rustix::io::write(&other, b"!").unwrap();
        let (woken, time) = wait_long(Duration::from_secs(10));
        assert!(woken && time < Duration::from_secs(5));
    }
}
