//! ICMP errors (RFC 792, RFC 4443): writing ours, and reading "too big" about our ESP packets and TCP segments.

use std::net::{IpAddr, Ipv4Addr};

use ravelin_contract::selector::{FlowKey, protocol};

use super::checksum::Sum;
use super::esp::{self, InUdp};
use super::ip::{Chain, Fragment, Headers, IPV4_HEADER, IPV6_HEADER, word};
use super::{ipv4, ipv6, udp};

/// Octets before the quoted packet.
const HEADER: usize = 8;
/// Longest ICMPv4 error, IP header included (RFC 1812 4.3.2.3).
const LONGEST_IPV4: usize = 576;
/// Longest ICMPv6 error, IP header included (RFC 4443 2.4 c).
const LONGEST_IPV6: usize = 1280;
/// Hop limit of what we send.
const HOP_LIMIT: u8 = 64;

/// Type and code of "fragmentation needed" (RFC 1191 4).
const IPV4_TOO_BIG: (u8, u8) = (3, 4);
/// Type and code of "packet too big" (RFC 4443 3.2).
const IPV6_TOO_BIG: (u8, u8) = (2, 0);

/// What went wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It is larger than `mtu` octets and must not be fragmented.
    TooBig {
        /// Largest packet that would have passed.
        mtu: u16,
    },
    /// Its hop limit ended here.
    HopLimitExceeded,
    /// A rule forbids it.
    Prohibited,
    /// There is no route to its destination.
    NoRoute,
    /// The next hop does not answer.
    NoNeighbour,
}

impl Error {
    fn type_and_code(self, to_ipv4: bool) -> (u8, u8) {
        match (self, to_ipv4) {
            (Self::TooBig { .. }, true) => IPV4_TOO_BIG,
            (Self::HopLimitExceeded, true) => (11, 0),
            (Self::Prohibited, true) => (3, 13),
            (Self::NoRoute, true) => (3, 0),
            (Self::NoNeighbour, true) => (3, 1),
            (Self::TooBig { .. }, false) => IPV6_TOO_BIG,
            (Self::HopLimitExceeded, false) => (3, 0),
            (Self::Prohibited, false) => (1, 1),
            (Self::NoRoute, false) => (1, 0),
            (Self::NoNeighbour, false) => (1, 3),
        }
    }

    /// Octets 4 to 7 of the message. Both families have the MTU at their end.
    fn argument(self) -> [u8; 4] {
        match self {
            Self::TooBig { mtu } => u32::from(mtu).to_be_bytes(),
            _ => [0; 4],
        }
    }
}

/// Whether an error may be sent about a packet (RFC 1122 3.2.2, RFC 1812 4.3.2.7, RFC 4443 2.4 e): it is no ICMP error
/// or redirect itself, no later fragment, and both its ends are single hosts.
pub fn may_answer(about: &Headers) -> bool {
    let FlowKey { source, destination, .. } = about.flow;
    !matches!(about.fragment, Fragment::Later { .. })
        && !is_error(&about.flow)
        && is_one_host(source)
        && is_one_receiver(destination)
}

fn is_error(flow: &FlowKey) -> bool {
    const REDIRECT_IPV6: u16 = 137;
    match (flow.protocol, flow.upper) {
        (protocol::ICMP, Some((kind, _))) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (protocol::ICMPV6, Some((kind, _))) => kind < 128 || kind == REDIRECT_IPV6,
        _ => false,
    }
}

fn is_one_host(address: IpAddr) -> bool {
    let nobody = match address {
        IpAddr::V4(address) => address.octets()[0] == 0,
        IpAddr::V6(address) => address.is_unspecified(),
    };
    !nobody && !address.is_loopback() && is_one_receiver(address)
}

fn is_one_receiver(address: IpAddr) -> bool {
    match address {
        // Multicast, the reserved class E, and the broadcast at its end.
        IpAddr::V4(address) => address < Ipv4Addr::new(224, 0, 0, 0),
        IpAddr::V6(address) => !address.is_multicast(),
    }
}

