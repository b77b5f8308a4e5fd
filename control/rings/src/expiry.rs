//! Watching certificates come to their end: one event each at 30, 7 and 1 days, and when it is there.

use std::collections::HashMap;

use crate::name::{Label, Place};
use crate::ring::Ring;

/// Days before the end at which something is said.
const STAGES: [u64; 3] = [30, 7, 1];

/// A certificate and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// Where it is.
    pub place: Place,
    /// Its subject.
    pub subject: String,
    /// Its last second, since 1970.
    pub not_after: u64,
}

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Of which certificate.
    pub expiry: Expiry,
    /// Whole days that are left; nothing when it has ended.
    pub days_left: Option<u64>,
}

/// When the certificates of these rings end. Those connected from elsewhere count where they lie; the system looks after
/// its own bundle.
pub fn expiries(rings: &[Ring]) -> Vec<Expiry> {
    let of_ring = |ring: &Ring| -> Vec<Expiry> {
        let own = ring.entries.iter().filter(|entry| entry.connected.is_none());
        own.map(|entry| Expiry {
            place: Place { ring: ring.name.clone(), label: entry.label.clone() },
            subject: entry.certificate().subject(),
            not_after: entry.certificate().validity().1,
        })
        .collect()
    };
    rings.iter().filter(|ring| ring.store != "system").flat_map(of_ring).collect()
}

/// When the passphrases of these rings end, under the label `passphrase`.
pub fn passphrase_ends(rings: &[Ring]) -> Vec<Expiry> {
    let end = |ring: &Ring| -> Option<Expiry> {
        let place = Place { ring: ring.name.clone(), label: Label::new("passphrase").ok()? };
        Some(Expiry { place, subject: String::new(), not_after: ring.passphrase_until? })
    };
    rings.iter().filter_map(end).collect()
}

/// Remembers what was said, so that nothing is said twice.
#[derive(Debug, Default)]
pub struct Watch {
    /// By place and end (a successor has another): how many stages are past.
    told: HashMap<(Place, u64), usize>,
}

impl Watch {
    /// What is to be said at the moment `now`.
    pub fn look(&mut self, expiries: &[Expiry], now: u64) -> Vec<Notice> {
        let key = |expiry: &Expiry| (expiry.place.clone(), expiry.not_after);
        let present: Vec<_> = expiries.iter().map(key).collect();
        self.told.retain(|known, _| present.contains(known));
        let mut notices = Vec::new();
        for expiry in expiries {
            let stage = stage(expiry.not_after, now);
            let told = self.told.entry(key(expiry)).or_default();
            if stage > *told {
                *told = stage;
                let days_left = expiry.not_after.checked_sub(now).map(|seconds| seconds / 86_400);
                notices.push(Notice { expiry: expiry.clone(), days_left });
            }
        }
        notices
    }
}

/// How many stages are past: 0 for long before, 4 for ended.
fn stage(not_after: u64, now: u64) -> usize {
    match not_after.checked_sub(now) {
        None => STAGES.len() + 1,
        Some(left) => STAGES.iter().filter(|days| left <= **days * 86_400).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiry(label: &str, not_after: u64) -> Expiry {
        Expiry { place: format!("ring/{label}").parse().expect("a place"), subject: String::new(), not_after }
    }

    #[test]
    fn each_stage_is_told_once() {
        const DAY: u64 = 86_400;
        let mut watch = Watch::default();
        let end = 1000 * DAY;
        let all = [expiry("a", end), expiry("b", end + 365 * DAY)];
        let mut told = Vec::new();
        // Every six hours, from 40 days before to 2 after.
        for quarter in 0..(42 * 4) {
            let now = end - 40 * DAY + quarter * DAY / 4;
            told.extend(watch.look(&all, now).into_iter().map(|notice| notice.days_left));
        }
        assert_eq!(told, [Some(30), Some(7), Some(1), None]);
    }

    #[test]
    fn a_late_start_tells_only_what_counts_and_a_successor_starts_anew() {
        const DAY: u64 = 86_400;
        let mut watch = Watch::default();
        let days =
            |notices: Vec<Notice>| notices.into_iter().map(|notice| notice.days_left).collect::<Vec<_>>();
        assert_eq!(days(watch.look(&[expiry("a", 5 * DAY)], 0)), [Some(5)]);
        assert_eq!(days(watch.look(&[expiry("a", 90 * DAY)], 0)), []);
        assert_eq!(days(watch.look(&[expiry("a", 90 * DAY)], 61 * DAY)), [Some(29)]);
    }
}
