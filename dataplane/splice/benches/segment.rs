//! What one segment of 1,448 octets costs on its way from the client's leg to the server's, acknowledgments of both legs
//! included, by number of connections. Bursts of four, sixteen connections a round, as a ring would give them.
//!
//! The feed writes headers only: data are zero, so their sum is. Its own cost is measured and taken off.

#[expect(dead_code, reason = "few dice are thrown here")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use ravelin_splice::wire::build::{Header, Opening};
use ravelin_splice::wire::segment::Flags;
use ravelin_splice::wire::seq::Seq;
use ravelin_splice::{Answer, Arrival, Clear, Endpoint, Event, Limits, Memory, Now, Splice};
use support::{Dice, Slot, Slots};

const SERVER: Endpoint = (IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)), 443);
const DATA: u16 = 1_448;
const BURST: u32 = 4;
const ROUND: usize = 16;
const STRIDE: usize = 61;
const SLOTS: u32 = 4_096;
/// Where data lie in a frame: at the splice's headroom, so that frames used before have zeros there.
const AT: usize = 160;

/// How far one connection is.
#[derive(Clone, Copy)]
struct Position {
    client: Endpoint,
    sent: Seq,
}

struct Bench {
    splice: Splice<Slot, Clear>,
    memory: Slots,
    positions: Vec<Position>,
    /// So many of them have something to say, the others rest.
    busy: usize,
    now: u64,
    dice: Dice,
}

fn client(number: u32) -> Endpoint {
    (std::net::Ipv4Addr::from(0x0a00_0000 + number / 60_000).into(), 1_024 + (number % 60_000) as u16)
}

impl Bench {
    fn new(flows: u32, verify: bool) -> Self {
        let limits = Limits { flows, verify, keepalive_ms: 0, ..Limits::default() };
        let splice = Splice::new(limits, Clear, SLOTS, Now(0)).expect("limits are fit");
        let memory = Slots::new(SLOTS, 2_048);
        let mut bench = Self {
            splice,
            memory,
            positions: Vec::new(),
            busy: flows as usize,
            now: 1_000_000,
            dice: Dice(7),
        };
        for number in 0..flows {
            bench.open(number);
        }
        assert_eq!(bench.splice.counts().0, flows as usize);
        bench
    }

    fn open(&mut self, number: u32) {
        let client = client(number);
        let opening = Some(Opening { mss: 1_460, scale: Some(7), sack: true });
        let (syn, ack) = (Flags::SYN, Flags::ACK);
        self.feed(client, SERVER, (Seq(0), Seq(0)), syn, 0, opening);
        self.feed(SERVER, client, (Seq(0), Seq(1)), syn.and(ack), 0, opening);
        self.feed(client, SERVER, (Seq(1), Seq(1)), ack, 0, None);
        self.turn();
        self.positions.push(Position { client, sent: Seq(1) });
    }

