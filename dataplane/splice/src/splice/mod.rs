//! All connections of one worker: finds whose a segment is, and keeps the list of what has work to do.

mod ahead;
mod connections;
mod flood;
mod strangers;

use std::collections::VecDeque;

use crate::counters::{Counters, Event};
use crate::flow::{Flow, Unusual};
use crate::frame::{Frame, Ledger, Memory};
use crate::leg::{Fired, Outcome};
use crate::limits::Limits;
use crate::opening::{Answer, Opening};
use crate::relay::Relay;
use crate::table::{Key, Table};
use crate::time::{Now, Tick};
use crate::turn::{Endpoint, Transmit, Turn};
use crate::wheel::Wheel;
use crate::wire::segment::{Malformed, Segment, intact};

/// A segment that came in. IP has been taken off; what is left of the frame is the segment and nothing after it.
#[derive(Debug)]
pub struct Arrival<F> {
    /// The frame it lies in, which the splice keeps as long as it needs.
    pub frame: F,
    /// Offset of the segment in the slot.
    pub at: u16,
    /// Its length.
    pub len: u16,
    /// IP source.
    pub source: std::net::IpAddr,
    /// IP destination.
    pub destination: std::net::IpAddr,
    /// When it is answered, if it opens a connection.
    pub answer: Answer,
}

/// Numbers at and above this in the table are those of openings.
const OPENING: u32 = 1 << 31;

/// What all legs use.
#[derive(Debug)]
struct Shared<F> {
    limits: Limits,
    ledger: Ledger<F>,
    out: VecDeque<Transmit<F>>,
    counters: Counters,
}

impl<F: Frame> Shared<F> {
    fn turn<'a, M: Memory<Frame = F>>(&'a mut self, now: Now, memory: &'a mut M) -> Turn<'a, M> {
        let Self { limits, ledger, out, counters } = self;
        Turn { now, limits, memory, ledger, out, counters }
    }
}

/// The connections of one worker.
#[derive(Debug)]
pub struct Splice<F, R> {
    shared: Shared<F>,
    relay: R,
    table: Table,
    flows: Vec<Option<Flow>>,
    free_flows: Vec<u32>,
    openings: Vec<Option<Opening>>,
    free_openings: Vec<u32>,
    /// Deadlines of flows, and the ends of openings.
    wheel: Wheel,
    opening_wheel: Wheel,
    /// Flows that have work to do.
    dirty: Vec<u32>,
    /// Flows whose deadline has come.
    due: Vec<u32>,
    /// When a cookie was last sent.
    flooded_at: Option<Tick>,
    /// The second for which resets are counted, and those still allowed in it.
    resets: (u64, u32),
}

/// Limits that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// No flows or openings, or more than numbers can tell.
    Counts,
    /// Headroom below what headers take.
    Headroom,
    /// A window scale above 14 (RFC 7323 2.3), or a budget that it cannot express.
    Scale,
}

/// Whose a segment is.
enum Place {
    Flow(u32),
    Opening(u32),
}

impl<F: Frame, R: Relay> Splice<F, R> {
    /// A splice without connections, over packet memory of so many slots.
    ///
    /// # Errors
    /// What of the limits cannot work.
    pub fn new(limits: Limits, relay: R, slots: u32, now: Now) -> Result<Self, Unfit> {
        let (flows, openings) = (limits.flows, limits.openings);
        if flows == 0 || openings == 0 || flows >= OPENING / 2 || openings >= OPENING / 2 {
            return Err(Unfit::Counts);
        }
        if usize::from(limits.headroom) < crate::wire::build::LONGEST_HEADER {
            return Err(Unfit::Headroom);
        }
        if limits.scale > 14 || limits.budget >= 1 << 30 {
            return Err(Unfit::Scale);
        }
        let out = VecDeque::with_capacity(slots as usize);
        let shared = Shared { limits, ledger: Ledger::new(slots), out, counters: Counters::default() };
        Ok(Self {
            shared,
            relay,
            table: Table::new(flows + openings),
            flows: (0..flows).map(|_| None).collect(),
            free_flows: (0..flows).rev().collect(),
            openings: (0..openings).map(|_| None).collect(),
            free_openings: (0..openings).rev().collect(),
            wheel: Wheel::new(flows, now.tick()),
            opening_wheel: Wheel::new(openings, now.tick()),
            dirty: Vec::with_capacity(flows as usize),
            due: Vec::with_capacity(flows.max(openings) as usize),
            flooded_at: None,
            resets: (0, 0),
        })
    }

