//! Judging a segment that arrived, in the order of RFC 9293 3.10.7.4 with RFC 5961 and RFC 7323.

use super::Leg;
use crate::counters::Event;
use crate::frame::Memory;
use crate::turn::Turn;
use crate::wire::segment::{Flags, Segment};
use crate::wire::seq::before;

/// Ticks after which a time stamp says nothing any more: 24 days (RFC 7323 5.5).
const STAMP_LIFE: u32 = 24 * 86_400 * 977;
/// Ticks between two challenges of one leg.
const CHALLENGE_PAUSE: u32 = 500;

/// What a segment did to the leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The leg goes on.
    Goes,
    /// The peer reset it.
    Reset,
}

/// What is to be done with a segment.
enum Verdict {
    Drop,
    Reset,
    Take,
}

impl Leg {
    /// Takes a segment in. `at` is its offset in the frame.
    pub(crate) fn arrive<M: Memory>(
        &mut self,
        segment: &Segment,
        (frame, at): (M::Frame, u16),
        turn: &mut Turn<'_, M>,
    ) -> Outcome {
        match self.judge(segment, turn) {
            Verdict::Take => {
                self.heard(turn.now);
                self.note_stamp(segment, turn.now.tick());
                self.acknowledge(segment, turn);
                self.receive(segment, (frame, at), turn);
                Outcome::Goes
            }
            Verdict::Drop => {
                turn.memory.give(frame);
                Outcome::Goes
            }
            Verdict::Reset => {
                turn.memory.give(frame);
                Outcome::Reset
            }
        }
    }

    fn judge<M: Memory>(&mut self, segment: &Segment, turn: &mut Turn<'_, M>) -> Verdict {
        let reset = segment.flags.has(Flags::RST);
        if !reset && let Some(verdict) = self.judge_stamp(segment, turn) {
            return verdict;
        }
        if !self.is_acceptable(segment) {
            turn.counters.count(Event::OutOfWindow);
            if !reset {
                self.note_twice(segment);
                self.ack_now = true;
            }
            return Verdict::Drop;
        }
        if reset && segment.seq == self.expected {
            return Verdict::Reset;
        }
        if reset || segment.flags.has(Flags::SYN) {
            return self.challenge(turn);
        }
        if !segment.flags.has(Flags::ACK) {
            return Verdict::Drop;
        }
        if !self.may_acknowledge(segment) {
            turn.counters.count(Event::BadAcknowledgment);
            return self.challenge(turn);
        }
        Verdict::Take
    }

    /// Protection against wrapped sequence numbers (RFC 7323 5.3).
    fn judge_stamp<M: Memory>(&mut self, segment: &Segment, turn: &mut Turn<'_, M>) -> Option<Verdict> {
        if !self.stamps {
            return None;
        }
        let Some((value, _)) = segment.options.timestamps else {
            // RFC 7323 3.2: SHOULD be dropped silently. A SYN without it may be a peer that began anew.
            return self.refuse_stamp(segment.flags.has(Flags::SYN), turn);
        };
        let aged = turn.now.tick().since(self.recent_at) > STAMP_LIFE;
        if !aged && before(value, self.recent) {
            self.ack_now = true;
            return self.refuse_stamp(false, turn);
        }
        None
    }

    fn refuse_stamp<M: Memory>(&self, pass: bool, turn: &mut Turn<'_, M>) -> Option<Verdict> {
        if pass {
            return None;
        }
        turn.counters.count(Event::StaleTimestamp);
        Some(Verdict::Drop)
    }

    /// The four cases of RFC 9293 3.10.7.4, first check; a segment without data may also lie at the right edge, where a
    /// sender stands that has filled the window and lost some of it.
    fn is_acceptable(&self, segment: &Segment) -> bool {
        let starts_in = !segment.seq.before(self.expected) && segment.seq.before(self.edge);
        if segment.span() == 0 {
            return starts_in || segment.seq == self.edge || segment.seq == self.expected;
        }
        let last = segment.end().minus(1);
        let ends_in = !last.before(self.expected) && last.before(self.edge);
        // At a closed window the acknowledgment of what comes is still worth having.
        starts_in || ends_in || self.covers_window(segment) || segment.seq == self.expected
    }

    fn covers_window(&self, segment: &Segment) -> bool {
        segment.seq.until(self.expected) && self.expected.before(segment.end())
    }

    /// RFC 5961 5: not older than the largest window, not newer than what was sent.
    fn may_acknowledge(&self, segment: &Segment) -> bool {
        let oldest = self.una.minus(self.largest_window.max(65_535));
        oldest.until(segment.ack) && segment.ack.until(self.next)
    }

    /// Asks the peer whether it meant that (RFC 5961 3.2, 4.2), not too often.
    fn challenge<M: Memory>(&mut self, turn: &mut Turn<'_, M>) -> Verdict {
        let now = turn.now.tick();
        if self.challenged_at.is_none_or(|at| now.since(at) >= CHALLENGE_PAUSE) {
            self.challenged_at = Some(now);
            self.ack_now = true;
            turn.counters.count(Event::Challenge);
        }
        Verdict::Drop
    }

    /// RFC 7323 4.3, (2): the stamp of the segment that our latest acknowledgment ended before or in.
    fn note_stamp(&mut self, segment: &Segment, now: crate::time::Tick) {
        if let Some((value, _)) = segment.options.timestamps
            && self.stamps
            && segment.seq.until(self.told)
        {
            (self.recent, self.recent_at) = (value, now);
        }
    }
}
