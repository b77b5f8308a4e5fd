//! One connection between its TCP and its end: the handshake, which control does, then records.

use ravelin_contract::limits;
use ravelin_contract::secret::Secret;
use ravelin_contract::tls::{ConnectionId, Ending, Notice, Secure, Truncation};
use ravelin_contract::tls_session::{Change, Happening, Role};
use ravelin_records::alert::Alert;
use ravelin_records::{CannotSeal, ContentType, Failure, RECORD_MAX, Session};
use ravelin_splice::{Finish, Passed, Side};

use super::buffers::Buffers;
use super::inward::{Inward, Means, send_alert};
use super::standing::Stay;
use crate::clock::Now;

/// One connection.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    secure: Secure,
    /// When keys must be there.
    pub(super) keys_until: Now,
    /// Goes to the peer as it is, before any record with data.
    outbox: Vec<u8>,
    phase: Phase,
    /// Of the application, in records that went out and that came in.
    octets: [u64; 2],
    /// Which directions have ended in order: what goes to the peer, and what comes from it.
    finished: [bool; 2],
    /// Whether control knows that it is over.
    told: bool,
    /// Why it is to be reset, once that is so.
    pub(super) doom: Option<Ending>,
    /// Whether the peer was sent what says why: an alert, or all that control had to say in a handshake.
    has_spoken: bool,
    /// Lets other workers know of it.
    _stay: Stay,
}

enum Phase {
    /// So many octets of the peer are on their way to control; and whether its stream has ended.
    Handshake {
        under_way: usize,
        ended: bool,
    },
    Running(Box<Running>),
}

struct Running {
    session: Session,
    inward: Inward,
    /// Goes to the application first.
    preface: Vec<u8>,
    /// Octets that are still to come back from control.
    missing: usize,
    /// What has come back.
    returned: Vec<u8>,
    /// Whether close_notify has gone out.
    closed: bool,
    /// Whether nothing was sealed or opened since [`Connection::rest`] was last asked for.
    quiet: bool,
}

/// What a connection uses of its worker.
pub(super) struct Desk<'a> {
    pub(super) flow: u32,
    pub(super) buffers: &'a mut Buffers,
    pub(super) say: &'a mut dyn FnMut(Notice),
}

impl Connection {
    pub(super) fn new(id: ConnectionId, secure: Secure, now: Now, stay: Stay) -> Self {
        let keys_until = now.plus_ms(secure.patience_ms.into());
        let phase = Phase::Handshake { under_way: 0, ended: false };
        let (octets, finished) = ([0; 2], [false; 2]);
        let (outbox, told, doom, has_spoken) = (Vec::new(), false, None, false);
        Self { id, secure, keys_until, outbox, phase, octets, finished, told, doom, has_spoken, _stay: stay }
    }

    /// Which end speaks TLS: the one in whose name we do not.
    pub(super) fn peer(&self) -> Side {
        match self.secure.role {
            Role::Client => Side::Server,
            Role::Server => Side::Client,
        }
    }

    /// Looks at what is used with every segment, before its turn.
    pub(super) fn glance(&self) -> bool {
        match &self.phase {
            Phase::Running(running) => running.inward.owes() ^ running.closed ^ running.session.glance(),
            Phase::Handshake { ended, .. } => *ended,
        }
    }

