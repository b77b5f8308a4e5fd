//! What TLS connections take in one worker, at rest and at work, packets from memory: octets of each connection, and the time
//! of whole breaths for each segment of data, the other end's acknowledgments included.
//!
//! Real records both ways, each looked at by whoever it is for. The memory port copies each frame once on its way in and once
//! on its way out; both are inside, feeding and looking are not. Times are those of the fastest quarter of bursts of eight
//! connections with four segments each: `make bench-splice`.

#[path = "../tests/support/mod.rs"]
mod support;

use support::crowd::{CONTENT, Crowd, Passed, resident};
use support::{LAN, WAN};

/// Frames of the worker.
const FRAMES: u32 = 16_384;
/// Connections, and how many of them are busy.
const ROWS: [(u32, u32); 4] = [(1_000, 1_000), (10_000, 10_000), (110_000, 10_000), (100_000, 100_000)];
/// Segments of a connection at a time.
const BURST: usize = 4;
/// Milliseconds between each 32 connections: 1,600 a second, more than control hands over.
const PACE: u32 = 20;
/// Bursts of each row, at least.
const BURSTS: u32 = 20_000;

/// Nanoseconds for a segment, of the fastest quarter of bursts the slowest.
fn each(passed: &[Passed]) -> f64 {
    let bursts = passed.iter().flat_map(|passed| &passed.bursts);
    let mut each: Vec<_> = bursts.map(|(took, count)| took.as_nanos() as f64 / *count as f64).collect();
    each.sort_by(f64::total_cmp);
    each[each.len() / 4]
}

fn row((count, busy): (u32, u32)) {
    let mut crowd = Crowd::new(count, FRAMES);
    crowd.add(count, PACE);
    // Those that are busy lie among those that rest, and come in no order that lies in memory.
    let apart = count / busy;
    let chosen: Vec<_> = (0..busy).map(|at| at * 611 % busy * apart).collect();
    crowd.rouse(chosen.iter().copied());
    let rounds = BURSTS.div_ceil(busy).max(2);
    let [out, into] = [LAN, WAN]
        .map(|from| -> Vec<_> { (0..rounds).map(|_| crowd.say_much(from, &chosen, BURST)).collect() });
    for passed in [&out, &into] {
        let octets: usize = passed.iter().map(|passed| passed.octets).sum();
        assert_eq!(octets, (rounds * busy) as usize * BURST * CONTENT, "all has come");
    }
    println!("{count:8} ({busy:7}) {:12.0} {:12.0}", each(&out), each(&into));
}

/// What the process takes for each connection that is at rest, when none was there before.
fn memory(count: u32) {
    let before = resident();
    let mut crowd = Crowd::new(count, FRAMES);
    let tables = resident() - before;
    crowd.add(count, PACE);
    crowd.pass_time(30_000);
    let all = (resident() - before) / count as usize;
    println!(
        "octets that {count} connections at rest take, each: {all} (of them tables: {})",
        tables / count as usize
    );
}

fn main() {
    memory(100_000);
    println!("connections (busy)   ns/segment sealed, opened");
    let only = std::env::args().nth(1).and_then(|word| word.parse::<u32>().ok());
    ROWS.into_iter().filter(|(count, _)| only.is_none_or(|only| only == *count)).for_each(row);
}
