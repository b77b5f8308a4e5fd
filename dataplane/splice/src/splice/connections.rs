//! How connections come to be and go.

use super::{Arrival, OPENING, Splice};
use crate::counters::Event;
use crate::flow::Flow;
use crate::frame::{Frame, Memory, NONE};
use crate::leg::{Leg, Outcome};
use crate::opening::{Opening, Repeat, Step};
use crate::relay::{Relay, Side};
use crate::time::{Now, ticks};
use crate::turn::{Endpoint, Ends};
use crate::wire::build::Header;
use crate::wire::segment::{Flags, Segment};
use crate::wire::seq::Seq;

impl<F: Frame, R: Relay> Splice<F, R> {
    pub(super) fn for_opening<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        index: u32,
        from_low: bool,
        segment: &Segment,
        arrival: Arrival<F>,
        memory: &mut M,
    ) {
        let Some(opening) = &mut self.openings[index as usize] else { return memory.give(arrival.frame) };
        let from = opening.side(from_low);
        let flow = opening.flow;
        match opening.arrive(segment, from, now) {
            Step::Establish if flow != NONE => return self.admit(now, index, segment, arrival, memory),
            Step::Establish => return self.establish(now, index, from, segment, arrival, memory),
            Step::Carry(to, flags) => self.carry_syn(now, index, to, flags, memory),
            Step::BeginAnew => {
                self.end(now, flow, Event::OpeningReset, Some(Side::Client), memory);
                return self.receive(now, arrival, memory);
            }
            Step::CarryReset(_) if flow != NONE => {
                self.end(now, flow, Event::OpeningReset, Some(Side::Client), memory);
            }
            Step::CarryReset(Side::Client) if opening.is_proven() => {
                let opening = *opening;
                self.reset_of(now, &opening, Side::Client, memory);
                self.shared.counters.count(Event::OpeningReset);
                self.forget_opening(index);
            }
            Step::CarryReset(_) => {
                self.carry_reset(now, segment, &arrival, memory);
                self.shared.counters.count(Event::OpeningReset);
                self.forget_opening(index);
            }
            Step::Refuse(seq) => self.refuse(now, segment, &arrival, seq, memory),
            Step::Ignore => {}
        }
        memory.give(arrival.frame);
    }

    /// Sends the SYN of one end on to the other.
    pub(super) fn carry_syn<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        index: u32,
        to: Side,
        flags: Flags,
        memory: &mut M,
    ) {
        let Some(opening) = &mut self.openings[index as usize] else { return };
        let (seq, ack, offer, stamp) = opening.syn(to, &self.shared.limits, now);
        let low = (to == Side::Client) == opening.client_low;
        let ends = Ends::new(opening.key, !low);
        let offset = self.stamp_offset(&ends);
        let window = Opening::window(&self.shared.limits);
        let timestamps = stamp.map(|echo| (now.milliseconds().wrapping_add(offset), echo));
        let ack = if flags.has(Flags::ACK) { ack } else { Seq(0) };
        let (source, destination) = ends.ports();
        let header = Header {
            source,
            destination,
            seq,
            ack,
            flags,
            window,
            timestamps,
            blocks: &[],
            opening: Some(offer),
        };
        self.send(now, &header, &ends, memory);
    }

    /// Both ends have answered: two legs. The end that spoke last is answered by what its segment leads to, the
    /// other waits for the acknowledgment of its SYN. Where the client waits for the word it is the server that waits,
    /// and the opening goes on.
    fn establish<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        index: u32,
        from: Side,
        segment: &Segment,
        arrival: Arrival<F>,
        memory: &mut M,
    ) {
        let Some(opening) = self.openings[index as usize] else { return memory.give(arrival.frame) };
        let waits = !opening.has_acknowledged(Side::Client);
        let Some(number) = self.free_flows.pop() else {
            self.forget_opening(index);
            self.shared.counters.count(Event::FlowsFull);
            self.carry_reset_of(now, &opening, memory);
            return memory.give(arrival.frame);
        };
        let mut legs = [Side::Client, Side::Server].map(|side| {
            let low = (side == Side::Client) == opening.client_low;
            let ends = Ends::new(opening.key, !low);
            let agreed = opening.agreed(side, self.stamp_offset(&ends), &self.shared.limits);
            Leg::new(&agreed, number * 2 + side as u32, now)
        });
        let owed = if waits || opening.is_proven() { Side::Server } else { from.other() };
        legs[owed as usize].acknowledge_now();
        let mut turn = self.shared.turn(now, memory);
        turn.counters.count(Event::Established);
        let outcome = if segment.flags.has(Flags::SYN) {
            turn.memory.give(arrival.frame);
            Outcome::Goes
        } else {
            legs[from as usize].arrive(segment, (arrival.frame, arrival.at), &mut turn)
        };
        let mut flow = Flow::new(opening.key, opening.client_low, legs);
        if waits {
            flow.opening = index;
            self.go_on_opening(index, number);
        } else {
            self.forget_opening(index);
        }
        self.flows[number as usize] = Some(flow);
        self.table.insert(opening.key.hash(self.shared.limits.secret), number);
        let ends = [opening.client_low, !opening.client_low].map(|low| opening.key.endpoint(low));
        self.relay.open(number, ends);
        match outcome {
            Outcome::Goes => self.mark(number),
            Outcome::Reset => self.end(now, number, Event::ResetByPeer, Some(from), memory),
        }
    }

    /// From now on segments of this opening are found by its connection, whose owner decides how long it waits.
    fn go_on_opening(&mut self, index: u32, flow: u32) {
        let Some(opening) = &mut self.openings[index as usize] else { return };
        opening.flow = flow;
        self.table.remove(opening.key.hash(self.shared.limits.secret), index + OPENING);
        self.opening_wheel.disarm(index);
    }

    /// Tells a client that its server has answered, where it waits for that word (see [`Answer::OnWord`]).
    ///
    /// [`Answer::OnWord`]: crate::Answer::OnWord
    pub fn answer<M: Memory<Frame = F>>(&mut self, now: Now, flow: u32, memory: &mut M) {
        let Some(Some(Flow { opening: index, .. })) = self.flows.get(flow as usize) else { return };
        let index = *index;
        let Some(Some(opening)) = self.openings.get_mut(index as usize) else { return };
        if opening.withholds() {
            let repeat = Repeat::begin(now);
            opening.repeat = Some(repeat);
            self.opening_wheel.arm(index, repeat.at);
            self.carry_syn(now, index, Side::Client, Flags::SYN.and(Flags::ACK), memory);
        }
    }

    /// A client that was answered has acknowledged it: its leg stands.
    fn admit<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        index: u32,
        segment: &Segment,
        arrival: Arrival<F>,
        memory: &mut M,
    ) {
        let Some(opening) = self.openings[index as usize] else { return memory.give(arrival.frame) };
        self.forget_opening(index);
        let Some(flow) = &mut self.flows[opening.flow as usize] else { return memory.give(arrival.frame) };
        flow.opening = NONE;
        let leg = &mut flow.legs[Side::Client as usize];
        leg.took_to_open(opening.rtt(Side::Client));
        let mut turn = self.shared.turn(now, memory);
        match leg.arrive(segment, (arrival.frame, arrival.at), &mut turn) {
            Outcome::Goes => self.mark(opening.flow),
            Outcome::Reset => self.end(now, opening.flow, Event::ResetByPeer, Some(Side::Client), memory),
        }
    }

    /// Looks after a flow that has just worked: it may be over, and else has a next deadline.
    pub(super) fn settle<M: Memory<Frame = F>>(&mut self, now: Now, index: u32, memory: &mut M) {
        let Some(flow) = &mut self.flows[index as usize] else { return };
        if flow.last.is_some_and(|side| flow.legs[side as usize].is_finished()) {
            // It has heard the last word, and has ended, too.
            return self.remove(now, index, memory);
        }
        if flow.is_finished() && flow.linger_until.is_none() {
            self.shared.counters.count(Event::Closed);
            if !flow.legs.iter().any(Leg::must_linger) {
                return self.remove(now, index, memory);
            }
            flow.linger_until = Some(now.tick().plus(self.shared.limits.time_wait_ticks()));
        }
        if let Some(at) = flow.deadline(now, &self.shared.limits) {
            self.wheel.arm(index, at);
        }
    }

    /// Ends a connection at once: a reset to each end that is still there, but not to `by`, who knows.
    pub(super) fn end<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        index: u32,
        why: Event,
        by: Option<Side>,
        memory: &mut M,
    ) {
        if let Some(flow) = &mut self.flows[index as usize] {
            let mut turn = self.shared.turn(now, memory);
            if flow.last.is_none() {
                turn.counters.count(why);
            }
            for side in [Side::Client, Side::Server] {
                if by != Some(side) {
                    reset(flow, side, &mut turn);
                }
            }
        }
        self.remove(now, index, memory);
    }

    /// The time of a connection is over: of TIME-WAIT, or to hear a last word.
    pub(super) fn give_up<M: Memory<Frame = F>>(&mut self, now: Now, index: u32, memory: &mut M) {
        if let Some(flow) = &mut self.flows[index as usize]
            && let Some(side) = flow.last
        {
            reset(flow, side, &mut self.shared.turn(now, memory));
        }
        self.remove(now, index, memory);
    }

    /// Ends a connection because its owner says so.
    pub fn reset<M: Memory<Frame = F>>(&mut self, now: Now, one: Endpoint, other: Endpoint, memory: &mut M) {
        let found = crate::table::Key::of(one, other).and_then(|(key, _)| self.find(&key));
        if let Some(super::Place::Flow(index)) = found {
            self.end(now, index, Event::ResetByOwner, None, memory);
        }
    }

    /// Ends a connection because its relay's owner says so.
    pub fn end_flow<M: Memory<Frame = F>>(&mut self, now: Now, flow: u32, memory: &mut M) {
        if self.flows.get(flow as usize).is_some_and(Option::is_some) {
            self.end(now, flow, Event::ResetByOwner, None, memory);
        }
    }

    /// The same, where the relay has a last word for `side`: what it still owes that end goes out, FIN behind it, and the end has
    /// some seconds to hear that before its segments are answered with resets; what it sends meanwhile is thrown away. The
    /// other end is reset at once, and the relay hears that the connection is gone.
    pub fn part_with<M: Memory<Frame = F>>(&mut self, now: Now, index: u32, side: Side, memory: &mut M) {
        let Some(Some(flow)) = self.flows.get_mut(index as usize) else { return };
        if flow.last.is_some() || !flow.standing().contains(&side) || flow.legs[side as usize].is_finished() {
            return self.end_flow(now, index, memory);
        }
        let (waiting, mut turn) = (flow.opening, self.shared.turn(now, memory));
        turn.counters.count(Event::ResetByOwner);
        reset(flow, side.other(), &mut turn);
        flow.part_with((index, side), &mut self.relay, &mut turn);
        flow.linger_until = Some(now.tick().plus(ticks(FAREWELL_MS)));
        if waiting != NONE {
            self.forget_opening(waiting);
        }
        self.relay.close(index);
        self.mark(index);
    }

    /// The relay can go on with a connection where it could not before. What follows goes out with the next
    /// [`Splice::flush`].
    pub fn wake(&mut self, flow: u32) {
        if (flow as usize) < self.flows.len() {
            self.mark(flow);
        }
    }

    /// A router says that packets from `local` to `remote` may have this many octets at most; `seq` is the number in
    /// the packet that it quotes (RFC 1191, RFC 5927 7.2).
    pub fn path_mtu<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        (local, remote): (Endpoint, Endpoint),
        (mtu, seq): (u16, Seq),
        memory: &mut M,
    ) {
        let Some((key, local_low)) = crate::table::Key::of(local, remote) else { return };
        let Some(super::Place::Flow(index)) = self.find(&key) else { return };
        let Some(flow) = &mut self.flows[index as usize] else { return };
        let side = flow.side(!local_low);
        let headers = if key.is_ipv6() { 60 } else { 40 };
        let mut turn = self.shared.turn(now, memory);
        flow.legs[side as usize].narrow(mtu.saturating_sub(headers), seq, &mut turn);
        self.mark(index);
    }

    /// Forgets a connection and gives its frames back.
    pub(super) fn remove<M: Memory<Frame = F>>(&mut self, now: Now, index: u32, memory: &mut M) {
        let Some(mut flow) = self.flows[index as usize].take() else { return };
        flow.release(&mut self.shared.turn(now, memory));
        if flow.opening != NONE {
            self.forget_opening(flow.opening);
        }
        self.table.remove(flow.key.hash(self.shared.limits.secret), index);
        self.wheel.disarm(index);
        if flow.last.is_none() {
            self.relay.close(index);
        }
        self.free_flows.push(index);
    }

    pub(super) fn expire_opening<M: Memory<Frame = F>>(&mut self, now: Now, index: u32, memory: &mut M) {
        let Some(opening) = &mut self.openings[index as usize] else { return };
        if let Some(repeat) = opening.repeat {
            if now.tick().before(repeat.at) {
                return self.opening_wheel.arm(index, repeat.at);
            }
            let (flow, proven) = (opening.flow, *opening);
            let Some(next) = repeat.next(now) else {
                if flow != NONE {
                    return self.end(now, flow, Event::TimedOut, None, memory);
                }
                self.shared.counters.count(Event::OpeningExpired);
                self.reset_of(now, &proven, Side::Client, memory);
                return self.forget_opening(index);
            };
            opening.repeat = Some(next);
            self.opening_wheel.arm(index, next.at);
            return match flow {
                NONE => self.carry_syn(now, index, Side::Server, Flags::SYN, memory),
                _ => self.carry_syn(now, index, Side::Client, Flags::SYN.and(Flags::ACK), memory),
            };
        }
        let until = opening.heard_at.plus(self.shared.limits.opening_ticks());
        if now.tick().before(until) {
            return self.opening_wheel.arm(index, until);
        }
        self.shared.counters.count(Event::OpeningExpired);
        self.forget_opening(index);
    }

    fn forget_opening(&mut self, index: u32) {
        let Some(opening) = self.openings[index as usize].take() else { return };
        self.table.remove(opening.key.hash(self.shared.limits.secret), index + OPENING);
        self.opening_wheel.disarm(index);
        self.free_openings.push(index);
    }
}

/// Milliseconds that an end has to hear the last word.
const FAREWELL_MS: u32 = 5_000;

/// Resets an end that has not been, and has not ended.
fn reset<M: Memory>(flow: &mut Flow, side: Side, turn: &mut crate::turn::Turn<'_, M>) {
    let ends = flow.ends(side);
    if !flow.has_lost(side) && !flow.legs[side as usize].is_finished() {
        flow.legs[side as usize].send_reset(&ends, turn);
    }
}
