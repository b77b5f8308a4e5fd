//! How much may be sent while losses are being repaired: proportional rate reduction (RFC 9937).

use crate::wire::seq::Seq;

/// What the sender is doing about losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// None are known.
    #[default]
    Open,
    /// Some were found by acknowledgments.
    Recovery,
    /// The retransmission timer ran out.
    Timeout,
}

/// One episode of loss.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recovery {
    /// What is going on.
    pub(crate) phase: Phase,
    /// The episode ends when everything before this is acknowledged.
    pub(crate) end: Seq,
    /// Octets delivered since it began.
    delivered: u32,
    /// Octets sent since it began.
    sent: u32,
    /// Octets in flight when it began, less those that were known to have arrived.
    flight: u32,
}

impl Recovery {
    /// Losses were found with `flight` octets out of which nothing had been heard, up to `next`.
    pub(crate) fn begin(&mut self, next: Seq, flight: u32) {
        *self = Self { phase: Phase::Recovery, end: next, delivered: 0, sent: 0, flight: flight.max(1) };
    }

    /// The timer ran out.
    pub(crate) fn begin_timeout(&mut self, next: Seq) {
        *self = Self { phase: Phase::Timeout, end: next, ..Self::default() };
    }

    /// Octets went out.
    pub(crate) fn sent(&mut self, count: u32) {
        self.sent = self.sent.saturating_add(count);
    }

    /// The congestion window after an acknowledgment that delivered `delivered` octets, with `pipe` octets still out.
    /// `advanced` tells whether it moved the left edge and found no more losses: then PRR with slow start bound, else
    /// with conservative bound.
    pub(crate) fn window(
        &mut self,
        delivered: u32,
        pipe: u32,
        threshold: u32,
        mss: u32,
        advanced: bool,
    ) -> u32 {
        self.delivered = self.delivered.saturating_add(delivered);
        let count = if pipe > threshold {
            let share = u64::from(self.delivered) * u64::from(threshold) / u64::from(self.flight);
            (share as u32).saturating_sub(self.sent)
        } else {
            let bound = self.delivered.saturating_sub(self.sent).max(delivered);
            let bound = if advanced { bound + mss } else { bound };
            bound.min(threshold - pipe)
        };
        // The first retransmission goes out at once.
        let count = if self.sent == 0 { count.max(mss) } else { count };
        pipe + count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9937 6.2: with one loss in twenty the window comes down evenly while ACKs arrive.
    #[test]
    fn comes_down_in_proportion() {
        let (mss, mut recovery) = (1_000, Recovery::default());
        recovery.begin(Seq(20_000), 20_000);
        let (mut pipe, mut sent) = (19_000, 0);
        for _ in 0..19 {
            pipe -= mss;
            let window = recovery.window(mss, pipe, 10_000, mss, false);
            while pipe + mss <= window {
                recovery.sent(mss);
                (pipe, sent) = (pipe + mss, sent + 1);
            }
        }
        assert!((9..=11).contains(&sent), "{sent}");
        assert!((9_000..=11_000).contains(&pipe), "{pipe}");
    }
}
