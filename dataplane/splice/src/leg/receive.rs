//! The receiver's half: data in order to the relay, data out of order on a short list, FIN (RFC 9293 3.10.7.4, 2018).

use super::{Ending, Leg};
use crate::counters::Event;
use crate::frame::{Marks, Memory, NONE};
use crate::turn::Turn;
use crate::wire::options::MOST_BLOCKS;
use crate::wire::segment::{Flags, Segment};
use crate::wire::seq::Seq;

/// In-order segments that one acknowledgment may answer (RFC 5681 4.2, RFC 9293 SHLD-18: at least every second).
const EVERY: u8 = 2;

impl Leg {
    /// Takes the data and the FIN of an acceptable segment.
    pub(super) fn receive<M: Memory>(
        &mut self,
        segment: &Segment,
        (frame, at): (M::Frame, u16),
        turn: &mut Turn<'_, M>,
    ) {
        if segment.len == 0 && !segment.flags.has(Flags::FIN) || self.ended {
            turn.memory.give(frame);
            self.ack_now |= segment.span() > 0;
            return;
        }
        let index = turn.ledger.enter(frame, self.owner, segment.seq, (at + segment.data_at, segment.len));
        let entry = turn.ledger.at_mut(index);
        if segment.flags.has(Flags::FIN) {
            entry.marks.set(Marks::FIN);
        }
        let fits = segment.seq == self.expected && segment.end().until(self.edge);
        if !fits && !self.fit(index, turn) {
            turn.ledger.release(index, turn.memory);
            self.ack_now = true;
        } else if turn.ledger.at(index).seq == self.expected {
            self.take_in_order(index, turn);
        } else {
            self.take_stray(index, turn);
        }
    }

    /// Cuts an entry to the window. False when nothing is left.
    fn fit<M: Memory>(&mut self, index: u32, turn: &mut Turn<'_, M>) -> bool {
        let entry = turn.ledger.at_mut(index);
        if entry.seq.before(self.expected) {
            let old = self.expected.since(entry.seq);
            if old >= entry.span() {
                return false;
            }
            entry.trim_front(old as u16);
        }
        let room = self.edge.since(self.expected.earlier(self.edge));
        let offset = entry.seq.since(self.expected);
        if entry.span() + offset > room {
            let keep = room.saturating_sub(offset);
            // A FIN without data takes no buffer, so it is taken at the edge too.
            if keep < u32::from(entry.len) {
                entry.marks.clear(Marks::FIN);
                entry.len = keep as u16;
                self.ack_now = true;
            }
        }
        entry.span() > 0
    }

    fn take_in_order<M: Memory>(&mut self, index: u32, turn: &mut Turn<'_, M>) {
        self.append(index, turn);
        self.unacknowledged = self.unacknowledged.saturating_add(1);
        if self.strays.is_empty() {
            self.acknowledge_in_time(turn);
            return;
        }
        // It may have filled a gap: then the sender should know at once (RFC 5681 4.2).
        self.ack_now = true;
        while !self.strays.is_empty() && turn.ledger.at(self.strays.head).seq.until(self.expected) {
            self.stray_count -= 1;
            if let Some(index) = turn.ledger.pop(&mut self.strays) {
                if self.fit(index, turn) {
                    self.append(index, turn);
                } else {
                    turn.ledger.release(index, turn.memory);
                }
            }
        }
    }

    /// Hands an entry that begins at `expected` to the relay's queue.
    fn append<M: Memory>(&mut self, index: u32, turn: &mut Turn<'_, M>) {
        let entry = turn.ledger.at(index);
        let (len, fin) = (entry.len, entry.marks.has(Marks::FIN));
        self.expected = entry.end();
        if fin {
            self.ended = true;
            self.active = self.ending != Ending::Open;
            self.ack_now = true;
            turn.ledger.release_all(&mut self.strays, turn.memory);
            self.stray_count = 0;
        }
        if len == 0 {
            turn.ledger.release(index, turn.memory);
            return;
        }
        self.held_octets += u32::from(len);
        turn.ledger.push(&mut self.held, index);
    }

    fn acknowledge_in_time<M: Memory>(&mut self, turn: &mut Turn<'_, M>) {
        if self.unacknowledged >= EVERY {
            self.ack_now = true;
        } else if self.timers.acknowledge.is_none() {
            self.timers.acknowledge = Some(turn.now.tick_after(super::timers::DELAY));
        }
    }

    /// Data beyond a gap: told at once, kept if there is room.
    fn take_stray<M: Memory>(&mut self, index: u32, turn: &mut Turn<'_, M>) {
        self.ack_now = true;
        if self.stray_count >= turn.limits.out_of_order || turn.memory.free() < turn.limits.reserve {
            turn.counters.count(Event::OutOfOrderFull);
            turn.ledger.release(index, turn.memory);
            return;
        }
        let (seq, end) = (turn.ledger.at(index).seq, turn.ledger.at(index).end());
        let place = self.place_for(seq, turn);
        if place != NONE && !self.cut_after(place, index, turn) {
            self.twice = Some((seq, end));
            turn.ledger.release(index, turn.memory);
            return;
        }
        self.swallow(place, index, turn);
        turn.ledger.insert_after(&mut self.strays, place, index);
        self.stray_count += 1;
        self.note_recent(turn.ledger.at(index).seq);
    }

