//! What stands between the two Linux hosts: a bad link, and before it the splice or nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ravelin_splice::{Answer, Arrival, Clear, Event, Frame, Limits, Memory, Now, Splice};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RawProtocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto,
    socket_with, sockopt,
};

use super::support::{Dice, Slot, Slots, ip};

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);

/// The link between the middle and the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    /// Bits per second, each way.
    pub(crate) rate: u64,
    /// Microseconds, each way.
    pub(crate) delay: u64,
    /// Of a million packets towards the server.
    pub(crate) lost: u64,
    /// Of ten thousand packets, which come a little later than the next.
    pub(crate) late: u64,
}

/// Microseconds of packets that the link queues before it drops.
const QUEUE: u64 = 40_000;
const SLOTS: u32 = 16_384;
/// How long connections may take to close after the test.
const LONGEST_CLOSE: Duration = Duration::from_secs(20);

/// What passes the middle.
pub(crate) struct Path {
    splice: Option<Splice<Slot, Clear>>,
    memory: Slots,
    link: Link,
    /// What is lost, and what is late, apart: the same packets by number are lost whoever sends them.
    losses: Dice,
    delays: Dice,
    start: Instant,
    capture: OwnedFd,
    raw: OwnedFd,
    /// Packets on the link by when they arrive, and whether towards the server.
    order: BinaryHeap<Reverse<(u64, u64)>>,
    packets: BTreeMap<u64, (bool, Vec<u8>)>,
    counter: u64,
    /// When the link is free again, each way.
    free_at: [u64; 2],
}

