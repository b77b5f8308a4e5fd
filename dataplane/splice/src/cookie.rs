//! SYN cookies (RFC 4987 3.6): under a flood, what was agreed with a client lies in the number of our answer, until its
//! acknowledgment brings it back.
//!
//! ```text
//!   number   5 bits: time   3 bits: largest segment   24 bits: proof
//!   stamp    our clock, its last 5 bits replaced: window scale, or 15 for none; whether SACK may be used
//! ```

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::table::Key;
use crate::time::Now;
use crate::wire::seq::{Seq, before};

/// Largest segments that a cookie can tell apart; what a client offers counts as the next below.
const SIZES: [u16; 8] = [88, 536, 1_220, 1_340, 1_380, 1_420, 1_440, 1_460];
/// Microseconds of a unit of time, as a power of two: 67 seconds.
const UNIT: u32 = 26;
/// Units for which a cookie holds.
const LIFE: u32 = 2;
/// Bits of a time stamp that say something else.
const OPTIONS: u32 = 0x1f;
const NO_SCALE: u32 = 15;

/// The number that answers a SYN with the number `first`.
pub(crate) fn number(key: &Key, first: Seq, mss: u16, now: Now, secret: [u64; 2]) -> Seq {
    let size = SIZES.iter().rposition(|size| *size <= mss).unwrap_or(0) as u32;
    let head = time(now) << 3 | size;
    Seq(head << 24 | proof(key, first, head, secret))
}

/// Whether a number may be of a cookie that still holds.
pub(crate) fn is_recent(number: Seq, now: Now) -> bool {
    time(now).wrapping_sub(number.0 >> 27) & 31 < LIFE
}

/// The largest segment of the client that got this number for its own `first`, if it did.
pub(crate) fn check(key: &Key, first: Seq, number: Seq, secret: [u64; 2]) -> Option<u16> {
    let head = number.0 >> 24;
    let proven = number.0 & 0xff_ffff == proof(key, first, head, secret);
    proven.then_some(SIZES[head as usize & 7])
}

/// Our clock, with the options that the client offered.
pub(crate) fn stamp(clock: u32, scale: Option<u8>, sack: bool) -> u32 {
    let scale = scale.map_or(NO_SCALE, |scale| scale.min(14).into());
    let stamp = clock & !OPTIONS | scale | u32::from(sack) << 4;
    if before(clock, stamp) { stamp.wrapping_sub(OPTIONS + 1) } else { stamp }
}

/// Window scale and SACK, from a stamp that came back.
pub(crate) fn options(stamp: u32) -> (Option<u8>, bool) {
    let scale = stamp & 15;
    ((scale != NO_SCALE).then_some(scale as u8), stamp & 16 != 0)
}

fn time(now: Now) -> u32 {
    (now.0 >> UNIT) as u32 & 31
}

/// SipHash, of a secret that nobody sees and what the cookie is for.
fn proof(key: &Key, first: Seq, head: u32, secret: [u64; 2]) -> u32 {
    let mut hasher = DefaultHasher::new();
    (secret, key.endpoint(true), key.endpoint(false), first.0, head).hash(&mut hasher);
    hasher.finish() as u32 & 0xff_ffff
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: [u64; 2] = [1, 2];

    fn key(port: u16) -> Key {
        Key::of(([192, 0, 2, 1].into(), port), ([198, 51, 100, 7].into(), 443)).unwrap().0
    }

    proptest! {
        #[test]
        fn a_cookie_is_good_for_its_client_and_for_a_while(
            port in 1u16.., first: u32, mss in 88u16..9_000, micros in 0u64..1 << 50, later in 0u64..400_000_000,
        ) {
            let (made, then) = (Now(micros), Now(micros + later));
            let cookie = number(&key(port), Seq(first), mss, made, SECRET);
            let size = check(&key(port), Seq(first), cookie, SECRET).unwrap();
            prop_assert!(size <= mss && SIZES.iter().all(|other| *other <= size || *other > mss));
            prop_assert!(later >= 60_000_000 || is_recent(cookie, then));
            prop_assert!(later < 140_000_000 || !is_recent(cookie, then));
            let others = [
                check(&key(port ^ 1), Seq(first), cookie, SECRET),
                check(&key(port), Seq(first ^ 1), cookie, SECRET),
                check(&key(port), Seq(first), cookie.plus(1 << 24), SECRET),
                check(&key(port), Seq(first), cookie, [1, 3]),
            ];
            // Each by chance once in 16 million.
            prop_assert!(others.iter().filter(|found| found.is_some()).count() < 2, "{others:?}");
        }

        #[test]
        fn options_come_back_and_the_clock_never_runs_ahead(clock: u32, scale in prop::option::of(0u8..20), sack: bool) {
            let stamped = stamp(clock, scale, sack);
            prop_assert_eq!(options(stamped), (scale.map(|scale| scale.min(14)), sack));
            prop_assert!(clock.wrapping_sub(stamped) <= 2 * OPTIONS);
        }
    }
}
