//! Sealing our records: each number once, and no more under a key than it may protect.

use ravelin_contract::tls_session::{Session, Suite, Traffic, Version};
use ravelin_crypto_accel::aead::{SealJob, TAG_LEN};
use ravelin_crypto_accel::nonce::{Nonce, NumberRange};

use crate::alert::Alert;
use crate::failure::CannotSeal;
use crate::header::{ContentType, HEADER_LEN, Header};
use crate::protection::{Aad, EXPLICIT_LEN, KeyFault, KeyLimit, Layout, Protection};
use crate::scatter::Run;

/// Longest padding, and the type before it.
const TAIL: usize = ravelin_contract::limits::TLS_PADDING as usize;
/// What stands behind the content in the text of a TLS 1.3 record, for each type (RFC 8446 5.2).
static TAILS: [[u8; TAIL]; 3] =
    [tail(ContentType::Alert), tail(ContentType::Handshake), tail(ContentType::Data)];

const fn tail(kind: ContentType) -> [u8; TAIL] {
    let mut octets = [0; TAIL];
    octets[0] = kind as u8;
    octets
}

/// The sending half of a session.
pub(crate) struct Sealer {
    protection: Protection,
    suite: Suite,
    /// Numbers that are left under this key; they end where the key's limit is.
    numbers: NumberRange,
    limit: KeyLimit,
    state: State,
    /// Most octets of content in a record.
    most: usize,
    pad_to: usize,
    /// Whether control was asked for another key.
    asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The peer waits for a KeyUpdate; no data before it.
    UpdateOwed,
    Closed,
}

/// A record that has its number and waits to be sealed.
#[derive(Debug)]
pub struct Sealing {
    header: Header,
    explicit: [u8; EXPLICIT_LEN],
    layout: Layout,
    aad: Aad,
    content: usize,
    tail: &'static [u8],
}

impl Sealing {
    /// Octets of the record.
    pub fn record_len(&self) -> usize {
        HEADER_LEN + self.header.body_len()
    }

    /// Octets of content that the job takes.
    pub fn content_len(&self) -> usize {
        self.content
    }

    /// The job: the content lies at the front of `pieces`, `output` has exactly [`Sealing::record_len`] octets. `None` where
    /// either is of another length; the nonce is lost then.
    pub(crate) fn job_under<'r, 'p: 'r>(
        &'r self,
        nonce: Nonce,
        sealer: &'r Sealer,
        pieces: &'p [&'p [u8]],
        run: &'r mut Run<'p>,
        output: &'r mut [u8],
    ) -> Option<SealJob<'r>> {
        if output.len() != self.record_len() {
            return None;
        }
        let (header, rest) = output.split_at_mut(HEADER_LEN);
        let (explicit, rest) = rest.split_at_mut(self.layout.explicit_len());
        let (text, tag) = rest.split_last_chunk_mut::<TAG_LEN>()?;
        header.copy_from_slice(&self.header.0);
        explicit.copy_from_slice(&self.explicit[..explicit.len()]);
        let text = run.text(pieces, 0, self.tail, text)?;
        Some(SealJob::new(sealer.protection.key()?, nonce, self.aad.octets(), text, tag))
    }
}

impl Sealer {
    pub(crate) fn new(session: &Session) -> Result<Self, KeyFault> {
        let (suite, traffic) = (session.suite, &session.sending);
        let limit = KeyLimit::of(suite);
        Ok(Self {
            protection: Protection::new(suite, traffic)?,
            suite,
            numbers: NumberRange::from_reserved(traffic.next_number, limit.hard),
            limit,
            state: State::Open,
            most: usize::from(session.shape.send_most),
            pad_to: usize::from(session.shape.pad_to),
            asked: false,
        })
    }

    /// Lets the key rest until the next record.
    pub(crate) fn rest(&mut self) {
        self.protection.rest();
    }

