//! Congestion window: slow start with HyStart++ and CUBIC (RFC 5681, 9406, 9438).

use crate::time::Stamp;
use crate::wire::seq::Seq;

/// Multiplicative decrease (RFC 9438 4.6).
const BETA: f32 = 0.7;
/// Steepness, segments per cubic second (RFC 9438 4.1).
const C: f32 = 0.4;
/// Growth of the Reno-friendly window, segments per window: `3 (1 - BETA) / (1 + BETA)` (RFC 9438 4.3).
const ALPHA: f32 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// Segments of the first window (RFC 6928).
const INITIAL: u32 = 10;
/// RTT samples of a round before its least is believed (RFC 9406 4.3).
const SAMPLES: u8 = 8;
/// Rounds of conservative slow start before avoidance begins.
const CONSERVATIVE_ROUNDS: u8 = 5;
/// Divisor of growth in conservative slow start.
const CONSERVATIVE: u32 = 4;
/// Segments of growth that one acknowledgment may cause in slow start (RFC 9406 4.2, without pacing).
const BURST: u32 = 8;

/// Octets in flight that the path is believed to bear.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cubic {
    /// Congestion window.
    pub(crate) window: u32,
    /// Slow start ends here.
    pub(crate) threshold: u32,
    /// Window before the last reduction, in segments.
    before: f32,
    /// Seconds from the start of the epoch until `before` is reached again.
    k: f32,
    /// Window of a Reno flow in the same place, in segments.
    reno: f32,
    /// When avoidance began; meaningless while `in_epoch` is false.
    epoch: Stamp,
    in_epoch: bool,
    /// Samples in this round of slow start.
    samples: u8,
    /// Rounds of conservative slow start still to go; 0 outside of it.
    conservative: u8,
    /// The last octet of this round.
    round_end: Seq,
    /// Least RTT of this round and of the one before, microseconds; 0 for none.
    round_least: u32,
    last_least: u32,
}

impl Cubic {
    pub(crate) fn new(mss: u32, first: Seq) -> Self {
        Self {
            window: INITIAL * mss,
            threshold: u32::MAX,
            before: 0.0,
            k: 0.0,
            reno: 0.0,
            epoch: Stamp(0),
            in_epoch: false,
            samples: 0,
            conservative: 0,
            round_end: first,
            round_least: 0,
            last_least: 0,
        }
    }

    pub(crate) fn in_slow_start(&self) -> bool {
        self.window < self.threshold
    }

    /// `acked` octets arrived outside of recovery while the window was the limit.
    pub(crate) fn grow(&mut self, acked: u32, mss: u32, smoothed: u32, now: Stamp) {
        if self.in_slow_start() {
            let growth = acked.min(BURST * mss);
            let growth = if self.conservative > 0 { growth / CONSERVATIVE } else { growth };
            self.window = self.window.saturating_add(growth);
        } else {
            self.avoid(acked as f32 / mss as f32, mss as f32, smoothed, now);
        }
    }

    fn avoid(&mut self, acked: f32, mss: f32, smoothed: u32, now: Stamp) {
        let window = self.window as f32 / mss;
        if !self.in_epoch {
            (self.in_epoch, self.epoch, self.reno) = (true, now, window);
            self.k = if window < self.before { ((self.before - window) / C).cbrt() } else { 0.0 };
            self.before = self.before.max(window);
        }
        let elapsed = now.since(self.epoch) as f32 * 1e-6;
        let at = |time: f32| C * (time - self.k).powi(3) + self.before;
        let alpha = if self.reno < self.before { ALPHA } else { 1.0 };
        self.reno += alpha * acked / window;
        let next = if at(elapsed) < self.reno {
            self.reno.max(window)
        } else {
            let target = at(elapsed + smoothed as f32 * 1e-6).clamp(window, window * 1.5);
            window + (target - window) / window * acked
        };
        self.window = (next * mss) as u32;
    }

