//! One connection: both halves, and what ties them together: a peer's KeyUpdate, alerts, the end.

use ravelin_contract::tls_session::{self as handed, Change, Fault, Traffic, Version};
use ravelin_crypto_accel::BadTag;
use ravelin_crypto_accel::aead::{self, OpenJob, SealJob};
use ravelin_crypto_accel::nonce::Nonce;

use crate::alert::Alert;
use crate::content::Incoming;
use crate::failure::{CannotSeal, Failure};
use crate::handshake::{self, Message};
use crate::header::ContentType;
use crate::opener::{Opener, Opening};
use crate::protection::KeyFault;
use crate::scatter::Run;
use crate::sealer::{Sealer, Sealing};

/// A TLS connection after its handshake. Its record numbers belong to it alone: it takes what was handed over by value.
pub struct Session {
    opener: Opener,
    sealer: Sealer,
    version: Version,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.version.name())
    }
}

impl Session {
    /// Expands the keys of what control handed over.
    ///
    /// # Errors
    /// It does not fit together.
    pub fn new(session: handed::Session) -> Result<Self, KeyFault> {
        session.check()?;
        let (opener, sealer) = (Opener::new(&session)?, Sealer::new(&session)?);
        Ok(Self { opener, sealer, version: session.suite.version() })
    }

    /// Takes the number of the record that lies whole at the front of `pieces`; [`crate::record_len`] says whether one does.
    /// `None` when nothing can be opened now: the next key is missing, or the peer has closed. Several may be prepared before
    /// the first is finished.
    ///
    /// # Errors
    /// Such a record may not come, or something has ended the connection before.
    pub fn prepare_open(&mut self, pieces: &[&[u8]]) -> Result<Option<Opening>, Failure> {
        self.opener.prepare(pieces)
    }

    /// What a record was, once its job is done; in the order in which they were prepared. `output` is what the job filled.
    ///
    /// # Errors
    /// It has no place here, is not authentic, or is a fatal alert.
    pub fn finish_open(
        &mut self,
        opening: &Opening,
        outcome: Result<(), BadTag>,
        output: &[u8],
    ) -> Result<Incoming, Failure> {
        let incoming = self.opener.finish(opening, outcome, output)?;
        if let Incoming::Messages(messages) = &incoming
            && messages.contains(&Message::KeyUpdate { answer: true })
        {
            self.sealer.owe_update();
        }
        Ok(incoming)
    }

    /// Opens the record that lies whole at the front of `pieces` to the front of `output`, which is as long as the record
    /// without header at least.
    ///
    /// # Errors
    /// As for [`Session::prepare_open`] and [`Session::finish_open`].
    pub fn open(&mut self, pieces: &[&[u8]], output: &mut [u8]) -> Result<Incoming, Failure> {
        let Some(opening) = self.prepare_open(pieces)? else {
            let awaits = self.opener.awaits_key();
            return Ok(if awaits { Incoming::Again } else { Incoming::Nothing });
        };
        let mut run = Run::default();
        let outcome = match opening.job(self, pieces, &mut run, output) {
            Some(job) => {
                let mut jobs = [job];
                aead::open(&mut jobs);
                jobs[0].outcome()
            }
            None => return Err(self.opener.fail(Failure::TooShort(opening.output_len() as u16))),
        };
        self.finish_open(&opening, outcome, output)
    }

    /// Takes the next number for a record with so many octets of content.
    ///
    /// # Errors
    /// Nothing may go out, or not so much in one record.
    pub fn prepare_seal(
        &mut self,
        kind: ContentType,
        content: usize,
    ) -> Result<(Nonce, Sealing), CannotSeal> {
        self.sealer.prepare(kind, content)
    }

    /// Seals one record with `content` octets from the front of `pieces` to the front of `output`; says how long it is.
    ///
    /// # Errors
    /// As for [`Session::prepare_seal`], or `output` is too short.
    pub fn seal(
        &mut self,
        kind: ContentType,
        pieces: &[&[u8]],
        content: usize,
        output: &mut [u8],
    ) -> Result<usize, CannotSeal> {
        let (needed, room) = (self.sealer.record_len(content), output.len());
        let have = crate::scatter::total(pieces);
        if have < content {
            return Err(CannotSeal::TooMuch { given: content, most: have });
        }
        if content <= self.sealer.most() && room < needed {
            return Err(CannotSeal::NoRoom { needed, room });
        }
        let (nonce, sealing) = self.prepare_seal(kind, content)?;
        let output = &mut output[..sealing.record_len()];
        let mut run = Run::default();
        if let Some(job) = sealing.job(nonce, self, pieces, &mut run, output) {
            aead::seal(&mut [job]);
        }
        Ok(needed)
    }

