//! The life of a worker's thread: breathe while there is work, then spin or sleep.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};

use super::Worker;
use crate::port::idle;

/// Breaths without work before a worker goes to sleep: some tens of microseconds.
const PATIENCE: u32 = 500;
/// Longest sleep: timers of the stages have no finer need.
const SLEEP: Duration = Duration::from_millis(10);
/// Sleep while packets wait for a neighbour, whose answer comes by a new generation.
const SHORT_SLEEP: Duration = Duration::from_millis(1);

/// What a worker does when there is no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Goes on looking: least latency, a whole core.
    Spin,
    /// Sleeps until a ring has something.
    Sleep,
}

/// Wakes a sleeping worker, and tells it to stop.
#[derive(Debug)]
pub struct Bell {
    descriptor: OwnedFd,
    stop: AtomicBool,
    /// Whether the worker sleeps or is about to. Ordered against the post's queues: see [`Self::lie_down`].
    asleep: AtomicBool,
}

impl Bell {
    /// A silent bell.
    pub fn new() -> std::io::Result<Arc<Self>> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self { descriptor, stop: AtomicBool::new(false), asleep: AtomicBool::new(false) }))
    }

    /// Wakes the worker if it sleeps.
    pub fn ring(&self) {
        // The only failure is a full counter, and then it rings already.
        let _ = rustix::io::write(&self.descriptor, &1u64.to_ne_bytes());
    }

    /// As [`Self::ring`], with a system call only when the worker sleeps, and only one.
    pub fn rouse(&self) {
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            self.ring();
        }
    }

    /// From now on [`Self::rouse`] rings. The worker then looks once more for what was handed over before: whoever hands
    /// over first and rouses afterwards is either seen or rings.
    pub(crate) fn lie_down(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// From now on [`Self::rouse`] does nothing.
    pub(crate) fn get_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Ends the worker's life after its breath.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.ring();
    }

    /// What to wait on.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Takes the rings so far; tells whether there was one.
    pub(crate) fn silence(&self) -> bool {
        rustix::io::read(&self.descriptor, &mut [0u8; 8]).is_ok()
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor()
    }
}

/// Breathes until told to stop.
pub fn live(worker: &mut Worker, bell: &Bell, idle: Idle) {
    let mut quiet = 0u32;
    while !bell.stop.load(Ordering::Relaxed) {
        if worker.breathe() {
            quiet = 0;
        } else {
            quiet = quiet.saturating_add(1);
        }
        if quiet > PATIENCE {
            match idle {
                Idle::Spin => std::hint::spin_loop(),
                Idle::Sleep => sleep(worker, bell),
            }
        }
    }
}

fn sleep(worker: &Worker, bell: &Bell) {
    let at_most = if worker.is_waiting() { SHORT_SLEEP } else { SLEEP };
    bell.lie_down();
    // An error is as good as a wake: the next breath looks.
    let wait = || idle::wait(worker.trunks(), Some(bell.descriptor()), at_most).unwrap_or(false);
    let rung = !worker.has_post() && wait();
    bell.get_up();
    if rung {
        bell.silence();
    }
}
