//! Packets that fit, that are cut, and that are refused with an answer.

use proptest::prelude::*;
use ravelin_contract::rule::TunnelId;

use super::*;
use crate::port::HEADROOM;
use crate::wire::ip::{self, Headers};
use crate::wire::samples::{Ip, internet_checksum, join, tcp, udp};

const LAN: PortIndex = PortIndex(0);
const WAN: PortIndex = PortIndex(1);

/// An SA that takes `overhead` octets on a path of `path`.
struct Sa {
    overhead: u16,
    path: Option<u16>,
    clamp_mss: bool,
}

impl Paths for Sa {
    fn room(&self, _: &Packet, link_mtu: u16) -> Option<Room> {
        let outer = self.path.map_or(link_mtu, |path| path.min(link_mtu));
        Some(Room { inner_mtu: outer - self.overhead, outer_mtu: self.path, clamp_mss: self.clamp_mss })
    }

    fn own_address(&self, port: PortIndex, family: Family) -> Option<IpAddr> {
        let text = if family == Family::V4 {
            format!("192.0.2.25{}", port.0)
        } else {
            format!("2001:db8:ffff::{}", port.0)
        };
        text.parse().ok()
    }
}

const PLAIN: Sa = Sa { overhead: 60, path: None, clamp_mss: false };

/// One worker's means and batch.
struct Bench {
    pool: Pool,
    limiter: Limiter,
    batch: Batch,
}

impl Bench {
    const FRAMES: usize = 40;

    fn new() -> Self {
        Self {
            pool: Pool::in_memory(Self::FRAMES as u32, 2048),
            limiter: Limiter::new(Now(0)),
            batch: Batch::default(),
        }
    }

    /// A packet from the LAN to the WAN, whose link has an MTU of 1500.
    fn add(&mut self, ip: &Ip, decision: Decision) -> &mut Packet {
        let octets = ip.octets();
        let mut frame = self.pool.take().unwrap();
        frame.place(HEADROOM, octets.len()).unwrap();
        frame.bytes_mut().copy_from_slice(&octets);
        let mut packet = Packet::new(frame, ip::parse(&octets).unwrap(), LAN, Origin::Wire);
        packet.route = Route::Via { port: WAN, next_hop: ip.destination, mtu: 1500 };
        packet.decision = decision;
        self.batch.packets.push(packet);
        self.batch.packets.last_mut().unwrap()
    }

    fn fit(&mut self, paths: &Sa) -> &[Packet] {
        fit(
            &mut self.batch,
            paths,
            &mut Means { now: Now(0), pool: &mut self.pool, limiter: &mut self.limiter },
        );
        &self.batch.packets
    }

    fn travelling(&mut self) -> Vec<Vec<u8>> {
        self.batch.travelling().map(|packet| packet.frame.bytes().to_vec()).collect()
    }

    fn is_balanced(&self) -> bool {
        self.pool.free() as usize + self.batch.packets.len() == Self::FRAMES
    }
}

const PROTECT: Decision = Decision::Protect(TunnelId(0));

fn ipv4(length: usize) -> Ip {
    Ip::new("192.0.2.1", "198.51.100.2", 17, udp(1, 2, &vec![7; length - 28]))
}

fn ipv6(length: usize) -> Ip {
    Ip::new("2001:db8::1", "2001:db8:1::2", 17, udp(1, 2, &vec![7; length - 48]))
}

fn with_df(mut ip: Ip) -> Ip {
    ip.dont_fragment = true;
    ip
}