    /// Looks at both halves before their turn, so that memory has them ready. The outcome means nothing.
    pub fn glance(&self) -> bool {
        self.opener.awaits_key() ^ self.sealer.owes_update()
    }

    /// Nothing is likely to be sealed or opened for some time: the keys take less memory until then, where they can. The next
    /// record expands them again. Not while something is prepared whose job is still to be done.
    pub fn rest(&mut self) {
        self.opener.rest();
        self.sealer.rest();
    }

    /// Most octets of content in one record.
    pub fn most(&self) -> usize {
        self.sealer.most()
    }

    /// Most octets of content whose record is no longer than `room`; 0 also where not even an empty record fits.
    pub fn fitting(&self, room: usize) -> usize {
        self.sealer.fitting(room)
    }

    /// Octets of the record that so much content makes, header included.
    pub fn record_len(&self, content: usize) -> usize {
        self.sealer.record_len(content)
    }

    /// Does what control asks for. The record that goes out for it stands at the front of `output`; says how long it is.
    ///
    /// # Errors
    /// There are no key updates in TLS 1.2, the key does not fit, or nothing may go out any more. Nothing has changed then.
    pub fn change(&mut self, change: &Change, output: &mut [u8]) -> Result<usize, CannotSeal> {
        if self.version == Version::Tls12 {
            return Err(KeyFault::from(Fault::NoUpdate).into());
        }
        match change {
            Change::SendUnder { traffic, ask_peer } => self.send_under(traffic, *ask_peer, output),
            Change::ReceiveUnder(traffic) => {
                self.opener.rekey(traffic)?;
                Ok(0)
            }
        }
    }

    /// RFC 8446 4.6.3: the message goes out under the old key, all after it under the new one.
    fn send_under(
        &mut self,
        traffic: &Traffic,
        ask_peer: bool,
        output: &mut [u8],
    ) -> Result<usize, CannotSeal> {
        self.sealer.check_key(traffic)?;
        let message = handshake::key_update(ask_peer);
        let len = self.seal(ContentType::Handshake, &[&message], message.len(), output)?;
        self.sealer.rekey(traffic)?;
        Ok(len)
    }

    /// Seals an alert to the front of `output`; says how long the record is. After close_notify or a fatal one nothing goes
    /// out.
    ///
    /// # Errors
    /// As for [`Session::seal`].
    pub fn alert(&mut self, alert: Alert, output: &mut [u8]) -> Result<usize, CannotSeal> {
        let octets = alert.octets();
        let len = self.seal(ContentType::Alert, &[&octets], octets.len(), output)?;
        self.sealer.after(alert);
        Ok(len)
    }

    /// The peer's stream has ended. Only close_notify makes this the end of what it had to say (RFC 8446 6.1).
    ///
    /// # Errors
    /// It was cut off, or something else has ended the connection before.
    pub fn stream_ended(&mut self) -> Result<(), Failure> {
        match self.opener.failure() {
            Some(failure) => Err(failure),
            None if self.opener.is_closed() => Ok(()),
            None => Err(self.opener.fail(Failure::Truncated)),
        }
    }

    /// Whether close_notify has come: nothing follows, and our side may still speak.
    pub fn peer_has_closed(&self) -> bool {
        self.opener.is_closed()
    }

    /// Whether nothing is opened before [`Change::ReceiveUnder`].
    pub fn awaits_key(&self) -> bool {
        self.opener.awaits_key()
    }

    /// Whether no data goes out before [`Change::SendUnder`].
    pub fn owes_update(&self) -> bool {
        self.sealer.owes_update()
    }

    /// Whether control should change keys, since one of them is nearly used up; true once for each key.
    pub fn take_update_due(&mut self) -> bool {
        let sending = self.sealer.take_update_due();
        self.opener.take_update_due() || sending
    }
}

impl Opening {
    /// The job for a batch: `pieces` begin with the record that was prepared, `output` has [`Opening::output_len`] octets at
    /// least. `None` where either is too short.
    pub fn job<'r, 'p: 'r>(
        &'r self,
        session: &'r Session,
        pieces: &'p [&'p [u8]],
        run: &'r mut Run<'p>,
        output: &'r mut [u8],
    ) -> Option<OpenJob<'r>> {
        self.job_under(&session.opener, pieces, run, output)
    }
}

impl Sealing {
    /// The job for a batch: the content lies at the front of `pieces`, `output` has exactly [`Sealing::record_len`] octets.
    /// `None` where either is of another length; the number is used up all the same.
    pub fn job<'r, 'p: 'r>(
        &'r self,
        nonce: Nonce,
        session: &'r Session,
        pieces: &'p [&'p [u8]],
        run: &'r mut Run<'p>,
        output: &'r mut [u8],
    ) -> Option<SealJob<'r>> {
        self.job_under(nonce, &session.sealer, pieces, run, output)
    }
}
