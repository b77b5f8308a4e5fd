//! Two hosts, the splice between them, two bad links, one clock, one seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use ravelin_splice::wire::segment::Segment;
use ravelin_splice::{Answer, Arrival, Endpoint, Frame, Limits, Memory, Now, Splice};

use super::faults::Wire;
use super::host::{Habits, Host, State};
use super::support::{Dice, Slot, Slots};

/// What a link does to packets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    /// Microseconds one way, and at most how many more.
    pub(crate) delay: u64,
    pub(crate) jitter: u64,
    /// Of ten thousand packets.
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    /// Bits per second; 0 for a link without bound. It queues 40 milliseconds of packets.
    pub(crate) rate: u64,
}

/// Microseconds of packets that a link with a rate queues before it drops.
const QUEUE: u64 = 40_000;

/// Headers of IP that packets on the links would have.
const IP: usize = 20;

enum Event {
    /// A segment arrives at the splice or at a host.
    Arrives { from: Endpoint, to: Endpoint, at_splice: bool, octets: Vec<u8> },
    /// The port has done with a frame.
    Completed(Slot),
    /// Links take smaller packets from now on.
    Narrows(u16),
    /// The client connects.
    Connects,
    /// The client may be answered.
    Answers(u32),
}

pub(crate) struct World {
    pub(crate) splice: Splice<Slot, Wire>,
    pub(crate) memory: Slots,
    pub(crate) hosts: [Host; 2],
    pub(crate) links: [Link; 2],
    pub(crate) now: u64,
    dice: Dice,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    waiting: std::collections::BTreeMap<u64, Event>,
    counter: u64,
    mtu: u16,
    /// Microseconds after which a client is answered that waits for the word, if it does.
    pub(crate) word: Option<u64>,
    /// Whether the port keeps frames for a while.
    pub(crate) slow_ring: bool,
    /// When each link is free again, towards the splice and from it.
    free_at: [[u64; 2]; 2],
    /// Whether links say nothing of packets that are too large for them.
    pub(crate) mute: bool,
}

pub(crate) const CLIENT: Endpoint = (std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 40_000);
pub(crate) const SERVER: Endpoint = (std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)), 443);
pub(crate) const SLOTS: u32 = 2_048;

impl World {
    pub(crate) fn new(seed: u64, limits: Limits, links: [Link; 2], habits: [Habits; 2]) -> Self {
        let mut dice = Dice(seed);
        let [client, server] = habits;
        let hosts = [
            Host::new(client, CLIENT, SERVER, dice.word() as u32, false),
            Host::new(server, SERVER, CLIENT, dice.word() as u32, true),
        ];
        let splice = Splice::new(limits, Wire::default(), SLOTS, Now(0)).expect("limits are fit");
        let mut world = Self {
            splice,
            memory: Slots::new(SLOTS, 2_048),
            hosts,
            links,
            now: 0,
            dice,
            events: BinaryHeap::new(),
            waiting: Default::default(),
            counter: 0,
            mtu: 1_500,
            word: None,
            slow_ring: true,
            free_at: [[0; 2]; 2],
            mute: false,
        };
        world.at(1_000, Event::Connects);
        world
    }

    /// Links take packets of `mtu` octets only, from some moment on.
    pub(crate) fn narrow_at(&mut self, at: u64, mtu: u16) {
        self.at(at, Event::Narrows(mtu));
    }

    fn at(&mut self, at: u64, event: Event) {
        self.counter += 1;
        self.events.push(Reverse((at, self.counter)));
        self.waiting.insert(self.counter, event);
    }

