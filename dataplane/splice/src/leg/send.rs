//! What goes out now: what was lost, then what is new, then an acknowledgment if none went with them.

use super::envelope::Envelope;
use super::{Ending, Leg};
use crate::counters::Event;
use crate::frame::{Frame, Marks, Memory, NONE};
use crate::time::Now;
use crate::turn::{Ends, Turn};
use crate::wire::build::Header;
use crate::wire::options::MOST_BLOCKS;
use crate::wire::segment::Flags;
use crate::wire::seq::Seq;

impl Leg {
    /// Sends all that may be sent.
    pub(crate) fn output<M: Memory>(&mut self, ends: &Ends, turn: &mut Turn<'_, M>) {
        if self.ending == Ending::Wanted {
            self.finish(turn);
        }
        let mut envelope = Envelope::new(ends);
        if self.lost > self.flying {
            self.send_lost(&mut envelope, turn);
        }
        if self.unsent != NONE {
            self.send_new(&mut envelope, turn);
        }
        if self.ack_now || self.should_update_window(turn) {
            self.send_bare(self.next, Flags::ACK, ends, turn);
        }
        self.arm(turn);
    }

    /// Whether something could not be done when it should have been, and may be possible by now.
    pub(crate) fn waits<M: Memory>(&self, turn: &Turn<'_, M>) -> bool {
        let queued = self.unsent != NONE || !self.held.is_empty() || self.ending == Ending::Wanted;
        queued || self.lost > self.flying || self.ack_now || self.should_update_window(turn)
    }

    /// Appends a frame with `len` octets of data after the headroom.
    #[inline]
    pub(crate) fn append_frame<M: Memory>(&mut self, frame: M::Frame, len: u16, turn: &mut Turn<'_, M>) {
        let index = turn.ledger.enter(frame, self.owner, self.end, (turn.limits.headroom, len));
        turn.ledger.push(&mut self.queue, index);
        if self.unsent == NONE {
            self.unsent = index;
        }
        self.end = self.end.plus(len.into());
    }

    /// The last entry has grown by `len` octets.
    pub(crate) fn grow_tail<M: Memory>(&mut self, len: u16, turn: &mut Turn<'_, M>) {
        turn.ledger.at_mut(self.queue.tail).len += len;
        self.end = self.end.plus(len.into());
    }

    /// Octets that a new frame may carry.
    pub(crate) fn segment_size(&self) -> usize {
        self.mss.into()
    }

    /// Nothing follows: FIN goes out after what is queued.
    pub(crate) fn finish<M: Memory>(&mut self, turn: &mut Turn<'_, M>) {
        if self.unsent == NONE {
            let Some(frame) = turn.memory.take() else {
                turn.counters.count(Event::NoFrame);
                self.ending = Ending::Wanted;
                return;
            };
            self.append_frame(frame, 0, turn);
        }
        turn.ledger.at_mut(self.queue.tail).marks.set(Marks::FIN);
        self.end = self.end.plus(1);
        self.ending = Ending::Queued;
    }

    /// FIN goes out after what is queued, unless it has.
    pub(crate) fn end_stream<M: Memory>(&mut self, turn: &mut Turn<'_, M>) {
        if self.ending == Ending::Open {
            self.finish(turn);
        }
    }

    fn send_lost<M: Memory>(&mut self, envelope: &mut Envelope<'_>, turn: &mut Turn<'_, M>) {
        let mut index = self.queue.head;
        while index != NONE && index != self.unsent && self.lost > self.flying {
            let entry = turn.ledger.at(index);
            let waits = entry.marks.has(Marks::LOST) && !entry.marks.has(Marks::FLYING);
            if waits && entry.frame.is_some() {
                if entry.len > self.mss && !self.split(index, self.mss, turn) {
                    return;
                }
                let entry = turn.ledger.at(index);
                let (span, pipe) = (entry.span(), self.pipe());
                let shut = index != self.queue.head && !entry.seq.before(self.una.plus(self.window));
                if shut || (pipe > 0 && pipe + span > self.cubic.window) {
                    return;
                }
                self.send_again(index, envelope, turn);
            }
            index = turn.ledger.at(index).next;
        }
    }

