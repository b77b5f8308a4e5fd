//! Round-trip time and the retransmission timeout (RFC 6298).

/// Microseconds before the first measurement.
const INITIAL: u32 = 1_000_000;
/// Least timeout. RFC 6298 2.4 asks for a second; like all of today's stacks we take 200 ms, which time stamps and
/// delayed ACKs of at most 40 ms allow.
const LEAST: u32 = 200_000;
/// Greatest timeout.
const MOST: u32 = 120_000_000;
/// Steps after which doubling no longer matters.
const DOUBLINGS: u8 = 10;

/// What a leg knows of its path's delay, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rtt {
    /// Smoothed; 0 before the first measurement.
    pub(crate) smoothed: u32,
    variation: u32,
    /// Least that was seen.
    pub(crate) least: u32,
    /// How often the timeout was doubled since anything new was acknowledged.
    pub(crate) backoff: u8,
}

impl Rtt {
    /// Takes a measurement into account (RFC 6298 2.2 and 2.3).
    pub(crate) fn sample(&mut self, micros: u32) {
        let micros = micros.clamp(1, MOST);
        if self.smoothed == 0 {
            (self.smoothed, self.variation, self.least) = (micros, micros / 2, micros);
            return;
        }
        let error = self.smoothed.abs_diff(micros);
        self.variation = self.variation - self.variation / 4 + error / 4;
        self.smoothed = self.smoothed - self.smoothed / 8 + micros / 8;
        self.least = self.least.min(micros);
    }

    /// Microseconds until unacknowledged data are sent again.
    pub(crate) fn timeout(&self) -> u32 {
        let plain = match self.smoothed {
            0 => INITIAL,
            smoothed => smoothed.saturating_add((self.variation * 4).max(1_024)).max(LEAST),
        };
        let doubled = u64::from(plain) << self.backoff.min(DOUBLINGS);
        doubled.min(MOST.into()) as u32
    }

    /// Smoothed time, or a guess before the first measurement.
    pub(crate) fn smoothed_or_guess(&self) -> u32 {
        if self.smoothed == 0 { INITIAL } else { self.smoothed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_rfc_6298() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.timeout(), 1_000_000);
        rtt.sample(100_000);
        assert_eq!(rtt.timeout(), 100_000 + 4 * 50_000);
        for _ in 0..200 {
            rtt.sample(100_000);
        }
        assert!((200_000..=202_000).contains(&rtt.timeout()), "{}", rtt.timeout());
        rtt.backoff = 3;
        assert!((1_600_000..=1_616_000).contains(&rtt.timeout()));
        rtt.backoff = 60;
        assert_eq!(rtt.timeout(), MOST);
        rtt.sample(u32::MAX);
        assert!(rtt.timeout() <= MOST);
    }
}
