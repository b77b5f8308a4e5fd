//! The clocks of a leg and what happens when one runs out.

use super::Leg;
use super::acknowledge::Tally;
use super::envelope::Envelope;
use super::rack::Probe;
use super::recovery::Phase;
use crate::counters::Event;
use crate::frame::{Memory, NONE};
use crate::limits::Limits;
use crate::time::{Now, Tick, ticks};
use crate::turn::{Ends, Turn};
use crate::wire::segment::Flags;

/// Microseconds that an acknowledgment may wait for company (RFC 9293 MUST-40 allows half a second).
pub(super) const DELAY: u32 = 40_000;
/// Microseconds that a peer may wait with an acknowledgment of a single segment (RFC 8985 7.2).
const PEER_DELAY: u32 = 200_000;

/// When to act although nothing arrives. A flow's entry in the wheel is for the earliest of both legs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timers {
    /// Retransmission; with nothing in flight, a probe of a closed window.
    retransmit: Option<Tick>,
    /// A segment that may only be late (RFC 8985 6.2).
    pub(super) reorder: Option<Tick>,
    /// Tail loss probe.
    probe: Option<Tick>,
    /// Delayed acknowledgment.
    pub(super) acknowledge: Option<Tick>,
    /// When an acceptable segment last came.
    heard_at: Tick,
    /// Keepalives since then.
    asked: u8,
    /// Timeouts or window probes in a row without an answer.
    retries: u8,
}

/// What running out of time led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fired {
    /// Nothing was due: the deadline had been moved since it was armed.
    Nothing,
    /// The leg goes on.
    Goes,
    /// The peer is given up.
    Dead,
}

impl Timers {
    pub(super) fn new(now: Now) -> Self {
        Self {
            retransmit: None,
            reorder: None,
            probe: None,
            acknowledge: None,
            heard_at: now.tick(),
            asked: 0,
            retries: 0,
        }
    }
}

