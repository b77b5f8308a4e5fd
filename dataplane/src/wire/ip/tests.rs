//! The reader against a slow twin, samples, and damage.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::samples::{Ip, packets, tcp, udp};
use super::*;

/// `parse` once more, bit by bit and as the figures of RFC 791 and RFC 8200 read.
mod twin {
    use std::collections::VecDeque;

    use super::*;

    struct Bits(VecDeque<bool>);

    impl Bits {
        fn new(octets: &[u8]) -> Self {
            Self(octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1)).collect())
        }

        fn octets_left(&self) -> usize {
            self.0.len() / 8
        }

        fn take(&mut self, count: usize) -> Result<u128, Verdict> {
            if self.0.len() < count {
                return Err(Verdict::Malformed);
            }
            Ok(self.0.drain(..count).fold(0, |number, bit| number * 2 + u128::from(bit)))
        }
    }

    pub(super) fn parse(octets: &[u8]) -> Result<Headers, Verdict> {
        match Bits::new(octets).take(4) {
            Ok(4) => ipv4(octets),
            Ok(6) => ipv6(octets),
            _ => Err(Verdict::NotIp),
        }
    }

    fn ipv4(octets: &[u8]) -> Result<Headers, Verdict> {
        let mut bits = Bits::new(octets);
        let fields = [4, 4, 8, 16, 16, 1, 1, 1, 13, 8, 8, 16, 32, 32];
        let fields = fields.map(|width| bits.take(width));
        if fields.iter().any(Result::is_err) {
            return Err(Verdict::Malformed);
        }
        let [_, ihl, class, total, id, _, df, mf, offset, ttl, named, _, source, destination] =
            fields.map(Result::unwrap);
        let (header_len, total_len) = (ihl as usize * 4, total as usize);
        if ihl < 5 || total_len < header_len || octets.len() < total_len {
            return Err(Verdict::Malformed);
        }
        let words =
            (0..header_len / 2).map(|at| u64::from(octets[at * 2]) * 256 + u64::from(octets[at * 2 + 1]));
        // A one's-complement sum is zero when the plain sum is a multiple of 65535.
        if words.sum::<u64>() % 65535 != 0 {
            return Err(Verdict::BadChecksum);
        }
        let mut at = 20;
        while at < header_len && octets[at] != 0 {
            match octets[at] {
                1 => at += 1,
                131 | 137 => return Err(Verdict::NotForwardable),
                _ if at + 1 == header_len || octets[at + 1] < 2 => return Err(Verdict::Malformed),
                _ => at += usize::from(octets[at + 1]),
            }
            if at > header_len {
                return Err(Verdict::Malformed);
            }
        }
        let fragment = fragment(id as u32, offset as usize * 8, mf == 1, total_len - header_len)?;
        let (upper, opens_tcp) = upper(named as u8, fragment, &octets[header_len..total_len])?;
        Ok(Headers {
            flow: FlowKey {
                source: IpAddr::V4((source as u32).into()),
                destination: IpAddr::V4((destination as u32).into()),
                protocol: named as u8,
                upper,
            },
            header_len: header_len as u16,
            total_len: total as u16,
            protocol_at: 9,
            fragment,
            traffic_class: class as u8,
            hop_limit: ttl as u8,
            dont_fragment: df == 1,
            opens_tcp,
        })
    }

    fn ipv6(octets: &[u8]) -> Result<Headers, Verdict> {
        let mut bits = Bits::new(octets);
        let fields = [4, 8, 20, 16, 8, 8, 128, 128].map(|width| bits.take(width));
        if fields.iter().any(Result::is_err) {
            return Err(Verdict::Malformed);
        }
        let [_, class, _, length, next, hop_limit, source, destination] = fields.map(Result::unwrap);
        let total_len = 40 + length as usize;
        if bits.octets_left() < length as usize || total_len > 65535 {
            return Err(Verdict::Malformed);
        }
        bits.0.truncate(length as usize * 8);
        let (mut named, mut named_at, mut place, mut whole) = (next as u8, 6, 40, Fragment::Whole);
        let mut seen = vec![];
        while [0, 43, 44, 60].contains(&named) && !matches!(whole, Fragment::Later { .. }) {
            if named == 0 && !seen.is_empty() || named == 44 && seen.contains(&44) || seen.len() == 8 {
                return Err(Verdict::Malformed);
            }
            seen.push(named);
            let before = bits.octets_left();
            let follows = bits.take(8)?;
            let length = bits.take(8)?;
            if named == 44 {
                let (offset, _, more, id) = (bits.take(13)?, bits.take(2)?, bits.take(1)?, bits.take(32)?);
                whole = fragment(id as u32, offset as usize * 8, more == 1, bits.octets_left())?;
            } else {
                let (kind, left) = (bits.take(8)?, bits.take(8)?);
                bits.take(32)?;
                for _ in 0..length {
                    bits.take(64)?;
                }
                if named == 43 && kind == 0 && left > 0 {
                    return Err(Verdict::NotForwardable);
                }
            }
            (named, named_at) = (follows as u8, place);
            place += before - bits.octets_left();
        }
        let (upper, opens_tcp) = upper(named, whole, &octets[place..total_len])?;
        Ok(Headers {
            flow: FlowKey {
                source: IpAddr::V6(source.into()),
                destination: IpAddr::V6(destination.into()),
                protocol: named,
                upper,
            },
            header_len: place as u16,
            total_len: total_len as u16,
            protocol_at: named_at as u16,
            fragment: whole,
            traffic_class: class as u8,
            hop_limit: hop_limit as u8,
            dont_fragment: true,
            opens_tcp,
        })
    }

    fn fragment(id: u32, offset: usize, more: bool, length: usize) -> Result<Fragment, Verdict> {
        match (offset, more) {
            (0, false) => Ok(Fragment::Whole),
            _ if length == 0 || offset + length > 65535 => Err(Verdict::Malformed),
            (_, true) if !length.is_multiple_of(8) => Err(Verdict::Malformed),
            (0, true) => Ok(Fragment::First { id }),
            _ => Ok(Fragment::Later { id, offset: offset as u16, more }),
        }
    }

    fn upper(named: u8, fragment: Fragment, payload: &[u8]) -> Result<(Option<(u16, u16)>, bool), Verdict> {
        let whole = fragment == Fragment::Whole;
        if let Fragment::Later { offset, .. } = fragment {
            return if named == 6 && offset == 8 { Err(Verdict::Malformed) } else { Ok((None, false)) };
        }
        let mut bits = Bits::new(payload);
        let least = match (named, whole) {
            (6, true) => 20,
            (6, false) => 16,
            (1 | 17 | 33 | 132 | 136, _) => 8,
            (58, _) => 4,
            _ => 0,
        };
        if payload.len() < least {
            return Err(Verdict::Malformed);
        }
        match named {
            1 | 58 => Ok((Some((bits.take(8)? as u16, bits.take(8)? as u16)), false)),
            17 | 33 | 132 | 136 => Ok((Some((bits.take(16)? as u16, bits.take(16)? as u16)), false)),
            6 => {
                let (source, destination, _) = (bits.take(16)?, bits.take(16)?, bits.take(64)?);
                let (offset, _, ack, _, syn) =
                    (bits.take(4)?, bits.take(7)?, bits.take(1)?, bits.take(2)?, bits.take(1)?);
                if offset < 5 || whole && offset as usize * 4 > payload.len() {
                    return Err(Verdict::Malformed);
                }
                Ok((Some((source as u16, destination as u16)), syn == 1 && ack == 0))
            }
            _ => Ok((None, false)),
        }
    }
}

