//! One frame of each kind that the steering program tells apart.

use ravelin_dataplane::port::xdp::class::Class;

const GATEWAY: [u8; 4] = [10, 9, 1, 1];
const PEER: [u8; 4] = [10, 9, 1, 2];
const STRANGER: [u8; 4] = [192, 0, 2, 9];
const PROTECTED: [u8; 4] = [10, 7, 3, 4];
const BEHIND: [u8; 4] = [10, 9, 2, 2];

const GATEWAY6: &str = "fd09:1::1";
const PEER6: &str = "fd09:1::2";

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const UDP: u8 = 17;
const ESP: u8 = 50;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// Octets that are neither a marker nor a keepalive.
const SPI: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 1, 9, 9, 9, 9];

/// A frame of another host's to a host behind the gateway.
pub(crate) fn forwarded() -> Vec<u8> {
    ethernet(IPV4, &ip4(PEER, BEHIND, UDP, 0, &udp(7, 7, b"forward me")))
}

/// In clear from a protected prefix to the gateway itself.
pub(crate) fn from_protected_site() -> Vec<u8> {
    ethernet(IPV4, &ip4(PROTECTED, GATEWAY, ICMP, 0, &[8, 0, 0, 0, 0, 0, 0, 0]))
}

/// Name, frame, and what is to become of it.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>, Class)> {
    let mut all = link();
    all.extend(to_us4());
    all.extend(from_protected());
    all.extend(to_us6());
    all.extend(elsewhere());
    all
}

fn link() -> Vec<(&'static str, Vec<u8>, Class)> {
    let tagged = |tags: &[u16], packet: &[u8]| {
        let mut frame = ethernet(0, packet);
        frame.truncate(12);
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 100]);
        }
        frame.extend(IPV4.to_be_bytes());
        frame.extend(packet);
        frame
    };
    let esp = ip4(PEER, GATEWAY, ESP, 0, SPI);
    let mut to_all = forwarded();
    to_all[..6].fill(0xff);
    vec![
        ("ARP", ethernet(0x0806, &[0; 28]), Class::PassNotIp),
        ("a frame without payload", ethernet(0x0806, &[]), Class::PassNotIp),
        ("one VLAN tag", tagged(&[0x8100], &esp), Class::RingEsp),
        ("two VLAN tags", tagged(&[0x88a8, 0x8100], &esp), Class::RingEsp),
        ("three VLAN tags", tagged(&[0x88a8, 0x8100, 0x8100], &esp), Class::DropTags),
        ("link broadcast, to be forwarded", to_all, Class::DropLinkMulticast),
        ("IPv4 cut off", ethernet(IPV4, &esp[..19]), Class::RingMalformed),
        ("IPv6 in an IPv4 frame", ethernet(IPV4, &ip6(PEER6, GATEWAY6, ESP, SPI)), Class::RingMalformed),
    ]
}

