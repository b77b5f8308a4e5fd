//! A look at negotiated SAs, many times a second: how they are used, which are to be replaced, and which have come to their end.
//!
//! Each look is at those alone of which there may be news: no pair comes near a bound faster than any link could carry it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ravelin_contract::child::{Bound, Bounds, Change, Happening, Usage};
use ravelin_contract::limits;
use ravelin_contract::sa::Spi;

use super::{Children, Held};
use crate::clock::Now;
use crate::engine::Engine;
use crate::esp::sequence::last_number;

const SECOND: u64 = 1_000_000_000;
/// Nanoseconds between two looks.
const LOOK: u64 = limits::CHILD_LOOK_MS * 1_000_000;
/// Longest time in which nobody looks at a pair.
const LONGEST: u64 = 5 * SECOND;
/// More octets than a link of 400 Gbit/s carries in a second.
const FASTEST_OCTETS: u64 = 50 * SECOND;
/// More packets than such a link carries in a second.
const FASTEST_PACKETS: u64 = 600_000_000;

/// When which pair is looked at next. What it says of a pair that has gone, or is looked at earlier, means nothing.
#[derive(Debug, Default)]
pub(super) struct Agenda(BinaryHeap<Reverse<(Now, Spi)>>);

impl Agenda {
    pub(super) fn add(&mut self, due: Now, spi: Spi) {
        self.0.push(Reverse((due, spi)));
    }

    /// Those whose time has come.
    fn due(&mut self, now: Now) -> Vec<(Now, Spi)> {
        let mut all = Vec::new();
        while self.0.peek().is_some_and(|Reverse((due, _))| *due <= now) {
            all.extend(self.0.pop().map(|Reverse(entry)| entry));
        }
        all.dedup();
        all
    }
}

/// What was seen of a pair, and what was told of it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) received: Mark,
    pub(super) sent: Mark,
    told_use: bool,
    told_age: bool,
}

/// How far one direction had come when somebody looked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    packets: u64,
    /// When there were new ones last.
    last: Option<Now>,
}

impl Engine {
    /// Looks at negotiated SAs; ends those that have carried or lasted what they may. To be called every
    /// [`limits::CHILD_LOOK_MS`]. While something else changes them it waits for the next call.
    pub fn look_at_children(&self) {
        let Ok(mut children) = self.children.try_lock() else { return };
        let now = self.clock.read();
        let mut over = Vec::new();
        let Children { held, agenda, .. } = &mut *children;
        for (due, spi) in agenda.due(now) {
            let Some(held) = held.get_mut(&spi).filter(|held| held.due == due) else { continue };
            for happening in held.look(now).into_iter().flatten() {
                self.tell_of(held, happening);
            }
            over.extend(held.reached(&held.child.lifetime.hard, now).map(|bound| (held.clone(), bound)));
            held.due = held.next_look(now);
            agenda.add(held.due, spi);
        }
        let Some(installed) = self.state().installed.clone().filter(|_| !over.is_empty()) else { return };
        let removals = over.iter().map(|(held, _)| Change::Remove(held.child.spi())).collect();
        match self.edit(&mut children, &installed, removals) {
            Ok(_) => over.iter().for_each(|(held, bound)| self.tell_of(held, Happening::Expired(*bound))),
            Err(error) => ravelin_events::tell!(SA_NOT_REMOVED, %error),
        }
    }
}

impl Held {
    /// What is new since the last look.
    fn look(&mut self, now: Now) -> [Option<Happening>; 2] {
        self.seen.received.note(self.inbound.traffic(), now);
        self.seen.sent.note(self.outbound.traffic(), now);
        let used = !self.seen.told_use && self.turn.is_none() && self.seen.received.packets > 0;
        self.seen.told_use |= used;
        let age = if self.seen.told_age { None } else { self.ageing(now) };
        self.seen.told_age |= age.is_some();
        [used.then_some(Happening::Used), age.map(Happening::Ageing)]
    }

    fn ageing(&self, now: Now) -> Option<Bound> {
        // A quarter is left for the time that a rekey takes.
        let few = self.furthest() > last_number(self.child.extended_sequence) / 4 * 3;
        self.reached(&self.child.lifetime.soft, now).or(few.then_some(Bound::Numbers))
    }

    /// Soon while it is used or to be used; else when a quarter of the time of its rest has gone once more, and before it could
    /// have come to a bound.
    fn next_look(&self, now: Now) -> Now {
        if self.turn.is_none() && !self.seen.told_use {
            return now;
        }
        let lifetime = &self.child.lifetime;
        let soft = if self.seen.told_age { LONGEST } else { self.least_time(&lifetime.soft, now) };
        let numbers = last_number(self.child.extended_sequence) / 4 * 3;
        let numbers = numbers.saturating_sub(self.furthest());
        let numbers = if self.seen.told_age { LONGEST } else { time(numbers, FASTEST_PACKETS) };
        let quiet = now.since(self.seen.received.last.max(self.seen.sent.last).unwrap_or(self.since));
        let least = [soft, self.least_time(&lifetime.hard, now), numbers, quiet / 4, LONGEST];
        let least = least.into_iter().min().unwrap_or(LOOK);
        // Looks are a while apart: the last one before then.
        Now(now.0 + least.saturating_sub(LOOK))
    }

    /// Nanoseconds before which none of these can be reached.
    fn least_time(&self, bounds: &Bounds, now: Now) -> u64 {
        let (received, sent) = (self.inbound.traffic(), self.outbound.traffic());
        let octets =
            bounds.octets.map(|most| (most.get().saturating_sub(received.1.max(sent.1)), FASTEST_OCTETS));
        let packets =
            bounds.packets.map(|most| (most.get().saturating_sub(received.0.max(sent.0)), FASTEST_PACKETS));
        let lasting = bounds
            .seconds
            .map(|most| most.get().saturating_mul(SECOND).saturating_sub(now.since(self.since)));
        let carried = octets.into_iter().chain(packets).map(|(rest, rate)| time(rest, rate));
        carried.chain(lasting).min().unwrap_or(LONGEST)
    }

    /// The highest number of either direction.
    fn furthest(&self) -> u64 {
        self.outbound.sequence().next().max(self.inbound.received().highest())
    }

    /// The direction that has come further counts.
    fn reached(&self, bounds: &Bounds, now: Now) -> Option<Bound> {
        let (received, sent) = (self.inbound.traffic(), self.outbound.traffic());
        let seconds = now.since(self.since) / SECOND;
        bounds.reached(received.1.max(sent.1), received.0.max(sent.0), seconds)
    }
}

/// Nanoseconds in which so many come at this rate, no more than [`LONGEST`].
fn time(count: u64, per_second: u64) -> u64 {
    (count / (per_second / 1000)).saturating_mul(1_000_000).min(LONGEST)
}

impl Mark {
    fn note(&mut self, (packets, _): (u64, u64), now: Now) {
        if packets != self.packets {
            *self = Self { packets, last: Some(now) };
        }
    }

    /// `traffic` as it is now. What nobody has looked at yet was just now.
    pub(super) fn usage(&self, (packets, octets): (u64, u64), now: Now) -> Usage {
        let last = if packets == self.packets { self.last } else { Some(now) };
        Usage { packets, octets, idle_ms: last.map(|last| now.since(last) / 1_000_000) }
    }
}