    /// Loss was seen: the next threshold, at which the window will stand after recovery.
    pub(crate) fn reduce(&mut self, mss: u32) {
        let window = self.window as f32 / mss as f32;
        // Fast convergence (RFC 9438 4.7).
        self.before = if window < self.before { window * (1.0 + BETA) / 2.0 } else { window };
        self.threshold = ((self.window as f32 * BETA) as u32).max(2 * mss);
        self.in_epoch = false;
        self.conservative = 0;
    }

    /// The retransmission timer ran out (RFC 5681 3.1): one segment.
    pub(crate) fn collapse(&mut self, mss: u32) {
        self.window = mss;
    }

    /// Nothing was sent for a timeout (RFC 5681 4.1, RFC 9438 5.8).
    pub(crate) fn restart(&mut self, mss: u32) {
        if self.window > INITIAL * mss {
            self.threshold = self.threshold.max(self.window / 4 * 3);
            self.window = INITIAL * mss;
        }
        self.in_epoch = false;
    }

    /// An RTT sample in slow start; `una` and `next` bound the flight (RFC 9406 4.2).
    pub(crate) fn measure(&mut self, rtt: u32, una: Seq, next: Seq) {
        if !self.in_slow_start() || self.threshold != u32::MAX {
            return;
        }
        if !una.before(self.round_end) {
            self.begin_round(next);
        }
        self.samples = self.samples.saturating_add(1);
        self.round_least = if self.round_least == 0 { rtt } else { self.round_least.min(rtt) };
        if self.samples < SAMPLES || self.last_least == 0 {
            return;
        }
        let tolerance = (self.last_least / 8).clamp(4_000, 16_000);
        if self.conservative == 0 && self.round_least >= self.last_least + tolerance {
            self.conservative = CONSERVATIVE_ROUNDS;
        } else if self.conservative > 0 && self.round_least < self.last_least {
            // The delay was not a queue's: back to slow start.
            self.conservative = 0;
        }
    }

    fn begin_round(&mut self, next: Seq) {
        if self.conservative > 0 {
            self.conservative -= 1;
            if self.conservative == 0 {
                self.threshold = self.window;
            }
        } else {
            self.last_least = self.round_least;
        }
        (self.round_end, self.samples, self.round_least) = (next, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    /// Grows for `millis` at one window per 100 ms.
    fn run(cubic: &mut Cubic, millis: u32) {
        for at in (0..millis).step_by(100) {
            let window = cubic.window;
            for _ in 0..window / MSS {
                cubic.grow(MSS, MSS, 100_000, Stamp(at * 1_000));
            }
        }
    }

    #[test]
    fn slow_start_doubles_until_the_threshold() {
        let mut cubic = Cubic::new(MSS, Seq(0));
        run(&mut cubic, 300);
        assert_eq!(cubic.window, 80 * MSS);
    }

    /// RFC 9438 4.2: the window is back at its old size after K seconds, flat there, and steep later.
    #[test]
    fn window_follows_the_cubic() {
        let mut cubic = Cubic::new(MSS, Seq(0));
        cubic.window = 1_000 * MSS;
        cubic.reduce(MSS);
        cubic.window = cubic.threshold;
        assert_eq!(cubic.threshold, 700 * MSS);
        let k = (300.0f32 / C).cbrt();
        run(&mut cubic, (k * 1_000.0) as u32);
        assert!((940 * MSS..1_010 * MSS).contains(&cubic.window), "{}", cubic.window);
        run(&mut cubic, 0);
    }

    #[test]
    fn fast_convergence_gives_way() {
        let mut cubic = Cubic::new(MSS, Seq(0));
        cubic.window = 100 * MSS;
        cubic.reduce(MSS);
        cubic.window = 80 * MSS;
        cubic.reduce(MSS);
        assert!((cubic.before - 68.0).abs() < 0.1);
        assert_eq!(cubic.threshold, 56 * MSS);
    }

    #[test]
    fn a_growing_delay_ends_slow_start() {
        let mut cubic = Cubic::new(MSS, Seq(0));
        let mut at = Seq(0);
        for round in 0..9u32 {
            let next = at.plus(20_000);
            for _ in 0..10 {
                cubic.measure(20_000 + round * 5_000, at, next);
            }
            at = next;
        }
        assert!(!cubic.in_slow_start());
    }
}
