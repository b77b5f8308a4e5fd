//! One connection: two legs, and the relay between them.

use crate::counters::Event;
use crate::frame::{Frame, Memory, NONE};
use crate::leg::Leg;
use crate::relay::{Finish, Passed, Refused, Relay, Side, Way};
use crate::table::Key;
use crate::time::{Now, Tick, ticks};
use crate::turn::{Ends, Turn};
use crate::wire::segment::{Flags, Segment};

/// A connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Towards the client, and towards the server.
    pub(crate) legs: [Leg; 2],
    pub(crate) key: Key,
    pub(crate) client_low: bool,
    /// Whether FIN was passed on, by the side that it came from.
    finished: [bool; 2],
    /// Whether this flow is on the list of those with work to do.
    pub(crate) dirty: bool,
    /// Whether packet memory had no frame for something when it last worked.
    starved: bool,
    /// When TIME-WAIT ends; set when both legs have ended.
    pub(crate) linger_until: Option<Tick>,
    /// The opening that goes on at the client's end, or none: its leg says and hears nothing until that is over.
    pub(crate) opening: u32,
    /// Who is left to hear the last word; the other end was reset.
    pub(crate) last: Option<Side>,
}

/// Whose a segment of a connection is that begins or ends.
pub(crate) enum Unusual {
    /// Its leg's, as ever.
    Leg,
    /// That of the opening which goes on at its end.
    Opening(u32),
    /// Of a new connection between the same ends: this one is over.
    Anew,
    /// Nobody's: this end has no leg any more.
    Stranger,
}

impl Flow {
    pub(crate) fn new(key: Key, client_low: bool, legs: [Leg; 2]) -> Self {
        let (finished, dirty, starved, linger_until) = ([false; 2], false, false, None);
        let (opening, last) = (NONE, None);
        Self { legs, key, client_low, finished, dirty, starved, linger_until, opening, last }
    }

    /// Looks at all of it before its turn.
    pub(crate) fn glance(&self) -> u32 {
        self.legs[0].glance() ^ self.legs[1].glance() ^ self.opening
    }

    /// The sides whose legs stand.
    pub(crate) fn standing(&self) -> &'static [Side] {
        match (self.last, self.opening) {
            (None, NONE) => &[Side::Client, Side::Server],
            (Some(Side::Client), _) => &[Side::Client],
            (Some(Side::Server), _) | (None, _) => &[Side::Server],
        }
    }

    /// Whether both legs stand and neither has said its last word, so that every segment is its leg's.
    pub(crate) fn is_usual(&self) -> bool {
        self.opening == NONE && self.linger_until.is_none()
    }

    /// Whose a segment is that `side` sent, where not every one is its leg's.
    pub(crate) fn judge_unusual(
        &mut self,
        side: Side,
        segment: &Segment,
        now: Now,
        limits: &crate::limits::Limits,
    ) -> Unusual {
        if side == Side::Client && self.opening != NONE {
            return Unusual::Opening(self.opening);
        }
        if self.linger_until.is_none() {
            return Unusual::Leg;
        }
        let opens = segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK);
        let stamp = segment.options.timestamps.map(|(value, _)| value);
        let is_lost = self.has_lost(side);
        if opens && (is_lost || self.legs[side as usize].yields_to(segment.seq, stamp)) {
            return Unusual::Anew;
        }
        if is_lost {
            return Unusual::Stranger;
        }
        if segment.flags.has(Flags::FIN) && self.last.is_none() {
            self.linger_until = Some(now.tick().plus(limits.time_wait_ticks()));
        }
        Unusual::Leg
    }

    /// Whether this end has no leg any more.
    pub(crate) fn has_lost(&self, side: Side) -> bool {
        self.last == Some(side.other())
    }

    /// Which side sent a segment whose source is the lower endpoint, or not.
    pub(crate) fn side(&self, from_low: bool) -> Side {
        if from_low == self.client_low { Side::Client } else { Side::Server }
    }

    /// From whom to whom we send on the leg towards `side`.
    #[inline]
    pub(crate) fn ends(&self, side: Side) -> Ends {
        let low = (side == Side::Client) == self.client_low;
        Ends::new(self.key, !low)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.legs.iter().all(Leg::is_finished)
    }

    /// Relays both ways, then sends on both legs.
    pub(crate) fn work<M: Memory, R: Relay>(
        &mut self,
        index: u32,
        relay: &mut R,
        turn: &mut Turn<'_, M>,
    ) -> Result<(), Refused> {
        let refusals = turn.counters.of(Event::NoFrame);
        self.legs.iter_mut().for_each(|leg| leg.forget_narrowness(turn.now));
        match self.last {
            Some(side) => self.legs[side as usize].throw_away(turn),
            None => {
                for from in [Side::Client, Side::Server] {
                    self.carry(Way { flow: index, from }, relay, turn)?;
                }
            }
        }
        for &side in self.standing() {
            let backlog = self.legs[side.other() as usize].backlog();
            let ends = self.ends(side);
            let leg = &mut self.legs[side as usize];
            leg.set_backlog(backlog);
            leg.output(&ends, turn);
        }
        self.starved = turn.counters.of(Event::NoFrame) != refusals;
        Ok(())
    }

    /// Passes on what one leg has received, as far as the other has room, and its end.
    fn carry<M: Memory, R: Relay>(
        &mut self,
        way: Way,
        relay: &mut R,
        turn: &mut Turn<'_, M>,
    ) -> Result<(), Refused> {
        let [client, server] = &mut self.legs;
        let (from, to) = match way.from {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        while let Some(front) = from.front() {
            let entry = turn.ledger.at_mut(front);
            // A received frame is nobody else's: its handle is here.
            let Some(frame) = entry.frame.take() else { return Ok(()) };
            let input =
                &frame.octets()[entry.start.into()..usize::from(entry.start) + usize::from(entry.len)];
            let passed = fill(to, turn, relay, |relay, output| relay.pass(way, input, output));
            turn.ledger.at_mut(front).frame = Some(frame);
            let Some(Passed { taken, given }) = passed? else { return Ok(()) };
            if taken > 0 {
                from.taken(taken as u16, turn);
            }
            if taken == 0 && given == 0 {
                break;
            }
        }
        while relay.owes(way) {
            match fill(to, turn, relay, |relay, output| relay.pass(way, &[], output))? {
                Some(Passed { given: 1.., .. }) => {}
                _ => return Ok(()),
            }
        }
        let over = from.is_drained() || relay.has_ended(way);
        if over && !self.finished[way.from as usize] {
            self.finished[way.from as usize] = finish(to, way, relay, turn)?;
        }
        Ok(())
    }

    /// From now on there is only the leg towards `side`: it gets what the relay owes it, and FIN behind that.
    pub(crate) fn part_with<M: Memory, R: Relay>(
        &mut self,
        (index, side): (u32, Side),
        relay: &mut R,
        turn: &mut Turn<'_, M>,
    ) {
        let way = Way { flow: index, from: side.other() };
        let [client, server] = &mut self.legs;
        let (to, other) = match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        while relay.owes(way) {
            match fill(to, turn, relay, |relay, output| relay.pass(way, &[], output)) {
                Ok(Some(Passed { given: 1.., .. })) => {}
                _ => break,
            }
        }
        to.end_stream(turn);
        other.release(turn.ledger, turn.memory);
        (self.last, self.opening) = (Some(side), NONE);
    }

    pub(crate) fn release<F: Frame, M: Memory<Frame = F>>(&mut self, turn: &mut Turn<'_, M>) {
        for leg in &mut self.legs {
            leg.release(turn.ledger, turn.memory);
        }
    }

    /// Whether a turn may do what could not be done before, although nothing was due.
    pub(crate) fn waits<M: Memory>(&self, turn: &Turn<'_, M>) -> bool {
        self.starved || self.standing().iter().any(|side| self.legs[*side as usize].waits(turn))
    }

    /// The earliest moment at which something is to be done, after a turn at this one.
    pub(crate) fn deadline(&self, now: Now, limits: &crate::limits::Limits) -> Option<Tick> {
        let retry = self.starved.then(|| now.tick().plus(ticks(RETRY_MS)));
        let legs = self.standing().iter().map(|side| self.legs[*side as usize].deadline(limits));
        legs.fold(Tick::first(retry, self.linger_until), Tick::first)
    }
}

