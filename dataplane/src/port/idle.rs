//! Waiting without turning in circles.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

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
    wait_on(ports.filter_map(|port| port.descriptor()), wake, at_most)
}

/// A descriptor that only tells of its fault (an interface that is down or gone) would end every wait at once, and the
/// worker would turn in circles: the rest of the time is waited without it, at the cost of a second system call.
fn wait_on<'a>(
    ports: impl Iterator<Item = BorrowedFd<'a>>,
    wake: Option<BorrowedFd<'a>>,
    at_most: Duration,
) -> io::Result<bool> {
    let descriptors = wake.iter().copied().chain(ports);
    let mut waited: ArrayVec<PollFd<'a>, MOST> =
        descriptors.take(MOST).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let until = Instant::now() + at_most;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let time = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut waited, Some(&time)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let rung = wake.is_some() && waited.first().is_some_and(|first| !first.revents().is_empty());
        let before = waited.len();
        let useful = waited.iter().any(|fd| fd.revents().contains(PollFlags::IN));
        waited.retain(|fd| fd.revents().is_empty());
        if rung || useful || waited.len() == before {
            return Ok(rung);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::port::memory;

    #[test]
    fn a_descriptor_with_a_fault_does_not_end_the_wait_and_the_others_still_do() {
        let (bell, hand) = rustix::pipe::pipe().unwrap();
        let (good, sender) = rustix::pipe::pipe().unwrap();
        let (hung_up, gone) = rustix::pipe::pipe().unwrap();
        drop(gone);
        let wait = |at_most| {
            let ports = [hung_up.as_fd(), good.as_fd()].into_iter();
            let began = Instant::now();
            (wait_on(ports, Some(bell.as_fd()), at_most).unwrap(), began.elapsed())
        };
        let (rung, time) = wait(Duration::from_millis(50));
        assert!(!rung && time >= Duration::from_millis(50), "{time:?}");
        let (long, generous) = (Duration::from_secs(600), Duration::from_secs(60));
        rustix::io::write(&sender, b"!").unwrap();
        let (rung, time) = wait(long);
        assert!(!rung && time < generous);
        rustix::io::write(&hand, b"!").unwrap();
        let (rung, time) = wait(long);
        assert!(rung && time < generous);
    }

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
