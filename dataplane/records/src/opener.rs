//! Opening records of the peer, in their order.

use ravelin_contract::tls_session::{Session, Suite, Traffic, Version};
use ravelin_crypto_accel::BadTag;
use ravelin_crypto_accel::aead::{OpenJob, TAG_LEN};
use ravelin_crypto_accel::nonce::ReceivedNonce;

use crate::content::{self, Incoming, Judge};
use crate::failure::Failure;
use crate::handshake::{Assembly, Message};
use crate::header::{HEADER_LEN, Header};
use crate::protection::{Aad, EXPLICIT_LEN, KeyFault, KeyLimit, Layout, Protection};
use crate::scatter::{self, Run};

/// The receiving half of a session.
pub(crate) struct Opener {
    protection: Protection,
    suite: Suite,
    /// Number of the record prepared next; at most the peer's last.
    prepared: u64,
    /// Number of the record finished next; never above `prepared`.
    finished: u64,
    /// Goes up with each key, so that what was prepared under an older one is known.
    epoch: u32,
    state: State,
    judge: Judge,
    /// Most octets of content in a record.
    most: usize,
    limit: KeyLimit,
    /// Whether the peer was asked for another key.
    asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The peer has changed its keys, and we have not got the next one yet.
    AwaitingKey,
    /// close_notify has come.
    Closed,
    Failed(Failure),
}

/// A whole record that waits to be opened. Finish it in the order of preparation.
#[derive(Debug)]
pub struct Opening {
    kind: u8,
    nonce: ReceivedNonce,
    aad: Aad,
    tag: [u8; TAG_LEN],
    /// Where the text begins in the record.
    start: usize,
    len: usize,
    number: u64,
    epoch: u32,
}

impl Opening {
    /// Octets of output that the job takes.
    pub fn output_len(&self) -> usize {
        self.len
    }

    /// The job: `pieces` begin with the record that was prepared, `output` has at least [`Opening::output_len`] octets.
    /// `None` where either is too short.
    pub(crate) fn job_under<'r, 'p: 'r>(
        &'r self,
        opener: &'r Opener,
        pieces: &'p [&'p [u8]],
        run: &'r mut Run<'p>,
        output: &'r mut [u8],
    ) -> Option<OpenJob<'r>> {
        let text = run.text(pieces, self.start, &[], output.get_mut(..self.len)?)?;
        Some(OpenJob::new(opener.protection.key()?, self.nonce, self.aad.octets(), text, &self.tag))
    }
}

impl Opener {
    pub(crate) fn new(session: &Session) -> Result<Self, KeyFault> {
        let (suite, traffic) = (session.suite, &session.receiving);
        Ok(Self {
            protection: Protection::new(suite, traffic)?,
            suite,
            prepared: traffic.next_number,
            finished: traffic.next_number,
            epoch: 0,
            state: State::Open,
            judge: Judge::new(Assembly::new(suite.version(), session.role)),
            most: usize::from(session.shape.receive_most),
            limit: KeyLimit::of(suite),
            asked: false,
        })
    }

    /// Lets the key rest until the next record.
    pub(crate) fn rest(&mut self) {
        self.protection.rest();
    }

    /// Whether nothing is opened before the next key is there.
    pub(crate) fn awaits_key(&self) -> bool {
        self.state == State::AwaitingKey
    }

    /// Whether close_notify has come.
    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// What has ended it.
    pub(crate) fn failure(&self) -> Option<Failure> {
        if let State::Failed(failure) = self.state { Some(failure) } else { None }
    }

    /// Whether the peer should be asked for another key; true once for each.
    pub(crate) fn take_update_due(&mut self) -> bool {
        let due = !self.asked && self.suite.version() == Version::Tls13 && self.finished >= self.limit.soft;
        self.asked |= due;
        due
    }

    /// Takes the next key.
    pub(crate) fn rekey(&mut self, traffic: &Traffic) -> Result<(), KeyFault> {
        self.protection = Protection::new(self.suite, traffic)?;
        (self.prepared, self.finished) = (traffic.next_number, traffic.next_number);
        self.epoch = self.epoch.wrapping_add(1);
        self.asked = false;
        if self.state == State::AwaitingKey {
            self.state = State::Open;
        }
        Ok(())
    }

