//! The window that a leg announces (RFC 9293 3.8.6, RFC 7323 2).

use super::Leg;
use crate::frame::Memory;
use crate::turn::Turn;
use crate::wire::seq::Seq;

impl Leg {
    /// Moves the right edge as far as there is room, when that is worth telling, and gives the window field.
    ///
    /// The edge never goes back. The field is rounded down to the scale, so what a peer reads may lie up to one unit
    /// before the edge; what it was told before stays acceptable (RFC 7323 2.4).
    pub(super) fn announce<M: Memory>(&mut self, turn: &Turn<'_, M>) -> u16 {
        let target = self.reachable(turn);
        if self.edge.before(target) && self.is_worth(target.since(self.edge), turn) {
            self.edge = target;
        }
        let window = self.edge.since(self.expected) >> self.our_scale;
        window.min(u16::MAX.into()) as u16
    }

    /// Whether the peer should hear of a larger window although nothing else is to be said: it has come near the edge.
    /// While it is far from it, the next acknowledgment of data is soon enough.
    pub(super) fn should_update_window<M: Memory>(&self, turn: &Turn<'_, M>) -> bool {
        let target = self.reachable(turn);
        if self.ended || !self.edge.before(target) {
            return false;
        }
        let left = self.edge.since(self.expected);
        let near = target.since(self.expected).min(NEAR) / 2;
        self.is_worth(target.since(self.edge), turn) && left < near
    }

    /// The farthest edge that there is room for.
    fn reachable<M: Memory>(&self, turn: &Turn<'_, M>) -> Seq {
        let full = turn.memory.free() < turn.limits.reserve / 2;
        let held = self.held_octets + self.backlog;
        let room = if full { 0 } else { self.budget(turn.limits).saturating_sub(held) };
        self.expected.plus(room.min(65_535 << self.our_scale))
    }

    /// Silly windows are not worth a word (RFC 9293 MUST-39): half the buffer or one segment.
    fn is_worth<M: Memory>(&self, growth: u32, turn: &Turn<'_, M>) -> bool {
        growth >= (self.budget(turn.limits) / 2).min(self.mss.into())
    }
}

/// A window of which less than half is left is worth an update, however large it could be.
const NEAR: u32 = 65_535;
