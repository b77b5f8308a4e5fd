//! Which segments count as lost, by the time at which later ones were delivered (RFC 8985).

use crate::time::Stamp;
use crate::wire::seq::Seq;

/// SACKed segments that show a loss when no reordering was ever seen (RFC 8985 6.2, step 4).
const ENOUGH_SACKED: u32 = 3;

/// Recoveries for which a longer patience holds (RFC 8985 6.2, step 4).
const PERSISTENCE: u8 = 16;

/// A tail loss probe that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Probe {
    /// None is out.
    #[default]
    None,
    /// New data were the probe.
    New,
    /// Old data were.
    Old,
}

/// The latest delivery, and how much reordering the path has.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rack {
    /// When the latest delivered segment was sent.
    sent_at: Stamp,
    /// Its end.
    end: Seq,
    /// How long it took, microseconds; 0 before any.
    rtt: u32,
    /// The highest number that was delivered.
    highest: Seq,
    /// Whether a segment ever arrived after one that was sent later.
    reordering: bool,
    /// Quarters of the least RTT that reordering is allowed to take, and recoveries until it is one again.
    quarters: u8,
    recoveries: u8,
    /// The round in which `quarters` grew last ends here.
    round_end: Seq,
    /// The probe.
    pub(crate) probe: Probe,
    /// What acknowledges the probe.
    pub(crate) probe_end: Seq,
}

/// A delivered segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivered {
    pub(crate) sent_at: Stamp,
    pub(crate) end: Seq,
    pub(crate) again: bool,
}

impl Rack {
    pub(crate) fn new(first: Seq) -> Self {
        Self { highest: first, end: first, quarters: 1, round_end: first, ..Self::default() }
    }

    /// A segment was delivered. `least` is the least RTT; an acknowledgment of a retransmission that comes sooner is
    /// one of the original (RFC 8985 6.2, step 1).
    pub(crate) fn deliver(&mut self, segment: Delivered, now: Stamp, least: u32) {
        let rtt = now.since(segment.sent_at);
        if segment.again {
            if rtt < least {
                return;
            }
        } else if segment.end.before(self.highest) {
            self.reordering = true;
        }
        self.highest = self.highest.later(segment.end);
        if self.rtt == 0 || self.is_later((segment.sent_at, segment.end)) {
            (self.sent_at, self.end, self.rtt) = (segment.sent_at, segment.end, rtt.max(1));
        }
    }

    fn is_later(&self, (sent_at, end): (Stamp, Seq)) -> bool {
        self.sent_at.before(sent_at) || (self.sent_at == sent_at && self.end.before(end))
    }

    /// The peer says by D-SACK that we sent something without need: be more patient, once a round (RFC 8985 6.2, step 4).
    /// `una` and `next` bound the flight.
    pub(crate) fn was_needless(&mut self, una: Seq, next: Seq) {
        self.reordering = true;
        if self.round_end.until(una) {
            self.quarters = self.quarters.saturating_add(1);
            (self.recoveries, self.round_end) = (PERSISTENCE, next);
        }
    }

    /// Losses have been repaired: what was learnt of patience holds for so many recoveries.
    pub(crate) fn has_recovered(&mut self) {
        self.recoveries = self.recoveries.saturating_sub(1);
        if self.recoveries == 0 {
            self.quarters = 1;
        }
    }

    /// Microseconds that a segment may lag behind (RFC 8985 6.2, step 4).
    pub(crate) fn patience(&self, sacked_segments: u32, recovering: bool, least: u32, smoothed: u32) -> u32 {
        if !self.reordering && (recovering || sacked_segments >= ENOUGH_SACKED) {
            return 0;
        }
        (u32::from(self.quarters) * (least / 4)).min(smoothed)
    }

    /// Microseconds until a segment in flight must be given up: `None` when nothing sent later was delivered,
    /// 0 when it is lost now (RFC 8985 6.2, step 5).
    pub(crate) fn remaining(&self, sent: (Stamp, Seq), now: Stamp, patience: u32) -> Option<u32> {
        let earlier = sent.0.before(self.sent_at) || (sent.0 == self.sent_at && sent.1.before(self.end));
        if self.rtt == 0 || !earlier {
            return None;
        }
        Some((self.rtt + patience).saturating_sub(now.since(sent.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sent_at: u32, end: u32, again: bool) -> Delivered {
        Delivered { sent_at: Stamp(sent_at), end: Seq(end), again }
    }

    #[test]
    fn what_was_sent_before_a_delivered_one_is_lost_in_time() {
        let mut rack = Rack::new(Seq(0));
        rack.deliver(segment(1_000, 2_000, false), Stamp(11_000), 10_000);
        assert_eq!(rack.remaining((Stamp(500), Seq(1_000)), Stamp(11_000), 2_500), Some(2_000));
        assert_eq!(rack.remaining((Stamp(500), Seq(1_000)), Stamp(13_000), 2_500), Some(0));
        assert_eq!(rack.remaining((Stamp(1_000), Seq(3_000)), Stamp(13_000), 2_500), None);
    }

    #[test]
    fn three_are_enough_until_reordering_is_seen() {
        let mut rack = Rack::new(Seq(0));
        assert_eq!(rack.patience(2, false, 8_000, 9_000), 2_000);
        assert_eq!(rack.patience(3, false, 8_000, 9_000), 0);
        rack.deliver(segment(10, 2_000, false), Stamp(100), 50);
        rack.deliver(segment(5, 1_000, false), Stamp(120), 50);
        assert_eq!(rack.patience(3, false, 8_000, 9_000), 2_000);
        rack.was_needless(Seq(1_000), Seq(5_000));
        rack.was_needless(Seq(2_000), Seq(6_000));
        assert_eq!(rack.patience(3, false, 8_000, 9_000), 4_000, "once a round");
        rack.was_needless(Seq(5_000), Seq(9_000));
        assert_eq!(rack.patience(3, false, 8_000, 9_000), 6_000);
        (0..15).for_each(|_| rack.has_recovered());
        assert_eq!(rack.patience(3, false, 8_000, 9_000), 6_000);
        rack.has_recovered();
        assert_eq!(rack.patience(3, false, 8_000, 9_000), 2_000, "sixteen recoveries later");
    }

    #[test]
    fn a_retransmission_acknowledged_too_soon_says_nothing() {
        let mut rack = Rack::new(Seq(0));
        rack.deliver(segment(1_000, 2_000, true), Stamp(1_010), 10_000);
        assert_eq!(rack.remaining((Stamp(500), Seq(1_000)), Stamp(2_000), 0), None);
    }
}
