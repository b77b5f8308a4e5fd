//! One writer hands frozen generations to many workers; no worker ever waits, locks or frees.
//!
//! Each worker has two mailboxes of one slot. The publisher drops a reference to the new generation into `inbox`. At
//! the start of a breath the worker looks there with one plain load; when something lies there it takes it and lays
//! the generation it has used so far into `outbox`, from where the publisher fetches and frees it. A worker whose
//! `outbox` is still full leaves its `inbox` alone and goes on with what it has: it never needs a place to put a
//! generation, so it never has to free one.
//!
//! The order that matters: the swap into a mailbox releases, the swap out of it acquires. So whoever takes a
//! generation sees all of it, and the publisher frees one only after the worker's last read of it.
//! `tests/publish_model.rs` tries every interleaving under loom.
#![expect(
    unsafe_code,
    reason = "a reference travels through an atomic pointer; every other file sees an Arc"
)]

use std::ptr;
use std::time::{Duration, Instant};

use super::sync::{Arc, AtomicPtr, Ordering};

/// Pause between two looks at workers that have not yet taken a generation.
const PAUSE: Duration = Duration::from_micros(50);

/// A worker did not take the generation in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("worker {worker} has not taken the new generation")]
pub struct Lagging {
    /// Index of the first such worker.
    pub worker: usize,
}

/// The writing end. Dropping it leaves the readers with the generation they have.
#[derive(Debug)]
pub struct Publisher<T> {
    /// One pair of mailboxes per worker, in the order of the readers.
    desks: Vec<Arc<Desk<T>>>,
    /// What was published last.
    newest: Arc<T>,
    /// When.
    published: Instant,
}

/// The reading end of one worker.
#[derive(Debug)]
pub struct Reader<T> {
    /// Shared with the publisher.
    desk: Arc<Desk<T>>,
    /// The generation in use.
    current: Arc<T>,
}

/// A publisher and one reader per worker, all holding `first`.
pub fn channel<T>(first: Arc<T>, workers: usize) -> (Publisher<T>, Vec<Reader<T>>) {
    let desks: Vec<_> = (0..workers).map(|_| Arc::new(Desk::new())).collect();
    let reader = |desk: &Arc<Desk<T>>| Reader { desk: Arc::clone(desk), current: Arc::clone(&first) };
    let readers = desks.iter().map(reader).collect();
    (Publisher { desks, newest: first, published: Instant::now() }, readers)
}

impl<T> Publisher<T> {
    /// Makes `next` the newest generation. A worker that has not yet taken the one before will never see that one.
    pub fn publish(&mut self, next: Arc<T>) {
        self.published = Instant::now();
        self.newest = next;
        for desk in &self.desks {
            drop(desk.outbox.take());
            drop(desk.inbox.put(Arc::clone(&self.newest)));
        }
    }

    /// The generation published last.
    pub fn newest(&self) -> &Arc<T> {
        &self.newest
    }

    /// Frees what workers have handed back, and tells the first worker that has not taken the newest generation.
    pub fn lagging(&self) -> Option<Lagging> {
        for desk in &self.desks {
            drop(desk.outbox.take());
        }
        self.desks.iter().position(|desk| desk.inbox.is_full()).map(|worker| Lagging { worker })
    }

    /// Sleeps until every worker has taken the newest generation; tells how long that took since `publish`.
    ///
    /// Errors: a worker has not taken it by `deadline`.
    pub fn settled(&self, deadline: Instant) -> Result<Duration, Lagging> {
        loop {
            match self.lagging() {
                None => {
                    let took = self.published.elapsed();
                    // A worker hands back right after it takes. What this look misses, the next one frees.
                    let _ = self.lagging();
                    return Ok(took);
                }
                Some(lagging) if Instant::now() >= deadline => return Err(lagging),
                Some(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}

impl<T> Reader<T> {
    /// The generation to work with in this breath. Two plain loads at most unless there is a new one.
    pub fn current(&mut self) -> &T {
        if self.desk.inbox.is_full() && !self.desk.outbox.is_full() {
            self.turn();
        }
        &self.current
    }

    #[cold]
    fn turn(&mut self) {
        let Some(next) = self.desk.inbox.take() else { return };
        let old = std::mem::replace(&mut self.current, next);
        // Only this worker fills its outbox, and it was empty: nothing comes back that we would have to free.
        let displaced = self.desk.outbox.put(old);
        debug_assert!(displaced.is_none(), "somebody else filled this worker's outbox");
    }
}

/// The mailboxes of one worker.
#[derive(Debug)]
struct Desk<T> {
    /// From the publisher: a generation that the worker has not taken.
    inbox: Mailbox<T>,
    /// From the worker: a generation that it no longer uses.
    outbox: Mailbox<T>,
}

impl<T> Desk<T> {
    fn new() -> Self {
        Self { inbox: Mailbox::new(), outbox: Mailbox::new() }
    }
}

/// A slot for one reference.
#[derive(Debug)]
struct Mailbox<T> {
    /// Null, or what `Arc::into_raw` gave for a reference that belongs to the mailbox.
    slot: AtomicPtr<T>,
}

impl<T> Mailbox<T> {
    fn new() -> Self {
        Self { slot: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Whether something lies there. Reads nothing behind the pointer, so no order is needed.
    fn is_full(&self) -> bool {
        !self.slot.load(Ordering::Relaxed).is_null()
    }

    /// Puts `value` there; what lay there comes back.
    fn put(&self, value: Arc<T>) -> Option<Arc<T>> {
        self.swap(Arc::into_raw(value).cast_mut())
    }

    /// Takes what lies there.
    fn take(&self) -> Option<Arc<T>> {
        if self.is_full() { self.swap(ptr::null_mut()) } else { None }
    }

    fn swap(&self, value: *mut T) -> Option<Arc<T>> {
        let found = self.slot.swap(value, Ordering::AcqRel);
        // SAFETY: what is not null came from `Arc::into_raw` in `put`, and the swap gave it to us alone.
        (!found.is_null()).then(|| unsafe { Arc::from_raw(found) })
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        drop(self.swap(ptr::null_mut()));
    }
}
