//! Packets for tests, put together octet by octet and apart from the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::sample::select;

/// The one's-complement sum as RFC 1071 tells it, 16 bits at a time.
pub(crate) fn internet_checksum(octets: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An IP packet to be put together. The family is that of `source`; `destination` has the same.
#[derive(Debug, Clone)]
pub(crate) struct Ip {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) traffic_class: u8,
    pub(crate) hop_limit: u8,
    /// IPv4 only.
    pub(crate) dont_fragment: bool,
    /// IPv4 options, whole 32-bit words.
    pub(crate) options: Vec<u8>,
    /// IPv6 extension headers before the fragment header: number, and octets whose first will be overwritten.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    /// Identification, offset in octets, more.
    pub(crate) fragment: Option<(u32, u16, bool)>,
    pub(crate) protocol: u8,
    pub(crate) payload: Vec<u8>,
}

impl Ip {
    pub(crate) fn new(source: &str, destination: &str, protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            traffic_class: 0,
            hop_limit: 64,
            dont_fragment: false,
            options: vec![],
            extensions: vec![],
            fragment: None,
            protocol,
            payload,
        }
    }

    pub(crate) fn octets(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.ipv4(source, destination),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.ipv6(source, destination),
            _ => panic!("two families in one packet"),
        }
    }

    fn ipv4(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let (id, offset, more) = self.fragment.unwrap_or((0x1234, 0, false));
        let header_len = 20 + self.options.len();
        let flags = u16::from(self.dont_fragment) << 14 | u16::from(more) << 13 | offset >> 3;
        let mut packet = vec![0x40 | (header_len / 4) as u8, self.traffic_class];
        packet.extend(((header_len + self.payload.len()) as u16).to_be_bytes());
        packet.extend((id as u16).to_be_bytes());
        packet.extend(flags.to_be_bytes());
        packet.extend([self.hop_limit, self.protocol, 0, 0]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend(&self.options);
        let checksum = internet_checksum(&packet);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(&self.payload);
        packet
    }

    fn ipv6(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let mut extensions = self.extensions.clone();
        if let Some((id, offset, more)) = self.fragment {
            let mut header = vec![0, 0];
            header.extend((offset | u16::from(more)).to_be_bytes());
            header.extend(id.to_be_bytes());
            extensions.push((44, header));
        }
        let mut next = self.protocol;
        for (number, header) in extensions.iter_mut().rev() {
            header[0] = std::mem::replace(&mut next, *number);
        }
        let chain = extensions.into_iter().flat_map(|(_, header)| header).collect::<Vec<_>>();
        let mut packet = (0x6000_0000 | u32::from(self.traffic_class) << 20 | 0xabcde).to_be_bytes().to_vec();
        packet.extend(((chain.len() + self.payload.len()) as u16).to_be_bytes());
        packet.extend([next, self.hop_limit]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend(chain);
        packet.extend(&self.payload);
        packet
    }
}

/// A TCP segment without data; `options` are whole 32-bit words. The checksum is left 0.
pub(crate) fn tcp(source: u16, destination: u16, flags: u8, options: &[u8]) -> Vec<u8> {
    let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    segment.extend([
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        ((20 + options.len()) / 4 * 16) as u8,
        flags,
        255,
        255,
        0,
        0,
        0,
        0,
    ]);
    segment.extend(options);
    segment
}

/// A UDP datagram. The checksum is left 0.
pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut datagram =
        [source.to_be_bytes(), destination.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    datagram.extend(payload);
    datagram
}

/// Packets of both families with all that `wire::ip` knows in them; most are good, some are not.
pub(crate) fn packets() -> impl Strategy<Value = Ip> {
    let addresses = prop_oneof![
        any::<(u32, u32)>().prop_map(|(a, b)| (IpAddr::V4(a.into()), IpAddr::V4(b.into()))),
        any::<(u128, u128)>().prop_map(|(a, b)| (IpAddr::V6(a.into()), IpAddr::V6(b.into()))),
    ];
    let fragment = prop_oneof![
        3 => Just(None),
        1 => (any::<u16>(), 0u16..40, any::<bool>()).prop_map(|(id, unit, more)| Some((id.into(), unit * 8, more))),
        1 => (any::<u16>(), 0u16..8192, any::<bool>()).prop_map(|(id, unit, more)| Some((id.into(), unit * 8, more))),
    ];
    let extensions = || prop::collection::vec(extension(), 0..4);
    let extensions = prop_oneof![
        4 => extensions(),
        1 => extensions().prop_map(|mut list| { list.insert(0, (0, vec![0, 0, 1, 4, 0, 0, 0, 0])); list }),
        1 => prop::collection::vec(extension(), 6..11),
    ];
    let options = prop::collection::vec(
        select(vec![
            vec![1, 1, 1, 1],
            vec![148, 4, 0, 0],
            vec![0, 9, 9, 9],
            vec![7, 7, 4, 0, 0, 0, 0, 1],
            vec![131, 3, 4, 1],
            vec![5, 40, 1, 1],
        ]),
        0..3,
    );
    (
        addresses,
        any::<(u8, u8, bool)>(),
        fragment,
        extensions,
        prop_oneof![3 => Just(vec![]), 1 => options],
        uppers(),
    )
        .prop_map(
            |(
                (source, destination),
                (traffic_class, hop_limit, dont_fragment),
                fragment,
                extensions,
                options,
                (protocol, payload),
            )| Ip {
                source,
                destination,
                traffic_class,
                hop_limit,
                dont_fragment,
                fragment,
                extensions,
                protocol,
                payload,
                options: options.concat(),
            },
        )
}

fn extension() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let number = prop_oneof![6 => Just(60), 3 => Just(43), 1 => Just(44), 1 => Just(0), 1 => Just(51)];
    (number, 0u8..3, select(vec![0, 3, 4]), 0u8..2, any::<u32>()).prop_map(
        |(number, units, kind, left, tail)| {
            let mut header = vec![0, units, kind, left];
            header.extend(tail.to_be_bytes());
            header.resize(8 + usize::from(units) * 8, 0);
            (number, header)
        },
    )
}