/// Writes an error about `cause`, a whole IP packet, at the start of `into`, from our `source` to the sender of
/// `cause`. It quotes as much as allowed. Returns the length of the packet.
///
/// `identification` is for IPv4. `None`, with `into` in any state, when the families differ or `into` has no room for
/// the headers and 8 octets after the quoted header's first 40.
pub fn write_error(
    into: &mut [u8],
    error: Error,
    cause: &[u8],
    source: IpAddr,
    sender: IpAddr,
    identification: u16,
) -> Option<usize> {
    let (ip_header, longest) =
        if sender.is_ipv4() { (IPV4_HEADER, LONGEST_IPV4) } else { (IPV6_HEADER, LONGEST_IPV6) };
    let room = into.len().min(longest).checked_sub(ip_header + HEADER).filter(|room| *room >= 48)?;
    let quoted = &cause[..cause.len().min(room)];
    let total_len = ip_header + HEADER + quoted.len();
    let (header, message) = into[..total_len].split_at_mut(ip_header);

    let (kind, code) = error.type_and_code(sender.is_ipv4());
    message[..4].copy_from_slice(&[kind, code, 0, 0]);
    message[4..HEADER].copy_from_slice(&error.argument());
    message[HEADER..].copy_from_slice(quoted);
    let sum = match (source, sender) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header = header.first_chunk_mut()?;
            ipv4_header(source, destination, total_len as u16, identification).write(header);
            Sum::default()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let payload_len = message.len() as u16;
            ipv6_header(source, destination, payload_len).write(header.first_chunk_mut()?);
            Sum::default().pseudo_header(source.into(), destination.into(), protocol::ICMPV6, payload_len)
        }
        _ => return None,
    };
    let checksum = sum.octets(message).finish();
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    Some(total_len)
}

fn ipv4_header(source: Ipv4Addr, destination: Ipv4Addr, total_len: u16, identification: u16) -> ipv4::Header {
    /// Precedence "internetwork control" (RFC 1812 4.3.2.5).
    const TRAFFIC_CLASS: u8 = 0xc0;
    ipv4::Header {
        traffic_class: TRAFFIC_CLASS,
        total_len,
        identification,
        // Nobody would tell us that an error did not fit.
        dont_fragment: false,
        hop_limit: HOP_LIMIT,
        protocol: protocol::ICMP,
        source,
        destination,
    }
}

fn ipv6_header(
    source: std::net::Ipv6Addr,
    destination: std::net::Ipv6Addr,
    payload_len: u16,
) -> ipv6::Header {
    ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        payload_len,
        next_header: protocol::ICMPV6,
        hop_limit: HOP_LIMIT,
        source,
        destination,
    }
}

/// What a router says about an ESP packet that was too big for its next link. Anyone can write such a message:
/// believe it only when addresses, SPI and ports are those of an outbound SA (RFC 4301 8.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathMtu {
    /// Source of the ESP packet: our end of the tunnel.
    pub source: IpAddr,
    /// Destination of the ESP packet.
    pub destination: IpAddr,
    /// SPI of the ESP packet.
    pub spi: u32,
    /// Source and destination port when UDP carried it.
    pub ports: Option<(u16, u16)>,
    /// Largest outer packet that passes: at least 576 for IPv4 and 1280 for IPv6.
    pub mtu: u16,
}

impl PathMtu {
    /// Reads an ICMP error that quotes an ESP packet, in UDP or not. `packet` has the headers `headers`.
    ///
    /// `None` for everything else: other messages, damaged ones, quotes too short to show the SPI, and MTUs that the
    /// quoted packet would have fitted or that no IPv6 link may have (RFC 8201 4).
    pub fn read(packet: &[u8], headers: &Headers) -> Option<Self> {
        let (quoted, mtu) = too_big(packet, headers)?;
        quoted.about_esp(mtu)
    }
}

