//! Which entries count as lost, by acknowledgments or by the timer.

use super::Leg;
use super::recovery::Phase;
use crate::counters::Event;
use crate::frame::{Marks, Memory, NONE};
use crate::time::{Now, ticks};
use crate::turn::Turn;
use crate::wire::build::TIMESTAMPS;
use crate::wire::seq::Seq;

/// Duplicate acknowledgments that show a loss (RFC 5681 3.2).
const ENOUGH_DUPLICATES: u8 = 3;

impl Leg {
    /// Marks what is lost by now, arms the timer for what may be soon, and gives the octets newly lost.
    pub(super) fn find_losses<M: Memory>(&mut self, turn: &mut Turn<'_, M>) -> u32 {
        let before = self.lost;
        if self.sack {
            self.find_by_time(turn);
        } else {
            self.find_by_duplicates(turn);
        }
        self.lost.saturating_sub(before)
    }

    /// RFC 8985 6.2, step 5.
    fn find_by_time<M: Memory>(&mut self, turn: &mut Turn<'_, M>) {
        self.timers.reorder = None;
        // In order and nothing out twice: nothing in flight was sent before what was just delivered.
        if self.sacked == 0 && self.flying == 0 && self.recovery.phase == Phase::Open {
            return;
        }
        let recovering = self.recovery.phase != Phase::Open;
        let (least, smoothed) = (self.rtt.least, self.rtt.smoothed);
        let patience = self.rack.patience(self.sacked_segments.into(), recovering, least, smoothed);
        let (now, mut longest, mut index) = (turn.now.stamp(), 0, self.queue.head);
        while index != NONE && index != self.unsent {
            let entry = turn.ledger.at_mut(index);
            let waits = entry.marks.has(Marks::LOST) && !entry.marks.has(Marks::FLYING);
            if !waits && !entry.marks.has(Marks::SACKED) {
                match self.rack.remaining((entry.sent_at, entry.end()), now, patience) {
                    Some(0) => self.lose(index, turn),
                    Some(remaining) => longest = longest.max(remaining),
                    None => {}
                }
            }
            index = turn.ledger.at(index).next;
        }
        if longest > 0 {
            self.timers.reorder = Some(turn.now.tick_after(longest));
        }
    }

    /// RFC 6582: the first is lost after three duplicates, and after each partial acknowledgment until the end.
    fn find_by_duplicates<M: Memory>(&mut self, turn: &mut Turn<'_, M>) {
        let partial = self.recovery.phase == Phase::Recovery && self.una.before(self.recovery.end);
        let head = self.queue.head;
        if head == NONE || head == self.unsent {
            return;
        }
        let marks = turn.ledger.at(head).marks;
        let enough = self.duplicates >= ENOUGH_DUPLICATES && self.recovery.phase == Phase::Open;
        if !marks.has(Marks::LOST) && (enough || (partial && self.duplicates == 0)) {
            self.lose(head, turn);
        }
    }

    /// This entry is lost.
    fn lose<M: Memory>(&mut self, index: u32, turn: &mut Turn<'_, M>) {
        let entry = turn.ledger.at_mut(index);
        let span = entry.span();
        if entry.marks.has(Marks::FLYING) {
            entry.marks.clear(Marks::FLYING);
            self.flying -= span;
        }
        if !entry.marks.has(Marks::LOST) {
            entry.marks.set(Marks::LOST);
            self.lost += span;
        }
    }

    /// The retransmission timer ran out: everything that the peer did not report is lost. What it reported is kept,
    /// unless the first entry shows that it went back on its word (RFC 2018 8).
    pub(super) fn lose_all<M: Memory>(&mut self, turn: &mut Turn<'_, M>) {
        let head = self.queue.head;
        let reneged = head != NONE && turn.ledger.at(head).marks.has(Marks::SACKED);
        let mut index = head;
        while index != NONE && index != self.unsent {
            let entry = turn.ledger.at_mut(index);
            if reneged && entry.marks.has(Marks::SACKED) {
                entry.marks.clear(Marks::SACKED);
                self.sacked -= entry.span();
                self.sacked_segments -= 1;
            }
            if !entry.marks.has(Marks::SACKED) {
                self.lose(index, turn);
            }
            index = turn.ledger.at(index).next;
        }
        self.duplicates = 0;
    }

    /// The path towards the peer is narrower than was thought: `mss` octets a segment. What is in flight and larger is
    /// lost, if the news is of a segment in flight (RFC 5927 7.2).
    pub(crate) fn narrow<M: Memory>(&mut self, mss: u16, seq: Seq, turn: &mut Turn<'_, M>) {
        let options = if self.stamps { TIMESTAMPS as u16 } else { 0 };
        let mss = mss.saturating_sub(options).max(LEAST_PATH);
        if mss >= self.mss || seq.before(self.una) || !seq.before(self.next) {
            return;
        }
        turn.counters.count(Event::PathNarrowed);
        (self.mss, self.narrowed_at) = (mss, turn.now.tick());
        let mut index = self.queue.head;
        while index != NONE && index != self.unsent {
            let entry = turn.ledger.at(index);
            if entry.len > mss && !entry.marks.has(Marks::SACKED) {
                self.lose(index, turn);
            }
            index = turn.ledger.at(index).next;
        }
    }
}

impl Leg {
    /// Large segments that are lost again and again, and nobody says why: the path may be narrow and silent, so smaller ones
    /// are tried (RFC 4821 7.7).
    pub(super) fn suspect_black_hole<M: Memory>(&mut self, timeouts: u8, turn: &mut Turn<'_, M>) {
        let head = self.queue.head;
        let Some((_, mss)) = SMALLER.iter().find(|(after, _)| *after == timeouts) else { return };
        if head != NONE && turn.ledger.at(head).len > *mss && self.mss > *mss {
            turn.counters.count(Event::BlackHole);
            (self.mss, self.narrowed_at) = (*mss, turn.now.tick());
        }
    }

    /// A path may have become wider since (RFC 1191 6.3).
    pub(crate) fn forget_narrowness(&mut self, now: Now) {
        if self.mss < self.full_mss && now.tick().since(self.narrowed_at) > ticks(NARROW_MS) {
            self.mss = self.full_mss;
        }
    }
}

/// Timeouts in a row, and the segment, less options, that is tried then: what fits every IPv6 path, and the least.
const SMALLER: [(u8, u16); 2] = [(3, 1_208), (5, LEAST_PATH)];

/// Milliseconds for which a path is taken to be narrow.
const NARROW_MS: u32 = 600_000;

/// No path is believed to be narrower than this, less options: below lie attacks on the number of segments.
const LEAST_PATH: u16 = 512;
