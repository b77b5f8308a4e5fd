//! The anti-replay window of one inbound SA (RFC 4303 3.4.3), and the unseen half of extended numbers (appendix A2).
//!
//! The order of use is fixed: [`Window::complete`] and [`Window::check`] before the ICV is verified, which is cheap and
//! ends most replays; [`Window::commit`] after it, so that only numbers the peer has proved move the window.
//!
//! Bits lie in a ring of words, one more than the window needs, so that moving on clears whole words and never shifts
//! (RFC 6479). One worker writes; the atomics are there for others to read and cost nothing on that path.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Numbers per word of the ring.
const WORD: u64 = u64::BITS as u64;

/// Which numbers were accepted.
#[derive(Debug)]
pub struct Window {
    /// The highest number accepted; 0 before the first.
    highest: AtomicU64,
    /// How many numbers up to `highest` are told apart: a multiple of 64, or 0 when the service is off.
    size: u64,
    /// Number `n` is bit `n % 64` of word `n / 64 % ring.len()`, a power of two above `size / 64`. The words of the
    /// window are true; bits above `highest` in its word are clear; other words hold what is left over.
    ring: Box<[AtomicU64]>,
}

impl Window {
    /// A window over the last `size` numbers, rounded up to words of 64; 0 accepts every number. Numbers up to
    /// `accepted` are refused, so that an SA that outlives a restart does not take old packets again; 0 for a new SA.
    pub fn new(size: u32, accepted: u64) -> Self {
        let words = u64::from(size).div_ceil(WORD);
        let ring = (words + 1).next_power_of_two();
        let window = Self {
            highest: AtomicU64::new(accepted),
            size: words * WORD,
            ring: (0..ring).map(|_| AtomicU64::new(u64::MAX)).collect(),
        };
        window.word(accepted).store(up_to(accepted), Relaxed);
        window
    }

    /// Numbers told apart; 0 when the service is off.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The highest number accepted; 0 before the first.
    pub fn highest(&self) -> u64 {
        self.highest.load(Relaxed)
    }

    /// The 64-bit number of a packet that shows `low`: the lowest one that is not left of the window (RFC 4303 A2.2).
    /// `None` when that would be before the first or beyond the last number of an SA.
    ///
    /// With the service off there is no window to go by; then the number nearest to the highest is meant.
    pub fn complete(&self, low: u32) -> Option<u64> {
        const HALF: i128 = 1 << 32;
        let reach = if self.size == 0 { 1 << 31 } else { self.size };
        let bottom = i128::from(self.highest()) - i128::from(reach) + 1;
        let candidate = bottom.div_euclid(HALF) * HALF + i128::from(low);
        let number = if candidate < bottom { candidate + HALF } else { candidate };
        u64::try_from(number).ok()
    }

    /// Whether a completed number is more likely one left of the window than one ahead: only as the latter could it be
    /// right, but its peer would have to have lost 2^31 packets. Only for naming what failed; it changes no decision.
    pub fn is_likely_old(&self, number: u64) -> bool {
        const HALF: u64 = 1 << 32;
        number >= HALF && number.saturating_sub(self.highest()) > HALF / 2
    }

    /// Whether `number` is new as far as is known before its ICV was verified.
    pub fn check(&self, number: u64) -> bool {
        if self.size == 0 || number > self.highest() {
            return true;
        }
        self.reaches(number) && self.word(number).load(Relaxed) & bit(number) == 0
    }

    /// Marks a number whose ICV was right. False when it has been marked since it was checked: a second copy within
    /// one batch.
    #[must_use]
    pub fn commit(&self, number: u64) -> bool {
        if !self.check(number) {
            return false;
        }
        if number > self.highest() {
            self.advance(number);
        }
        let word = self.word(number);
        word.store(word.load(Relaxed) | bit(number), Relaxed);
        true
    }

    /// Makes `number` the highest: clears the words that the window enters.
    fn advance(&self, number: u64) {
        let entered = number / WORD - self.highest() / WORD;
        for back in 0..entered.min(self.ring.len() as u64) {
            self.word(number - back * WORD).store(0, Relaxed);
        }
        self.highest.store(number, Relaxed);
    }

    /// Whether a number not above the highest is within the window. Number 0 is never sent (RFC 4303 3.3.3).
    fn reaches(&self, number: u64) -> bool {
        number != 0 && self.highest() - number < self.size
    }

    fn word(&self, number: u64) -> &AtomicU64 {
        &self.ring[(number / WORD) as usize & (self.ring.len() - 1)]
    }
}

fn bit(number: u64) -> u64 {
    1 << (number % WORD)
}