/// What a router says about a TCP segment that was too big for its next link. Anyone can write such a message: believe
/// it only of a segment in flight (RFC 5927 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentTooBig {
    /// Who sent the segment.
    pub source: (IpAddr, u16),
    /// For whom it was.
    pub destination: (IpAddr, u16),
    /// Its sequence number.
    pub seq: u32,
    /// Largest packet that passes: at least 576 for IPv4 and 1280 for IPv6.
    pub mtu: u16,
}

impl SegmentTooBig {
    /// Reads an ICMP error that quotes a TCP segment, as [`PathMtu::read`] does those about ESP.
    pub fn read(packet: &[u8], headers: &Headers) -> Option<Self> {
        let (quoted, mtu) = too_big(packet, headers)?;
        let header: &[u8; 8] = quoted.upper.first_chunk()?;
        let fits = quoted.protocol == protocol::TCP && u32::from(mtu) < quoted.total_len;
        let [source, destination] = [(quoted.source, word(header, 0)), (quoted.destination, word(header, 2))];
        fits.then_some(Self { source, destination, seq: super::ip::long(header, 4), mtu })
    }
}

/// What an intact "too big" quotes, and the size that it tells.
fn too_big<'a>(packet: &'a [u8], headers: &Headers) -> Option<(Quoted<'a>, u16)> {
    let message = packet.get(headers.header_len.into()..headers.total_len.into())?;
    let fixed: &[u8; HEADER] = message.first_chunk()?;
    let quoted = &message[HEADER..];
    if headers.fragment != Fragment::Whole || !is_intact(message, &headers.flow) {
        return None;
    }
    match (headers.flow.protocol, (fixed[0], fixed[1])) {
        (protocol::ICMP, IPV4_TOO_BIG) => Some((Quoted::ipv4(quoted)?, told_by_ipv4(fixed, quoted))),
        (protocol::ICMPV6, (kind, _)) if kind == IPV6_TOO_BIG.0 => {
            Some((Quoted::ipv6(quoted)?, told_by_ipv6(fixed)?))
        }
        _ => None,
    }
}

fn is_intact(message: &[u8], flow: &FlowKey) -> bool {
    let sum = match flow.protocol {
        protocol::ICMP => Sum::default(),
        other => Sum::default().pseudo_header(flow.source, flow.destination, other, message.len() as u16),
    };
    sum.octets(message).is_intact()
}

/// The MTU in the message, or for routers older than RFC 1191 the next plateau below the packet (its section 7.1).
fn told_by_ipv4(fixed: &[u8; HEADER], quoted: &[u8]) -> u16 {
    const PLATEAUS: [u16; 7] = [32000, 17914, 8166, 4352, 2002, 1492, 1006];
    const LEAST: u16 = LONGEST_IPV4 as u16;
    let told = match word(fixed, 6) {
        0 => {
            let length = quoted.get(2..4).map_or(0, |length| word(length, 0));
            PLATEAUS.into_iter().find(|plateau| *plateau < length).unwrap_or(LEAST)
        }
        mtu => mtu,
    };
    told.max(LEAST)
}

fn told_by_ipv6(fixed: &[u8; HEADER]) -> Option<u16> {
    let mtu = u16::try_from(super::ip::long(fixed, 4)).unwrap_or(u16::MAX);
    (usize::from(mtu) >= LONGEST_IPV6).then_some(mtu)
}

/// The start of a packet as an error quotes it; its end is mostly missing.
struct Quoted<'a> {
    source: IpAddr,
    destination: IpAddr,
    total_len: u32,
    protocol: u8,
    upper: &'a [u8],
}