proptest! {
    /// IPv4 without DF always passes, in pieces that fit and join to what was sent, one hop older.
    #[test]
    fn what_may_be_cut_arrives(length in 28usize..1900, overhead in 30u16..200, path in prop::option::of(700u16..1500), protect: bool) {
        let mut bench = Bench::new();
        bench.add(&ipv4(length), if protect { PROTECT } else { Decision::Clear });
        let size = if protect { path.unwrap_or(1500) - overhead } else { 1500 };
        let packets = bench.fit(&Sa { overhead, path, clamp_mss: false });
        prop_assert!(packets.iter().all(|packet| packet.travels() && packet.ip.total_len <= size.max(576)));
        prop_assert!(packets.iter().all(|packet| packet.ip.hop_limit == 63 && packet.frame.bytes()[8] == 63));
        prop_assert_eq!(join(&bench.travelling()), Some((17, ipv4(length).payload)));
        prop_assert!(bench.is_balanced());
    }

    /// What may not be cut either fits or ends, and then the sender hears the largest size that would have passed.
    #[test]
    fn what_may_not_be_cut_is_told(length in 60usize..1900, overhead in 30u16..300, path in 600u16..1500, is_ipv6: bool) {
        let mut bench = Bench::new();
        let (ip, least) = if is_ipv6 { (ipv6(length), 1280) } else { (with_df(ipv4(length)), 576) };
        bench.add(&ip, PROTECT);
        let limit = (path - overhead).max(least);
        let packets = bench.fit(&Sa { overhead, path: Some(path), clamp_mss: false });
        if length <= limit.into() {
            prop_assert!(packets.len() == 1 && packets[0].travels());
            prop_assert_eq!(packets[0].outer_mtu, Some(path));
        } else {
            prop_assert_eq!(packets[0].verdict, Some(Verdict::TooBig));
            let error = packets[1].frame.bytes();
            prop_assert_eq!(packets[1].ip.flow.destination, ip.source);
            let told = &error[usize::from(packets[1].ip.header_len) + 4..][..4];
            prop_assert_eq!(told, &u32::from(limit).to_be_bytes());
        }
        prop_assert!(bench.is_balanced());
    }

    /// A sealed packet of either family is cut to its path and joins to what was sealed.
    #[test]
    fn sealed_packets_are_cut_to_the_path(length in 100usize..1900, path in prop::option::of(300u16..2000), is_ipv6: bool, in_udp: bool) {
        let mut bench = Bench::new();
        let mut ip = with_df(if is_ipv6 { ipv6(length) } else { ipv4(length) });
        ip.protocol = if in_udp { 17 } else { 50 };
        let packet = bench.add(&ip, PROTECT);
        (packet.sealed, packet.outer_mtu) = (true, path);
        cut_sealed(&mut bench.batch, &mut bench.pool);
        let limit = path.unwrap_or(1500).min(1500);
        for packet in &bench.batch.packets {
            let written = ip::parse(packet.frame.bytes()).unwrap();
            prop_assert_eq!(Headers { flow: packet.ip.flow, ..written }, packet.ip);
        }
        let pieces = bench.travelling();
        prop_assert!(pieces.iter().all(|piece| piece.len() <= limit.into() && ip::parse(piece).is_ok()));
        prop_assert_eq!(pieces.len() > 1, length > limit.into());
        prop_assert_eq!(join(&pieces), Some((ip.protocol, ip.payload)));
        prop_assert!(bench.is_balanced());
    }
}

/// Sealed packets mostly have the same identification, 0; their pieces must not.
#[test]
fn pieces_of_different_packets_are_told_apart() {
    for is_ipv6 in [false, true] {
        let mut bench = Bench::new();
        for sequence in 1..=3u32 {
            let payload = [&[0, 0, 1, 0][..], &sequence.to_be_bytes(), &[9; 1600]].concat();
            let mut ip = if is_ipv6 { ipv6(100) } else { with_df(ipv4(100)) };
            (ip.protocol, ip.payload) = (50, payload);
            bench.add(&ip, PROTECT).sealed = true;
        }
        cut_sealed(&mut bench.batch, &mut bench.pool);
        let mut ids = bench
            .batch
            .packets
            .iter()
            .map(|packet| match packet.ip.fragment {
                Fragment::First { id } | Fragment::Later { id, .. } => id,
                Fragment::Whole => panic!("not cut"),
            })
            .collect::<Vec<_>>();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((bench.batch.packets.len(), ids.len()), (6, 3));
    }
}

/// Few would send such a SYN; what is not a whole segment is not for us to change.
#[test]
fn fragments_are_not_clamped() {
    let mut ip = Ip::new("192.0.2.1", "198.51.100.2", 6, tcp(1, 2, 0x02, &[2, 4, 0x05, 0xb4]));
    ip.fragment = Some((1, 0, true));
    let mut bench = Bench::new();
    bench.add(&ip, PROTECT);
    let packet = &bench.fit(&Sa { clamp_mss: true, ..PLAIN })[0];
    assert_eq!(packet.frame.bytes()[20..], ip.payload);
}