    /// Most octets of content in a record.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// Most octets of content whose record is no longer than `room`.
    pub(crate) fn fitting(&self, room: usize) -> usize {
        let layout = self.protection.layout;
        let text = room.saturating_sub(layout.overhead());
        let unpadded = text.saturating_sub(layout.inner_len()).min(self.most);
        // Where its padding does not fit, what is left behind the last whole multiple stays empty.
        let whole = text / self.pad_to * self.pad_to;
        if self.padded(unpadded) <= text { unpadded } else { whole.saturating_sub(layout.inner_len()) }
    }

    /// Octets of the text of so much content: type and padding included, never more than the limit allows.
    fn padded(&self, content: usize) -> usize {
        let inner = self.protection.layout.inner_len();
        let text = content + inner;
        text.next_multiple_of(self.pad_to).min(self.most + inner).max(text)
    }

    /// Whether another key should be asked for; true once for each.
    pub(crate) fn take_update_due(&mut self) -> bool {
        let margin = self.limit.hard - self.limit.soft;
        let due = !self.asked && self.suite.version() == Version::Tls13 && self.numbers.remaining() <= margin;
        self.asked |= due;
        due
    }

    /// The peer wants us to change keys.
    pub(crate) fn owe_update(&mut self) {
        if self.state == State::Open {
            self.state = State::UpdateOwed;
        }
    }

    /// Whether data waits for another key.
    pub(crate) fn owes_update(&self) -> bool {
        self.state == State::UpdateOwed
    }

    /// Takes the next number for a record with so much content.
    pub(crate) fn prepare(
        &mut self,
        kind: ContentType,
        content: usize,
    ) -> Result<(Nonce, Sealing), CannotSeal> {
        match self.state {
            State::Closed => return Err(CannotSeal::Closed),
            State::UpdateOwed if kind == ContentType::Data => return Err(CannotSeal::UpdateOwed),
            State::Open | State::UpdateOwed => {}
        }
        if content > self.most {
            return Err(CannotSeal::TooMuch { given: content, most: self.most });
        }
        let number = self.numbers.take().ok_or(CannotSeal::KeySpent)?;
        self.protection.wake();
        let layout = self.protection.layout;
        let text = self.padded(content);
        let tail = match layout {
            Layout::Tls13 => &TAILS[usize::from(kind.code() - ContentType::Alert.code())][..text - content],
            Layout::Tls12Explicit | Layout::Tls12Implicit => &[],
        };
        let outer = if layout == Layout::Tls13 { ContentType::Data } else { kind };
        let header = Header::new(outer.code(), layout.explicit_len() + text + TAG_LEN);
        let aad = Aad::new(layout, header, number.get(), text);
        let (nonce, explicit) = self.protection.nonce(number);
        Ok((nonce, Sealing { header, explicit, layout, aad, content, tail }))
    }

    /// Octets of the record that so much content makes.
    pub(crate) fn record_len(&self, content: usize) -> usize {
        self.protection.layout.overhead() + self.padded(content)
    }

    /// Whether [`Sealer::rekey`] will take the key.
    pub(crate) fn check_key(&self, traffic: &Traffic) -> Result<(), KeyFault> {
        Ok(traffic.check(self.suite)?)
    }

    /// Everything from now on goes under this key.
    pub(crate) fn rekey(&mut self, traffic: &Traffic) -> Result<(), KeyFault> {
        self.protection = Protection::new(self.suite, traffic)?;
        self.numbers = NumberRange::from_reserved(traffic.next_number, self.limit.hard);
        self.asked = false;
        if self.state == State::UpdateOwed {
            self.state = State::Open;
        }
        Ok(())
    }

    /// Nothing goes out after this alert, if it is of those that end something.
    pub(crate) fn after(&mut self, alert: Alert) {
        if alert == Alert::CLOSE_NOTIFY || !alert.is_warning() {
            self.state = State::Closed;
        }
    }
}