    /// The last stray that begins at or before `seq`.
    fn place_for<M: Memory>(&self, seq: Seq, turn: &Turn<'_, M>) -> u32 {
        let tail = self.strays.tail;
        if tail != NONE && turn.ledger.at(tail).seq.until(seq) {
            return tail;
        }
        let (mut place, mut next) = (NONE, self.strays.head);
        while next != NONE && turn.ledger.at(next).seq.until(seq) {
            (place, next) = (next, turn.ledger.at(next).next);
        }
        place
    }

    /// Cuts what `place` has already off the front of `index`. False when nothing is left.
    fn cut_after<M: Memory>(&mut self, place: u32, index: u32, turn: &mut Turn<'_, M>) -> bool {
        let covered = turn.ledger.at(place).end();
        let entry = turn.ledger.at_mut(index);
        if covered.before(entry.seq) {
            return true;
        }
        let old = covered.since(entry.seq);
        if old >= entry.span() {
            return false;
        }
        // What is left is new: data, or a FIN alone.
        entry.trim_front(old.min(entry.len.into()) as u16);
        true
    }

    /// Drops strays after `place` that `index` covers, and cuts its end where the next one begins.
    fn swallow<M: Memory>(&mut self, place: u32, index: u32, turn: &mut Turn<'_, M>) {
        loop {
            let next = if place == NONE { self.strays.head } else { turn.ledger.at(place).next };
            let end = turn.ledger.at(index).end();
            if next == NONE || !turn.ledger.at(next).seq.before(end) {
                return;
            }
            if !turn.ledger.at(next).end().until(end) {
                let begins = turn.ledger.at(next).seq;
                let entry = turn.ledger.at_mut(index);
                entry.marks.clear(Marks::FIN);
                entry.len = begins.since(entry.seq) as u16;
                return;
            }
            self.unlink_after(place, next, turn);
        }
    }

    fn unlink_after<M: Memory>(&mut self, place: u32, victim: u32, turn: &mut Turn<'_, M>) {
        let next = turn.ledger.at(victim).next;
        match place {
            NONE => self.strays.head = next,
            place => turn.ledger.at_mut(place).next = next,
        }
        if next == NONE {
            self.strays.tail = place;
        }
        self.stray_count -= 1;
        turn.ledger.release(victim, turn.memory);
    }

    fn note_recent(&mut self, seq: Seq) {
        if self.recent_strays[0] != seq {
            self.recent_strays = [seq, self.recent_strays[0], self.recent_strays[1]];
        }
    }

    /// Remembers to tell that this came twice (RFC 2883).
    pub(super) fn note_twice(&mut self, segment: &Segment) {
        if segment.len > 0 && segment.end().until(self.expected) {
            self.twice = Some((segment.seq, segment.end()));
        }
    }

    /// SACK blocks to be sent now: first what came twice, then the ranges, the most recent first (RFC 2018 4).
    pub(super) fn blocks<M: Memory>(
        &mut self,
        turn: &Turn<'_, M>,
        blocks: &mut [(Seq, Seq); MOST_BLOCKS],
    ) -> usize {
        if !self.sack {
            return 0;
        }
        let mut count = 0;
        if let Some(twice) = self.twice.take() {
            (blocks[0], count) = (twice, 1);
        }
        if self.strays.is_empty() {
            return count;
        }
        let first = count;
        for recent in self.recent_strays {
            if let Some(range) = self.range_around(recent, turn)
                && count < MOST_BLOCKS
                && !blocks[first..count].contains(&range)
            {
                blocks[count] = range;
                count += 1;
            }
        }
        count
    }

    /// The whole range without gap in which a stray lies that covers `seq`.
    fn range_around<M: Memory>(&self, seq: Seq, turn: &Turn<'_, M>) -> Option<(Seq, Seq)> {
        let mut index = self.strays.head;
        while index != NONE {
            let begins = turn.ledger.at(index).seq;
            let mut ends = turn.ledger.at(index).end();
            index = turn.ledger.at(index).next;
            while index != NONE && turn.ledger.at(index).seq == ends {
                ends = turn.ledger.at(index).end();
                index = turn.ledger.at(index).next;
            }
            if begins.until(seq) && seq.before(ends) {
                return Some((begins, ends));
            }
        }
        None
    }

    /// Octets received in order, for the relay to look at: the entry that holds the first of them.
    pub(crate) fn front(&self) -> Option<u32> {
        (self.held.head != NONE).then_some(self.held.head)
    }

    /// Nobody wants what was received.
    pub(crate) fn throw_away<M: Memory>(&mut self, turn: &mut Turn<'_, M>) {
        turn.ledger.release_all(&mut self.held, turn.memory);
        self.held_octets = 0;
    }

    /// The relay has taken `count` octets of the first entry.
    pub(crate) fn taken<M: Memory>(&mut self, count: u16, turn: &mut Turn<'_, M>) {
        let entry = turn.ledger.at_mut(self.held.head);
        entry.trim_front(count);
        self.held_octets -= u32::from(count);
        if entry.len == 0
            && let Some(index) = turn.ledger.pop(&mut self.held)
        {
            turn.ledger.release(index, turn.memory);
        }
    }
}
