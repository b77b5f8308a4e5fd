//! Segments of one connection that a gateway ends for TLS, and the peer's half of its keys.

use ravelin_contract::message::Reply;
use ravelin_contract::rule::Action;
use ravelin_contract::secret::Secret;
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::tls::{Answer, ConnectionId, Notice, Order};
use ravelin_contract::tls_session::{Role, Session, Shape, Suite, Traffic};
use ravelin_records::ContentType;

use super::network::{INTERNET, host};
use super::plan::{Plan, both, spoken_for, tls_rule};
use super::samples::{Ip, internet_checksum, tcp};
use super::{LAN, Rig, Setup, WAN};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// A segment without data and with a right checksum, as an IP packet.
pub fn segment(source: (&str, u16), destination: (&str, u16), flags: u8) -> Vec<u8> {
    let largest: &[u8] = if flags & SYN != 0 { &[2, 4, 5, 180] } else { &[] };
    let mut segment = tcp(source.1, destination.1, flags, largest);
    if flags & ACK != 0 {
        segment[11] = 2;
    }
    let address = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let pseudo = [&address(source.0)[..], &address(destination.0), &[0, 6, 0, segment.len() as u8]].concat();
    let checksum = internet_checksum(&[&pseudo[..], &segment].concat());
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    Ip::new(source.0, destination.0, 6, segment).octets()
}

pub fn out(client_port: u16, port: u16, flags: u8) -> Vec<u8> {
    segment((&host(1, false), client_port), (INTERNET, port), flags)
}

pub fn back(client_port: u16, port: u16, flags: u8) -> Vec<u8> {
    segment((INTERNET, port), (&host(1, false), client_port), flags)
}

pub fn flags(packets: &[Vec<u8>]) -> Vec<u8> {
    packets.iter().map(|packet| packet[33]).collect()
}

pub fn notices(rig: &Rig) -> Vec<Notice> {
    match rig.engine.take_tls_notices(1, 0) {
        Reply::TlsNotices(notices) => notices,
        other => panic!("{other:?}"),
    }
}

pub fn order(rig: &mut Rig, order: Order) {
    rig.engine.order_tls(vec![order]).unwrap();
    rig.breathe();
}

/// Keys of one end.
pub fn session(role: Role, sending: u8, receiving: u8) -> Session {
    let traffic =
        |seed| Traffic { key: Secret::new(vec![seed; 16]), iv: Secret::new(vec![seed; 12]), next_number: 0 };
    let (sending, receiving) = (traffic(sending), traffic(receiving));
    Session { suite: Suite::Aes128GcmSha256, role, sending, receiving, shape: Shape::default() }
}

pub fn keys(connection: ConnectionId) -> Order {
    let session = session(Role::Client, 1, 2);
    Order::Run { connection, session: Box::new(session), preface: vec![] }
}

/// Total length and checksums of an IPv4 packet with a TCP segment, made right.
pub fn sealed_anew(mut packet: Vec<u8>) -> Vec<u8> {
    let len = packet.len() as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet[10..12].fill(0);
    let sum = internet_checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[36..38].fill(0);
    let sum =
        internet_checksum(&[&packet[12..20], &[0, 6], &(len - 20).to_be_bytes(), &packet[20..]].concat());
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The number after the SYN.
pub fn advance(packet: &mut [u8]) {
    let segment = &mut packet[20..];
    segment[7] += 1;
    let checksum = u16::from_be_bytes([segment[16], segment[17]]);
    let (less, borrow) = checksum.overflowing_sub(1);
    segment[16..18].copy_from_slice(&less.wrapping_sub(borrow.into()).to_be_bytes());
}

/// A connection with keys, of a client in clear, and its server.
pub struct Talk {
    pub rig: Rig,
    peer: ravelin_records::Session,
    /// Next numbers of client and server.
    next: [u32; 2],
    /// Next numbers that client and server expect.
    heard: [u32; 2],
}

impl Talk {
    pub fn new() -> Self {
        let permit = both("10.1.0.0/24", &format!("{INTERNET}/32"), Action::Permit);
        let tls = vec![tls_rule(443, spoken_for(Role::Client, Answer::AtOnce))];
        let mut rig = Rig::with(Setup::of(1), Snapshot { tls, ..Plan::of(1).rules(permit).done() });
        rig.receive(LAN, &out(4000, 443, SYN));
        rig.receive(WAN, &back(4000, 443, SYN | ACK));
        let mut last = out(4000, 443, ACK);
        advance(&mut last);
        rig.receive(LAN, &last);
        let [Notice::Opened { connection, .. }] = notices(&rig)[..] else { panic!("it did not open") };
        order(&mut rig, keys(connection));
        rig.sent(LAN);
        rig.sent(WAN);
        Self {
            rig,
            peer: ravelin_records::Session::new(session(Role::Server, 2, 1)).unwrap(),
            next: [2, 2],
            heard: [2, 2],
        }
    }

    /// The application sends, and acknowledges all it got.
    pub fn client_says(&mut self, data: &[u8]) -> Vec<u8> {
        let packet = self.packet(out(4000, 443, ACK), 0, data);
        self.next[0] += data.len() as u32;
        packet
    }

    /// The server sends a record, and acknowledges all it got.
    pub fn server_says(&mut self, data: &[u8]) -> Vec<u8> {
        let mut record = vec![0; data.len() + 22];
        let len = self.peer.seal(ContentType::Data, &[data], data.len(), &mut record).unwrap();
        let packet = self.packet(back(4000, 443, ACK), 1, &record[..len]);
        self.next[1] += len as u32;
        packet
    }

    /// The server acknowledges all it got.
    pub fn server_nods(&self) -> Vec<u8> {
        self.packet(back(4000, 443, ACK), 1, &[])
    }

    fn packet(&self, mut packet: Vec<u8>, from: usize, data: &[u8]) -> Vec<u8> {
        packet[24..28].copy_from_slice(&self.next[from].to_be_bytes());
        packet[28..32].copy_from_slice(&self.heard[from].to_be_bytes());
        packet.extend(data);
        sealed_anew(packet)
    }

    /// Takes what has come to an end; octets of data.
    pub fn hear(&mut self, at: usize) -> usize {
        let before = self.heard[at];
        for packet in self.rig.sent([LAN, WAN][at]) {
            let number = u32::from_be_bytes([packet[24], packet[25], packet[26], packet[27]]);
            let header = 20 + usize::from(packet[32] >> 4) * 4;
            self.heard[at] = self.heard[at].max(number + (packet.len() - header) as u32);
        }
        (self.heard[at] - before) as usize
    }
}