    /// Takes a segment in. What follows goes out with the next [`Splice::flush`].
    pub fn receive<M: Memory<Frame = F>>(&mut self, now: Now, arrival: Arrival<F>, memory: &mut M) {
        let read = self.read(&arrival);
        // Looked at where it was made: a copy of what was just written waits for it.
        let segment = match &read {
            Ok(segment) => segment,
            Err(malformed) => {
                let event =
                    if *malformed == Malformed::Checksum { Event::BadChecksum } else { Event::Malformed };
                self.shared.counters.count(event);
                return memory.give(arrival.frame);
            }
        };
        let (source, destination) = endpoints(segment, &arrival);
        let Some((key, from_low)) = Key::of(source, destination) else {
            self.shared.counters.count(Event::Malformed);
            return memory.give(arrival.frame);
        };
        match self.find_again(&key) {
            Some(Place::Flow(index)) => self.for_flow(now, index, from_low, segment, arrival, memory),
            Some(Place::Opening(index)) => self.for_opening(now, index, from_low, segment, arrival, memory),
            None => self.for_nobody(now, (key, from_low), segment, arrival, memory),
        }
    }

    fn read(&self, arrival: &Arrival<F>) -> Result<Segment, Malformed> {
        let end = usize::from(arrival.at) + usize::from(arrival.len);
        let octets = arrival.frame.octets().get(arrival.at.into()..end).ok_or(Malformed::Short)?;
        let read = Segment::read(octets);
        if read.is_ok() && self.shared.limits.verify {
            intact(octets, arrival.source, arrival.destination)?;
        }
        read
    }

    /// What [`Splice::find`] would find, known already if it was the latest.
    #[inline]
    fn find_again(&mut self, key: &Key) -> Option<Place> {
        if let Some(index) = self.table.latest(key) {
            return Some(Place::Flow(index));
        }
        let found = self.find(key);
        if let Some(Place::Flow(index)) = found {
            self.table.note(*key, index);
        }
        found
    }

    fn find(&self, key: &Key) -> Option<Place> {
        let hash = key.hash(self.shared.limits.secret);
        let is_it = |index: u32| match index {
            OPENING.. => self.openings[(index - OPENING) as usize].as_ref().is_some_and(|it| it.key == *key),
            _ => self.flows[index as usize].as_ref().is_some_and(|it| it.key == *key),
        };
        self.table.find(hash, is_it).map(|index| match index {
            OPENING.. => Place::Opening(index - OPENING),
            _ => Place::Flow(index),
        })
    }

    fn for_flow<M: Memory<Frame = F>>(
        &mut self,
        now: Now,
        index: u32,
        from_low: bool,
        segment: &Segment,
        arrival: Arrival<F>,
        memory: &mut M,
    ) {
        let Some(flow) = &mut self.flows[index as usize] else { return memory.give(arrival.frame) };
        let side = flow.side(from_low);
        if !flow.is_usual() {
            match flow.judge_unusual(side, segment, now, &self.shared.limits) {
                Unusual::Leg => {}
                Unusual::Opening(opening) => {
                    return self.for_opening(now, opening, from_low, segment, arrival, memory);
                }
                Unusual::Anew => {
                    self.remove(now, index, memory);
                    return self.receive(now, arrival, memory);
                }
                Unusual::Stranger => return self.turn_away(now, arrival, memory),
            }
        }
        let mut turn = self.shared.turn(now, memory);
        match flow.legs[side as usize].arrive(segment, (arrival.frame, arrival.at), &mut turn) {
            Outcome::Goes => mark(flow, index, &mut self.dirty),
            Outcome::Reset => self.end(now, index, Event::ResetByPeer, Some(side), memory),
        }
    }