/// Milliseconds after which packet memory is asked again.
const RETRY_MS: u32 = 10;

/// Writes what comes after the last octet of a direction, then FIN. Whether it is done.
fn finish<M: Memory, R: Relay>(
    to: &mut Leg,
    way: Way,
    relay: &mut R,
    turn: &mut Turn<'_, M>,
) -> Result<bool, Refused> {
    loop {
        let mut state = Finish::Wait;
        let wrote = fill(to, turn, relay, |relay, output| {
            state = relay.finish(way, output)?;
            let given = if let Finish::More(given) = state { given } else { 0 };
            Ok(Passed { taken: 0, given })
        })?;
        match state {
            _ if wrote.is_none() => return Ok(false),
            Finish::More(_) => {}
            Finish::Done => {
                to.finish(turn);
                return Ok(true);
            }
            Finish::Wait => return Ok(false),
        }
    }
}

/// Offers the room at the end of a leg's queue to `write`. `None` when packet memory has no frame.
fn fill<M: Memory, R: Relay>(
    to: &mut Leg,
    turn: &mut Turn<'_, M>,
    relay: &mut R,
    write: impl FnOnce(&mut R, &mut [u8]) -> Result<Passed, Refused>,
) -> Result<Option<Passed>, Refused> {
    if let Some((tail, room)) = to.tail_with_room(turn)
        && room >= relay.least_room()
        && let Some(mut frame) = turn.ledger.at_mut(tail).frame.take()
    {
        let entry = turn.ledger.at(tail);
        let at = usize::from(entry.start) + usize::from(entry.len);
        let wrote = write(relay, &mut frame.octets_mut()[at..at + room]);
        turn.ledger.at_mut(tail).frame = Some(frame);
        let passed = wrote?;
        to.grow_tail(passed.given as u16, turn);
        return Ok(Some(passed));
    }
    let Some(mut frame) = turn.memory.take() else {
        turn.counters.count(Event::NoFrame);
        return Ok(None);
    };
    let at = usize::from(turn.limits.headroom);
    match write(relay, &mut frame.octets_mut()[at..at + to.segment_size()]) {
        Ok(passed) if passed.given == 0 => {
            turn.memory.give(frame);
            Ok(Some(passed))
        }
        Ok(passed) => {
            to.append_frame(frame, passed.given as u16, turn);
            Ok(Some(passed))
        }
        Err(refused) => {
            turn.memory.give(frame);
            Err(refused)
        }
    }
}
