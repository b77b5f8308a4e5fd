//! Many SYNs at once: beyond a bound each is answered with a cookie, and only a client that brings it back gets a place.

use super::{OPENING, Splice};
use crate::cookie;
use crate::counters::Event;
use crate::frame::{Frame, Memory};
use crate::opening::{Answer, Opening, Proven, Repeat};
use crate::relay::{Relay, Side};
use crate::table::Key;
use crate::time::{Now, ticks};
use crate::turn::Ends;
use crate::wire::build::{Header, Opening as Offer};
use crate::wire::segment::{Flags, Segment};

/// Milliseconds for which cookies may come back.
const AFTERMATH_MS: u32 = 140_000;

impl<F: Frame, R: Relay> Splice<F, R> {
    /// Whether too many clients are waiting already to remember one more that may not exist.
    pub(super) fn is_flooded(&self) -> bool {
        self.openings.len() - self.free_openings.len() >= self.shared.limits.cookies_above as usize
    }

    /// Answers a SYN and forgets it.
    pub(super) fn send_cookie<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        (key, client_low): (Key, bool),
        segment: &Segment,
        memory: &mut M,
    ) {
        self.shared.counters.count(Event::CookieSent);
        self.flooded_at = Some(now.tick());
        let mut opening = Opening::new(key, client_low, Answer::Mirrored, now);
        opening.arrive(segment, Side::Client, now);
        let limits = &self.shared.limits;
        let (_, ack, offer, echo) = opening.syn(Side::Client, limits, now);
        let ends = Ends::new(key, !client_low);
        let (source, destination) = ends.ports();
        let clock = now.milliseconds().wrapping_add(self.stamp_offset(&ends));
        let said = &segment.options;
        let stamp = cookie::stamp(clock, said.scale, said.sack_permitted);
        // Without a stamp there is no place for what these need.
        let offer = if echo.is_some() { offer } else { Offer { scale: None, sack: false, ..offer } };
        let mss = opening.agreed(Side::Client, 0, limits).mss;
        let header = Header {
            source,
            destination,
            seq: cookie::number(&key, segment.seq, mss, now, limits.secret),
            ack,
            flags: Flags::SYN.and(Flags::ACK),
            window: Opening::window(limits),
            timestamps: echo.map(|echo| (stamp, echo)),
            blocks: &[],
            opening: Some(offer),
        };
        self.send(now, &header, &ends, memory);
    }

    /// Takes a segment of a client that may bring a cookie back. False when it can be none.
    ///
    /// What looks like one and is not gets no answer: it may be behind the first segment of a client whose cookie is lost
    /// or late, and that one will be sent again.
    pub(super) fn take_cookie<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        (key, client_low): (Key, bool),
        segment: &Segment,
        memory: &mut M,
    ) -> bool {
        let aftermath = |at: crate::time::Tick| now.tick().since(at) < ticks(AFTERMATH_MS);
        let number = segment.ack.minus(1);
        if !segment.flags.has(Flags::ACK)
            || !self.flooded_at.is_some_and(aftermath)
            || !cookie::is_recent(number, now)
        {
            return false;
        }
        // A keepalive has the number before.
        let firsts = [segment.seq.minus(1), segment.seq];
        let secret = self.shared.limits.secret;
        let found =
            firsts.iter().find_map(|first| Some((*first, cookie::check(&key, *first, number, secret)?)));
        let Some((first, mss)) = found else {
            self.shared.counters.count(Event::NoFlow);
            return true;
        };
        if self.free_flows.is_empty() {
            self.shared.counters.count(Event::FlowsFull);
            return true;
        }
        let Some(index) = self.free_openings.pop() else {
            self.shared.counters.count(Event::OpeningsFull);
            return true;
        };
        self.shared.counters.count(Event::CookieTaken);
        let proven = Proven { first, mss, number };
        let mut opening = Opening::proven(key, client_low, proven, segment, now);
        let repeat = Repeat::begin(now);
        opening.repeat = Some(repeat);
        self.openings[index as usize] = Some(opening);
        self.table.insert(key.hash(secret), index + OPENING);
        self.opening_wheel.arm(index, repeat.at);
        self.carry_syn(now, index, Side::Server, Flags::SYN, memory);
        true
    }
}