fn to_us4() -> Vec<(&'static str, Vec<u8>, Class)> {
    let to_us =
        |protocol, fragment, payload: &[u8]| ethernet(IPV4, &ip4(PEER, GATEWAY, protocol, fragment, payload));
    let natt = |payload: &[u8]| to_us(UDP, 0, &udp(4500, 4500, payload));
    let quote = |inner: &[u8], kind, code| to_us(ICMP, 0, &icmp(kind, code, inner));
    let sent_esp = ip4(GATEWAY, PEER, ESP, 0, &SPI[..8]);
    let sent_natt = ip4(GATEWAY, PEER, UDP, 0, &udp(4500, 4500, &[]));
    let sent_other = ip4(GATEWAY, PEER, UDP, 0, &udp(53, 4500, &[]));
    let mut options = ip4(PEER, GATEWAY, ESP, 0, SPI);
    options[0] = 0x46;
    options.splice(20..20, [1, 1, 1, 0]);
    vec![
        ("ESP", to_us(ESP, 0, SPI), Class::RingEsp),
        ("ESP behind options", ethernet(IPV4, &options), Class::RingEsp),
        ("first fragment of ESP", to_us(ESP, 0x2000, SPI), Class::RingFragment),
        ("later fragment of ESP", to_us(ESP, 3, SPI), Class::RingFragment),
        ("ESP in UDP", natt(SPI), Class::RingUdpEsp),
        ("ESP in UDP on a port of ours", to_us(UDP, 0, &udp(4500, 4501, SPI)), Class::RingUdpEsp),
        ("keepalive", natt(&[0xff]), Class::RingUdpEsp),
        ("one octet, no keepalive", natt(&[0xfe]), Class::RingMalformed),
        ("IKE with the non-ESP marker", natt(&[0, 0, 0, 0, 5, 5]), Class::PassIke),
        ("IKE on 500", to_us(UDP, 0, &udp(500, 500, SPI)), Class::PassIke),
        ("fragment of UDP from a peer", to_us(UDP, 185, SPI), Class::RingFragment),
        (
            "fragment of UDP from a stranger",
            ethernet(IPV4, &ip4(STRANGER, GATEWAY, UDP, 185, SPI)),
            Class::PassLocal,
        ),
        ("ping", to_us(ICMP, 0, &icmp(8, 0, &[])), Class::PassLocal),
        ("too big, about ESP", quote(&sent_esp, 3, 4), Class::RingTooBig),
        ("too big, about ESP in UDP", quote(&sent_natt, 3, 4), Class::RingTooBig),
        ("too big, about other UDP", quote(&sent_other, 3, 4), Class::PassLocal),
        ("unreachable, about ESP", quote(&sent_esp, 3, 1), Class::PassLocal),
        ("DNS", to_us(UDP, 0, &udp(53, 4499, SPI)), Class::PassLocal),
    ]
}

fn from_protected() -> Vec<(&'static str, Vec<u8>, Class)> {
    let from = |protocol, payload: &[u8]| ethernet(IPV4, &ip4(PROTECTED, GATEWAY, protocol, 0, payload));
    vec![
        ("ping from a protected site", from_protected_site(), Class::RingProtected),
        ("UDP from a protected site", from(UDP, &udp(53, 53, SPI)), Class::RingProtected),
        ("IKE from a protected site", from(UDP, &udp(500, 500, SPI)), Class::PassIke),
        ("ESP from a protected site", from(ESP, SPI), Class::RingEsp),
        (
            "IPv6 ping from a protected site",
            ethernet(IPV6, &ip6("fd07::5", GATEWAY6, ICMP6, &icmp(128, 0, &[]))),
            Class::RingProtected,
        ),
    ]
}