    /// Lets time pass until nothing is left to do, at most until `end`.
    pub(crate) fn run(&mut self, end: u64) {
        loop {
            let next = self.events.peek().map(|Reverse((at, _))| *at);
            let hosts = self.hosts.iter().filter_map(Host::deadline).min();
            let splice = self.splice.next_deadline(Now(self.now)).map(|at| at.0);
            let Some(next) = [next, hosts, splice].into_iter().flatten().min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    fn step(&mut self) {
        while let Some(Reverse((at, number))) = self.events.peek().copied() {
            if at > self.now {
                break;
            }
            self.events.pop();
            let event = self.waiting.remove(&number).expect("each event happens once");
            self.happen(event);
        }
        for host in &mut self.hosts {
            host.expire(self.now);
        }
        self.splice.expire(Now(self.now), &mut self.memory);
        self.splice.flush(Now(self.now), &mut self.memory);
        for flow in std::mem::take(&mut self.splice.relay().opened) {
            self.at(self.now + self.word.unwrap_or(0), Event::Answers(flow));
        }
        self.send_all();
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Connects => self.hosts[0].connect(self.now),
            Event::Narrows(mtu) => self.mtu = mtu,
            Event::Answers(flow) => self.splice.answer(Now(self.now), flow, &mut self.memory),
            Event::Completed(frame) => self.splice.complete(frame, &mut self.memory),
            Event::Arrives { at_splice: false, to, octets, .. } => {
                self.hosts[usize::from(to == SERVER)].arrive(self.now, &octets);
            }
            Event::Arrives { from, to, octets, .. } => {
                let Some(mut frame) = self.memory.take() else { return };
                frame.octets_mut()[40..40 + octets.len()].copy_from_slice(&octets);
                let (at, len) = (40, octets.len() as u16);
                let answer = if self.word.is_some() { Answer::OnWord } else { Answer::Mirrored };
                let arrival = Arrival { frame, at, len, source: from.0, destination: to.0, answer };
                self.splice.receive(Now(self.now), arrival, &mut self.memory);
            }
        }
    }

    fn send_all(&mut self) {
        while let Some(transmit) = self.splice.transmit() {
            let range = transmit.at.into()..usize::from(transmit.at + transmit.len);
            let octets = transmit.frame.octets()[range].to_vec();
            let pause = self.dice.one_of(&[0, 0, 10, 1_000, 30_000]);
            let back = self.now + if self.slow_ring { pause } else { 0 };
            self.at(back, Event::Completed(transmit.frame));
            self.carry(transmit.ends.local(), transmit.ends.remote(), false, octets);
        }
        for index in 0..2 {
            for octets in std::mem::take(&mut self.hosts[index].out) {
                let (from, to) = [(CLIENT, SERVER), (SERVER, CLIENT)][index];
                self.carry(from, to, true, octets);
            }
        }
    }

    fn carry(&mut self, from: Endpoint, to: Endpoint, at_splice: bool, octets: Vec<u8>) {
        let link = self.links[usize::from((from == SERVER) == at_splice)].clone();
        if std::env::var_os("RAVELIN_SPLICE_TRACE").is_some() {
            let segment = Segment::read(&octets).expect("a segment");
            let way = if at_splice { "host" } else { "splice" };
            println!("{:>10} {way:6} {}>{} {segment:?}", self.now, from.1, to.1);
        }
        if octets.len() + IP > self.mtu.into() {
            if !at_splice && !self.mute {
                let seq = Segment::read(&octets).expect("a segment").seq;
                self.splice.path_mtu(Now(self.now), (from, to), (self.mtu, seq), &mut self.memory);
            } else if at_splice {
                // A host would lower its MSS; ours is told at once.
                let host = &mut self.hosts[usize::from(from == SERVER)];
                host.path = host.path.min(self.mtu - 40);
            }
            return;
        }
        let copies = 1 + u64::from(self.dice.in_ten_thousand(link.twice));
        for _ in 0..copies {
            if self.dice.in_ten_thousand(link.lost) {
                continue;
            }
            let Some(sent) = self.through(&link, from == SERVER, at_splice, octets.len() + IP) else {
                continue;
            };
            let at = sent + link.delay + self.dice.below(link.jitter + 1);
            self.at(at, Event::Arrives { from, to, at_splice, octets: octets.clone() });
        }
    }

    /// When a packet has gone onto a link; `None` when the link drops it.
    fn through(&mut self, link: &Link, from_server: bool, at_splice: bool, len: usize) -> Option<u64> {
        if link.rate == 0 {
            return Some(self.now);
        }
        let free = &mut self.free_at[usize::from(from_server == at_splice)][usize::from(at_splice)];
        let begins = self.now.max(*free);
        if begins - self.now > QUEUE {
            return None;
        }
        *free = begins + len as u64 * 8_000_000 / link.rate;
        Some(*free)
    }

    /// Nothing may be left: no connection, no frame.
    pub(crate) fn assert_nothing_leaks(&mut self) {
        assert_eq!(self.splice.counts(), (0, 0), "connections are left");
        assert_eq!(self.splice.frames_kept(), 0, "frames are kept");
        assert_eq!(self.memory.free(), SLOTS, "frames are lost");
    }

    pub(crate) fn states(&self) -> [State; 2] {
        [self.hosts[0].state, self.hosts[1].state]
    }
}