impl<'a> Quoted<'a> {
    fn ipv4(octets: &'a [u8]) -> Option<Self> {
        let base: &[u8; IPV4_HEADER] = octets.first_chunk()?;
        let header_len = usize::from(base[0] & 0x0f) * 4;
        let offset = word(base, 6) & 0x1fff;
        if base[0] >> 4 != 4 || header_len < IPV4_HEADER || offset != 0 {
            return None;
        }
        let address = |at| IpAddr::V4(Ipv4Addr::from_bits(super::ip::long(base, at)));
        Some(Self {
            source: address(12),
            destination: address(16),
            total_len: word(base, 2).into(),
            protocol: base[9],
            upper: octets.get(header_len..)?,
        })
    }

    fn ipv6(octets: &'a [u8]) -> Option<Self> {
        let base: &[u8; IPV6_HEADER] = octets.first_chunk()?;
        let chain = Chain::walk(octets).ok()?;
        if base[0] >> 4 != 6 || matches!(chain.fragment, Fragment::Later { .. }) {
            return None;
        }
        let (source, destination) = (base[8..].first_chunk::<16>()?, base[24..].first_chunk::<16>()?);
        Some(Self {
            source: IpAddr::from(*source),
            destination: IpAddr::from(*destination),
            total_len: IPV6_HEADER as u32 + u32::from(word(base, 4)),
            protocol: chain.protocol,
            upper: &octets[chain.end..],
        })
    }