fn to_us6() -> Vec<(&'static str, Vec<u8>, Class)> {
    let to_us = |next, payload: &[u8]| ethernet(IPV6, &ip6(PEER6, GATEWAY6, next, payload));
    let natt = |payload: &[u8]| to_us(UDP, &udp(4500, 4500, payload));
    let behind = |headers: &[(u8, Vec<u8>)], last: u8, payload: &[u8]| {
        let mut octets = Vec::new();
        for (position, (_, body)) in headers.iter().enumerate() {
            octets.push(headers.get(position + 1).map_or(last, |next| next.0));
            octets.extend(body);
        }
        octets.extend(payload);
        to_us(headers[0].0, &octets)
    };
    let hop_by_hop = (0, vec![0, 1, 4, 0, 0, 0, 0]);
    let destination = (60, vec![1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let fragment = |offset: u16| (44, [&[0][..], &offset.to_be_bytes(), &[0, 0, 0, 7]].concat());
    let sent = ip6(GATEWAY6, PEER6, ESP, &SPI[..8]);
    let many: Vec<_> = (0..9).map(|_| (60, vec![0, 1, 4, 0, 0, 0, 0])).collect();
    vec![
        ("IPv6 ESP", to_us(ESP, SPI), Class::RingEsp),
        ("IPv6 ESP behind headers", behind(&[hop_by_hop.clone(), destination], ESP, SPI), Class::RingEsp),
        ("IPv6 atomic fragment of ESP", behind(&[fragment(0)], ESP, SPI), Class::RingEsp),
        ("IPv6 first fragment of ESP", behind(&[fragment(1)], ESP, SPI), Class::RingFragment),
        ("IPv6 later fragment of ESP", behind(&[fragment(8)], ESP, SPI), Class::RingFragment),
        ("IPv6 fragment of UDP from a peer", behind(&[fragment(8)], UDP, SPI), Class::RingFragment),
        ("IPv6 ESP in UDP", natt(SPI), Class::RingUdpEsp),
        ("IPv6 IKE with the marker", natt(&[0, 0, 0, 0, 5]), Class::PassIke),
        ("IPv6 too big, about ESP", to_us(ICMP6, &icmp(2, 0, &sent)), Class::RingTooBig),
        ("IPv6 ping", to_us(ICMP6, &icmp(128, 0, &[])), Class::PassLocal),
        ("neighbour solicitation", to_us(ICMP6, &icmp(135, 0, &[0; 16])), Class::PassNeighbour),
        (
            "router solicitation behind options",
            behind(&[hop_by_hop], ICMP6, &icmp(133, 0, &[])),
            Class::PassNeighbour,
        ),
        ("IPv6 with headers without end", behind(&many, ESP, SPI), Class::RingMalformed),
        ("IPv6 cut off in a header", to_us(0, &[ESP, 9]), Class::RingMalformed),
        (
            "ping to a link-local address",
            ethernet(IPV6, &ip6("fe80::9", "fe80::1", ICMP6, &icmp(128, 0, &[]))),
            Class::PassLocal,
        ),
    ]
}

fn elsewhere() -> Vec<(&'static str, Vec<u8>, Class)> {
    let to = |address, protocol, payload: &[u8]| ethernet(IPV4, &ip4(PEER, address, protocol, 0, payload));
    vec![
        ("forwarded", forwarded(), Class::RingForward),
        ("forwarded ESP", to(BEHIND, ESP, SPI), Class::RingForward),
        ("forwarded IKE", to(BEHIND, UDP, &udp(500, 500, SPI)), Class::RingForward),
        ("multicast", to([224, 0, 0, 5], 89, &[0; 20]), Class::PassMulticast),
        ("broadcast", to([255; 4], UDP, &udp(68, 67, &[])), Class::PassMulticast),
        ("IPv6 multicast", ethernet(IPV6, &ip6("fe80::9", "ff02::5", 89, &[0; 20])), Class::PassMulticast),
        (
            "IPv6 forwarded",
            ethernet(IPV6, &ip6(PEER6, "fd09:2::2", UDP, &udp(7, 7, SPI))),
            Class::RingForward,
        ),
    ]
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &kind.to_be_bytes(), payload].concat()
}

/// Checksums are nobody's business here and stay 0.
fn ip4(source: [u8; 4], destination: [u8; 4], protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len() as u16).to_be_bytes();
    let head = [&[0x45, 0][..], &length, &[0, 1], &fragment.to_be_bytes(), &[64, protocol, 0, 0]].concat();
    [&head[..], &source, &destination, payload].concat()
}

fn ip6(source: &str, destination: &str, next: u8, payload: &[u8]) -> Vec<u8> {
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let length = (payload.len() as u16).to_be_bytes();
    let head = [&[0x60, 0, 0, 0][..], &length, &[next, 255]].concat();
    [&head[..], &address(source), &address(destination), payload].concat()
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let words = [source, destination, 8 + payload.len() as u16, 0];
    [words.map(u16::to_be_bytes).as_flattened(), payload].concat()
}

fn icmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0, 0, 0, 0, 0], rest].concat()
}
