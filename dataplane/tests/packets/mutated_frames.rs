//! A million damaged frames through whole gateways: each ends in one verdict, none takes its memory along, and nothing
//! that must be protected is seen on the WAN.
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use crate::support::mutate::{Dice, mutated};
use crate::support::plan;
use crate::support::seeds::{FORGED, Seed, TAG, all_protected, mixed, seeds};
use crate::support::{LAN, Rig, Setup, WAN};
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::wire::ip;

/// Frames that are fed before the workers breathe.
const BURST: usize = 24;
/// Bursts between two looks at pools and counters.
const LOOK: usize = 250;

/// Another with `RAVELIN_SEED`; the one in use stands in the output of a failed test.
fn dice(salt: u64) -> Dice {
    let seed = std::env::var("RAVELIN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121);
    println!("RAVELIN_SEED={seed}");
    Dice(seed ^ salt)
}

/// A gateway under fire.
struct Range {
    rig: Rig,
    seeds: Vec<Seed>,
    dice: Dice,
    fed: u64,
    frame: Vec<u8>,
}

impl Range {
    fn new(setup: Setup, snapshot: Snapshot, salt: u64) -> Self {
        let seeds = seeds(&setup);
        Self { rig: Rig::with(setup, snapshot), seeds, dice: dice(salt), fed: 0, frame: Vec::new() }
    }

    /// Feeds a burst and looks at what leaves.
    fn burst(&mut self, see: &mut impl FnMut(usize, &[u8])) -> u64 {
        for _ in 0..BURST {
            let port = mutated(&mut self.dice, &self.seeds, &mut self.frame);
            let worker = self.dice.below(self.rig.workers.len());
            self.fed += u64::from(self.rig.plugs[worker][port].feed(&self.frame));
        }
        self.rig.breathe();
        let ends = self.rig.plugs.iter().flat_map(|plugs| plugs.iter().enumerate());
        ends.map(|(port, plug)| plug.drain(|frame| see(port, frame)) as u64).sum()
    }

    /// Feeds `frames`; gives how many came out.
    fn fire(&mut self, frames: u64, see: &mut impl FnMut(usize, &[u8])) -> u64 {
        let (end, mut out) = (self.fed + frames, 0);
        for burst in 0.. {
            out += self.burst(see);
            if burst % LOOK == 0 {
                self.rig.assert_no_frame_lost();
            }
            if self.fed >= end {
                return out;
            }
        }
        out
    }
}

fn ended(rig: &Rig, verdicts: &[Verdict]) -> u64 {
    let counts = rig.counts();
    verdicts.iter().filter_map(|verdict| counts.get(verdict)).sum()
}

fn shows(frame: &[u8], tag: &[u8]) -> bool {
    frame.windows(tag.len()).any(|window| window == tag)
}

/// Nobody may send in clear here. So whatever leaves by the WAN is ESP and shows nothing, and whatever comes in clear
/// reaches nobody.
#[test]
fn nothing_leaves_in_clear_where_all_is_protected() {
    let mut range = Range::new(Setup::of(1), all_protected(), 1);
    let (mut sealed, mut opened, mut out) = (0u64, 0u64, 0);
    for _ in 0..40 {
        out += range.fire(10_000, &mut |port, frame| {
            assert!(!shows(frame, FORGED), "let in: {frame:02x?}");
            if port == WAN {
                assert!(!shows(frame, TAG), "in clear: {frame:02x?}");
                assert_eq!(ip::parse(&frame[14..]).unwrap().flow.protocol, 50, "not ESP: {frame:02x?}");
                sealed += 1;
            } else {
                opened += u64::from(shows(frame, TAG));
            }
        });
        range.rig.hand.advance(3000);
    }
    assert_eq!(out, ended(&range.rig, &[Verdict::Forwarded, Verdict::Protected]));
    assert!(sealed > 10_000 && opened > 1000, "only {sealed} and {opened} of {} came so far", range.fed);
}

/// With rules of every kind, changing tables, two workers and time that passes.
#[test]
fn nothing_between_the_sites_leaves_in_clear_where_some_is_permitted() {
    let mut range = Range::new(Setup { workers: 2, ..Setup::of(1) }, mixed(), 2);
    let sites = [("10.1.0.0/24", "10.2.0.0/24"), ("2001:db8:1::/64", "2001:db8:2::/64")]
        .map(|(near, far)| (plan::range(near), plan::range(far)));
    let (mut clear, mut out) = (0u64, 0);
    for round in 0..30 {
        out += range.fire(10_000, &mut |port, frame| {
            if port == LAN {
                return;
            }
            let flow = ip::parse(&frame[14..]).unwrap().flow;
            let bare =
                sites.iter().any(|(near, far)| near.contains(flow.source) && far.contains(flow.destination));
            assert!(!bare, "in clear: {frame:02x?}");
            clear += u64::from(flow.protocol != 50);
        });
        range.rig.hand.advance(700);
        match round % 10 {
            3 => drop(range.rig.meanwhile(|engine| engine.use_default_filters()).unwrap()),
            4 => drop(range.rig.meanwhile(|engine| engine.use_policy()).unwrap()),
            7 => drop(range.rig.install(mixed()).unwrap()),
            _ => {}
        }
        out += drained(&range.rig);
    }
    assert_eq!(out, ended(&range.rig, &[Verdict::Forwarded, Verdict::Protected]));
    assert!(clear > 1000, "only {clear} of {} frames came so far in clear", range.fed);
}

/// What left while tables changed.
fn drained(rig: &Rig) -> u64 {
    rig.plugs.iter().flatten().map(|plug| plug.drain(|_| ()) as u64).sum()
}

/// Links so wide that nothing is cut, and a clock that stands once the limit of ICMP errors is used up: so the gateway
/// makes no packet of its own, and verdicts can be counted against frames one by one.
#[test]
fn every_frame_ends_in_one_verdict() {
    let setup = Setup { workers: 2, mtu: [9000; 2], frames: 1024, ..Setup::of(1) };
    let mut range = Range::new(setup, mixed(), 3);
    // What the router says makes the path narrow, too.
    range.seeds.retain(|seed| seed.frame.get(26..30) != Some(&[192, 0, 2, 254]));
    range.fire(50_000, &mut |_, _| ());
    let balance = |rig: &Rig| {
        let counts = rig.counts();
        // Both are counted once more at their end.
        let twice = ended(rig, &[Verdict::Held, Verdict::HandedOff]);
        let waiting: usize = rig.workers.iter().map(|worker| worker.frames_held()).sum();
        counts.values().sum::<u64>() - twice + waiting as u64
    };
    // The other worker's parcels.
    range.rig.breathe();
    let before = (balance(&range.rig), range.fed);
    for _ in 0..25 {
        range.fire(10_000, &mut |_, _| ());
        range.rig.breathe();
        assert_eq!(balance(&range.rig) - before.0, range.fed - before.1);
    }
    let seen = range.rig.counts();
    assert!(seen.len() >= 25, "only these verdicts came about: {seen:?}");
}