    /// Does what is due by now.
    pub fn expire<M: Memory<Frame = F>>(&mut self, now: Now, memory: &mut M) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now.tick(), |index| due.push(index));
        for index in due.drain(..) {
            self.expire_flow(now, index, memory);
        }
        self.opening_wheel.advance(now.tick(), |index| due.push(index));
        for index in due.drain(..) {
            self.expire_opening(now, index, memory);
        }
        self.due = due;
    }

    fn expire_flow<M: Memory<Frame = F>>(&mut self, now: Now, index: u32, memory: &mut M) {
        let Some(flow) = &mut self.flows[index as usize] else { return };
        if flow.linger_until.is_some_and(|until| !now.tick().before(until)) {
            return self.give_up(now, index, memory);
        }
        let mut turn = self.shared.turn(now, memory);
        let mut works = false;
        for &side in flow.standing() {
            let ends = flow.ends(side);
            match flow.legs[side as usize].expire(&ends, &mut turn) {
                Fired::Dead => return self.end(now, index, Event::TimedOut, None, memory),
                Fired::Goes => works = true,
                Fired::Nothing => {}
            }
        }
        if works || flow.waits(&turn) {
            mark(flow, index, &mut self.dirty);
        } else if let Some(at) = flow.deadline(now, &self.shared.limits) {
            self.wheel.arm(index, at);
        }
    }

    /// Lets every flow that has work to do relay and send.
    pub fn flush<M: Memory<Frame = F>>(&mut self, now: Now, memory: &mut M) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for (at, index) in dirty.iter().copied().enumerate() {
            self.look_ahead_of(&dirty, at);
            let Some(flow) = &mut self.flows[index as usize] else { continue };
            flow.dirty = false;
            let mut turn = self.shared.turn(now, memory);
            match flow.work(index, &mut self.relay, &mut turn) {
                Ok(()) => self.settle(now, index, memory),
                Err(_) => self.end(now, index, Event::ResetByRelay, None, memory),
            }
        }
        dirty.clear();
        // What was marked meanwhile has its turn with the next.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    /// The next segment to be sent.
    pub fn transmit(&mut self) -> Option<Transmit<F>> {
        self.shared.out.pop_front()
    }

    /// The port has done with a frame that [`Splice::transmit`] gave.
    pub fn complete<M: Memory<Frame = F>>(&mut self, frame: F, memory: &mut M) {
        if let Some(owner) = self.shared.ledger.complete(frame, memory) {
            self.mark(owner / 2);
        }
    }

    /// When [`Splice::expire`] should be called next, at the latest.
    pub fn next_deadline(&self, now: Now) -> Option<Now> {
        [self.wheel.next(), self.opening_wheel.next()]
            .into_iter()
            .flatten()
            .map(|tick| now.of_tick(tick))
            .min()
    }

    /// Whether there is a connection between these two, half-open or whole. [`Splice::receive`] does not look for it again when a
    /// segment of it follows.
    pub fn knows(&mut self, one: Endpoint, other: Endpoint) -> bool {
        Key::of(one, other).is_some_and(|(key, _)| self.find_again(&key).is_some())
    }

    /// Whether there is no room for another connection.
    pub fn is_full(&self) -> bool {
        self.free_flows.is_empty()
    }

    /// Whether [`Splice::transmit`] would give something, or [`Splice::flush`] has work.
    pub fn is_busy(&self) -> bool {
        !self.shared.out.is_empty() || !self.dirty.is_empty()
    }

    /// Whether both legs of this connection stand, so that no answer of one end may pass to the other as it is.
    pub fn is_open(&self, one: Endpoint, other: Endpoint) -> bool {
        Key::of(one, other).is_some_and(|(key, _)| matches!(self.find(&key), Some(Place::Flow(_))))
    }

    /// What has happened so far.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Connections and half-open connections at present.
    pub fn counts(&self) -> (usize, usize) {
        (self.flows.len() - self.free_flows.len(), self.openings.len() - self.free_openings.len())
    }

    /// Frames that legs keep at present.
    pub fn frames_kept(&self) -> usize {
        self.shared.ledger.kept()
    }

    /// The relay.
    pub fn relay(&mut self) -> &mut R {
        &mut self.relay
    }

    fn mark(&mut self, index: u32) {
        if let Some(flow) = &mut self.flows[index as usize] {
            mark(flow, index, &mut self.dirty);
        }
    }
}

/// Puts a flow on the list of those that have work to do, once.
fn mark(flow: &mut Flow, index: u32, dirty: &mut Vec<u32>) {
    if !std::mem::replace(&mut flow.dirty, true) {
        dirty.push(index);
    }
}

fn endpoints<F>(segment: &Segment, arrival: &Arrival<F>) -> (Endpoint, Endpoint) {
    ((arrival.source, segment.source), (arrival.destination, segment.destination))
}
