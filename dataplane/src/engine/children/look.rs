//! A look at all negotiated SAs, many times a second: how they are used, which are to be replaced, and which have come to
//! their end.

use ravelin_contract::child::{Bound, Bounds, Change, Happening, Usage};

use super::Held;
use crate::clock::Now;
use crate::engine::Engine;
use crate::esp::sequence::last_number;

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
    /// Looks at all negotiated SAs; ends those that have carried or lasted what they may. To be called every
    /// [`ravelin_contract::limits::CHILD_LOOK_MS`]. While something else changes them it waits for the next call.
    pub fn look_at_children(&self) {
        let Ok(mut children) = self.children.try_lock() else { return };
        let now = self.clock.read();
        let mut over = Vec::new();
        for held in children.held.values_mut() {
            for happening in held.look(now).into_iter().flatten() {
                self.tell_of(held, happening);
            }
            over.extend(held.reached(&held.child.lifetime.hard, now).map(|bound| (held.clone(), bound)));
        }
        let Some(installed) = self.state().installed.clone().filter(|_| !over.is_empty()) else { return };
        let removals = over.iter().map(|(held, _)| Change::Remove(held.child.spi())).collect();
        match self.edit(&mut children, &installed, removals) {
            Ok(_) => over.iter().for_each(|(held, bound)| self.tell_of(held, Happening::Expired(*bound))),
            Err(error) => tracing::warn!(%error, "SAs at the end of their life are not removed yet"),
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
        let furthest = self.outbound.sequence().next().max(self.inbound.received().highest());
        // A quarter is left for the time that a rekey takes.
        let few = furthest > last_number(self.child.extended_sequence) / 4 * 3;
        self.reached(&self.child.lifetime.soft, now).or(few.then_some(Bound::Numbers))
    }

    /// The direction that has come further counts.
    fn reached(&self, bounds: &Bounds, now: Now) -> Option<Bound> {
        let (received, sent) = (self.inbound.traffic(), self.outbound.traffic());
        let seconds = now.since(self.since) / 1_000_000_000;
        bounds.reached(received.1.max(sent.1), received.0.max(sent.0), seconds)
    }
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