/// Puts the IPv4 header checksum right again, so that damage elsewhere is seen.
fn mend_checksum(octets: &mut [u8]) {
    let header_len = usize::from(octets[0] & 15) * 4;
    if octets[0] >> 4 == 4 && (20..=octets.len()).contains(&header_len) {
        octets[10..12].fill(0);
        let checksum = super::super::samples::internet_checksum(&octets[..header_len]);
        octets[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn ipv4(protocol: u8, payload: Vec<u8>) -> Ip {
    Ip::new("192.0.2.1", "198.51.100.2", protocol, payload)
}

fn ipv6(protocol: u8, payload: Vec<u8>) -> Ip {
    Ip::new("2001:db8::1", "2001:db8:1::2", protocol, payload)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn agrees_with_twin_on_packets(ip in packets(), padding in 0usize..60) {
        let mut octets = ip.octets();
        octets.resize(octets.len() + padding, 0xee);
        prop_assert_eq!(parse(&octets), twin::parse(&octets));
    }

    #[test]
    fn agrees_with_twin_on_damage(
        ip in packets(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<Index>()),
    ) {
        let mut octets = ip.octets();
        for (at, value) in changes {
            // Near the front, where headers are.
            let reach = octets.len().min(72);
            octets[at.index(reach)] = value;
        }
        mend_checksum(&mut octets);
        if let Some(cut) = cut {
            octets.truncate(cut.index(octets.len()));
        }
        prop_assert_eq!(parse(&octets), twin::parse(&octets));
    }

    #[test]
    fn agrees_with_twin_on_noise(octets in prop::collection::vec(any::<u8>(), 0..120), version in prop::sample::select(vec![0x45u8, 0x46, 0x4f, 0x60, 0x6f, 0x00])) {
        let mut octets = octets;
        if let Some(first) = octets.first_mut() {
            *first = version;
        }
        prop_assert_eq!(parse(&octets), twin::parse(&octets));
    }

    /// What others rely on: offsets lie in order, within the packet, and the named octet names the protocol.
    #[test]
    fn good_headers_are_in_bounds(ip in packets()) {
        let octets = ip.octets();
        if let Ok(headers) = parse(&octets) {
            prop_assert!(headers.protocol_at < headers.header_len);
            prop_assert!(headers.header_len <= headers.total_len);
            prop_assert_eq!(usize::from(headers.total_len), octets.len());
            prop_assert_eq!(octets[usize::from(headers.protocol_at)], headers.flow.protocol);
        }
    }
}

#[test]
fn reads_a_plain_packet_of_each_family() {
    let parsed = parse(&ipv4(17, udp(1000, 53, b"question")).octets()).unwrap();
    assert_eq!(parsed.flow.source, "192.0.2.1".parse::<IpAddr>().unwrap());
    assert_eq!(parsed.flow.upper, Some((1000, 53)));
    assert_eq!((parsed.header_len, parsed.total_len, parsed.protocol_at), (20, 36, 9));

    let parsed = parse(&ipv6(6, tcp(1000, 443, 0x02, &[])).octets()).unwrap();
    assert_eq!(parsed.flow.destination, "2001:db8:1::2".parse::<IpAddr>().unwrap());
    assert!(parsed.opens_tcp && parsed.dont_fragment);
    assert_eq!((parsed.header_len, parsed.total_len, parsed.protocol_at), (40, 60, 6));
}

#[test]
fn syn_ack_does_not_open() {
    assert!(!parse(&ipv4(6, tcp(443, 1000, 0x12, &[])).octets()).unwrap().opens_tcp);
}

#[test]
fn walks_the_extension_chain() {
    let mut ip = ipv6(58, vec![128, 0, 0, 0]);
    ip.extensions =
        vec![(0, vec![0; 8]), (60, vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), (43, vec![0; 8])];
    let parsed = parse(&ip.octets()).unwrap();
    assert_eq!((parsed.header_len, parsed.protocol_at, parsed.flow.protocol), (72, 64, 58));
    assert_eq!(parsed.flow.upper, Some((128, 0)));
}

#[test]
fn an_atomic_fragment_is_whole() {
    let mut ip = ipv6(17, udp(1, 2, b""));
    ip.fragment = Some((7, 0, false));
    let parsed = parse(&ip.octets()).unwrap();
    assert_eq!((parsed.fragment, parsed.header_len), (Fragment::Whole, 48));
    assert_eq!(parsed.flow.upper, Some((1, 2)));
}

#[test]
fn a_chain_has_an_end() {
    let mut ip = ipv6(17, udp(1, 2, b""));
    ip.extensions = vec![(60, vec![0; 8]); MAX_EXTENSIONS];
    assert!(parse(&ip.octets()).is_ok());
    ip.extensions.push((60, vec![0; 8]));
    assert_eq!(parse(&ip.octets()), Err(Verdict::Malformed));
}

#[test]
fn ah_and_esp_are_upper_layers() {
    for protocol in [protocol::AH, protocol::ESP] {
        let parsed = parse(&ipv6(protocol, vec![0; 32]).octets()).unwrap();
        assert_eq!((parsed.flow.protocol, parsed.flow.upper, parsed.header_len), (protocol, None, 40));
    }
}

/// RFC 1858 and RFC 3128: ports and flags must not come in a second piece, nor be replaced by one.
#[test]
fn tiny_and_replacing_fragments_are_refused() {
    let segment = tcp(1, 2, 0x02, &[]);
    for mut ip in [ipv4(6, segment[..8].to_vec()), ipv6(6, segment[..8].to_vec())] {
        ip.fragment = Some((1, 0, true));
        assert_eq!(parse(&ip.octets()), Err(Verdict::Malformed));
        ip.fragment = Some((1, 8, true));
        assert_eq!(parse(&ip.octets()), Err(Verdict::Malformed));
        ip.fragment = Some((1, 16, true));
        assert!(parse(&ip.octets()).is_ok());
        (ip.fragment, ip.payload) = (Some((1, 0, true)), segment[..16].to_vec());
        assert!(parse(&ip.octets()).unwrap().opens_tcp);
    }
}

#[test]
fn no_fragment_reaches_past_the_longest_packet() {
    for mut ip in [ipv4(50, vec![0; 16]), ipv6(50, vec![0; 16])] {
        ip.fragment = Some((1, 65528, false));
        assert_eq!(parse(&ip.octets()), Err(Verdict::Malformed));
        ip.fragment = Some((1, 65512, false));
        assert!(parse(&ip.octets()).is_ok());
    }
}

#[test]
fn jumbograms_are_refused() {
    let mut ip = ipv6(17, udp(1, 2, b""));
    ip.extensions = vec![(0, vec![0, 0, 0xc2, 4, 0, 1, 0, 0])];
    let mut octets = ip.octets();
    octets[4..6].fill(0);
    assert_eq!(parse(&octets), Err(Verdict::Malformed));
}

#[test]
fn source_routes_are_refused() {
    let mut ip = ipv4(17, udp(1, 2, b""));
    ip.options = vec![1, 131, 3, 4];
    assert_eq!(parse(&ip.octets()), Err(Verdict::NotForwardable));
    let mut ip = ipv6(17, udp(1, 2, b""));
    ip.extensions = vec![(43, vec![0, 0, 0, 1, 0, 0, 0, 0])];
    assert_eq!(parse(&ip.octets()), Err(Verdict::NotForwardable));
    // Segment routing and mobility use other types, and their next segment is the destination.
    ip.extensions = vec![(43, vec![0, 0, 4, 1, 0, 0, 0, 0])];
    assert!(parse(&ip.octets()).is_ok());
}

#[test]
fn a_wrong_header_checksum_is_told_apart() {
    let mut octets = ipv4(17, udp(1, 2, b"")).octets();
    octets[8] -= 1;
    assert_eq!(parse(&octets), Err(Verdict::BadChecksum));
}
