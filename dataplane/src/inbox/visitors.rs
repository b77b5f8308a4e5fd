//! Who is at the door: not too many at a time, and none who begins a message and never ends it.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The connections of a door.
#[derive(Debug, Default)]
pub(super) struct Visitors {
    inside: AtomicUsize,
    full: AtomicU64,
    slow: AtomicU64,
}

impl Visitors {
    /// A place for one more, when fewer than `most` are inside; else that is counted.
    pub(super) fn enter(self: &Arc<Self>, most: usize) -> Option<Visit> {
        let entered = self.inside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |inside| {
            (inside < most).then_some(inside + 1)
        });
        match entered {
            Ok(_) => Some(Visit(Arc::clone(self))),
            Err(_) => {
                self.full.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Turned away: too many, too slow.
    pub(super) fn turned_away(&self) -> (u64, u64) {
        (self.full.load(Ordering::Relaxed), self.slow.load(Ordering::Relaxed))
    }
}

/// One connection; its place is free again when it ends.
#[derive(Debug)]
pub(super) struct Visit(Arc<Visitors>);

impl Visit {
    /// It ended because it took too long.
    pub(super) fn was_slow(&self) {
        self.0.slow.fetch_add(1, Ordering::Relaxed);
    }

    /// See [`Visitors::turned_away`].
    pub(super) fn turned_away(&self) -> (u64, u64) {
        self.0.turned_away()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream for one message. Between two messages a peer may be silent as long as it likes; within one it may not.
#[derive(Debug)]
pub(super) struct Message<'a> {
    stream: &'a UnixStream,
    patience: Duration,
    begun: Option<Instant>,
}

impl<'a> Message<'a> {
    /// The next one that comes: its time begins with its first octet.
    pub(super) fn awaited(stream: &'a UnixStream, patience: Duration) -> Self {
        Self { stream, patience, begun: None }
    }

    /// One that is sent from now on.
    pub(super) fn sent(stream: &'a UnixStream, patience: Duration) -> Self {
        Self { stream, patience, begun: Some(Instant::now()) }
    }

    /// What is left of its time; `None` when that has not begun.
    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(begun) = self.begun else { return Ok(None) };
        match self.patience.checked_sub(begun.elapsed()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Read for Message<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        let count = self.stream.read(into)?;
        self.begun.get_or_insert_with(Instant::now);
        Ok(count)
    }
}

impl Write for Message<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Whether this is how the end of a message's time shows.
pub(super) fn is_slowness(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use ravelin_contract::codec::{self, CodecError};
    use ravelin_contract::message::Request;

    use super::*;

    #[test]
    fn there_is_room_for_so_many_and_again_when_one_leaves() {
        let visitors = Arc::new(Visitors::default());
        let (first, _second) = (visitors.enter(2).unwrap(), visitors.enter(2).unwrap());
        assert!(visitors.enter(2).is_none());
        drop(first);
        let third = visitors.enter(2).unwrap();
        third.was_slow();
        assert_eq!(visitors.turned_away(), (1, 1));
    }

    #[test]
    fn a_message_that_trickles_ends_and_silence_before_it_does_not() {
        let (near, far) = UnixStream::pair().unwrap();
        let mut octets = Vec::new();
        codec::write(&mut octets, &Request::ListRules { from: u32::MAX }).unwrap();
        // Then the length of a long message, of which little comes.
        octets.extend([0, 0, 255, 255]);
        let sender = std::thread::spawn(move || {
            // Longer than the patience below.
            std::thread::sleep(Duration::from_millis(300));
            (&far).write_all(&octets).unwrap();
            while (&far).write_all(&octets[..1]).is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let patience = Duration::from_millis(100);
        let read = || codec::read::<Request>(&mut Message::awaited(&near, patience));
        assert_eq!(read().unwrap(), Some(Request::ListRules { from: u32::MAX }));
        match read() {
            Err(CodecError::Io(error)) => assert!(is_slowness(&error), "{error}"),
            other => panic!("{other:?}"),
        }
        drop(near);
        sender.join().unwrap();
    }

    #[test]
    fn a_peer_that_does_not_read_is_given_up() {
        let (near, _far) = UnixStream::pair().unwrap();
        let mut message = Message::sent(&near, Duration::from_millis(100));
        let error = std::iter::repeat_with(|| message.write_all(&[0; 4096])).find_map(Result::err).unwrap();
        assert!(is_slowness(&error), "{error}");
    }
}