impl Path {
    /// Opens its sockets in the namespace of the calling thread.
    pub(crate) fn new(link: Link, spliced: bool, seed: u64) -> Self {
        let protocol =
            |number: u16| Some(Protocol::from_raw(RawProtocol::new(number.into()).expect("not 0")));
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        // All IPv4 that comes by any interface, without link headers.
        let capture =
            socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, protocol(0x0800u16.to_be()));
        let capture = capture.expect("a packet socket, as root");
        sockopt::set_socket_recv_buffer_size_force(&capture, 64 << 20).expect("a large buffer, as root");
        let raw =
            socket_with(AddressFamily::INET, SocketType::RAW, flags, protocol(255)).expect("a raw socket");
        sockopt::set_socket_send_buffer_size_force(&raw, 64 << 20).expect("a large buffer, as root");
        let limits = Limits { budget: 4 << 20, ..Limits::default() };
        let splice = spliced.then(|| Splice::new(limits, Clear, SLOTS, Now(0)).expect("limits are fit"));
        Self {
            splice,
            memory: Slots::new(SLOTS, 2_048),
            link,
            losses: Dice(seed),
            delays: Dice(seed),
            start: Instant::now(),
            capture,
            raw,
            order: BinaryHeap::new(),
            packets: BTreeMap::new(),
            counter: 0,
            free_at: [0; 2],
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    /// Carries until told to stop. Gives the splice's counters, for a failure's message.
    pub(crate) fn run(mut self, stop: &AtomicBool) -> String {
        let mut room = vec![0; 65_536];
        let mut stopped = None;
        while self.goes_on(stop, &mut stopped) {
            self.rest();
            for _ in 0..64 {
                match recv(&self.capture, &mut room[..], RecvFlags::empty()) {
                    Ok((_, length)) => self.captured(&room[..length]),
                    Err(Errno::AGAIN) => break,
                    Err(error) => panic!("receive: {error}"),
                }
            }
            self.deliver();
            self.turn();
        }
        let leaks = self.splice.as_ref().map(|splice| (splice.counts(), splice.frames_kept()));
        let counters =
            self.splice.map(|splice| splice.counters().all().filter(|(_, n)| *n > 0).collect::<Vec<_>>());
        format!("{leaks:?} {counters:?}")
    }

    /// Until it is told to stop and what is open has been closed: programs end before their last acknowledgments arrive.
    fn goes_on(&self, stop: &AtomicBool, stopped: &mut Option<Instant>) -> bool {
        if !stop.load(Ordering::Relaxed) {
            return true;
        }
        let since = stopped.get_or_insert_with(Instant::now).elapsed();
        let is_open = self.splice.as_ref().is_some_and(|splice| {
            let counters = splice.counters();
            counters.of(Event::Established) > counters.of(Event::Closed)
        });
        is_open && since < LONGEST_CLOSE
    }

    /// Waits for a packet or for the next moment at which something is due.
    fn rest(&mut self) {
        let now = self.now();
        let link = self.order.peek().map(|Reverse((at, _))| *at);
        let splice = self.splice.as_ref().and_then(|splice| splice.next_deadline(Now(now))).map(|at| at.0);
        let next = [link, splice].into_iter().flatten().min().unwrap_or(now + 20_000).min(now + 20_000);
        let nanoseconds = next.saturating_sub(now) as i64 * 1_000;
        let timeout = Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let mut fds = [PollFd::new(&self.capture, PollFlags::IN)];
        let _ = poll(&mut fds, Some(&timeout));
    }

    fn captured(&mut self, packet: &[u8]) {
        if packet.len() < 40 || packet[9] != 6 {
            return;
        }
        match (packet[12..16] == CLIENT.octets(), packet[16..20] == SERVER.octets()) {
            (true, true) if self.splice.is_some() => self.hand_over(packet),
            (true, true) => self.enqueue(true, packet.to_vec()),
            _ if packet[12..16] == SERVER.octets() => self.enqueue(false, packet.to_vec()),
            _ => {}
        }
    }

    /// Puts a packet on the link.
    fn enqueue(&mut self, to_server: bool, packet: Vec<u8>) {
        let now = self.now();
        let free = self.free_at[usize::from(to_server)].max(now);
        if to_server && self.losses.below(1_000_000) < self.link.lost || free - now > QUEUE {
            return;
        }
        let sent = free + packet.len() as u64 * 8_000_000 / self.link.rate;
        self.free_at[usize::from(to_server)] = sent;
        let late = if self.delays.in_ten_thousand(self.link.late) { 3_000 } else { 0 };
        self.counter += 1;
        self.order.push(Reverse((sent + self.link.delay + late, self.counter)));
        self.packets.insert(self.counter, (to_server, packet));
    }

    /// Takes off the link what has arrived.
    fn deliver(&mut self) {
        while let Some(Reverse((at, number))) = self.order.peek().copied() {
            if at > self.now() {
                return;
            }
            self.order.pop();
            let (to_server, packet) = self.packets.remove(&number).expect("each packet arrives once");
            match (to_server, self.splice.is_some()) {
                (true, _) => self.send(&packet, SERVER),
                (false, true) => self.hand_over(&packet),
                (false, false) => self.send(&packet, CLIENT),
            }
        }
    }

    fn hand_over(&mut self, packet: &[u8]) {
        let now = Now(self.now());
        let address = |at: usize| IpAddr::from([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let header = usize::from(packet[0] & 15) * 4;
        let segment = &packet[header..u16::from_be_bytes([packet[2], packet[3]]).into()];
        let (Some(splice), Some(mut frame)) = (&mut self.splice, self.memory.take()) else { return };
        frame.octets_mut()[..segment.len()].copy_from_slice(segment);
        let len = segment.len() as u16;
        let (source, destination) = (address(12), address(16));
        let arrival = Arrival { frame, at: 0, len, source, destination, answer: Answer::Mirrored };
        splice.receive(now, arrival, &mut self.memory);
    }

    /// One round of the splice.
    fn turn(&mut self) {
        let now = Now(self.now());
        let Some(mut splice) = self.splice.take() else { return };
        splice.expire(now, &mut self.memory);
        splice.flush(now, &mut self.memory);
        while let Some(transmit) = splice.transmit() {
            let segment =
                &transmit.frame.octets()[transmit.at.into()..usize::from(transmit.at + transmit.len)];
            let packet = ip(transmit.ends.local().0, transmit.ends.remote().0, segment);
            if transmit.ends.remote().0 == IpAddr::from(SERVER) {
                self.enqueue(true, packet);
            } else {
                self.send(&packet, CLIENT);
            }
            splice.complete(transmit.frame, &mut self.memory);
        }
        debug_assert_eq!(splice.counters().of(Event::Malformed), 0);
        self.splice = Some(splice);
    }

    fn send(&self, packet: &[u8], to: Ipv4Addr) {
        // A full queue is a loss like any other.
        let _ = sendto(&self.raw, packet, SendFlags::empty(), &SocketAddrV4::new(to, 0));
    }
}
