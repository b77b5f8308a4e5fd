//! Goodput on a link that loses at random, beside what the law of the congestion window gives with perfect recovery.

use ravelin_splice::Limits;

use super::host::Habits;
use super::stories::quiet;
use super::world::{Link, World};

/// Octets of data in a full segment here.
const SEGMENT: f64 = 1_448.0;
/// Microseconds there and back on the near link.
const NEAR: u64 = 100;

/// Megabits per second, of the second half of a transfer.
fn measure(rate: u64, delay: u64, lost: u64, octets: u32, seed: u64) -> f64 {
    let client = Habits { send: 2 * octets, ..quiet() };
    let server = Habits { buffer: 4 << 20, delay: 40_000, closes_first: false, ..quiet() };
    let near = Link { delay: NEAR / 2, ..Link::default() };
    let far = Link { delay, lost, rate, ..Link::default() };
    let mut world = World::new(seed, Limits::default(), [near, far], [client, server]);
    world.slow_ring = false;
    let mut half = 0;
    while world.hosts[1].received < u64::from(2 * octets) {
        world.run(world.now + 10_000);
        assert!(world.now < 1_000_000_000, "seed {seed}: {:?}", world.splice.counters());
        if world.hosts[1].received < u64::from(octets) {
            half = world.now;
        }
    }
    f64::from(octets) * 8.0 / (world.now - half) as f64
}

/// RFC 9438 3 and 4.3: where it goes by the window of Reno, that is the square root of 1.5 over the share that is lost.
fn lawful(delay: u64, lost: u64) -> f64 {
    (1.5 / (lost as f64 / 10_000.0)).sqrt() * SEGMENT * 8.0 / (2 * delay) as f64
}

/// Ways with their loss of ten thousand, and the share of the law that is the least. At one in fifty the window is so small that
/// some losses are found by timers only, of which the law knows nothing.
const CELLS: [(u64, u64, u64, f64); 4] = [
    (100_000_000, 10_000, 50, 1.0),
    (100_000_000, 10_000, 100, 1.0),
    (100_000_000, 10_000, 200, 0.95),
    (1_000_000_000, 1_000, 100, 1.0),
];

#[test]
fn losses_cost_no_more_than_the_law_of_the_window_says() {
    let seeds = std::env::var("RAVELIN_SPLICE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(24);
    for (rate, delay, lost, share) in CELLS {
        let all: Vec<f64> = (0..seeds).map(|seed| measure(rate, delay, lost, 1_500_000, seed)).collect();
        let (mean, law) = (all.iter().sum::<f64>() / all.len() as f64, lawful(delay, lost));
        println!("{rate} bit/s, {delay} us, {lost} of 10,000: {mean:.2} Mbit/s, by the law {law:.2}");
        assert!(mean >= law * share, "{mean:.2} of {law:.2} Mbit/s at {lost} of 10,000, {delay} us");
    }
}