#[test]
fn the_last_hop_ends_here() {
    for mut ip in [ipv4(100), ipv6(100)] {
        for hop_limit in [0, 1] {
            ip.hop_limit = hop_limit;
            let mut bench = Bench::new();
            bench.add(&ip, PROTECT);
            let packets = bench.fit(&PLAIN);
            assert_eq!(packets[0].verdict, Some(Verdict::HopLimitExceeded));
            let wanted = if ip.source.is_ipv4() { (11, 0) } else { (3, 0) };
            assert_eq!((packets[1].ip.flow.upper, packets[1].origin), (Some(wanted), Origin::Own));
            assert_eq!(packets[1].route, Route::Unknown);
            assert_eq!(packets[0].frame.bytes(), ip.octets(), "the quote is of the packet as it came");
        }
    }
}

#[test]
fn own_packets_keep_their_hops_and_get_no_answer() {
    let mut bench = Bench::new();
    let mut ip = with_df(ipv4(1500));
    ip.hop_limit = 1;
    bench.add(&ip, Decision::Clear).origin = Origin::Own;
    bench.add(&ip, PROTECT).origin = Origin::Own;
    let packets = bench.fit(&PLAIN);
    assert!(packets[0].travels() && packets[0].ip.hop_limit == 1);
    assert_eq!(packets[1].verdict, Some(Verdict::TooBig));
    assert_eq!(packets.len(), 2);
}

/// The answer comes from the side the sender is on, as far as a tunnel's selectors see it.
#[test]
fn answers_into_a_tunnel_come_from_the_protected_side() {
    let mut bench = Bench::new();
    bench.add(&with_df(ipv4(1600)), Decision::Clear);
    bench.add(&with_df(ipv4(1600)), Decision::Clear).opened_by = Some(0);
    let packets = bench.fit(&PLAIN);
    let sources = packets[2..].iter().map(|packet| packet.ip.flow.source.to_string()).collect::<Vec<_>>();
    assert_eq!(sources, ["192.0.2.250", "192.0.2.251"]);
}

#[test]
fn what_has_ended_or_stays_here_is_left_alone() {
    let mut bench = Bench::new();
    bench.add(&ipv4(1600), PROTECT).route = Route::Local;
    bench.add(&ipv4(1600), PROTECT).end(Verdict::Denied);
    let packets = bench.fit(&PLAIN);
    assert_eq!(packets.len(), 2);
    assert!(packets.iter().all(|packet| packet.frame.bytes() == ipv4(1600).octets()));
}

#[test]
fn both_syns_are_clamped_when_the_sa_asks() {
    let mss = |packet: &Packet| ip::word(&packet.frame.bytes()[packet.ip.header_len.into()..], 22);
    for (flags, source, destination, wanted) in [
        (0x02, "192.0.2.1", "198.51.100.2", 1400),
        (0x12, "192.0.2.1", "198.51.100.2", 1400),
        (0x02, "2001:db8::1", "2001:db8:1::2", 1380),
    ] {
        let mut segment = tcp(1, 2, flags, &[2, 4, 0x05, 0xb4]);
        let checksum = internet_checksum(&segment);
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
        let ip = Ip::new(source, destination, 6, segment);
        for (decision, clamp_mss, expected) in
            [(PROTECT, true, wanted), (PROTECT, false, 1460), (Decision::Clear, true, 1460)]
        {
            let mut bench = Bench::new();
            bench.add(&ip, decision);
            let packet = &bench.fit(&Sa { clamp_mss, ..PLAIN })[0];
            assert_eq!(mss(packet), expected);
            assert_eq!(internet_checksum(&packet.frame.bytes()[packet.ip.header_len.into()..]), 0);
        }
    }
}

#[test]
fn without_frames_a_cut_ends_and_errors_are_left_out() {
    let mut bench = Bench::new();
    bench.add(&ipv4(1600), Decision::Clear);
    bench.add(&with_df(ipv4(1600)), Decision::Clear);
    let mut hoard = vec![];
    hoard.extend(std::iter::from_fn(|| bench.pool.take()));
    let packets = bench.fit(&PLAIN);
    assert_eq!(
        packets.iter().map(|packet| packet.verdict).collect::<Vec<_>>(),
        [Some(Verdict::NoFrame), Some(Verdict::TooBig)]
    );
}
