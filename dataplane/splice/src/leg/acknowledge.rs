//! What an acknowledgment tells the sender: octets delivered, the window, the state of the path.

use super::rack::{Delivered, Probe};
use super::recovery::Phase;
use super::{Ending, Leg};
use crate::frame::{Entry, Marks, Memory, NONE};
use crate::time::Stamp;
use crate::turn::Turn;
use crate::wire::segment::Segment;
use crate::wire::seq::Seq;

/// What one acknowledgment delivered.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Octets that arrived, acknowledged or reported by SACK for the first time.
    delivered: u32,
    /// The left edge moved.
    advanced: bool,
    /// When the youngest of the segments was sent that were sent once only.
    sent_at: Option<Stamp>,
    /// The peer reports that it got something twice.
    twice: bool,
}

impl Leg {
    /// Takes the acknowledgment of an acceptable segment.
    pub(super) fn acknowledge<M: Memory>(&mut self, segment: &Segment, turn: &mut Turn<'_, M>) {
        if segment.ack.before(self.una) {
            return;
        }
        let moved = self.take_window(segment);
        if segment.ack == self.una && segment.span() > 0 && segment.options.blocks().is_empty() {
            // Data that came with an acknowledgment which says nothing new.
            self.answered(false, moved);
            return self.rearm(false, turn);
        }
        let mut tally = Tally::default();
        if self.una.before(segment.ack) {
            self.retire(segment.ack, &mut tally, turn);
        } else if self.is_duplicate(segment, moved) {
            self.duplicates = self.duplicates.saturating_add(1);
            tally.delivered += u32::from(self.mss);
        }
        if self.sack && !segment.options.blocks().is_empty() {
            self.take_blocks(segment, &mut tally, turn);
        }
        self.end_probe(segment.ack, &tally);
        if tally.advanced || tally.delivered > 0 {
            self.measure(segment, &tally, turn);
            let newly_lost = self.find_losses(turn);
            self.adjust(&tally, newly_lost, turn.now.stamp());
        }
        self.answered(tally.advanced, moved);
        self.rearm(tally.advanced, turn);
    }

    /// RFC 9293 3.10.7.4, fifth check: only what is newer may change the window. Tells whether it did.
    ///
    /// By the letter a retransmission with a new acknowledgment is not newer; but then the old window would be counted
    /// from the new left edge, beyond what the peer has announced.
    fn take_window(&mut self, segment: &Segment) -> bool {
        let (seq, ack) = self.window_from;
        let advances = self.una.before(segment.ack);
        if !(advances || seq.before(segment.seq) || (seq == segment.seq && ack.until(segment.ack))) {
            return false;
        }
        let window = u32::from(segment.window) << self.their_scale;
        let moved = window != self.window;
        (self.window, self.window_from) = (window, (segment.seq, segment.ack));
        self.largest_window = self.largest_window.max(window);
        moved
    }

    /// RFC 5681 2, where SACK cannot tell.
    fn is_duplicate(&self, segment: &Segment, window_moved: bool) -> bool {
        !self.sack && segment.span() == 0 && !window_moved && self.flight() > 0
    }

    /// Everything before `ack` has arrived: its frames are free.
    fn retire<M: Memory>(&mut self, ack: Seq, tally: &mut Tally, turn: &mut Turn<'_, M>) {
        tally.advanced = true;
        self.una = ack;
        self.duplicates = 0;
        while self.queue.head != NONE {
            let entry = turn.ledger.at_mut(self.queue.head);
            if ack.until(entry.seq) {
                return;
            }
            if ack.before(entry.end()) {
                let part = ack.since(entry.seq);
                let marks = entry.marks;
                entry.trim_front(part as u16);
                self.forget(marks, part);
                tally.delivered += if marks.has(Marks::SACKED) { 0 } else { part };
                return;
            }
            let (marks, span, fin) = (entry.marks, entry.span(), entry.marks.has(Marks::FIN));
            if !marks.has(Marks::SACKED) {
                tally.delivered += span;
                Self::deliver(&mut self.rack, entry, tally, turn.now.stamp(), self.rtt.least);
            } else {
                self.sacked_segments -= 1;
            }
            self.forget(marks, span);
            if fin {
                self.ending = Ending::Acknowledged;
            }
            if let Some(index) = turn.ledger.pop(&mut self.queue) {
                turn.ledger.release(index, turn.memory);
            }
        }
        self.last_sent = NONE;
    }

    /// Octets with these marks are no longer in flight.
    fn forget(&mut self, marks: Marks, octets: u32) {
        for (mark, sum) in [
            (Marks::SACKED, &mut self.sacked),
            (Marks::LOST, &mut self.lost),
            (Marks::FLYING, &mut self.flying),
        ] {
            if marks.has(mark) {
                *sum -= octets;
            }
        }
    }

    fn deliver<F>(rack: &mut super::rack::Rack, entry: &Entry<F>, tally: &mut Tally, now: Stamp, least: u32) {
        let again = entry.marks.has(Marks::AGAIN);
        let delivered = Delivered { sent_at: entry.sent_at, end: entry.end(), again };
        rack.deliver(delivered, now, least);
        if !again && tally.sent_at.is_none_or(|sent_at| sent_at.before(entry.sent_at)) {
            tally.sent_at = Some(entry.sent_at);
        }
    }