    fn about_esp(&self, mtu: u16) -> Option<PathMtu> {
        let (ports, packet) = match self.protocol {
            protocol::ESP => (None, self.upper),
            protocol::UDP => {
                let (header, payload) = self.upper.split_at_checked(udp::HEADER)?;
                let InUdp::Esp(packet) = InUdp::of(payload) else { return None };
                (Some((word(header, 0), word(header, 2))), packet)
            }
            _ => return None,
        };
        let spi = esp::spi(packet)?;
        let Self { source, destination, .. } = *self;
        (u32::from(mtu) < self.total_len).then_some(PathMtu { source, destination, spi, ports, mtu })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ip::parse;
    use super::super::samples::{Ip, packets, udp};
    use super::*;

    const ROUTER: (&str, &str) = ("203.0.113.9", "2001:db8:f::9");

    fn error_about(cause: &[u8], error: Error) -> Vec<u8> {
        let sender = parse(cause).unwrap().flow.source;
        let router = if sender.is_ipv4() { ROUTER.0 } else { ROUTER.1 };
        let mut into = vec![0xaa; 2000];
        let length = write_error(&mut into, error, cause, router.parse().unwrap(), sender, 7).unwrap();
        into.truncate(length);
        into
    }

    fn read(packet: &[u8]) -> Option<PathMtu> {
        PathMtu::read(packet, &parse(packet).unwrap())
    }

    fn sealed(ipv6: bool, in_udp: bool, length: usize) -> Ip {
        let esp = [&0x0102_0304u32.to_be_bytes()[..], &vec![9; length]].concat();
        let (protocol, payload) = if in_udp { (17, udp(4500, 4501, &esp)) } else { (50, esp) };
        match ipv6 {
            true => Ip::new("2001:db8::1", "2001:db8:1::2", protocol, payload),
            false => Ip::new("192.0.2.1", "198.51.100.2", protocol, payload),
        }
    }

    proptest! {
        /// Whatever the cause, the error is a good packet to its sender, within its limit, and quotes it from the start.
        #[test]
        fn errors_are_good_packets(ip in packets(), more in 0usize..2000, kind in 0usize..5) {
            let mut ip = ip;
            ip.payload.resize(ip.payload.len() + more, 5);
            let cause = ip.octets();
            if parse(&cause).is_err() {
                return Ok(());
            }
            let error = [Error::TooBig { mtu: 1400 }, Error::HopLimitExceeded, Error::Prohibited, Error::NoRoute, Error::NoNeighbour][kind];
            let octets = error_about(&cause, error);
            let headers = parse(&octets).unwrap();
            prop_assert_eq!(headers.flow.destination, ip.source);
            prop_assert!(is_error(&headers.flow));
            prop_assert!(is_intact(&octets[headers.header_len.into()..], &headers.flow));
            let quoted = &octets[usize::from(headers.header_len) + 8..];
            prop_assert_eq!(quoted, &cause[..quoted.len()]);
            let longest = if ip.source.is_ipv4() { 576 } else { 1280 };
            prop_assert_eq!(octets.len(), longest.min(cause.len() + usize::from(headers.header_len) + 8));
        }

        #[test]
        fn damaged_errors_are_survived_and_not_believed(ipv6: bool, in_udp: bool, at in any::<prop::sample::Index>(), value: u8, cut in any::<prop::sample::Index>()) {
            let octets = error_about(&sealed(ipv6, in_udp, 1400).octets(), Error::TooBig { mtu: 1300 });
            let headers = parse(&octets).unwrap();
            let mut damaged = octets.clone();
            let at = usize::from(headers.header_len) + at.index(octets.len() - usize::from(headers.header_len));
            damaged[at] = value;
            if damaged != octets {
                prop_assert_eq!(PathMtu::read(&damaged, &headers), None);
            }
            // Quotes of any shape, with a good checksum.
            let mut ip = Ip::new(if ipv6 { ROUTER.1 } else { ROUTER.0 }, if ipv6 { "2001:db8::1" } else { "192.0.2.1" }, if ipv6 { 58 } else { 1 }, vec![]);
            ip.payload = damaged[usize::from(headers.header_len)..].to_vec();
            ip.payload.truncate(8 + cut.index(ip.payload.len()));
            let _ = read(&ip.octets());
        }
    }

    #[test]
    fn too_big_about_esp_is_read() {
        for (ipv6, in_udp) in [(false, false), (false, true), (true, false), (true, true)] {
            let cause = sealed(ipv6, in_udp, 1400);
            let expected = PathMtu {
                source: cause.source,
                destination: cause.destination,
                spi: 0x0102_0304,
                ports: in_udp.then_some((4500, 4501)),
                mtu: 1300,
            };
            let packet = error_about(&cause.octets(), Error::TooBig { mtu: 1300 });
            assert_eq!(read(&packet), Some(expected));
        }
    }

    #[test]
    fn too_big_about_tcp_is_read() {
        let segment = [&[0x12, 0x34, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 0x10][..], &[0; 1400]].concat();
        for (from, to) in [("192.0.2.1", "198.51.100.2"), ("2001:db8::1", "2001:db8:1::2")] {
            let cause = Ip::new(from, to, 6, segment.clone());
            let packet = error_about(&cause.octets(), Error::TooBig { mtu: 1300 });
            let found = SegmentTooBig::read(&packet, &parse(&packet).unwrap()).unwrap();
            assert_eq!((found.source, found.destination), ((cause.source, 0x1234), (cause.destination, 80)));
            assert_eq!((found.seq, found.mtu), (0x0102_0304, 1300));
            assert_eq!(read(&packet), None, "it is not about ESP");
            let fits = error_about(&cause.octets(), Error::TooBig { mtu: 1500 });
            assert_eq!(SegmentTooBig::read(&fits, &parse(&fits).unwrap()), None);
        }
        let other = error_about(&sealed(false, true, 1400).octets(), Error::TooBig { mtu: 1300 });
        assert_eq!(SegmentTooBig::read(&other, &parse(&other).unwrap()), None);
    }

    #[test]
    fn what_would_have_fitted_is_not_believed() {
        let cause = sealed(false, false, 1400).octets();
        let length = cause.len() as u16;
        assert!(read(&error_about(&cause, Error::TooBig { mtu: length - 1 })).is_some());
        assert_eq!(read(&error_about(&cause, Error::TooBig { mtu: length })), None);
    }

    #[test]
    fn smallest_mtus() {
        let ipv4 = error_about(&sealed(false, false, 1400).octets(), Error::TooBig { mtu: 68 });
        assert_eq!(read(&ipv4).unwrap().mtu, 576);
        let ipv6 = error_about(&sealed(true, false, 1400).octets(), Error::TooBig { mtu: 1279 });
        assert_eq!(read(&ipv6), None);
    }

    #[test]
    fn an_old_router_means_the_next_plateau() {
        let old =
            |length| read(&error_about(&sealed(false, false, length).octets(), Error::TooBig { mtu: 0 }));
        assert_eq!(old(1476).unwrap().mtu, 1492);
        assert_eq!(old(1400).unwrap().mtu, 1006);
        assert_eq!(old(800).unwrap().mtu, 576);
    }

    #[test]
    fn ike_and_others_are_not_ours() {
        let ike = Ip::new("192.0.2.1", "198.51.100.2", 17, udp(4500, 4500, &[0; 1400])).octets();
        assert_eq!(read(&error_about(&ike, Error::TooBig { mtu: 1300 })), None);
        let esp = sealed(false, false, 1400).octets();
        assert_eq!(read(&error_about(&esp, Error::Prohibited)), None);
    }

    /// Where an SPI would be, a later fragment has data, and a fragment of an error has no whole quote.
    #[test]
    fn fragments_name_no_sa() {
        for offset in [0, 64] {
            let mut cause = sealed(false, false, 1396);
            cause.fragment = Some((1, offset, true));
            let told = error_about(&cause.octets(), Error::TooBig { mtu: 1300 });
            assert_eq!(read(&told).is_some(), offset == 0);
        }
        let told = error_about(&sealed(false, false, 1400).octets(), Error::TooBig { mtu: 1300 });
        let mut error = Ip::new(ROUTER.0, "192.0.2.1", 1, told[20..548].to_vec());
        error.payload[2..4].fill(0);
        let checksum = super::super::samples::internet_checksum(&error.payload);
        error.payload[2..4].copy_from_slice(&checksum.to_be_bytes());
        assert!(read(&error.octets()).is_some());
        error.fragment = Some((1, 0, true));
        assert_eq!(read(&error.octets()), None);
    }

    #[test]
    fn who_gets_no_answer() {
        let about = |ip: &Ip| may_answer(&parse(&ip.octets()).unwrap());
        let udp4 = |source, destination| Ip::new(source, destination, 17, udp(1, 2, b""));
        assert!(about(&udp4("192.0.2.1", "192.0.2.2")));
        assert!(about(&udp4("2001:db8::1", "2001:db8::2")));
        for (source, destination) in [
            ("0.0.0.0", "192.0.2.2"),
            ("127.0.0.1", "192.0.2.2"),
            ("224.0.0.1", "192.0.2.2"),
            ("192.0.2.1", "239.1.2.3"),
            ("192.0.2.1", "255.255.255.255"),
            ("::", "2001:db8::2"),
            ("::1", "2001:db8::2"),
            ("2001:db8::1", "ff02::1"),
        ] {
            assert!(!about(&udp4(source, destination)), "{source} to {destination}");
        }
        let mut later = udp4("192.0.2.1", "192.0.2.2");
        later.fragment = Some((1, 64, false));
        assert!(!about(&later));
        let icmp = |protocol, kind, ends: (&str, &str)| {
            about(&Ip::new(ends.0, ends.1, protocol, vec![kind, 0, 0, 0, 0, 0, 0, 0]))
        };
        let (v4, v6) = (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2"));
        assert!(
            [8, 0].iter().all(|kind| icmp(1, *kind, v4)) && [128, 129].iter().all(|kind| icmp(58, *kind, v6))
        );
        assert!(![3, 4, 5, 11, 12].iter().any(|kind| icmp(1, *kind, v4)));
        assert!(![1, 2, 3, 4, 100, 137].iter().any(|kind| icmp(58, *kind, v6)));
    }
}