fn uppers() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let data = || prop::collection::vec(any::<u8>(), 0..64);
    prop_oneof![
        (any::<(u16, u16, u8)>(), 0usize..4, data()).prop_map(
            |((source, destination, flags), words, data)| {
                (6, [tcp(source, destination, flags, &vec![1; words * 4]), data].concat())
            }
        ),
        (any::<(u16, u16)>(), data())
            .prop_map(|((source, destination), data)| (17, udp(source, destination, &data))),
        (select(vec![0u8, 1, 6, 17, 33, 43, 44, 50, 51, 58, 59, 60, 132, 136, 135, 255]), data()),
        // In whole units of 8, as all fragments but the last are.
        (select(vec![1u8, 6, 17, 50, 58, 132]), 0usize..8, any::<[u8; 64]>())
            .prop_map(|(protocol, units, data)| (protocol, data[..units * 8].to_vec())),
    ]
}

/// Joins the fragments of one packet, in any order: its protocol and payload. `None` when octets are missing, differ
/// where pieces overlap, or a header is not as it should be.
pub(crate) fn join(pieces: &[Vec<u8>]) -> Option<(u8, Vec<u8>)> {
    let mut octets = std::collections::BTreeMap::new();
    let (mut protocol, mut length) = (0, None);
    for piece in pieces {
        let (offset, more, named, payload) = fragment_of(piece)?;
        protocol = named;
        if !more {
            length = Some(offset + payload.len());
        }
        for (at, octet) in (offset..).zip(payload) {
            if octets.insert(at, *octet).is_some_and(|before| before != *octet) {
                return None;
            }
        }
    }
    let whole: Vec<u8> = octets.values().copied().collect();
    (octets.keys().copied().eq(0..length?)).then_some((protocol, whole))
}

/// Offset, more, protocol and payload of a fragment whose fragment header, if any, comes right after the base header.
pub(crate) fn fragment_of(piece: &[u8]) -> Option<(usize, bool, u8, &[u8])> {
    let number = |at: usize| usize::from(piece[at]) * 256 + usize::from(piece[at + 1]);
    if piece[0] >> 4 == 4 {
        let header = usize::from(piece[0] & 15) * 4;
        let good = internet_checksum(&piece[..header]) == 0 && number(2) == piece.len();
        return good.then_some((number(6) % 0x2000 * 8, piece[6] & 0x20 != 0, piece[9], &piece[header..]));
    }
    if number(4) + 40 != piece.len() {
        return None;
    }
    match piece[6] {
        44 => Some((number(42) & !7, piece[43] & 1 == 1, piece[40], &piece[48..])),
        other => Some((0, false, other, &piece[40..])),
    }
}
