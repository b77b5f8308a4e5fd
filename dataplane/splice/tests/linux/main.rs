//! The splice in clear between two Linux hosts, with a bad link behind it.

mod lab;
mod path;
#[expect(dead_code, reason = "few dice are thrown here")]
#[path = "../support/mod.rs"]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lab::Lab;
use path::{Link, Path, SERVER};
use rustix::net::sockopt::set_tcp_congestion;

const PORT: u16 = 5_001;
/// No single wait of a test is longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Carries packets in the middle while `work` runs; gives its result and the counters.
fn between<T>(lab: &Lab, link: Link, spliced: bool, seed: u64, work: impl FnOnce() -> T) -> (T, String) {
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let stopped = Arc::clone(&stop);
        let path = scope.spawn(move || {
            lab.middle.enter();
            let path = Path::new(link, spliced, seed);
            ready.send(()).expect("the test waits");
            path.run(&stopped)
        });
        is_ready.recv().expect("the path stands");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        let counters = path.join().expect("the path does not fail");
        (result.unwrap_or_else(|_| panic!("with counters {counters}")), counters)
    })
}

fn octets(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = support::Dice(seed);
    (0..length.div_ceil(8)).flat_map(|_| dice.word().to_le_bytes()).take(length).collect()
}

/// The server reads everything and checks it, then sends everything; the client the other way round, with a half
/// close in between. Gives the seconds that the first part took at the server.
fn exchange(lab: &Lab, up: usize, down: usize) -> f64 {
    let (there, back) = (&octets(1, up), &octets(2, down));
    let (bound, is_bound) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            lab.server.enter();
            let listener = TcpListener::bind(("0.0.0.0", PORT)).expect("a free port");
            bound.send(()).expect("the client waits");
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            let mut got = Vec::with_capacity(up);
            let start = Instant::now();
            stream.read_to_end(&mut got).expect("all octets, then the end");
            let seconds = start.elapsed().as_secs_f64();
            assert!(got == *there, "{} octets of {up}, or others", got.len());
            stream.write_all(back).expect("the other direction is open");
            seconds
        });
        let client = scope.spawn(move || {
            lab.client.enter();
            is_bound.recv().expect("the server listens");
            let mut stream = TcpStream::connect(SocketAddrV4::new(SERVER, PORT)).expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            assert_eq!(stream.peer_addr().expect("a peer").ip(), SERVER);
            // What the goodput is compared with, whatever this machine prefers.
            set_tcp_congestion(&stream, "cubic").expect("as root");
            stream.write_all(there).expect("room");
            stream.shutdown(Shutdown::Write).expect("a half close");
            let mut got = Vec::with_capacity(down);
            stream.read_to_end(&mut got).expect("all octets, then the end");
            assert!(got == *back, "{} octets of {down}, or others", got.len());
        });
        client.join().expect("the client is content");
        server.join().expect("the server is content")
    })
}

/// What a client sees of a port at which nobody listens.
fn refusal(lab: &Lab) {
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| {
            lab.client.enter();
            TcpStream::connect(SocketAddrV4::new(SERVER, PORT + 1)).map(drop)
        });
        let refused = refused.join().expect("no panic").expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    });
}

/// Real stacks at both ends, a link that loses, delays and reorders: every octet in both directions, half close,
/// refusal as without us.
#[test]
fn netns_linux_hosts_see_nothing_but_their_octets() {
    let lab = Lab::new();
    let link = Link { rate: 200_000_000, delay: 3_000, lost: 5_000, late: 50 };
    let (_, counters) = between(&lab, link, true, 1, || {
        refusal(&lab);
        exchange(&lab, 3_000_000, 1_000_000);
        exchange(&lab, 0, 10);
        exchange(&lab, 1, 0);
    });
    println!("{counters}");
    // The lab tests the splice only if the splice was there, and its loss recovery only if there was loss.
    for needed in ["\"established\", 3", "\"closed\", 3", "\"opening_reset\", 1", "\"retransmitted\""] {
        assert!(counters.contains(needed), "{counters}");
    }
}

/// Links of the measurement: name, bits per second, microseconds each way.
const LINKS: [(&str, u64, u64); 2] = [("100M/20ms", 100_000_000, 10_000), ("1G/2ms", 1_000_000_000, 1_000)];
/// Of a million packets, and octets at a tenth of a gigabit, so many that hundreds are lost where any are.
const LOSSES: [(u64, usize); 3] = [(0, 20_000_000), (1_000, 16_000_000), (10_000, 4_000_000)];

/// Goodput behind the splice beside that of the kernel's own sender on the same link, which loses the same packets by
/// number, turn and turn about. A measurement: run it alone. `RAVELIN_SPLICE_CELL` names one cell: `100M/20ms 1.0`.
#[test]
#[ignore = "a measurement of minutes; `make bench-splice` runs it"]
fn netns_goodput_beside_the_kernel() {
    let rounds = std::env::var("RAVELIN_SPLICE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(9);
    let wanted = std::env::var("RAVELIN_SPLICE_CELL").unwrap_or_default();
    let lab = Lab::new();
    println!("Mbit/s, medians of {rounds} (least to greatest): link, loss, splice, kernel");
    let mut behind = Vec::new();
    for (name, rate, delay) in LINKS {
        for (lost, octets) in LOSSES {
            let cell = format!("{name:9} {:.1}", lost as f64 / 10_000.0);
            if !cell.contains(&wanted) {
                continue;
            }
            let octets = if rate > 100_000_000 { octets * 3 } else { octets };
            let link = Link { rate, delay, lost, late: 0 };
            let goodput = |spliced: bool, seed: u64| {
                let (seconds, _) = between(&lab, link, spliced, seed, || exchange(&lab, octets, 1));
                octets as f64 * 8e-6 / seconds
            };
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for seed in 0..rounds {
                // Whoever comes first has no advantage of it.
                for spliced in [seed % 2 == 0, seed % 2 == 1] {
                    let rate = goodput(spliced, seed);
                    if spliced { &mut ours } else { &mut theirs }.push(rate);
                    if std::env::var_os("RAVELIN_SPLICE_TRACE").is_some() {
                        println!(
                            "{cell} %, seed {seed}, {}: {rate:.1}",
                            if spliced { "splice" } else { "kernel" }
                        );
                    }
                }
            }
            let [ours, theirs] = [ours, theirs].map(Spread::of);
            println!("{cell} %  {ours}  {theirs}");
            // Without loss both fill the link, or what this process can carry.
            if lost > 0 && ours.median < theirs.median {
                behind.push(cell);
            }
        }
    }
    assert!(behind.is_empty(), "the kernel was ahead at {behind:?}");
}

/// Several measurements of the same.
struct Spread {
    least: f64,
    median: f64,
    greatest: f64,
}

impl Spread {
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        Self { least: all[0], median: all[all.len() / 2], greatest: all[all.len() - 1] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:6.1} ({:.1} to {:.1})", self.median, self.least, self.greatest)
    }
}
