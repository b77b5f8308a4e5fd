//! Records of the peer become octets for the application: whole records are opened where they lie, others are put
//! together first, and what is longer than a frame waits in a buffer until it has gone.

use ravelin_contract::tls_session::Happening;
use ravelin_records::alert::Alert;
use ravelin_records::{Failure, HEADER_LEN, Incoming, Look, Message, Session, record_len};
use ravelin_splice::Passed;

use super::buffers::{Buffer, Buffers};

/// The begin of a record, and the rest of another's content.
#[derive(Debug, Default)]
pub(super) struct Inward {
    sealed: Option<Buffer>,
    /// Octets of `sealed` in use.
    have: usize,
    open: Option<Buffer>,
    /// What of `open` is still to go.
    at: usize,
    end: usize,
}

/// What the opening of records needs beside the records.
pub(super) struct Means<'a> {
    pub(super) connection: u32,
    pub(super) session: &'a mut Session,
    pub(super) buffers: &'a mut Buffers,
    /// What control must hear of.
    pub(super) happenings: &'a mut Vec<Happening>,
    /// Records that go out without data.
    pub(super) outbox: &'a mut Vec<u8>,
}

impl Inward {
    /// Whether there are octets for the application.
    pub(super) fn owes(&self) -> bool {
        self.at < self.end
    }

    /// Whether the begin of a record is here whose end has not come.
    pub(super) fn is_cut(&self) -> bool {
        self.have > 0
    }

    /// Takes octets of the peer, as far as there is room for what they say.
    pub(super) fn pass(
        &mut self,
        means: &mut Means<'_>,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Passed, Failure> {
        let mut passed = Passed { taken: 0, given: 0 };
        loop {
            passed.given += self.drain(&mut output[passed.given..], means.buffers);
            if self.owes() {
                return Ok(passed);
            }
            if means.session.peer_has_closed() {
                // RFC 8446 6.1: what comes after close_notify is ignored.
                return Ok(Passed { taken: input.len(), ..passed });
            }
            if means.session.awaits_key() {
                return Ok(passed);
            }
            let rest = &input[passed.taken..];
            let room = &mut output[passed.given..];
            let Some(step) = self.step(means, rest, room)? else { return Ok(passed) };
            passed.taken += step.taken;
            passed.given += step.given;
        }
    }

    /// Opens one record, or takes a part of one. `None` when nothing can be done.
    fn step(
        &mut self,
        means: &mut Means<'_>,
        rest: &[u8],
        room: &mut [u8],
    ) -> Result<Option<Passed>, Failure> {
        if self.have == 0
            && let Look::Whole(len) = record_len(&[rest])?
        {
            let opened = self.open(means, &rest[..len], room)?;
            return Ok(opened.map(|given| Passed { taken: len, given }));
        }
        let taken = self.gather(means, rest)?;
        let Some(sealed) = self.sealed.take() else { return Ok(None) };
        let given = match record_len(&[&sealed[..self.have]])? {
            Look::Whole(len) => self.open(means, &sealed[..len], room),
            Look::Short(_) => Ok(None),
        };
        if let Ok(None) = given {
            self.sealed = Some(sealed);
            return Ok((taken > 0).then_some(Passed { taken, given: 0 }));
        }
        means.buffers.give(sealed);
        self.have = 0;
        Ok(given?.map(|given| Passed { taken, given }))
    }

    /// Takes as much as the record lacks whose begin is here.
    fn gather(&mut self, means: &mut Means<'_>, rest: &[u8]) -> Result<usize, Failure> {
        if rest.is_empty() {
            return Ok(0);
        }
        if self.sealed.is_none() {
            self.sealed = means.buffers.take(means.connection);
        }
        let Some(sealed) = &mut self.sealed else { return Ok(0) };
        let mut taken = 0;
        while let Look::Short(whole) = record_len(&[&sealed[..self.have]])?
            && taken < rest.len()
        {
            let count = (whole - self.have).min(rest.len() - taken);
            sealed[self.have..self.have + count].copy_from_slice(&rest[taken..taken + count]);
            self.have += count;
            taken += count;
        }
        Ok(taken)
    }

    /// Opens a whole record into `room`, or into a buffer when it is too long. `None` when there is no buffer.
    fn open(
        &mut self,
        means: &mut Means<'_>,
        record: &[u8],
        room: &mut [u8],
    ) -> Result<Option<usize>, Failure> {
        if record.len() - HEADER_LEN <= room.len() {
            let incoming = means.session.open(&[record], room)?;
            return Ok(Some(digest(means, incoming)));
        }
        if self.open.is_none() {
            self.open = means.buffers.take(means.connection);
        }
        let Some(open) = &mut self.open else { return Ok(None) };
        let incoming = means.session.open(&[record], &mut open[..])?;
        (self.at, self.end) = (0, digest(means, incoming));
        if self.end == 0 {
            self.release(means.buffers);
        }
        Ok(Some(0))
    }

    /// Hands out what was opened.
    fn drain(&mut self, output: &mut [u8], buffers: &mut Buffers) -> usize {
        let Some(open) = &self.open else { return 0 };
        let count = (self.end - self.at).min(output.len());
        output[..count].copy_from_slice(&open[self.at..self.at + count]);
        self.at += count;
        if self.at == self.end {
            self.release(buffers);
        }
        count
    }

    fn release(&mut self, buffers: &mut Buffers) {
        (self.at, self.end) = (0, 0);
        if let Some(open) = self.open.take() {
            buffers.give(open);
        }
    }

    /// Gives all memory back.
    pub(super) fn close(&mut self, buffers: &mut Buffers) {
        self.release(buffers);
        if let Some(sealed) = self.sealed.take() {
            buffers.give(sealed);
        }
        self.have = 0;
    }
}

/// Octets of data in what came; the rest is told to those whom it concerns.
fn digest(means: &mut Means<'_>, incoming: Incoming) -> usize {
    let messages = match incoming {
        Incoming::Data(len) => return len,
        Incoming::Messages(messages) => messages,
        Incoming::Nothing | Incoming::Closed | Incoming::Again => return 0,
    };
    for message in messages {
        match message {
            Message::Ticket(ticket) => means.happenings.push(Happening::Ticket(ticket)),
            Message::KeyUpdate { answer } => means.happenings.push(Happening::PeerUpdated { answer }),
            Message::Renegotiate => send_alert(means.session, Alert::NO_RENEGOTIATION, means.outbox),
        }
    }
    0
}

/// Seals an alert behind what is in the outbox. One that cannot be sealed is not needed: our side has closed.
pub(super) fn send_alert(session: &mut Session, alert: Alert, outbox: &mut Vec<u8>) {
    let at = outbox.len();
    outbox.resize(at + session.record_len(2), 0);
    let len = session.alert(alert, &mut outbox[at..]).unwrap_or(0);
    outbox.truncate(at + len);
}