    fn frame(
        &mut self,
        from: Endpoint,
        to: Endpoint,
        (seq, ack): (Seq, Seq),
        flags: Flags,
        len: u16,
        opening: Option<Opening>,
    ) -> Arrival<Slot> {
        use ravelin_splice::Frame;
        let mut frame = self.memory.take().expect("enough frames");
        let stamp = ((self.now / 1_000) as u32, 0);
        let header = Header {
            source: from.1,
            destination: to.1,
            seq,
            ack,
            flags,
            window: 65_535,
            timestamps: Some(stamp),
            blocks: &[],
            opening,
        };
        let start = header.write(frame.octets_mut(), AT, 0, (from.0, to.0)).expect("room");
        // The length is in the pseudo-header.
        let octets = frame.octets_mut();
        let sum = u16::from_be_bytes([octets[start + 16], octets[start + 17]]);
        let sum = ravelin_splice::wire::checksum::update(sum, 0, len);
        octets[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
        let len = (AT - start) as u16 + len;
        Arrival { frame, at: start as u16, len, source: from.0, destination: to.0, answer: Answer::Mirrored }
    }

    fn feed(
        &mut self,
        from: Endpoint,
        to: Endpoint,
        numbers: (Seq, Seq),
        flags: Flags,
        len: u16,
        opening: Option<Opening>,
    ) {
        let arrival = self.frame(from, to, numbers, flags, len, opening);
        self.splice.receive(Now(self.now), arrival, &mut self.memory);
    }

    fn turn(&mut self) {
        self.splice.expire(Now(self.now), &mut self.memory);
        self.splice.flush(Now(self.now), &mut self.memory);
        while let Some(transmit) = self.splice.transmit() {
            black_box(transmit.len);
            self.splice.complete(transmit.frame, &mut self.memory);
        }
    }

    /// Bursts on some connections, and the servers' acknowledgments of them.
    fn round(&mut self, feed_only: bool) {
        self.now += 50;
        // Far from each other and all different: more than one burst at once would not fit the first window.
        let first = self.dice.below(self.busy as u64) as usize;
        // They lie among those that rest.
        let apart = self.positions.len() / self.busy;
        let chosen: [usize; ROUND] = std::array::from_fn(|at| (first + at * STRIDE) % self.busy * apart);
        if !feed_only {
            self.look_ahead(&chosen, true);
        }
        for number in chosen {
            let position = self.positions[number];
            for segment in 0..BURST {
                let seq = position.sent.plus(segment * u32::from(DATA));
                let numbers = (seq, Seq(1));
                self.give(feed_only, position.client, SERVER, numbers, DATA);
            }
            self.positions[number].sent = position.sent.plus(BURST * u32::from(DATA));
        }
        if !feed_only {
            self.turn();
        }
        if !feed_only {
            self.look_ahead(&chosen, false);
        }
        for number in chosen {
            let position = self.positions[number];
            self.give(feed_only, SERVER, position.client, (Seq(1), position.sent), 0);
        }
        if !feed_only {
            self.turn();
        }
    }

    /// As a worker does with a burst before it takes segments in.
    fn look_ahead(&self, chosen: &[usize], data: bool) {
        let of = |number: &usize| (self.positions[*number].client, SERVER);
        let turned = |(from, to): (Endpoint, Endpoint)| if data { (from, to) } else { (to, from) };
        let each = if data { BURST as usize } else { 1 };
        let burst = chosen.iter().flat_map(|number| std::iter::repeat_n(turned(of(number)), each));
        self.splice.look_ahead(burst);
    }

    fn give(&mut self, feed_only: bool, from: Endpoint, to: Endpoint, numbers: (Seq, Seq), len: u16) {
        let arrival = self.frame(from, to, numbers, Flags::ACK, len, None);
        if feed_only {
            self.memory.give(black_box(arrival).frame);
        } else {
            self.splice.receive(Now(self.now), arrival, &mut self.memory);
        }
    }

    /// Nanoseconds a segment: the median of rounds, so that what else runs on the machine now and then does not count.
    fn measure(&mut self, feed_only: bool, rounds: usize) -> f64 {
        let mut took: Vec<_> = (0..rounds)
            .map(|_| {
                let start = Instant::now();
                self.round(feed_only);
                start.elapsed().as_nanos() as f64 / (ROUND * BURST as usize) as f64
            })
            .collect();
        took.sort_by(f64::total_cmp);
        took[rounds / 4]
    }
}

/// Octets of packet memory, which is there for any number of connections.
const FRAMES: usize = SLOTS as usize * 2_048;

/// Octets of memory that this process has at present.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number") * 4_096
}

/// Connections, and how many of them are busy.
const ROWS: [(u32, usize); 4] = [(1_000, 1_000), (10_000, 10_000), (110_000, 10_000), (100_000, 100_000)];

/// One row of the table, in fewer rounds where it is looked at closely: `segment 10000 500`.
fn row((flows, busy): (u32, usize), rounds: usize) {
    let [whole, trusting] = [true, false].map(|verify| {
        let mut bench = Bench::new(flows, verify);
        bench.busy = busy;
        bench.measure(false, rounds / 4);
        let whole = bench.measure(false, rounds);
        // Last, as it leaves the connections behind: nothing but the feed runs.
        for event in [Event::BadChecksum, Event::OutOfWindow, Event::Retransmitted, Event::NoFrame] {
            assert_eq!(bench.splice.counters().of(event), 0, "{event:?}: not what was to be measured");
        }
        let feed = bench.measure(true, rounds);
        (whole - feed, feed)
    });
    println!("{flows:8} ({busy:7}) {:12.0} {:22.0} {:8.0}", whole.0, trusting.0, whole.1);
}

fn main() {
    let numbers: Vec<u32> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    if let [flows, rounds] = numbers[..] {
        return row((flows, flows as usize), rounds as usize);
    }
    println!("octets a connection, openings and tables aside: {}", ravelin_splice::FLOW_OCTETS);
    let before = resident();
    let bench = Bench::new(100_000, true);
    let each = resident().saturating_sub(before).saturating_sub(FRAMES) / 100_000;
    println!("octets that 100,000 connections at rest take, each, tables and all: {each}");
    drop(bench);
    println!("connections (busy)   ns/segment   without verification   (feed)");
    ROWS.into_iter().for_each(|one| row(one, 20_000));
}