    /// Ends it.
    pub(crate) fn fail(&mut self, failure: Failure) -> Failure {
        self.state = State::Failed(failure);
        failure
    }

    /// Takes the number of the record that lies whole at the front of `pieces`. `None` when nothing is opened now: the next
    /// key is missing, or the peer has closed.
    pub(crate) fn prepare(&mut self, pieces: &[&[u8]]) -> Result<Option<Opening>, Failure> {
        match self.state {
            State::Open => self.read(pieces).map(Some).map_err(|failure| self.fail(failure)),
            State::AwaitingKey | State::Closed => Ok(None),
            State::Failed(failure) => Err(failure),
        }
    }

    fn read(&mut self, pieces: &[&[u8]]) -> Result<Opening, Failure> {
        let mut octets = [0; HEADER_LEN + EXPLICIT_LEN];
        let layout = self.protection.layout;
        let start = HEADER_LEN + layout.explicit_len();
        let have = scatter::copy_front(pieces, &mut octets[..start]);
        let [header @ .., _, _, _, _, _, _, _, _] = octets;
        let [_, _, _, _, _, explicit @ ..] = octets;
        let header = Header(header);
        header.check(self.suite.version())?;
        let body = header.body_len();
        let short = Failure::TooShort(body as u16);
        let least = layout.explicit_len() + layout.inner_len() + TAG_LEN;
        if have < start || body < least {
            return Err(short);
        }
        let len = body - layout.explicit_len() - TAG_LEN;
        let mut tag = [0; TAG_LEN];
        if scatter::copy_range(pieces, start + len, &mut tag) < TAG_LEN {
            return Err(short);
        }
        self.protection.wake();
        let number = self.prepared;
        self.prepared = number.checked_add(1).ok_or(Failure::NumbersSpent)?;
        let nonce = self.protection.received_nonce(number, explicit);
        let aad = Aad::new(layout, header, number, len);
        Ok(Opening { kind: header.kind(), nonce, aad, tag, start, len, number, epoch: self.epoch })
    }

    /// What a record was, once its job is done. `output` is what was given to the job.
    pub(crate) fn finish(
        &mut self,
        opening: &Opening,
        outcome: Result<(), BadTag>,
        output: &[u8],
    ) -> Result<Incoming, Failure> {
        match self.state {
            State::Failed(failure) => return Err(failure),
            // RFC 8446 6.1: what comes after close_notify is ignored.
            State::Closed => return Ok(Incoming::Nothing),
            State::AwaitingKey => return Ok(Incoming::Again),
            State::Open if opening.epoch != self.epoch => return Ok(Incoming::Again),
            State::Open => {}
        }
        let judged = self.judge(opening, outcome, output).map_err(|failure| self.fail(failure))?;
        match &judged {
            Incoming::Closed => self.state = State::Closed,
            Incoming::Messages(messages)
                if messages.iter().any(|one| matches!(one, Message::KeyUpdate { .. })) =>
            {
                self.state = State::AwaitingKey;
            }
            _ => {}
        }
        Ok(judged)
    }

    fn judge(
        &mut self,
        opening: &Opening,
        outcome: Result<(), BadTag>,
        output: &[u8],
    ) -> Result<Incoming, Failure> {
        if opening.number != self.finished {
            return Err(Failure::OutOfOrder);
        }
        outcome.map_err(|BadTag| Failure::BadTag)?;
        self.finished += 1;
        let text = output.get(..opening.len).ok_or(Failure::OutOfOrder)?;
        // RFC 8449 4: in TLS 1.3 the limit is of content, type and padding together.
        if text.len() > self.most + self.protection.layout.inner_len() {
            return Err(Failure::TooLong(text.len() as u32));
        }
        let (kind, len) = match self.protection.layout {
            Layout::Tls13 => content::inner(text)?,
            Layout::Tls12Explicit | Layout::Tls12Implicit => (opening.kind, text.len()),
        };
        self.judge.judge(kind, &text[..len])
    }
}