    /// The scoreboard of RFC 6675: entries that lie wholly in a block are delivered.
    fn take_blocks<M: Memory>(&mut self, segment: &Segment, tally: &mut Tally, turn: &mut Turn<'_, M>) {
        let next = self.next;
        let good = |block: &&(Seq, Seq)| {
            block.0.before(block.1) && segment.ack.until(block.0) && block.1.until(next)
        };
        let blocks = segment.options.blocks();
        // D-SACK, RFC 2883 4: below the acknowledgment, or within the block that follows.
        let first = blocks[0];
        let inside = blocks.get(1).is_some_and(|second| second.0.until(first.0) && first.1.until(second.1));
        tally.twice = first.0.before(segment.ack) && first.0.before(first.1) || inside;
        // That a probe and what it repeats both came says nothing of reordering (RFC 8985 7.4.2).
        if tally.twice && self.rack.probe != Probe::Old {
            self.rack.was_needless(self.una, self.next);
        }
        let Some(highest) = blocks.iter().filter(good).map(|block| block.1).reduce(Seq::later) else {
            return;
        };
        let mut index = self.queue.head;
        while index != NONE {
            let entry = turn.ledger.at_mut(index);
            if !entry.seq.before(highest) {
                return;
            }
            let covered = |block: &(Seq, Seq)| block.0.until(entry.seq) && entry.end().until(block.1);
            if !entry.marks.has(Marks::SACKED) && blocks.iter().filter(good).any(covered) {
                Self::deliver(&mut self.rack, entry, tally, turn.now.stamp(), self.rtt.least);
                let (span, marks) = (entry.span(), entry.marks);
                entry.marks.set(Marks::SACKED);
                entry.marks.clear(Marks::LOST);
                entry.marks.clear(Marks::FLYING);
                self.forget(marks, span);
                self.sacked += span;
                self.sacked_segments += 1;
                tally.delivered += span;
            }
            index = turn.ledger.at(index).next;
        }
    }

    /// RTT from a segment that was sent once (Karn), or else from the time stamp (RFC 7323 4).
    fn measure<M: Memory>(&mut self, segment: &Segment, tally: &Tally, turn: &Turn<'_, M>) {
        let micros = match (tally.sent_at, segment.options.timestamps) {
            (Some(sent_at), _) => turn.now.stamp().since(sent_at),
            (None, Some((_, echo))) if self.stamps && tally.advanced && echo != 0 => {
                let elapsed = self.stamp_clock(turn.now).wrapping_sub(echo);
                if elapsed > 60_000 {
                    return;
                }
                elapsed.max(1) * 1_000
            }
            _ => return,
        };
        self.rtt.sample(micros);
        self.cubic.measure(micros, self.una, self.next);
    }

    /// RFC 8985 7.4.2: a tail loss that only the probe repaired is a loss all the same. Whether it was one is known when the
    /// peer says that the probe came twice, or has acknowledged more and has not said so.
    fn end_probe(&mut self, ack: Seq, tally: &Tally) {
        if self.rack.probe == Probe::None || ack.before(self.rack.probe_end) {
            return;
        }
        if self.rack.probe == Probe::Old && !tally.twice {
            if !self.rack.probe_end.before(ack) {
                return;
            }
            if self.recovery.phase == Phase::Open {
                self.cubic.reduce(self.mss.into());
                self.cubic.window = self.cubic.threshold;
            }
        }
        self.rack.probe = Probe::None;
    }

    /// The congestion window after what was learnt.
    pub(super) fn adjust(&mut self, tally: &Tally, newly_lost: u32, now: Stamp) {
        let mss = u32::from(self.mss);
        if self.recovery.phase != Phase::Open && self.recovery.end.until(self.una) {
            if self.recovery.phase == Phase::Recovery {
                self.cubic.window = self.cubic.threshold;
            }
            self.recovery.phase = Phase::Open;
            self.rack.has_recovered();
        }
        if self.recovery.phase == Phase::Open && self.lost > 0 {
            self.cubic.reduce(mss);
            // Whatever a probe finds out now has been answered.
            self.rack.probe = Probe::None;
            // What had arrived before does not count (RFC 9937 6.2).
            let already = self.sacked + u32::from(self.duplicates) * mss;
            self.recovery.begin(self.next, (self.flight() + tally.delivered).saturating_sub(already));
        }
        match self.recovery.phase {
            Phase::Recovery => {
                let advanced = tally.advanced && newly_lost == 0;
                let threshold = self.cubic.threshold;
                self.cubic.window =
                    self.recovery.window(tally.delivered, self.pipe(), threshold, mss, advanced);
            }
            Phase::Open if !self.window_limited => {}
            Phase::Open | Phase::Timeout => {
                self.cubic.grow(tally.delivered, mss, self.rtt.smoothed_or_guess(), now);
            }
        }
    }
}
