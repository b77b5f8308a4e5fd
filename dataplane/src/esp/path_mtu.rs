//! The path MTU of one outbound SA (RFC 4301 8.2), as routers told it by ICMP.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock::Now;

/// After so many seconds the path is tried anew with the link's MTU (RFC 4301 8.2.2 leaves the value to us; RFC 1191
/// 6.3 recommends 10 minutes).
pub const AGE: u64 = 600;
/// No IPv4 router that matters has less (RFC 1122 3.3.3); smaller claims are held to be forged or broken.
const LEAST_V4: u16 = 576;
/// No IPv6 link has less (RFC 8200 5).
const LEAST_V6: u16 = 1280;

/// What is known of the path. Zero in `learned` means nothing.
#[derive(Debug, Default)]
pub struct PathMtu {
    /// Seconds of the clock plus one in the upper 48 bits, MTU in the lower 16, in one word so that both change at once.
    learned: AtomicU64,
}

impl PathMtu {
    /// Takes in what an ICMP error said of packets of `total_len`. Says whether it changed anything: it never raises the
    /// value in force, and claims above what was sent or below what may be are brought within.
    pub fn learn(&self, claimed: u16, is_ipv6: bool, now: Now) -> bool {
        let mtu = claimed.max(if is_ipv6 { LEAST_V6 } else { LEAST_V4 });
        if self.in_force(now).is_some_and(|known| known <= mtu) {
            return false;
        }
        self.learned.store((now.seconds() + 1) << 16 | u64::from(mtu), Relaxed);
        true
    }

    /// The MTU while what was learned is fresh.
    pub fn in_force(&self, now: Now) -> Option<u16> {
        let learned = self.learned.load(Relaxed);
        let since = (learned >> 16).checked_sub(1)?;
        (now.seconds() < since + AGE).then_some(learned as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now(seconds * 1_000_000_000)
    }

    #[test]
    fn learned_lowered_and_forgotten() {
        let path = PathMtu::default();
        assert_eq!(path.in_force(at(0)), None);
        assert!(path.learn(1400, false, at(0)));
        assert_eq!(path.in_force(at(0)), Some(1400));
        assert!(!path.learn(1450, false, at(1)), "ICMP never raises it");
        assert!(!path.learn(1400, false, at(1)), "nor keeps it alive");
        assert!(path.learn(1300, false, at(2)));
        assert_eq!(path.in_force(at(601)), Some(1300));
        assert_eq!(path.in_force(at(602)), None);
        assert!(path.learn(1450, false, at(602)));
    }

    #[test]
    fn absurd_claims_are_bounded() {
        let path = PathMtu::default();
        assert!(path.learn(68, false, at(5)));
        assert_eq!(path.in_force(at(5)), Some(576));
        let path = PathMtu::default();
        assert!(path.learn(0, true, at(5)));
        assert_eq!(path.in_force(at(5)), Some(1280));
    }
}
