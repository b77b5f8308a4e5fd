//! Thousands of TLS connections through one worker: clients in clear on the LAN, servers that speak TLS beyond the WAN, and
//! what the worker's breaths take.

use std::time::{Duration, Instant};

use ravelin_contract::rule::Action;
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::protocol;
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::tls::{Answer, ConnectionId, Notice, Order};
use ravelin_contract::tls_session::{Role, Session, Shape, Suite, Traffic};
use ravelin_dataplane::packet::BURST;
use ravelin_dataplane::wire::ipv4;
use ravelin_records::{ContentType, Incoming};
use ravelin_splice::wire::build::{Header, Opening};
use ravelin_splice::wire::segment::Flags;
use ravelin_splice::wire::seq::Seq;

use super::connection::notices;
use super::network::framed;
use super::plan::{Plan, both, range, spoken_for, tls_rule};
use super::{LAN, Rig, Setup, WAN};

/// Connections of the client to one server.
const PORTS: u32 = 60_000;
/// The first of its ports.
const FIRST: u32 = 1_024;
/// Where the client is, and the first server.
const CLIENT: [u8; 4] = [10, 1, 0, 5];
const SERVER: [u8; 4] = [198, 51, 100, 1];
/// Where segments begin in a frame, before it is known how long the header is: behind all headers.
const DATA_AT: usize = 128;
/// Octets of application data in a segment of the greatest length.
pub const CONTENT: usize = 1_400;

/// One connection, seen from its ends.
struct Person {
    connection: Option<ConnectionId>,
    /// What client and server say next, and what they have heard up to.
    says: [Seq; 2],
    heard: [Seq; 2],
    /// The server's half of TLS, where it says or reads something.
    peer: Option<Box<ravelin_records::Session>>,
}

/// All of them, and the gateway between.
pub struct Crowd {
    pub rig: Rig,
    people: Vec<Person>,
    milliseconds: u32,
}

/// Octets of memory that this process has at present.
pub fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

/// What came out for what went in.
#[derive(Debug, Default)]
pub struct Passed {
    /// Time of each burst of data with its acknowledgments, and how many segments of data it had.
    pub bursts: Vec<(Duration, usize)>,
    /// Octets of data that reached the other ends.
    pub octets: usize,
}

impl Crowd {
    /// A gateway with room for so many connections, and frames.
    pub fn new(connections: u32, frames: u32) -> Self {
        let servers = "198.51.100.0/24";
        let mut rule = tls_rule(443, spoken_for(Role::Client, Answer::AtOnce));
        rule.selector.destination = range(servers);
        let permit = both("10.1.0.0/24", servers, Action::Permit);
        let snapshot = Snapshot { tls: vec![rule], ..Plan::of(1).rules(permit).done() };
        let rig = Rig::with(Setup { frames, connections, ..Setup::of(1) }, snapshot);
        Self { rig, people: Vec::new(), milliseconds: 1 }
    }

    /// So many connections more, with keys; so many milliseconds pass with each [`BURST`] of them.
    pub fn add(&mut self, count: u32, pace: u32) {
        let first = self.people.len() as u32;
        let numbers: Vec<_> = (first..first + count).collect();
        for burst in numbers.chunks(BURST) {
            self.greet(burst);
            self.hand_over(burst);
            self.pass_time(pace);
        }
    }

    /// Time goes on, and the worker has a breath at least every hundred milliseconds.
    pub fn pass_time(&mut self, milliseconds: u32) {
        for passed in (0..milliseconds).step_by(100) {
            let step = (milliseconds - passed).min(100);
            self.milliseconds += step;
            self.rig.hand.advance(step.into());
            self.rig.breathe();
        }
        self.hear();
    }

    fn greet(&mut self, burst: &[u32]) {
        let (syn, ack) = (Flags::SYN, Flags::ACK);
        for (from, flags) in [(LAN, syn), (WAN, syn.and(ack)), (LAN, ack)] {
            if from == LAN && flags == syn {
                let person =
                    || Person { connection: None, says: [Seq(0); 2], heard: [Seq(0); 2], peer: None };
                self.people.extend(burst.iter().map(|_| person()));
            }
            for number in burst {
                self.say(*number, from, flags, &[]);
            }
            self.rig.breathe();
            self.hear();
        }
    }

    fn hand_over(&mut self, burst: &[u32]) {
        for notice in notices(&self.rig) {
            let Notice::Opened { connection, client, server, .. } = notice else { panic!("{notice:?}") };
            let std::net::IpAddr::V4(address) = server.ip() else { panic!("{server}") };
            let number = number(client.port(), address.octets()[3]);
            self.people[number as usize].connection = Some(connection);
        }
        let run = |number: &u32| {
            let connection = self.people[*number as usize].connection.unwrap();
            let session = Box::new(session(Role::Client, *number));
            Order::Run { connection, session, preface: Vec::new() }
        };
        self.rig.engine.order_tls(burst.iter().map(run).collect()).unwrap();
        self.rig.breathe();
    }

