//! smoltcp at both ends: a TCP that others wrote, as peer and as judge of what we send.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use ravelin_splice::{Answer, Arrival, Clear, Event, Frame, Limits, Memory, Now, Splice};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use super::support::{Dice, Slot, Slots, ip};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const PORT: u16 = 443;
const SLOTS: u32 = 2_048;
/// Microseconds one way.
const DELAY: u64 = 5_000;
/// Microseconds after which an exchange should long be over; its least timeout is a second, doubled each time.
const LONGEST: u64 = 4_000_000_000;

/// Packets on their way into a host and out of it.
#[derive(Default)]
struct Wire {
    inward: VecDeque<Vec<u8>>,
    outward: VecDeque<Vec<u8>>,
}

struct Inward(Vec<u8>);

struct Outward<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Inward {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Outward<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut packet = vec![0; len];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Inward;
    type TxToken<'a> = Outward<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Inward, Outward<'_>)> {
        let packet = self.inward.pop_front()?;
        Some((Inward(packet), Outward(&mut self.outward)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outward<'_>> {
        Some(Outward(&mut self.outward))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1_500;
        capabilities
    }
}

struct Host {
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    says: Vec<u8>,
    said: usize,
    heard: Vec<u8>,
}

fn at(now: u64) -> Instant {
    Instant::from_micros(now as i64)
}

impl Host {
    fn new(address: Ipv4Addr, dice: &mut Dice, says: usize) -> Self {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = dice.word();
        let mut interface = Interface::new(config, &mut wire, at(0));
        interface.update_ip_addrs(|all| all.push(IpCidr::new(address.into(), 24)).expect("room for one"));
        interface.routes_mut().add_default_ipv4_route(address).expect("room for one");
        let buffer = || tcp::SocketBuffer::new(vec![0; 65_535]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_congestion_control(tcp::CongestionControl::Cubic);
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        let says = (0..says).map(|_| dice.word() as u8).collect();
        Self { interface, wire, sockets, handle, says, said: 0, heard: Vec::new() }
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// Takes what has come; its program reads all there is, and writes what there is room for, then ends its stream.
    fn turn(&mut self, now: u64) {
        self.interface.poll(at(now), &mut self.wire, &mut self.sockets);
        let Self { sockets, handle, heard, says, said, .. } = self;
        let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
        while socket.can_recv() {
            let take = |octets: &mut [u8]| {
                heard.extend_from_slice(octets);
                (octets.len(), ())
            };
            socket.recv(take).expect("it can");
        }
        if socket.may_send() {
            *said += socket.send_slice(&says[*said..]).expect("it may");
            if *said == says.len() {
                socket.close();
            }
        }
        self.interface.poll(at(now), &mut self.wire, &mut self.sockets);
    }

    fn deadline(&mut self, now: u64) -> Option<u64> {
        let next = self.interface.poll_at(at(now), &self.sockets)?;
        Some(next.total_micros().max(0) as u64)
    }

    fn is_over(&mut self) -> bool {
        matches!(self.socket().state(), tcp::State::Closed | tcp::State::TimeWait)
    }
}

/// Both hosts and the splice between them.
struct Lab {
    hosts: [Host; 2],
    splice: Splice<Slot, Clear>,
    memory: Slots,
    dice: Dice,
    /// Of ten thousand packets.
    lost: u64,
    now: u64,
    /// By when they arrive: packets for the splice, or for a host.
    packets: BTreeMap<(u64, u64), (Option<usize>, Vec<u8>)>,
    counter: u64,
}

impl Lab {
    fn new(seed: u64, lost: u64, lengths: [usize; 2]) -> Self {
        let mut dice = Dice(seed);
        let mut hosts = [Host::new(CLIENT, &mut dice, lengths[0]), Host::new(SERVER, &mut dice, lengths[1])];
        hosts[1].socket().listen(PORT).expect("a port");
        let Host { interface, sockets, handle, .. } = &mut hosts[0];
        let socket = sockets.get_mut::<tcp::Socket<'_>>(*handle);
        socket.connect(interface.context(), (SERVER, PORT), 40_000).expect("a place to go");
        let splice = Splice::new(Limits::default(), Clear, SLOTS, Now(0)).expect("limits are fit");
        let memory = Slots::new(SLOTS, 2_048);
        Self { hosts, splice, memory, dice, lost, now: 1_000, packets: BTreeMap::new(), counter: 0 }
    }

    fn carry(&mut self, to: Option<usize>, packet: Vec<u8>) {
        if !self.dice.in_ten_thousand(self.lost) {
            self.counter += 1;
            self.packets.insert((self.now + DELAY, self.counter), (to, packet));
        }
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.packets.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                (Some(host), packet) => self.hosts[host].wire.inward.push_back(packet),
                (None, packet) => self.hand_over(&packet),
            }
        }
    }

    fn hand_over(&mut self, packet: &[u8]) {
        let Some(mut frame) = self.memory.take() else { return };
        let segment = &packet[usize::from(packet[0] & 15) * 4..];
        frame.octets_mut()[..segment.len()].copy_from_slice(segment);
        let address = |at: usize| IpAddr::from([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        let (source, destination, len) = (address(12), address(16), segment.len() as u16);
        let arrival = Arrival { frame, at: 0, len, source, destination, answer: Answer::Mirrored };
        self.splice.receive(Now(self.now), arrival, &mut self.memory);
    }

    fn step(&mut self) {
        self.deliver();
        for host in 0..2 {
            self.hosts[host].turn(self.now);
            while let Some(packet) = self.hosts[host].wire.outward.pop_front() {
                self.carry(None, packet);
            }
        }
        self.splice.expire(Now(self.now), &mut self.memory);
        self.splice.flush(Now(self.now), &mut self.memory);
        while let Some(transmit) = self.splice.transmit() {
            let range = transmit.at.into()..usize::from(transmit.at + transmit.len);
            let packet =
                ip(transmit.ends.local().0, transmit.ends.remote().0, &transmit.frame.octets()[range]);
            self.carry(Some(usize::from(transmit.ends.remote().0 == IpAddr::from(SERVER))), packet);
            self.splice.complete(transmit.frame, &mut self.memory);
        }
    }

    /// When something is to be done next, and at least a little later.
    fn next(&mut self) -> u64 {
        let arrives = self.packets.first_key_value().map(|((at, _), _)| *at);
        let due = self.splice.next_deadline(Now(self.now)).map(|at| at.0);
        let now = self.now;
        let hosts = self.hosts.iter_mut().filter_map(|host| host.deadline(now)).min();
        [arrives, due, hosts].into_iter().flatten().min().unwrap_or(LONGEST).max(self.now + 50)
    }

    fn run(&mut self) {
        while !self.hosts.iter_mut().all(Host::is_over) || !self.packets.is_empty() {
            self.step();
            self.now = self.next();
            assert!(self.now < LONGEST, "{:?}", self.splice.counters());
        }
    }
}

#[test]
fn smoltcp_gets_every_octet_once_and_in_order() {
    let (mut retransmitted, mut exchanges) = (0, 0);
    for lost in [0, 100, 200, 500] {
        for (seed, lengths) in
            [[200_000, 0], [0, 200_000], [60_000, 90_000], [1, 1], [30_000, 1]].into_iter().enumerate()
        {
            let mut lab = Lab::new(seed as u64 + 100 * lost, lost, lengths);
            lab.run();
            let [client, server] = &lab.hosts;
            let what = format!("{lost} of 10,000 lost, {lengths:?}: {:?}", lab.splice.counters());
            assert!(client.said == lengths[0] && server.heard == client.says, "up, {what}");
            assert!(server.said == lengths[1] && client.heard == server.says, "down, {what}");
            let counters = lab.splice.counters();
            assert_eq!(counters.of(Event::BadChecksum) + counters.of(Event::Malformed), 0, "{what}");
            retransmitted += counters.of(Event::Retransmitted);
            exchanges += 1;
        }
    }
    println!("{exchanges} exchanges, {retransmitted} retransmissions of ours");
    assert!(retransmitted > 0, "the links were too good");
}