    pub(super) fn has_keys(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// Octets of the application towards the peer.
    pub(super) fn outward(&mut self, input: &[u8], output: &mut [u8], desk: &mut Desk<'_>) -> Passed {
        let mut passed = Passed { taken: 0, given: give_front(&mut self.outbox, output) };
        let Phase::Running(running) = &mut self.phase else { return passed };
        if !self.outbox.is_empty() || self.doom.is_some() {
            return passed;
        }
        running.quiet = false;
        let session = &mut running.session;
        while passed.taken < input.len() && !session.owes_update() {
            let (rest, room) = (&input[passed.taken..], &mut output[passed.given..]);
            let count = session.fitting(room.len()).min(rest.len());
            if count == 0 {
                break;
            }
            match session.seal(ContentType::Data, &[&rest[..count]], count, room) {
                Ok(len) => {
                    passed.taken += count;
                    passed.given += len;
                    self.octets[0] += count as u64;
                }
                Err(CannotSeal::Closed) => {
                    // Nobody will read it: the peer has been told that nothing more comes.
                    passed.taken = input.len();
                    break;
                }
                Err(error) => {
                    self.doom = Some(Ending::Failed(error.to_string()));
                    break;
                }
            }
        }
        self.ask_for_keys(desk);
        passed
    }

    fn ask_for_keys(&mut self, desk: &mut Desk<'_>) {
        if let Phase::Running(running) = &mut self.phase
            && running.session.take_update_due()
        {
            (desk.say)(Notice::Happened { connection: self.id, happening: Happening::UpdateDue });
        }
    }

    /// Octets of the peer towards the application.
    pub(super) fn inward(&mut self, input: &[u8], output: &mut [u8], desk: &mut Desk<'_>) -> Passed {
        if self.doom.is_some() {
            // What still comes serves nobody.
            return Passed { taken: input.len(), given: 0 };
        }
        match &mut self.phase {
            Phase::Handshake { under_way, .. } => {
                let count = input.len().min(limits::TLS_WINDOW - *under_way);
                *under_way += count;
                for octets in input[..count].chunks(limits::TLS_CHUNK) {
                    (desk.say)(Notice::Octets { connection: self.id, octets: octets.to_vec() });
                }
                Passed { taken: count, given: 0 }
            }
            Phase::Running(_) => self.open(input, output, desk),
        }
    }

    fn open(&mut self, input: &[u8], output: &mut [u8], desk: &mut Desk<'_>) -> Passed {
        let Phase::Running(running) = &mut self.phase else { return Passed { taken: 0, given: 0 } };
        let prefaced = give_front(&mut running.preface, output);
        if !running.preface.is_empty() {
            return Passed { taken: 0, given: prefaced };
        }
        running.quiet = false;
        let mut given = prefaced;
        let mut happenings = Vec::new();
        let Running { session, inward, missing, returned, .. } = &mut **running;
        let (flow, outbox) = (desk.flow, &mut self.outbox);
        let mut means =
            Means { connection: flow, session, buffers: desk.buffers, happenings: &mut happenings, outbox };
        let outcome = match returned.is_empty() {
            true => Ok(0),
            false => inward.pass(&mut means, returned, &mut output[given..]).map(|passed| {
                returned.drain(..passed.taken);
                passed.given
            }),
        };
        let outcome = outcome.and_then(|more| {
            given += more;
            // What the peer sent first comes first.
            let input = if returned.is_empty() && *missing == 0 { input } else { &[] };
            inward.pass(&mut means, input, &mut output[given..])
        });
        for happening in happenings {
            (desk.say)(Notice::Happened { connection: self.id, happening });
        }
        let passed = match outcome {
            Ok(passed) => Passed { taken: passed.taken, given: given + passed.given },
            Err(failure) => {
                self.fail(failure);
                Passed { taken: input.len(), given: 0 }
            }
        };
        self.octets[1] += passed.given.saturating_sub(prefaced) as u64;
        self.ask_for_keys(desk);
        passed
    }

    /// The peer is told, the application is reset.
    fn fail(&mut self, failure: Failure) {
        let Phase::Running(running) = &mut self.phase else { return };
        if let Some(alert) = failure.alert() {
            send_alert(&mut running.session, alert, &mut self.outbox);
            self.has_spoken = true;
        }
        self.doom = Some(match failure {
            Failure::PeerAlert(alert) => Ending::Alert(alert.code()),
            other => Ending::Failed(other.to_string()),
        });
    }

    /// Asked now and then: keys that nobody has used since the last time take less memory until somebody does.
    pub(super) fn rest(&mut self) {
        if let Phase::Running(running) = &mut self.phase
            && std::mem::replace(&mut running.quiet, true)
        {
            running.session.rest();
        }
    }

    /// Whether there is something to be sent towards the peer, or towards the application, that needs no input.
    pub(super) fn owes(&self, outward: bool) -> bool {
        match &self.phase {
            _ if outward => !self.outbox.is_empty(),
            Phase::Handshake { .. } => false,
            Phase::Running(running) => {
                let opens = !running.returned.is_empty() && !running.session.awaits_key();
                self.doom.is_none() && (!running.preface.is_empty() || running.inward.owes() || opens)
            }
        }
    }

    /// Whether the peer has said close_notify and all before it has been passed on.
    pub(super) fn has_peer_closed(&self) -> bool {
        match &self.phase {
            Phase::Running(running) => running.session.peer_has_closed() && !running.inward.owes(),
            Phase::Handshake { .. } => false,
        }
    }

    /// The application's stream has ended: close_notify goes out, then FIN (RFC 8446 6.1).
    pub(super) fn finish_outward(&mut self, output: &mut [u8]) -> Finish {
        let Phase::Running(running) = &mut self.phase else { return Finish::Wait };
        if running.session.owes_update() {
            return Finish::Wait;
        }
        if !std::mem::replace(&mut running.closed, true) {
            send_alert(&mut running.session, Alert::CLOSE_NOTIFY, &mut self.outbox);
        }
        match give_front(&mut self.outbox, output) {
            0 => {
                self.finished[0] = true;
                Finish::Done
            }
            given => Finish::More(given),
        }
    }

    /// The peer's stream has ended.
    pub(super) fn finish_inward(&mut self, output: &mut [u8], desk: &mut Desk<'_>) -> Finish {
        if self.doom.is_some() {
            return Finish::Wait;
        }
        if let Phase::Handshake { ended, .. } = &mut self.phase {
            if !std::mem::replace(ended, true) {
                (desk.say)(Notice::StreamEnded { connection: self.id });
            }
            return Finish::Wait;
        }
        let rest = self.open(&[], output, desk);
        if rest.given > 0 {
            return Finish::More(rest.given);
        }
        let Phase::Running(running) = &mut self.phase else { return Finish::Wait };
        if self.doom.is_some() || running.missing > 0 || running.session.awaits_key() {
            return Finish::Wait;
        }
        let cut = running.inward.is_cut() || !running.returned.is_empty();
        match running.session.stream_ended() {
            Ok(()) => {}
            Err(Failure::Truncated) if !cut && self.secure.truncation == Truncation::Accept => {}
            Err(failure) => {
                self.fail(failure);
                return Finish::Wait;
            }
        }
        self.finished[1] = true;
        Finish::Done
    }

    /// Messages of the handshake, or an alert.
    pub(super) fn send(&mut self, octets: &[u8]) {
        if !self.has_keys() {
            self.outbox.extend_from_slice(octets);
            self.has_spoken = true;
        }
    }

    /// The handshake has used so many octets.
    pub(super) fn taken(&mut self, count: u32) {
        if let Phase::Handshake { under_way, .. } = &mut self.phase {
            *under_way = under_way.saturating_sub(count as usize);
        }
    }

    /// Keys have come.
    pub(super) fn run(&mut self, session: Session, preface: Vec<u8>) {
        if let Phase::Handshake { under_way, .. } = self.phase {
            let (missing, returned) = (under_way, Vec::new());
            let (inward, closed, quiet) = (Inward::default(), false, false);
            let running = Running { session, inward, preface, missing, returned, closed, quiet };
            self.phase = Phase::Running(Box::new(running));
            self.has_spoken = false;
        }
    }

    /// What the handshake has not used.
    pub(super) fn take_back(&mut self, octets: &Secret) {
        if let Phase::Running(running) = &mut self.phase {
            let count = octets.len().min(running.missing);
            running.missing -= count;
            running.returned.extend_from_slice(&octets.expose()[..count]);
        }
    }

    /// New keys.
    pub(super) fn change(&mut self, change: &Change) {
        let Phase::Running(running) = &mut self.phase else { return };
        let at = self.outbox.len();
        self.outbox.resize(at + RECORD_MAX.min(running.session.record_len(5)), 0);
        match running.session.change(change, &mut self.outbox[at..]) {
            Ok(len) => self.outbox.truncate(at + len),
            Err(error) => {
                self.outbox.truncate(at);
                self.doom = Some(Ending::Failed(error.to_string()));
            }
        }
    }

    /// Who is to hear why this connection is over, if anybody is: one that was sent an alert needs time to read it.
    pub(super) fn hearer(&self) -> Option<Side> {
        let is_late = self.doom == Some(Ending::TimedOut);
        (self.has_spoken && !is_late).then(|| self.peer())
    }

    /// Control says that it is over.
    pub(super) fn end(&mut self, why: Ending) {
        self.doom.get_or_insert(why);
    }

    /// What there is to say, once, of a connection that both sides have ended in order. TCP may have it for another minute
    /// (TIME-WAIT), but nothing comes of it any more.
    pub(super) fn over(&mut self) -> Option<Notice> {
        let is_over = self.finished == [true; 2] && self.doom.is_none();
        (is_over && !std::mem::replace(&mut self.told, true)).then(|| self.ended(Ending::Closed))
    }

    /// The connection is gone: what there is still to say of it.
    pub(super) fn close(mut self, buffers: &mut Buffers) -> Option<Notice> {
        if let Phase::Running(running) = &mut self.phase {
            running.inward.close(buffers);
        }
        let why = self.doom.take().unwrap_or(Ending::Reset);
        (!self.told).then(|| self.ended(why))
    }

    fn ended(&self, ending: Ending) -> Notice {
        Notice::Ended { connection: self.id, ending, octets: self.octets }
    }
}

/// Moves octets from the front of a queue, as many as there is room for.
fn give_front(queue: &mut Vec<u8>, output: &mut [u8]) -> usize {
    let count = queue.len().min(output.len());
    output[..count].copy_from_slice(&queue[..count]);
    queue.drain(..count);
    if queue.is_empty() && queue.capacity() > 0 {
        // Idle connections keep nothing.
        *queue = Vec::new();
    }
    count
}