/// The bits of `number` and all before it in its word.
fn up_to(number: u64) -> u64 {
    u64::MAX >> (WORD - 1 - number % WORD)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The same service by a set that remembers everything.
    struct Twin {
        size: u64,
        highest: u64,
        seen: BTreeSet<u64>,
    }

    impl Twin {
        fn accept(&mut self, number: u64) -> bool {
            let left_of_window = number + self.size <= self.highest;
            if number == 0 || left_of_window || !self.seen.insert(number) {
                return false;
            }
            self.highest = self.highest.max(number);
            true
        }
    }

    /// RFC 4303 A2.2 as its text reads, with the two halves apart.
    fn complete_by_the_book(highest: u64, window: u64, low: u32) -> Option<u64> {
        let (high, top, width) = ((highest >> 32) as u32, highest as u32, window as u32);
        let bottom = top.wrapping_sub(width - 1);
        let upper = if top >= width - 1 {
            if low >= bottom { Some(high) } else { high.checked_add(1) }
        } else if low >= bottom {
            high.checked_sub(1)
        } else {
            Some(high)
        };
        upper.map(|upper| u64::from(upper) << 32 | u64::from(low))
    }

    /// Steps that a network makes: onward, back within and beyond the window, repeats, jumps, around 2^32.
    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![
            5 => 1i64..4,
            4 => -70i64..70,
            2 => -300i64..300,
            1 => -5000i64..5000,
            1 => Just(0i64),
            1 => Just((1i64 << 32) - 70_000),
        ];
        prop::collection::vec(step, 1..400)
    }

    fn sizes() -> impl Strategy<Value = u32> {
        prop_oneof![Just(64u32), Just(128), Just(192), Just(1024), Just(4096), Just(65536)]
    }

    #[test]
    fn first_number_is_one() {
        let window = Window::new(64, 0);
        assert!(!window.commit(0));
        assert!(window.commit(1));
        assert!(!window.commit(1));
    }

    #[test]
    fn off_accepts_everything() {
        let window = Window::new(0, 0);
        assert!(window.commit(5) && window.commit(5) && window.commit(1));
        assert_eq!(window.highest(), 5);
        assert_eq!(window.complete(4), Some(4));
    }

    #[test]
    fn second_copy_in_a_batch_is_refused_at_commit() {
        let window = Window::new(64, 0);
        assert!(window.check(9) && window.check(9));
        assert!(window.commit(9));
        assert!(!window.commit(9));
    }

    #[test]
    fn a_copy_from_before_the_window_is_known_as_old() {
        for highest in [65, 5_000, 1 << 31, (1 << 32) + 7, 3 << 32] {
            let window = Window::new(64, highest);
            for back in [64, 65, highest - 1].into_iter().filter(|&back| back < highest.min(1 << 31)) {
                let number = window.complete((highest - back) as u32).unwrap();
                assert!(number > highest && window.is_likely_old(number), "{back} back from {highest}");
            }
            for low in [highest, highest - 63, highest + 1, highest + (1 << 31)] {
                assert!(!window.is_likely_old(window.complete(low as u32).unwrap()), "{low} at {highest}");
            }
        }
    }

    #[test]
    fn end_of_the_numbers_is_reached_without_overflow() {
        let window = Window::new(64, u64::MAX - 3);
        assert_eq!(window.complete(u32::MAX), Some(u64::MAX));
        assert!(window.commit(u64::MAX));
        assert!(!window.check(u64::MAX));
        assert_eq!(window.complete(7), None, "there is no number beyond");
    }

    proptest! {
        #[test]
        fn equals_its_twin(size in sizes(), start in prop_oneof![1u64..5000, Just((1 << 32) - 40)], steps in steps()) {
            let window = Window::new(size, 0);
            let mut twin = Twin { size: size.into(), highest: 0, seen: BTreeSet::new() };
            let mut number = start as i64;
            for step in steps {
                number = (number + step).max(0);
                let expected = twin.accept(number as u64);
                prop_assert_eq!(window.check(number as u64), expected);
                prop_assert_eq!(window.commit(number as u64), expected, "number {}", number);
                prop_assert_eq!(window.highest(), twin.highest);
            }
        }

        /// Sending only the low halves of numbers that stay near each other, the receiver knows each number.
        #[test]
        fn extended_numbers_are_known_from_their_low_half(size in sizes(), start: u64, steps in steps()) {
            let start = start % (1 << 62) + (1 << 33);
            let window = Window::new(size, start);
            for step in steps {
                let number = (window.highest() as i64 + step) as u64;
                let reach = window.highest() + 1 - u64::from(size)..=window.highest() + (1 << 32) - u64::from(size);
                if !reach.contains(&number) {
                    continue; // so many lost at once, and the low half no longer tells (RFC 4303 A3)
                }
                prop_assert_eq!(window.complete(number as u32), Some(number));
                let _ = window.commit(number);
            }
        }

        #[test]
        fn completes_as_the_book_says(size in sizes(), highest: u64, low: u32) {
            let near_wrap = highest & !0xffff_0000 | highest >> 32 & 1 << 31;
            for highest in [highest, highest & 0xffff_ffff, near_wrap, highest >> 40] {
                let window = Window::new(size, highest);
                prop_assert_eq!(window.complete(low), complete_by_the_book(highest, size.into(), low));
            }
        }

        #[test]
        fn after_a_restart_old_numbers_are_refused(size in sizes(), accepted in 0u64..1 << 40, ahead in 1u64..200_000, back in 0u64..200_000) {
            let window = Window::new(size, accepted);
            prop_assert!(!window.check(accepted.saturating_sub(back)));
            prop_assert!(window.commit(accepted + ahead));
            prop_assert!(!window.check(accepted.saturating_sub(back)));
            for number in accepted + 1..=accepted + ahead.min(300) {
                let inside = accepted + ahead - number < u64::from(size) && number != accepted + ahead;
                prop_assert_eq!(window.check(number), inside, "number {}", number);
            }
        }
    }
}
