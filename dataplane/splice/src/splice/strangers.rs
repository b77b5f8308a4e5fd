//! Segments that belong to no connection: the first SYN of one, or what is answered with a reset.

use std::net::{IpAddr, Ipv4Addr};

use super::{Arrival, OPENING, Splice, endpoints};
use crate::counters::Event;
use crate::frame::{Frame, Memory};
use crate::opening::{Answer, Opening};
use crate::relay::{Relay, Side};
use crate::table::Key;
use crate::time::Now;
use crate::turn::Ends;
use crate::wire::build::Header;
use crate::wire::segment::{Flags, Segment};
use crate::wire::seq::Seq;

impl<F: Frame, R: Relay> Splice<F, R> {
    pub(super) fn for_nobody<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        (key, from_low): (Key, bool),
        segment: &Segment,
        arrival: Arrival<F>,
        memory: &mut M,
    ) {
        // RFC 9293 MUST-57 and MUST-63: nobody can be answered who is not one host.
        if !(is_host(arrival.source) && is_host(arrival.destination)) {
            self.shared.counters.count(Event::Malformed);
        } else if segment.flags.has(Flags::RST) {
            self.shared.counters.count(Event::NoFlow);
        } else if segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::ACK) {
            self.open(now, (key, from_low), segment, arrival.answer, memory);
        } else if !self.take_cookie(now, (key, from_low), segment, memory) {
            self.shared.counters.count(Event::NoFlow);
            // RFC 9293 3.10.7.1.
            let number = if segment.flags.has(Flags::ACK) { segment.ack } else { Seq(0) };
            self.refuse(now, segment, &arrival, number, memory);
        }
        memory.give(arrival.frame);
    }

    /// Answers a segment that may belong to no connection, as its receiver would who has none.
    pub fn turn_away<M: Memory<Frame = F>>(&mut self, now: Now, arrival: Arrival<F>, memory: &mut M) {
        if let Ok(segment) = self.read(&arrival)
            && !segment.flags.has(Flags::RST)
        {
            let number = if segment.flags.has(Flags::ACK) { segment.ack } else { Seq(0) };
            self.refuse(now, &segment, &arrival, number, memory);
        }
        memory.give(arrival.frame);
    }

    /// A new connection wants to begin.
    fn open<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        (key, client_low): (Key, bool),
        segment: &Segment,
        answer: Answer,
        memory: &mut M,
    ) {
        if self.free_flows.is_empty() {
            return self.shared.counters.count(Event::FlowsFull);
        }
        if self.is_flooded() {
            return self.send_cookie(now, (key, client_low), segment, memory);
        }
        let Some(index) = self.free_openings.pop() else {
            return self.shared.counters.count(Event::OpeningsFull);
        };
        self.shared.counters.count(Event::Opening);
        let mut opening = Opening::new(key, client_low, answer, now);
        opening.arrive(segment, Side::Client, now);
        self.openings[index as usize] = Some(opening);
        self.table.insert(key.hash(self.shared.limits.secret), index + OPENING);
        self.opening_wheel.arm(index, now.tick().plus(self.shared.limits.opening_ticks()));
        self.carry_syn(now, index, Side::Server, Flags::SYN, memory);
    }

    /// Answers a segment with a reset, as its receiver would (RFC 9293 3.10.7.1), so many a second.
    pub(super) fn refuse<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        segment: &Segment,
        arrival: &Arrival<F>,
        seq: Seq,
        memory: &mut M,
    ) {
        let second = now.0 / 1_000_000;
        if self.resets.0 != second {
            self.resets = (second, self.shared.limits.resets_per_second);
        }
        let Some(left) = self.resets.1.checked_sub(1) else { return };
        self.resets.1 = left;
        let (remote, local) = endpoints(segment, arrival);
        let Some(ends) = Ends::between(local, remote) else { return };
        let (flags, ack) = match segment.flags.has(Flags::ACK) {
            true => (Flags::RST, Seq(0)),
            false => (Flags::RST.and(Flags::ACK), segment.end()),
        };
        self.send_plain(now, &ends, (seq, ack, flags), memory);
    }

    /// Sends a reset on as it came.
    pub(super) fn carry_reset<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        segment: &Segment,
        arrival: &Arrival<F>,
        memory: &mut M,
    ) {
        let (local, remote) = endpoints(segment, arrival);
        let Some(ends) = Ends::between(local, remote) else { return };
        self.send_plain(now, &ends, (segment.seq, segment.ack, segment.flags), memory);
    }

    /// Tells both ends of an opening that it comes to nothing.
    pub(super) fn carry_reset_of<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        opening: &Opening,
        memory: &mut M,
    ) {
        for side in [Side::Client, Side::Server] {
            self.reset_of(now, opening, side, memory);
        }
    }

    /// Tells one end.
    pub(super) fn reset_of<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        opening: &Opening,
        side: Side,
        memory: &mut M,
    ) {
        let low = (side == Side::Client) == opening.client_low;
        let ends = Ends::new(opening.key, !low);
        let agreed = opening.agreed(side, 0, &self.shared.limits);
        let numbers = (agreed.ours.plus(1), agreed.theirs.plus(1), Flags::RST.and(Flags::ACK));
        self.send_plain(now, &ends, numbers, memory);
    }

    fn send_plain<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        ends: &Ends,
        (seq, ack, flags): (Seq, Seq, Flags),
        memory: &mut M,
    ) {
        self.shared.counters.count(Event::ResetSent);
        let (source, destination) = ends.ports();
        let header = Header {
            source,
            destination,
            seq,
            ack,
            flags,
            window: 0,
            timestamps: None,
            blocks: &[],
            opening: None,
        };
        self.send(now, &header, ends, memory);
    }

    pub(super) fn send<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        header: &Header<'_>,
        ends: &Ends,
        memory: &mut M,
    ) {
        let mut turn = self.shared.turn(now, memory);
        match turn.memory.take() {
            Some(frame) => {
                let headroom = turn.limits.headroom;
                turn.send(frame, (headroom, 0), header, ends);
            }
            None => turn.counters.count(Event::NoFrame),
        }
    }

    /// What is added to our clock in the time stamps of one leg, so that they tell nothing of uptime (RFC 7323 7.1).
    pub(super) fn stamp_offset(&self, ends: &Ends) -> u32 {
        let [one, other] = self.shared.limits.secret;
        let (key, local_low) = ends.key();
        key.hash([other, one ^ u64::from(local_low)])
    }
}

/// Whether an address can be that of one host.
fn is_host(address: IpAddr) -> bool {
    let is_broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(address.is_multicast() || address.is_unspecified() || is_broadcast)
}
