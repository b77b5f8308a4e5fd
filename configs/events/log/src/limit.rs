//! How often events of one code are told in a second, and how many were not.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What is counted together, from its first event on.
const WINDOW: Duration = Duration::from_secs(1);

/// Windows of codes.
#[derive(Debug)]
pub(crate) struct Limit {
    most: u32,
    windows: HashMap<String, Window>,
}

#[derive(Debug)]
struct Window {
    begin: Instant,
    told: u32,
    suppressed: u64,
}

/// Events of one code that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suppressed {
    /// The code.
    pub(crate) code: String,
    /// How many.
    pub(crate) count: u64,
}

impl Limit {
    /// At most so many of a code in a second; 0 is no limit.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, windows: HashMap::new() }
    }

    /// Whether an event of this code is told at `now`. What was left out before is given once its second is over.
    pub(crate) fn admit(&mut self, code: &str, now: Instant) -> (bool, Option<Suppressed>) {
        if self.most == 0 {
            return (true, None);
        }
        let Some(window) = self.windows.get_mut(code) else {
            self.windows.insert(code.to_owned(), Window { begin: now, told: 1, suppressed: 0 });
            return (true, None);
        };
        let over = window.take_over(code, now);
        let told = window.told < self.most;
        match told {
            true => window.told += 1,
            false => window.suppressed += 1,
        }
        (told, over)
    }

    /// All that was left out in seconds that are over.
    pub(crate) fn over(&mut self, now: Instant) -> Vec<Suppressed> {
        self.windows.iter_mut().filter_map(|(code, window)| window.take_over(code, now)).collect()
    }

    /// All that was left out and is not told yet.
    pub(crate) fn all(&mut self) -> Vec<Suppressed> {
        self.windows.iter_mut().filter_map(|(code, window)| window.take(code)).collect()
    }
}

impl Window {
    fn take_over(&mut self, code: &str, now: Instant) -> Option<Suppressed> {
        if now.saturating_duration_since(self.begin) < WINDOW {
            return None;
        }
        (self.begin, self.told) = (now, 0);
        self.take(code)
    }

    fn take(&mut self, code: &str) -> Option<Suppressed> {
        let count = std::mem::take(&mut self.suppressed);
        (count > 0).then(|| Suppressed { code: code.to_owned(), count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_code_is_bounded_and_counted_and_leaves_others_alone() {
        let (mut limit, begin) = (Limit::new(5), Instant::now());
        let told = (0..20).filter(|_| limit.admit("A", begin).0).count();
        assert_eq!(told, 5);
        assert_eq!(limit.admit("B", begin), (true, None));
        assert!(limit.over(begin + WINDOW / 2).is_empty(), "its second is not over");
        let expected = Suppressed { code: "A".to_owned(), count: 15 };
        assert_eq!(limit.admit("A", begin + WINDOW), (true, Some(expected)));
        assert!(limit.all().is_empty(), "told once");
    }

    #[test]
    fn what_was_left_out_is_told_also_when_nothing_follows() {
        let (mut limit, begin) = (Limit::new(1), Instant::now());
        (0..3).for_each(|_| drop(limit.admit("A", begin)));
        assert_eq!(limit.over(begin + WINDOW), [Suppressed { code: "A".to_owned(), count: 2 }]);
        assert!(limit.over(begin + 3 * WINDOW).is_empty());
    }

    #[test]
    fn none_is_no_limit() {
        let (mut limit, begin) = (Limit::new(0), Instant::now());
        assert!((0..1000).all(|_| limit.admit("A", begin) == (true, None)));
    }
}