    /// Sends an entry once more. False while a ring has it.
    pub(super) fn send_again<M: Memory>(
        &mut self,
        index: u32,
        envelope: &mut Envelope<'_>,
        turn: &mut Turn<'_, M>,
    ) -> bool {
        if !self.send_entry(index, Flags::ACK, envelope, turn) {
            return false;
        }
        turn.counters.count(Event::Retransmitted);
        let entry = turn.ledger.at_mut(index);
        let span = entry.span();
        entry.marks.set(Marks::AGAIN);
        if entry.marks.has(Marks::LOST) && !entry.marks.has(Marks::FLYING) {
            entry.marks.set(Marks::FLYING);
            self.flying += span;
        }
        self.recovery.sent(span);
        true
    }

    fn send_new<M: Memory>(&mut self, envelope: &mut Envelope<'_>, turn: &mut Turn<'_, M>) {
        self.restart_if_idle(turn.now);
        self.window_limited = false;
        let (next, idle) = (self.next, self.flight() == 0);
        while self.unsent != NONE {
            let index = self.unsent;
            if turn.ledger.at(index).len > self.mss && !self.split(index, self.mss, turn) {
                break;
            }
            if !self.fits_window(index, false, turn) {
                break;
            }
            let (len, pipe) = (u32::from(turn.ledger.at(index).len), self.pipe());
            if pipe > 0 && pipe + len > self.cubic.window {
                self.window_limited = true;
                break;
            }
            self.send_first(index, envelope, turn);
        }
        if self.next != next {
            self.schedule_probe(idle, turn.now);
        }
        self.window_limited |= self.cubic.in_slow_start() && self.pipe() > self.cubic.window / 2;
    }

    /// Whether the entry fits the peer's window, cut to it where that is worth it (RFC 9293 MUST-38): half of the
    /// largest window, or whatever there is when `forced`. FIN is not counted.
    pub(super) fn fits_window<M: Memory>(
        &mut self,
        index: u32,
        forced: bool,
        turn: &mut Turn<'_, M>,
    ) -> bool {
        let usable = self.window.saturating_sub(self.flight());
        if u32::from(turn.ledger.at(index).len) <= usable {
            return true;
        }
        let worth = usable > 0 && (forced || usable >= self.largest_window / 2);
        worth && self.split(index, usable as u16, turn)
    }

    /// Sends the first of the entries that were never sent. The clocks are the caller's.
    pub(super) fn send_first<M: Memory>(
        &mut self,
        index: u32,
        envelope: &mut Envelope<'_>,
        turn: &mut Turn<'_, M>,
    ) {
        let entry = turn.ledger.at(index);
        let (end, following) = (entry.end(), entry.next);
        let push = if following == NONE { Flags::PSH } else { Flags(0) };
        if !self.send_entry(index, Flags::ACK.and(push), envelope, turn) {
            return;
        }
        self.recovery.sent(end.since(self.next));
        (self.next, self.unsent, self.last_sent) = (end, following, index);
        self.spoke_at = turn.now.tick();
    }

    /// A pause of a timeout makes the window old (RFC 5681 4.1).
    fn restart_if_idle(&mut self, now: Now) {
        if self.flight() == 0 && now.tick().since(self.spoke_at) > self.rtt.timeout() >> 10 {
            self.cubic.restart(self.mss.into());
        }
    }

