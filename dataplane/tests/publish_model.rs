//! The publish step under loom: every interleaving of a writer and workers, every outcome that the memory model allows.
//!
//! The file under test is compiled a second time here, over loom's atomics and reference counter. Loom reports a
//! generation read before it was whole (torn), dropped while a worker still reads it (early) and never dropped (leak).

mod sync {
    pub(crate) use loom::sync::Arc;
    pub(crate) use loom::sync::atomic::{AtomicPtr, Ordering};
}

#[allow(dead_code, unreachable_pub, reason = "the part that waits has no place in a model")]
#[path = "../src/table/publish.rs"]
mod publish;

use loom::cell::UnsafeCell;
use loom::thread;
use sync::Arc;

/// A generation whose every access loom checks against every other.
struct Generation {
    number: UnsafeCell<u64>,
    copy: UnsafeCell<u64>,
    /// Which thread may free it.
    writer: thread::ThreadId,
}

impl Generation {
    fn new(number: u64) -> Arc<Self> {
        let writer = thread::current().id();
        Arc::new(Self { number: UnsafeCell::new(number), copy: UnsafeCell::new(number), writer })
    }

    fn read(&self) -> u64 {
        let (number, copy) = (self.number.with(at), self.copy.with(at));
        assert_eq!(number, copy, "torn read");
        number
    }
}

#[expect(unsafe_code, reason = "loom's cell hands out pointers; it panics where an access is not ordered")]
fn at(pointer: *const u64) -> u64 {
    // SAFETY: loom gives a pointer to the cell's own value, valid within `with`.
    unsafe { *pointer }
}

impl Drop for Generation {
    fn drop(&mut self) {
        assert_eq!(thread::current().id(), self.writer, "a worker freed a generation");
        // Exclusive access: loom panics if any read is not ordered before.
        self.number.with_mut(|_| ());
        self.copy.with_mut(|_| ());
    }
}

/// A worker of some breaths; hands its reader back, so that the writer's thread is the one to end it.
fn worker(
    mut reader: publish::Reader<Generation>,
    breaths: usize,
) -> thread::JoinHandle<publish::Reader<Generation>> {
    thread::spawn(move || {
        let mut last = 0;
        for _ in 0..breaths {
            let number = reader.current().read();
            assert!(number >= last, "a worker went back in time");
            last = number;
            thread::yield_now();
        }
        reader
    })
}

fn bounded() -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder
}

#[test]
fn one_worker_sees_whole_generations_and_frees_none() {
    bounded().check(|| {
        let (mut publisher, mut readers) = publish::channel(Generation::new(1), 1);
        let worker = worker(readers.remove(0), 3);
        publisher.publish(Generation::new(2));
        publisher.publish(Generation::new(3));
        let _ = publisher.lagging();
        let mut reader = worker.join().unwrap();
        // The worker may have left the last one lying while its outbox was full; once fetched, it takes it.
        let _ = publisher.lagging();
        assert_eq!(reader.current().read(), 3);
        assert_eq!(publisher.lagging(), None);
    });
}

#[test]
fn two_workers_do_not_disturb_each_other() {
    bounded().check(|| {
        let (mut publisher, mut readers) = publish::channel(Generation::new(1), 2);
        let second = worker(readers.remove(1), 2);
        let first = worker(readers.remove(0), 2);
        publisher.publish(Generation::new(2));
        let _ = publisher.lagging();
        let mut readers = [first.join().unwrap(), second.join().unwrap()];
        let _ = publisher.lagging();
        assert!(readers.iter_mut().all(|reader| reader.current().read() == 2));
    });
}

#[test]
fn settled_means_that_no_worker_uses_an_old_generation() {
    bounded().check(|| {
        let (mut publisher, mut readers) = publish::channel(Generation::new(1), 1);
        let mut reader = readers.remove(0);
        let worker = thread::spawn(move || {
            let first = reader.current().read();
            let second = reader.current().read();
            (reader, first, second)
        });
        publisher.publish(Generation::new(2));
        let settled = publisher.lagging().is_none();
        let (mut reader, _, second) = worker.join().unwrap();
        assert!(!settled || second == 2, "settled, but the worker's last breath was on the old one");
        let _ = publisher.lagging();
        assert_eq!(reader.current().read(), 2);
    });
}

/// The real thing, with real threads: `settled` waits for the slowest worker, names it when it is too slow, and leaves no
/// reference to the old generation behind.
#[test]
fn settled_waits_for_every_worker_and_frees_the_old_generation() {
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    let first = Arc::new(1u64);
    let (mut publisher, readers) = ravelin_dataplane::table::publish::channel(Arc::clone(&first), 2);
    let (breathe, breaths): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel::<()>()).unzip();
    let worker =
        |(mut reader, breaths): (ravelin_dataplane::table::publish::Reader<u64>, mpsc::Receiver<()>)| {
            std::thread::spawn(move || breaths.iter().map(|()| *reader.current()).last())
        };
    let workers: Vec<_> = readers.into_iter().zip(breaths).map(worker).collect();
    publisher.publish(Arc::new(2));
    breathe[0].send(()).unwrap();
    let late = publisher.settled(Instant::now() + Duration::from_millis(200));
    assert_eq!(late.map_err(|lagging| lagging.worker), Err(1), "worker 1 has not breathed");
    breathe[1].send(()).unwrap();
    publisher.settled(Instant::now() + Duration::from_secs(20)).unwrap();
    breathe.iter().for_each(|worker| worker.send(()).unwrap());
    drop(breathe);
    let last: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
    assert_eq!(last, [Some(2), Some(2)]);
    assert_eq!(publisher.lagging(), None);
    assert_eq!(Arc::strong_count(&first), 1, "somebody still holds the old generation");
}