    /// Lets the servers of these connections speak TLS.
    pub fn rouse(&mut self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            let peer = ravelin_records::Session::new(session(Role::Server, number)).unwrap();
            self.people[number as usize].peer = Some(Box::new(peer));
        }
    }

    /// The clients (or the servers) of these connections say so many segments of [`CONTENT`] octets each. Bursts come as a
    /// ring gives them; what has come is acknowledged by one segment for each connection.
    pub fn say_much(&mut self, from: usize, numbers: &[u32], segments: usize) -> Passed {
        let mut passed = Passed::default();
        for group in numbers.chunks(BURST / segments) {
            for number in group {
                for _ in 0..segments {
                    self.say_data(*number, from);
                }
            }
            let mut took = self.breathe();
            passed.octets += self.hear();
            for number in group {
                self.say(*number, 1 - from, Flags::ACK, &[]);
            }
            took += self.breathe();
            self.hear();
            passed.bursts.push((took, group.len() * segments));
        }
        passed
    }

    /// Until there is nothing to do.
    fn breathe(&mut self) -> Duration {
        let begun = Instant::now();
        while self.rig.workers[0].breathe() {}
        begun.elapsed()
    }

    fn say_data(&mut self, number: u32, from: usize) {
        let data = [number as u8; CONTENT];
        if from == LAN {
            return self.say(number, from, Flags::ACK, &data);
        }
        let mut record = [0; CONTENT + 22];
        let peer = self.people[number as usize].peer.as_mut().unwrap();
        let len = peer.seal(ContentType::Data, &[&data], CONTENT, &mut record).unwrap();
        self.say(number, from, Flags::ACK, &record[..len]);
    }

    /// A segment comes in from one end.
    fn say(&mut self, number: u32, from: usize, flags: Flags, data: &[u8]) {
        let ends = ends(number);
        let (source, destination) = (ends[from], ends[1 - from]);
        let opening = flags.has(Flags::SYN).then_some(Opening { mss: 1_460, scale: Some(7), sack: true });
        let person = &mut self.people[number as usize];
        let header = Header {
            source: source.1,
            destination: destination.1,
            seq: person.says[from],
            ack: person.heard[from],
            flags,
            window: 65_535,
            timestamps: Some((self.milliseconds, 0)),
            blocks: &[],
            opening,
        };
        let span = data.len() as u32 + u32::from(opening.is_some());
        person.says[from] = person.says[from].plus(span);
        let mut octets = [&[0; DATA_AT], data].concat();
        let addresses = (source.0.into(), destination.0.into());
        let at = header.write(&mut octets, DATA_AT, data.len(), addresses).unwrap() - 20;
        let packet = &mut octets[at..];
        let ip = ipv4::Header {
            traffic_class: 0,
            total_len: packet.len() as u16,
            identification: 0,
            dont_fragment: true,
            hop_limit: 64,
            protocol: protocol::TCP,
            source: source.0.into(),
            destination: destination.0.into(),
        };
        ip.write(packet.first_chunk_mut().unwrap());
        let frame = framed(&self.rig.setup, from, packet);
        assert!(self.rig.plugs[0][from].feed(&frame), "the cable is full");
    }

    /// Takes what has come to the ends; octets of application data, each of them looked at where the server speaks TLS.
    fn hear(&mut self) -> usize {
        let (people, mut sum) = (&mut self.people, 0);
        for at in [LAN, WAN] {
            self.rig.plugs[0][at].drain(|frame| sum += take(people, at, &frame[14..]));
        }
        sum
    }
}

/// A packet has come to one end.
fn take(people: &mut [Person], at: usize, packet: &[u8]) -> usize {
    let segment = &packet[20..];
    let port = |at: usize| u16::from_be_bytes([segment[at], segment[at + 1]]);
    let number = if at == LAN { number(port(2), packet[15]) } else { number(port(0), packet[19]) };
    let person = &mut people[number as usize];
    let seq = Seq(u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]]));
    let flags = Flags(segment[13]);
    assert!(!flags.has(Flags::RST.and(Flags::FIN)), "connection {number} ends");
    if flags.has(Flags::SYN) {
        person.heard[at] = seq.plus(1);
        return 0;
    }
    let data = &segment[usize::from(segment[12] >> 4) * 4..];
    if data.is_empty() {
        return 0;
    }
    assert_eq!(seq, person.heard[at], "connection {number}: in order, each once");
    person.heard[at] = seq.plus(data.len() as u32);
    let Some(peer) = person.peer.as_mut().filter(|_| at == WAN) else {
        assert!(
            at == LAN && data.iter().all(|octet| *octet == number as u8),
            "connection {number}: other octets"
        );
        return data.len();
    };
    let mut text = [0; CONTENT + 1];
    let incoming = peer.open(&[data], &mut text).unwrap();
    assert_eq!(incoming, Incoming::Data(CONTENT), "connection {number}");
    assert!(text[..CONTENT].iter().all(|octet| *octet == number as u8), "connection {number}: other octets");
    CONTENT
}

fn number(client_port: u16, server: u8) -> u32 {
    u32::from(client_port) - FIRST + u32::from(server - SERVER[3]) * PORTS
}

/// Addresses and ports of client and server.
fn ends(number: u32) -> [([u8; 4], u16); 2] {
    let mut server = SERVER;
    server[3] += (number / PORTS) as u8;
    [(CLIENT, (FIRST + number % PORTS) as u16), (server, 443)]
}

/// Keys that differ from connection to connection.
fn session(role: Role, number: u32) -> Session {
    let traffic = |end: u8| {
        let mut key = vec![end; 16];
        key[..4].copy_from_slice(&number.to_be_bytes());
        Traffic { key: Secret::new(key), iv: Secret::new(vec![end; 12]), next_number: 0 }
    };
    let [sending, receiving] = if role == Role::Client { [1, 2] } else { [2, 1] }.map(traffic);
    Session { suite: Suite::Aes128GcmSha256, role, sending, receiving, shape: Shape::default() }
}