    /// Cuts an entry in two; the second has the octets from `keep` on. False when there is no frame for it.
    pub(super) fn split<M: Memory>(&mut self, index: u32, keep: u16, turn: &mut Turn<'_, M>) -> bool {
        let Some(mut second) = turn.memory.take() else {
            turn.counters.count(Event::NoFrame);
            return false;
        };
        let entry = turn.ledger.at(index);
        let Some(first) = &entry.frame else {
            turn.memory.give(second);
            return false;
        };
        let (from, len) = (usize::from(entry.start + keep), usize::from(entry.len - keep));
        let to = usize::from(turn.limits.headroom);
        second.octets_mut()[to..to + len].copy_from_slice(&first.octets()[from..from + len]);
        let (marks, sent_at, seq) = (entry.marks, entry.sent_at, entry.seq.plus(keep.into()));
        let new = turn.ledger.enter(second, self.owner, seq, (to as u16, len as u16));
        let entry = turn.ledger.at_mut(new);
        (entry.marks, entry.sent_at) = (marks, sent_at);
        turn.ledger.insert_after(&mut self.queue, index, new);
        let entry = turn.ledger.at_mut(index);
        entry.len = keep;
        entry.marks.clear(Marks::FIN);
        if self.last_sent == index && self.unsent != index {
            self.last_sent = new;
        }
        true
    }

    fn send_entry<M: Memory>(
        &mut self,
        index: u32,
        flags: Flags,
        envelope: &mut Envelope<'_>,
        turn: &mut Turn<'_, M>,
    ) -> bool {
        let entry = turn.ledger.at_mut(index);
        let Some(frame) = entry.frame.take() else { return false };
        entry.sent_at = turn.now.stamp();
        let (seq, place) = (entry.seq, (entry.start, entry.len));
        let flags = if entry.marks.has(Marks::FIN) { flags.and(Flags::FIN) } else { flags };
        // Blocks would not fit beside a full segment, so what is to be told by them goes out on its own.
        let silent = self.twice.is_none() && self.strays.is_empty();
        envelope.send(self, frame, place, (seq, flags), turn);
        if silent {
            self.told_all();
        }
        true
    }

    /// Sends a segment without data.
    pub(super) fn send_bare<M: Memory>(
        &mut self,
        seq: Seq,
        flags: Flags,
        ends: &Ends,
        turn: &mut Turn<'_, M>,
    ) {
        let Some(frame) = turn.memory.take() else {
            turn.counters.count(Event::NoFrame);
            return;
        };
        let mut blocks = [(Seq(0), Seq(0)); MOST_BLOCKS];
        let count = self.blocks(turn, &mut blocks);
        let header = self.header(seq, flags, &blocks[..count], ends, turn);
        turn.send(frame, (turn.limits.headroom, 0), &header, ends);
        self.told_all();
    }

    /// Everything that there is to acknowledge has been.
    fn told_all(&mut self) {
        self.ack_now = false;
        self.unacknowledged = 0;
        self.timers.acknowledge = None;
    }

    pub(super) fn header<'a, M: Memory>(
        &mut self,
        seq: Seq,
        flags: Flags,
        blocks: &'a [(Seq, Seq)],
        ends: &Ends,
        turn: &Turn<'_, M>,
    ) -> Header<'a> {
        self.told = self.expected;
        let (source, destination) = ends.ports();
        Header {
            source,
            destination,
            seq,
            ack: self.expected,
            flags,
            window: self.announce(turn),
            timestamps: self.stamps.then(|| (self.stamp_clock(turn.now), self.recent)),
            blocks,
            opening: None,
        }
    }

    /// Our clock as the peer sees it (RFC 7323 5.4).
    pub(super) fn stamp_clock(&self, now: Now) -> u32 {
        now.milliseconds().wrapping_add(self.stamp_offset)
    }

    /// Ends this leg at once (RFC 9293 3.10.7: the number is the next one, so that the peer takes it).
    pub(crate) fn send_reset<M: Memory>(&mut self, ends: &Ends, turn: &mut Turn<'_, M>) {
        turn.counters.count(Event::ResetSent);
        self.send_bare(self.next, Flags::RST.and(Flags::ACK), ends, turn);
    }
}
