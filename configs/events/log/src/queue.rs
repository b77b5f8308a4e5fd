//! A sink's queue and thread. Who puts something in never waits; what does not fit, or is not taken, is counted until it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use ravelin_events::catalogue::LOG_LOST;
use ravelin_events::tell;

use crate::record::Record;
use crate::sink::Sink;

/// Records that may wait for a sink.
const WAITING: usize = 4096;
/// How often a sink that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// The way into a sink.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: SyncSender<Message>,
    /// Records that found no room, and are not told yet.
    full: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Record(Arc<Record>),
    /// All before it was written, or given up.
    Flush(SyncSender<()>),
}

impl Queue {
    /// Starts the thread of `sink`.
    pub(crate) fn start(name: &'static str, sink: impl Sink) -> std::io::Result<Self> {
        let (sender, messages) = sync_channel(WAITING);
        let full = Arc::new(AtomicU64::new(0));
        let mut life = Life { name, sink, full: Arc::clone(&full), lost: 0, failed: None };
        std::thread::Builder::new().name(format!("log {name}")).spawn(move || life.run(&messages))?;
        Ok(Self { sender, full })
    }

    /// Leaves a record for the sink, or counts it.
    pub(crate) fn put(&self, record: Arc<Record>) {
        if self.sender.try_send(Message::Record(record)).is_err() {
            self.full.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all that was put in is written, not beyond `end`.
    pub(crate) fn flush(&self, end: Instant) {
        let (done, flushed) = sync_channel(1);
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = self.sender.try_send(message) {
            if Instant::now() >= end {
                return;
            }
            message = back;
            std::thread::sleep(Duration::from_millis(10));
        }
        // A sink that hangs is left behind.
        let _ = flushed.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

/// What the thread knows.
struct Life<S> {
    name: &'static str,
    sink: S,
    full: Arc<AtomicU64>,
    /// Records that were not taken and are not told yet.
    lost: u64,
    /// When the sink refused last, and what it said; nothing while it takes what it gets.
    failed: Option<(Instant, String)>,
}

impl<S: Sink> Life<S> {
    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(AGAIN) {
                Ok(Message::Record(record)) => self.write(&record),
                Ok(Message::Flush(done)) => {
                    self.settle();
                    // Who waits no more needs no answer.
                    let _ = done.try_send(());
                }
                Err(RecvTimeoutError::Timeout) => self.settle(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, record: &Record) {
        let resting = self.failed.as_ref().is_some_and(|(at, _)| at.elapsed() < AGAIN);
        if resting {
            self.lose(record);
            return;
        }
        if self.failed.is_some() || self.full.load(Ordering::Relaxed) > 0 {
            self.settle();
        }
        match self.failed.is_none().then(|| self.sink.put(record)) {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                self.lose(record);
                self.fail(&error);
            }
            None => self.lose(record),
        }
    }

    /// Word of what this very sink lost would never come to an end.
    fn lose(&mut self, record: &Record) {
        let own = record.code.as_deref() == Some(LOG_LOST.code)
            && record.fields.iter().any(|(name, value)| *name == "sink" && *value == self.name);
        self.lost += u64::from(!own);
    }

    /// The other sinks hear of it the first time.
    fn fail(&mut self, error: &std::io::Error) {
        let first = self.failed.replace((Instant::now(), error.to_string())).is_none();
        if first {
            tell!(LOG_LOST, sink = self.name, lost = self.lost, %error);
        }
    }

    /// Tells the sink itself how much it lost, if it takes something again.
    fn settle(&mut self) {
        self.lost += self.full.swap(0, Ordering::Relaxed);
        if self.lost == 0 {
            self.failed = None;
            return;
        }
        let mut fields = vec![("sink", self.name.into()), ("lost", self.lost.into())];
        if let Some((_, error)) = &self.failed {
            fields.push(("error", error.as_str().into()));
        }
        match self.sink.put(&Record::told(&LOG_LOST, &fields)) {
            Ok(()) => (self.lost, self.failed) = (0, None),
            Err(error) => self.fail(&error),
        }
    }
}
