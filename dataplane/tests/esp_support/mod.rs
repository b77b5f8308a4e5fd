//! What the ESP tests share: SAs of every kind, packets, and a table of two SAs.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::name::Name;
use ravelin_contract::rule::TunnelId;
use ravelin_contract::sa::{
    Carrier, DontFragment, Dscp, Hash, Integrity, Mode, Origin, Receiving, Sa, Sending, Side, Spi, Transform,
};
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::FlowKey;
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::clock::Now;
use ravelin_dataplane::esp::lookup::Lookup;
use ravelin_dataplane::esp::sa::{InboundSa, OutboundSa, Received, Sent};
use ravelin_dataplane::esp::sequence::Sequence;
use ravelin_dataplane::esp::{inbound, outbound};
use ravelin_dataplane::frame::Pool;
use ravelin_dataplane::packet::{self, Batch, Decision, Packet, PortIndex};
use ravelin_dataplane::wire::checksum::Sum;
use ravelin_dataplane::wire::ip;

pub const TUNNEL: TunnelId = TunnelId(3);
pub const SPI: u32 = 0x0102_0304;
pub const NATT: u16 = 4500;

/// Octets that differ from place to place.
pub fn octets(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at as u8).wrapping_mul(7).wrapping_add(seed)).collect()
}

fn secret(length: usize, seed: u8) -> Secret {
    Secret::new(octets(length, seed))
}

/// Every algorithm that the product has.
pub fn transforms() -> Vec<Transform> {
    let salt = [0xca, 0xfe, 0xba, 0xbe];
    let hashes = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
    let integrity = |hash: Hash| Integrity { hash, key: secret(hash.key_len(), 9) };
    let mut all = vec![Transform::ChaCha20Poly1305 { key: secret(32, 3), salt }];
    for length in [16, 32] {
        all.push(Transform::AesGcm16 { key: secret(length, 1), salt });
        all.push(Transform::AesGmac { key: secret(length, 2), salt });
        all.extend(
            hashes.map(|hash| Transform::AesCbc { key: secret(length, 4), integrity: integrity(hash) }),
        );
    }
    all.extend(hashes.map(|hash| Transform::Null { integrity: integrity(hash) }));
    all
}

/// Everything that may differ between two SAs in these tests.
#[derive(Debug, Clone)]
pub struct Kind {
    pub transform: Transform,
    pub mode: Mode,
    pub outer_v6: bool,
    pub extended: bool,
    pub udp: bool,
}

impl Kind {
    pub fn endpoints(&self) -> (IpAddr, IpAddr) {
        let (local, remote) = match self.outer_v6 {
            true => ("2001:db8::1", "2001:db8::2"),
            false => ("192.0.2.1", "192.0.2.2"),
        };
        (local.parse().unwrap(), remote.parse().unwrap())
    }

    /// The sender's SA.
    pub fn outbound(&self) -> Sa {
        let (local, remote) = self.endpoints();
        Sa {
            name: Name::new("test").unwrap(),
            tunnel: TUNNEL,
            spi: Spi::new(SPI).unwrap(),
            mode: self.mode,
            local,
            remote,
            carrier: match self.udp {
                true => Carrier::Udp { local_port: NATT, remote_port: NATT, keepalive: 20 },
                false => Carrier::Ip,
            },
            transform: self.transform.clone(),
            extended_sequence: self.extended,
            selectors: vec![],
            origin: Origin::Ike,
            side: Side::Outbound(Sending {
                dont_fragment: DontFragment::Copy,
                dscp: Dscp::Copy,
                hop_limit: Some(64),
                pad_to: 0,
                clamp_mss: false,
            }),
        }
    }

    /// The receiver's.
    pub fn inbound(&self) -> Sa {
        let sa = self.outbound();
        let side = Side::Inbound(Receiving { replay_window: 128 });
        Sa { local: sa.remote, remote: sa.local, side, ..sa }
    }
}

/// Algorithms by modes by families by number widths by carriers.
pub fn kinds() -> Vec<Kind> {
    let mut all = Vec::new();
    for transform in transforms() {
        for bits in 0..16 {
            let bit = |at: u32| bits >> at & 1 == 1;
            let mode = if bit(0) { Mode::Transport } else { Mode::Tunnel };
            let transform = transform.clone();
            all.push(Kind { transform, mode, outer_v6: bit(1), extended: bit(2), udp: bit(3) });
        }
    }
    all
}

/// A sender and a receiver, and the tables of both.
pub struct Pair {
    pub out: Option<OutboundSa>,
    pub inn: Option<InboundSa>,
    pub pool: Pool,
    pub now: Now,
}

impl Pair {
    pub fn new(kind: &Kind) -> Self {
        Self::from(&kind.outbound(), &kind.inbound(), 0)
    }

    /// `before` is the number of the packet before the first.
    pub fn from(out: &Sa, inn: &Sa, before: u64) -> Self {
        let sequence = Sequence::starting_at(before + 1);
        sequence.allow_below(u64::MAX);
        let pool = Pool::in_memory(130, 2048);
        let out = outbound_sa(out, Arc::new(sequence));
        Self { out: Some(out), inn: Some(inbound_sa(inn, before)), pool, now: Now(0) }
    }

    /// The packet as it comes from the wire, decided to be protected.
    pub fn packet(&mut self, octets: &[u8]) -> Packet {
        let mut frame = self.pool.take().unwrap();
        frame.place(300, octets.len()).unwrap();
        frame.bytes_mut().copy_from_slice(octets);
        let headers = ip::parse(octets).unwrap();
        let packet = Packet::new(frame, headers, PortIndex(0), packet::Origin::Wire);
        Packet { decision: Decision::Protect(TUNNEL), ..packet }
    }

