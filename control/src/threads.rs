//! Threads that take work in turn, and sleep while there is none.
//!
//! Not rayon's: a thread of rayon's that has no work looks for some in all others thirty times, and lets others run first each
//! time, before it sleeps. That suits work that comes in floods; see decision 0025.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

type Work = Box<dyn FnOnce() + Send>;

/// The threads. They end when this is dropped and what waits is done.
pub(crate) struct Threads(Arc<Line>);

#[derive(Default)]
struct Line {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    is_over: bool,
}

impl Threads {
    /// So many, called `name` and their number.
    pub(crate) fn new(count: usize, name: &str) -> io::Result<Self> {
        let threads = Self(Arc::default());
        for number in 0..count {
            let line = Arc::clone(&threads.0);
            thread::Builder::new().name(format!("{name} {number}")).spawn(move || line.work_off())?;
        }
        Ok(threads)
    }

    /// Has it done by the next that is free.
    pub(crate) fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.0.change(|state| state.waiting.push_back(Box::new(work)));
        self.0.more.notify_one();
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.change(|state| state.is_over = true);
        self.0.more.notify_all();
    }
}

impl Line {
    /// No work runs under the lock, so what it guards is never left half changed.
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn work_off(&self) {
        while let Some(work) = self.next() {
            // As with rayon: whoever waits for the outcome would wait for ever.
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                std::process::abort();
            }
        }
    }

    /// The next piece; none when it is over.
    fn next(&self) -> Option<Work> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut State| state.waiting.is_empty() && !state.is_over;
        let mut state = self.more.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        state.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn everything_is_done_once_and_the_threads_end() {
        let (sender, done) = mpsc::channel();
        let threads = Threads::new(3, "test").expect("threads");
        for number in 0..1000 {
            let sender = sender.clone();
            threads.spawn(move || sender.send(number).expect("somebody waits"));
        }
        drop((threads, sender));
        let mut seen: Vec<i32> = done.iter().collect();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..1000));
    }

    #[test]
    fn one_that_is_stuck_holds_up_no_other() {
        let threads = Threads::new(2, "test").expect("threads");
        let (release, held) = mpsc::channel::<()>();
        threads.spawn(move || {
            let _ = held.recv();
        });
        let (sender, done) = mpsc::channel();
        for number in 0..10 {
            let sender = sender.clone();
            threads.spawn(move || sender.send(number).expect("somebody waits"));
            assert_eq!(done.recv_timeout(Duration::from_secs(60)), Ok(number));
        }
        drop(release);
    }
}
