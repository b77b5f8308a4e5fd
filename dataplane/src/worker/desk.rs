//! What passes between workers and control about TLS connections: orders down, notices up.
//!
//! Workers only push and pop; whoever waits for notices is a thread of the contract socket.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam::queue::ArrayQueue;
use ravelin_contract::limits;
use ravelin_contract::tls::Notice;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::run::Bell;
use crate::tls::order::Command;

/// Orders that may wait for one worker.
const ORDERS: usize = 4096;
/// Notices that may wait for control; what finds no room waits at its worker, in order.
const NOTICES: usize = 4096;

/// Both ways.
#[derive(Debug)]
pub struct Desk {
    orders: Box<[ArrayQueue<Command>]>,
    notices: ArrayQueue<Notice>,
    /// Wakes who waits for notices.
    bell: Arc<Bell>,
    /// Of all workers, or none when nobody sleeps.
    workers: Vec<Arc<Bell>>,
    /// Who took notices last: whoever comes later has them all, so that a control which is gone takes none.
    holder: AtomicU64,
}

impl Desk {
    /// For so many workers; `bells` are theirs where they may sleep.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new(workers: usize, bells: Vec<Arc<Bell>>) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            orders: (0..workers).map(|_| ArrayQueue::new(ORDERS)).collect(),
            notices: ArrayQueue::new(NOTICES),
            bell: Bell::new()?,
            workers: bells,
            holder: AtomicU64::new(0),
        }))
    }

    /// The next order for a worker.
    pub(super) fn next_order(&self, worker: usize) -> Option<Command> {
        self.orders[worker].pop()
    }

    /// Whether one waits.
    pub(super) fn has_orders(&self, worker: usize) -> bool {
        !self.orders[worker].is_empty()
    }

    /// Takes notices over, as many as there is room for.
    pub(super) fn say(&self, notices: &mut VecDeque<Notice>) {
        if notices.is_empty() {
            return;
        }
        while let Some(notice) = notices.pop_front() {
            if let Err(notice) = self.notices.push(notice) {
                notices.push_front(notice);
                break;
            }
        }
        self.bell.rouse();
    }

    /// Gives an order to its worker; back when it has no room. One for a worker that does not exist is left out.
    ///
    /// # Errors
    /// The order, when there is no room.
    pub fn order(&self, command: Command) -> Result<(), Command> {
        let worker = usize::from(command.connection.worker);
        let Some(queue) = self.orders.get(worker) else { return Ok(()) };
        queue.push(command)?;
        self.workers.get(worker).inspect(|bell| bell.rouse());
        Ok(())
    }

    /// Notices for `holder`, as soon as there are some, after `patience` at the latest.
    pub fn take(&self, holder: u64, patience: Duration) -> Vec<Notice> {
        let until = Instant::now() + patience;
        if self.holder.swap(holder, Ordering::SeqCst) != holder {
            self.bell.ring();
        }
        loop {
            if self.holder.load(Ordering::SeqCst) != holder {
                return Vec::new();
            }
            let notices: Vec<_> = std::iter::from_fn(|| self.notices.pop()).take(limits::ENTRIES).collect();
            let left = until.saturating_duration_since(Instant::now());
            if !notices.is_empty() || left.is_zero() {
                return notices;
            }
            self.bell.lie_down();
            if self.notices.is_empty() {
                let mut waited = [PollFd::new(self.bell.as_ref(), PollFlags::IN)];
                // An error is as good as a wake: the queue is looked at again.
                let _ = poll(&mut waited, Timespec::try_from(left).ok().as_ref());
            }
            self.bell.get_up();
            self.bell.silence();
        }
    }
}