impl Leg {
    /// The earliest tick at which `expire` has something to do.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<Tick> {
        let timers = &self.timers;
        let [a, b, c, d] = [timers.retransmit, timers.reorder, timers.probe, timers.acknowledge];
        Tick::first(Tick::first(Tick::first(a, b), Tick::first(c, d)), self.keepalive_at(limits))
    }

    fn keepalive_at(&self, limits: &Limits) -> Option<Tick> {
        if limits.keepalive_ms == 0 || self.is_finished() {
            return None;
        }
        let pause = if self.timers.asked == 0 {
            limits.keepalive_ms
        } else {
            limits
                .keepalive_interval_ms
                .saturating_mul(self.timers.asked.into())
                .saturating_add(limits.keepalive_ms)
        };
        Some(self.timers.heard_at.plus(ticks(pause)))
    }

    /// An acceptable segment came.
    pub(super) fn heard(&mut self, now: Now) {
        self.timers.heard_at = now.tick();
        self.timers.asked = 0;
    }

    /// An acknowledgment was taken: whoever answers is alive (RFC 9293 MUST-37).
    pub(super) fn answered(&mut self, advanced: bool, window_moved: bool) {
        if advanced || self.flight() == 0 {
            self.timers.retries = 0;
        }
        if advanced || window_moved {
            self.rtt.backoff = 0;
        }
    }

    /// Sets the sender's clocks after an acknowledgment (RFC 6298 5.2, 5.3).
    pub(super) fn rearm<M: Memory>(&mut self, advanced: bool, turn: &Turn<'_, M>) {
        if self.flight() == 0 {
            (self.timers.reorder, self.timers.probe) = (None, None);
            if advanced || self.unsent == NONE || self.window > 0 {
                self.timers.retransmit = None;
            }
        } else if advanced {
            self.timers.retransmit = Some(turn.now.tick_after(self.rtt.timeout()));
            self.schedule_probe(false, turn.now);
        }
    }

    /// Sets the retransmission clock if it should run and does not (RFC 6298 5.1).
    pub(super) fn arm<M: Memory>(&mut self, turn: &Turn<'_, M>) {
        if self.flight() == 0 && self.unsent == NONE {
            self.timers.retransmit = None;
        } else if self.timers.retransmit.is_none() {
            self.timers.retransmit = Some(turn.now.tick_after(self.rtt.timeout()));
        }
    }

    /// RFC 8985 7.2: a probe of the tail, unless something else is under way.
    pub(super) fn schedule_probe(&mut self, restart: bool, now: Now) {
        if restart {
            self.timers.retransmit = Some(now.tick_after(self.rtt.timeout()));
        }
        self.timers.probe = None;
        let quiet = self.recovery.phase == Phase::Open && self.sacked == 0 && self.lost == 0;
        if !self.sack || !quiet || self.rack.probe != Probe::None || self.flight() == 0 {
            return;
        }
        let alone = if self.flight() <= self.mss.into() { PEER_DELAY } else { 0 };
        let at = now.tick_after(self.rtt.smoothed_or_guess().saturating_mul(2).saturating_add(alone));
        // At the time of the timeout the probe takes its place.
        let timeout = self.timers.retransmit.filter(|timeout| timeout.before(at));
        self.timers.probe = Some(timeout.unwrap_or(at));
    }

    /// Does what is due. Output follows.
    pub(crate) fn expire<M: Memory>(&mut self, ends: &Ends, turn: &mut Turn<'_, M>) -> Fired {
        let now = turn.now.tick();
        let due = |timer: Option<Tick>| timer.is_some_and(|at| !now.before(at));
        if self.deadline(turn.limits).is_none_or(|at| now.before(at)) {
            return Fired::Nothing;
        }
        if due(self.timers.acknowledge) {
            self.timers.acknowledge = None;
            self.ack_now = true;
        }
        if due(self.timers.reorder) {
            let newly_lost = self.find_losses(turn);
            self.adjust(&Tally::default(), newly_lost, turn.now.stamp());
        }
        if due(self.timers.probe) {
            self.timers.probe = None;
            self.probe_tail(ends, turn);
        }
        if due(self.timers.retransmit) {
            self.timers.retransmit = None;
            return self.time_out(ends, turn);
        }
        if due(self.keepalive_at(turn.limits)) {
            return self.keep_alive(ends, turn);
        }
        Fired::Goes
    }

    /// RFC 8985 7.3: new data if there are any, else the last segment once more.
    fn probe_tail<M: Memory>(&mut self, ends: &Ends, turn: &mut Turn<'_, M>) {
        if self.flight() == 0 || self.rack.probe != Probe::None {
            return;
        }
        let index = self.unsent;
        let new = index != NONE
            && turn.ledger.at(index).len <= self.mss
            && u32::from(turn.ledger.at(index).len) + self.flight() <= self.window;
        let probe = if new {
            self.send_first(index, &mut Envelope::new(ends), turn);
            Probe::New
        } else if self.last_sent != NONE && self.send_again(self.last_sent, &mut Envelope::new(ends), turn) {
            Probe::Old
        } else {
            return;
        };
        turn.counters.count(Event::TailProbe);
        self.timers.probe = None;
        (self.rack.probe, self.rack.probe_end) = (probe, self.next);
        self.timers.retransmit = Some(turn.now.tick_after(self.rtt.timeout()));
    }

    fn time_out<M: Memory>(&mut self, ends: &Ends, turn: &mut Turn<'_, M>) -> Fired {
        self.timers.retries += 1;
        if self.timers.retries > turn.limits.retries {
            return Fired::Dead;
        }
        if self.flight() == 0 {
            self.probe_window(ends, turn);
        } else {
            self.suspect_black_hole(self.timers.retries, turn);
            self.retransmit_all(turn);
        }
        self.rtt.backoff = self.rtt.backoff.saturating_add(1);
        self.timers.retransmit = Some(turn.now.tick_after(self.rtt.timeout()));
        Fired::Goes
    }

    /// RFC 5681 3.1 and RFC 6298 5.4 to 5.6: one segment, and the window grows anew.
    fn retransmit_all<M: Memory>(&mut self, turn: &mut Turn<'_, M>) {
        turn.counters.count(Event::RetransmissionTimeout);
        let mss = u32::from(self.mss);
        if self.recovery.phase != Phase::Timeout {
            self.cubic.reduce(mss);
        }
        self.lose_all(turn);
        self.cubic.collapse(mss);
        self.recovery.begin_timeout(self.next);
        self.rack.probe = Probe::None;
        (self.timers.probe, self.timers.reorder) = (None, None);
    }

    /// RFC 9293 3.8.6.1. What fits is sent even if it is silly; at a closed window an octet that was acknowledged
    /// before draws an acknowledgment with the window, as every receiver must send one.
    fn probe_window<M: Memory>(&mut self, ends: &Ends, turn: &mut Turn<'_, M>) {
        let index = self.unsent;
        if index == NONE {
            return;
        }
        turn.counters.count(Event::WindowProbe);
        if self.fits_window(index, true, turn) {
            self.send_first(index, &mut Envelope::new(ends), turn);
            self.schedule_probe(true, turn.now);
        } else {
            self.send_bare(self.una.minus(1), Flags::ACK, ends, turn);
        }
    }

    /// RFC 9293 3.8.4.
    fn keep_alive<M: Memory>(&mut self, ends: &Ends, turn: &mut Turn<'_, M>) -> Fired {
        if self.flight() > 0 || self.unsent != NONE {
            // Retransmissions and window probes ask already.
            self.heard(turn.now);
            return Fired::Goes;
        }
        if self.timers.asked >= turn.limits.keepalive_probes {
            return Fired::Dead;
        }
        self.timers.asked += 1;
        turn.counters.count(Event::Keepalive);
        self.send_bare(self.next.minus(1), Flags::ACK, ends, turn);
        Fired::Goes
    }
}
