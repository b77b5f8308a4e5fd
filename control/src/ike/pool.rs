//! Jobs of the protocol core: dear ones on a pool of threads, those of peers that are known first, few of strangers at a time.
//!
//! Waking a thread and being woken by it takes longer than most jobs do: the others stay at hand, for the driver itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::available_parallelism;

use ravelin_ike::Job;
use ravelin_ike::crypto::SystemRandom;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use super::{Door, Knock};

/// The threads, and what waits for them.
pub(super) struct Pool {
    threads: Arc<ThreadPool>,
    door: Door,
    /// Most jobs at a time.
    most: usize,
    /// Most of them for strangers, so that a peer need not wait for one.
    most_strange: usize,
    known: Line,
    strange: Line,
    at_hand: VecDeque<Job>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Job>,
    running: usize,
}

impl Pool {
    /// A thread for each core.
    pub(super) fn new(door: Door) -> Result<Self, ThreadPoolBuildError> {
        let most = available_parallelism().map_or(1, usize::from);
        let threads =
            ThreadPoolBuilder::new().num_threads(most).thread_name(|n| format!("ike job {n}")).build()?;
        let most_strange = most.saturating_sub(1).max(1);
        let threads = Arc::new(threads);
        let (known, strange) = (Line::default(), Line::default());
        Ok(Self { threads, door, most, most_strange, known, strange, at_hand: VecDeque::new() })
    }

    /// For work that is no job of the core.
    pub(super) fn threads(&self) -> Arc<ThreadPool> {
        Arc::clone(&self.threads)
    }

    /// Has a job done. It comes back as [`Knock::Done`], or from [`Pool::at_hand`].
    pub(super) fn put(&mut self, job: Job) {
        if !job.is_dear() {
            return self.at_hand.push_back(job);
        }
        let line = if job.is_of_stranger() { &mut self.strange } else { &mut self.known };
        line.waiting.push_back(job);
        self.start();
    }

    /// The next one that is to be done here and now.
    pub(super) fn at_hand(&mut self) -> Option<Job> {
        self.at_hand.pop_front()
    }

    /// One has come back.
    pub(super) fn done(&mut self, of_stranger: bool) {
        let line = if of_stranger { &mut self.strange } else { &mut self.known };
        line.running = line.running.saturating_sub(1);
        self.start();
    }

    /// Jobs of strangers that wait.
    pub(super) fn strangers(&self) -> usize {
        self.strange.waiting.len()
    }

    /// Whether nothing runs or waits.
    pub(super) fn is_idle(&self) -> bool {
        let is_idle = |line: &Line| line.running == 0 && line.waiting.is_empty();
        is_idle(&self.known) && is_idle(&self.strange) && self.at_hand.is_empty()
    }

    fn start(&mut self) {
        while self.known.running + self.strange.running < self.most {
            let next = match self.known.waiting.pop_front() {
                Some(job) => Some((&mut self.known, job)),
                None if self.strange.running < self.most_strange => {
                    self.strange.waiting.pop_front().map(|job| (&mut self.strange, job))
                }
                None => None,
            };
            let Some((line, job)) = next else { return };
            line.running += 1;
            let door = self.door.clone();
            self.threads.spawn(move || {
                let of_stranger = job.is_of_stranger();
                let done = job.run(&mut SystemRandom);
                door.knock(Knock::Done(Box::new(done), of_stranger));
            });
        }
    }
}
