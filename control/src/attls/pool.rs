//! Turns of handshakes on a bounded pool of threads. No environment has them all: a token that does not answer holds up the
//! handshakes that need it, and no others.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use super::environments::Service;
use crate::threads::Threads;

/// Threads. More than processors: most that takes long is waiting.
const THREADS: usize = 32;
/// Most turns of one environment at a time.
const SHARE: usize = 8;

/// The threads, and what waits for them.
pub(super) struct Pool {
    threads: Threads,
    lines: HashMap<Key, Line>,
    /// Lines with turns that wait, in the order in which they get threads.
    queue: VecDeque<Key>,
    running: usize,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Work>,
    running: usize,
}

/// Tells environments apart: the address of one, which whoever waits for it keeps in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(usize);

impl Key {
    pub(super) fn of(service: &Service) -> Self {
        Self(Arc::as_ptr(&service.slot) as usize)
    }
}

type Work = Box<dyn FnOnce() + Send>;

impl Pool {
    pub(super) fn new() -> io::Result<Self> {
        let threads = Threads::new(THREADS, "attls")?;
        Ok(Self { threads, lines: HashMap::new(), queue: VecDeque::new(), running: 0 })
    }

    /// Has a turn taken.
    pub(super) fn put(&mut self, key: Key, turn: impl FnOnce() + Send + 'static) {
        let line = self.lines.entry(key).or_default();
        line.waiting.push_back(Box::new(turn));
        if line.waiting.len() == 1 {
            self.queue.push_back(key);
        }
        self.start();
    }

    /// One has come back.
    pub(super) fn done(&mut self, key: Key) {
        self.running = self.running.saturating_sub(1);
        if let Some(line) = self.lines.get_mut(&key) {
            line.running = line.running.saturating_sub(1);
            if line.running == 0 && line.waiting.is_empty() {
                self.lines.remove(&key);
            }
        }
        self.start();
    }

    /// Gives threads to lines in turn.
    fn start(&mut self) {
        for _ in 0..self.queue.len() {
            if self.running >= THREADS {
                return;
            }
            let Some(key) = self.queue.pop_front() else { return };
            let Some(line) = self.lines.get_mut(&key) else { continue };
            while line.running < SHARE && self.running < THREADS {
                let Some(work) = line.waiting.pop_front() else { break };
                line.running += 1;
                self.running += 1;
                self.threads.spawn(work);
            }
            if !line.waiting.is_empty() {
                self.queue.push_back(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_that_does_not_answer_holds_up_no_other_environment() {
        let mut pool = Pool::new().expect("threads");
        let (stuck, free) = (Key(1), Key(2));
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        for _ in 0..10 * THREADS {
            let held = Arc::clone(&held);
            pool.put(stuck, move || {
                let _ = held.lock().expect("whole").recv();
            });
        }
        let (sender, done) = mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            pool.put(free, move || sender.send(number).expect("somebody waits"));
        }
        let mut seen = Vec::new();
        for _ in 0..100 {
            seen.push(done.recv_timeout(Duration::from_secs(60)).expect("it is its turn"));
            pool.done(free);
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..100));
        assert_eq!((pool.running, pool.lines[&stuck].running), (SHARE, SHARE));
        drop(release);
        for _ in 0..10 * THREADS {
            pool.done(stuck);
        }
        assert!(pool.lines.is_empty() && pool.queue.is_empty() && pool.running == 0);
    }
}