    pub fn seal_batch(&mut self, inner: &[Vec<u8>]) -> Vec<Result<Vec<u8>, Verdict>> {
        let mut batch = self.batch(inner);
        let mut pool = std::mem::replace(&mut self.pool, Pool::new(vec![]));
        outbound::seal(&mut batch, self, &mut pool, self.now);
        self.pool = pool;
        self.results(batch)
    }

    pub fn open_batch(&mut self, sealed: &[Vec<u8>]) -> Vec<Result<Vec<u8>, Verdict>> {
        let mut batch = self.batch(sealed);
        inbound::open(&mut batch, self);
        self.results(batch)
    }

    pub fn seal(&mut self, inner: &[u8]) -> Result<Vec<u8>, Verdict> {
        self.seal_batch(&[inner.to_vec()]).remove(0)
    }

    pub fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, Verdict> {
        self.open_batch(&[sealed.to_vec()]).remove(0)
    }

    pub fn batch(&mut self, packets: &[Vec<u8>]) -> Batch {
        let packets = packets.iter().map(|octets| self.packet(octets)).collect();
        Batch { packets }
    }

    /// Takes the frames back. What `packet.ip` says must be what the octets say.
    pub fn results(&mut self, batch: Batch) -> Vec<Result<Vec<u8>, Verdict>> {
        let mut results = Vec::new();
        for packet in batch.packets {
            let octets = packet.frame.bytes().to_vec();
            if packet.travels() {
                let read = ip::parse(&octets).unwrap();
                assert_eq!(packet.ip, read, "what is known of the packet");
                assert_eq!(usize::from(read.total_len), octets.len());
                assert!(packet.frame.headroom() >= 32);
            }
            results.push(packet.verdict.map_or(Ok(octets), Err));
            self.pool.give(packet.frame);
        }
        assert_eq!(self.pool.free(), self.pool.total(), "no frame is lost");
        results
    }
}

pub fn outbound_sa(sa: &Sa, sequence: Arc<Sequence>) -> OutboundSa {
    let Side::Outbound(sending) = &sa.side else { panic!("an inbound SA") };
    OutboundSa::new(sa, sending, sequence, Arc::new(Sent::new(Now(0))), &[0x5e; 16]).unwrap()
}

pub fn inbound_sa(sa: &Sa, accepted: u64) -> InboundSa {
    let Side::Inbound(receiving) = &sa.side else { panic!("an outbound SA") };
    InboundSa::new(sa, Arc::new(Received::new(receiving, accepted))).unwrap()
}

impl Lookup for Pair {
    fn inbound(&self, spi: u32, destination: IpAddr) -> Option<(u32, &InboundSa)> {
        let sa = self.inn.as_ref().filter(|sa| sa.identity().is_for(spi, destination))?;
        Some((7, sa))
    }

    fn outbound(&self, tunnel: TunnelId, _: &FlowKey) -> Option<&OutboundSa> {
        self.out.as_ref().filter(|_| tunnel == TUNNEL)
    }

    fn is_local(&self, address: IpAddr) -> bool {
        ["192.0.2.2", "2001:db8::2"].iter().any(|own| own.parse() == Ok(address))
    }

    fn carries_esp(&self, port: u16) -> bool {
        port == NATT
    }

    fn link_mtu(&self, _: IpAddr) -> u16 {
        1500
    }
}

/// A UDP packet with a right checksum and `length` octets of data.
pub fn udp_packet(source: IpAddr, destination: IpAddr, length: usize) -> Vec<u8> {
    let data = octets(length, 0x40);
    let udp_len = (8 + length) as u16;
    let mut udp =
        [&1234u16.to_be_bytes()[..], &53u16.to_be_bytes(), &udp_len.to_be_bytes(), &[0, 0], &data].concat();
    let sum = Sum::default().pseudo_header(source, destination, 17, udp_len).octets(&udp).finish();
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    ip_packet(source, destination, 17, &udp)
}

/// An IP packet without options: traffic class 0xb8 | ECT(0), hop limit 33, DF.
pub fn ip_packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let class = 0xb8 | 2;
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = (20 + payload.len() as u16).to_be_bytes();
            let fixed = [0x45, class, total[0], total[1], 0x12, 0x34, 0x40, 0, 33, protocol, 0, 0];
            let mut header = [&fixed[..], &source.octets(), &destination.octets()].concat();
            let sum = Sum::default().octets(&header).finish();
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            [&header, payload].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = (payload.len() as u16).to_be_bytes();
            let fixed = [0x60 | class >> 4, class << 4 | 5, 1, 2, length[0], length[1], protocol, 33];
            [&fixed[..], &source.octets(), &destination.octets(), payload].concat()
        }
        _ => panic!("two families"),
    }
}

/// Inner packets that suit the mode: of both families in a tunnel, between the endpoints in transport mode.
pub fn inner_packets(kind: &Kind, length: usize) -> Vec<Vec<u8>> {
    let (local, remote) = kind.endpoints();
    match kind.mode {
        Mode::Transport => vec![udp_packet(local, remote, length)],
        Mode::Tunnel => [("10.1.0.5", "10.2.0.9"), ("fd00:1::5", "fd00:2::9")]
            .map(|(source, destination)| {
                udp_packet(source.parse().unwrap(), destination.parse().unwrap(), length)
            })
            .to_vec(),
    }
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs =
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    pairs.collect()
}
