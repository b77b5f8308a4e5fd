//! What ESP does with headers, lengths and odd packets, rule by rule.

#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use std::net::IpAddr;
use std::sync::Arc;

use crate::esp_support::*;
use proptest::prelude::*;
use ravelin_contract::sa::{DontFragment, Dscp, Mode, Receiving, Sa, Sending, Side, Transform};
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::{Selector, Upper};
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::clock::Now;
use ravelin_dataplane::esp::sequence::Sequence;
use ravelin_dataplane::esp::{inbound, keepalive, outbound};
use ravelin_dataplane::packet::{Batch, Decision, Origin, Route};
use ravelin_dataplane::wire::{checksum::Sum, edit, ip};

fn gcm() -> Transform {
    Transform::AesGcm16 { key: Secret::new(octets(16, 1)), salt: [1, 2, 3, 4] }
}

fn tunnel() -> Kind {
    Kind { transform: gcm(), mode: Mode::Tunnel, outer_v6: false, extended: false, udp: false }
}

fn transport() -> Kind {
    Kind { mode: Mode::Transport, ..tunnel() }
}

fn sending(sa: &mut Sa) -> &mut Sending {
    match &mut sa.side {
        Side::Outbound(sending) => sending,
        Side::Inbound(_) => panic!("an inbound SA"),
    }
}

/// A pair whose sender was changed.
fn pair_with(kind: &Kind, change: impl FnOnce(&mut Sa)) -> Pair {
    let mut out = kind.outbound();
    change(&mut out);
    Pair::from(&out, &kind.inbound(), 0)
}

fn status(pair: &Pair) -> ravelin_contract::report::SaStatus {
    pair.inn.as_ref().unwrap().status("t")
}

#[test]
fn dscp_df_and_hop_limit_as_configured() {
    for outer_v6 in [false, true] {
        let kind = Kind { outer_v6, ..tunnel() };
        let inner = &inner_packets(&kind, 20)[0];
        let outer = |change: fn(&mut Sending)| {
            ip::parse(&pair_with(&kind, |sa| change(sending(sa))).seal(inner).unwrap()).unwrap()
        };
        let copied = outer(|sending| sending.hop_limit = None);
        assert_eq!((copied.traffic_class, copied.hop_limit, copied.dont_fragment), (0xb8 | 2, 33, true));
        let set = outer(|sending| (sending.dscp, sending.hop_limit) = (Dscp::Value(10), Some(200)));
        assert_eq!((set.traffic_class, set.hop_limit), (10 << 2 | 2, 200), "ECN is copied all the same");
        let clear = outer(|sending| sending.dont_fragment = DontFragment::Clear);
        assert_eq!(clear.dont_fragment, outer_v6);
    }
}

#[test]
fn df_is_copied_from_ipv4_and_true_for_ipv6() {
    let inner = inner_packets(&tunnel(), 20);
    let mut may = inner[0].clone();
    edit::set_dont_fragment(&mut may, false);
    for (inner, expected) in [(&may, false), (&inner[0], true), (&inner[1], true)] {
        let sealed = Pair::new(&tunnel()).seal(inner).unwrap();
        assert_eq!(ip::parse(&sealed).unwrap().dont_fragment, expected);
    }
}

/// Congestion marked on the way reaches the inner packet with its checksum right, or ends it (RFC 6040).
#[test]
fn congestion_marks_come_through() {
    for inner in inner_packets(&tunnel(), 20) {
        let mut pair = Pair::new(&tunnel());
        let mut marked = pair.seal(&inner).unwrap();
        edit::set_traffic_class(&mut marked, 0xb8 | 3);
        let mut expected = inner.clone();
        edit::set_traffic_class(&mut expected, 0xb8 | 3);
        assert_eq!(pair.open(&marked), Ok(expected));

        let mut incapable = inner.clone();
        edit::set_traffic_class(&mut incapable, 0xb8);
        let mut marked = pair.seal(&incapable).unwrap();
        edit::set_traffic_class(&mut marked, 3);
        assert_eq!(pair.open(&marked), Err(Verdict::BadEcn));
        assert_eq!(status(&pair).drops, [(Verdict::BadEcn, 1)]);
    }
}

#[test]
fn flow_padding_hides_lengths_and_stops_at_the_mtu() {
    let mut pair = pair_with(&tunnel(), |sa| sending(sa).pad_to = 1000);
    let most = usize::from(pair.out.as_ref().unwrap().inner_mtu(1500, Now(0)));
    let mut lengths = Vec::new();
    for length in [0, 1, 500, 900, 1100, most - 28] {
        let inner = inner_packets(&tunnel(), length).remove(0);
        let sealed = pair.seal(&inner).unwrap();
        lengths.push(sealed.len());
        assert_eq!(pair.open(&sealed).unwrap(), inner, "the receiver takes it off");
    }
    assert!(lengths[..4].iter().all(|length| *length == lengths[0]), "{lengths:?}");
    assert!(lengths[4..].iter().all(|length| *length <= 1500 && *length > 1490), "{lengths:?}");
}

#[test]
fn transport_mode_seals_only_whole_packets_between_the_endpoints() {
    let (local, remote) = transport().endpoints();
    let other: IpAddr = "10.0.0.1".parse().unwrap();
    let mut fragment = udp_packet(local, remote, 16);
    edit::set_dont_fragment(&mut fragment, false);
    edit::mark_fragment(&mut fragment, 800, false);
    let mut pair = Pair::new(&transport());
    for bad in [udp_packet(other, remote, 16), udp_packet(local, other, 16), fragment] {
        assert_eq!(pair.seal(&bad), Err(Verdict::NotSealable));
    }
    let status = pair.out.as_ref().unwrap().status("t", Now(0));
    assert_eq!(status.drops, [(Verdict::NotSealable, 3)]);
    assert_eq!(status.sequence, 1, "no number is spent on them");
}

/// Extension headers: number, and what follows the next-header octet.
type Extensions<'a> = &'a [(u8, &'a [u8])];

/// An IPv6 packet with these extension headers before UDP.
fn with_extensions(extensions: Extensions<'_>) -> Vec<u8> {
    let (local, remote) = Kind { outer_v6: true, ..transport() }.endpoints();
    let udp = udp_packet(local, remote, 21)[40..].to_vec();
    let mut payload = Vec::new();
    for (at, (_, octets)) in extensions.iter().enumerate() {
        let next = extensions.get(at + 1).map_or(17, |(number, _)| *number);
        payload.push(next);
        payload.extend(*octets);
    }
    payload.extend(udp);
    ip_packet(local, remote, extensions.first().map_or(17, |(number, _)| *number), &payload)
}

/// ESP stands after what routers read and before what is for the far end (RFC 4303 3.1.1).
#[test]
fn transport_mode_finds_its_place_among_extension_headers() {
    let options: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
    let long_options: &[u8] = &[1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let routing: &[u8] = &[0, 4, 0, 0, 0, 0, 0];
    let (hop, route, destination) = (0u8, 43u8, 60u8);
    let cases: [(Extensions<'_>, usize); 5] = [
        (&[], 40),
        (&[(hop, options)], 48),
        (&[(destination, options)], 40),
        (&[(hop, long_options), (destination, options), (route, routing), (destination, long_options)], 72),
        (&[(route, routing), (destination, options)], 48),
    ];
    for (extensions, esp_at) in cases {
        for udp in [false, true] {
            let mut pair = Pair::new(&Kind { outer_v6: true, udp, ..transport() });
            let inner = with_extensions(extensions);
            let sealed = pair.seal(&inner).unwrap();
            let esp_at = esp_at + if udp { 8 } else { 0 };
            assert_eq!(sealed[esp_at..esp_at + 4], SPI.to_be_bytes(), "{extensions:?}");
            assert_eq!(pair.open(&sealed), Ok(inner));
        }
    }
}

#[test]
fn transport_mode_keeps_ipv4_options_outside() {
    let (local, remote) = transport().endpoints();
    let plain = udp_packet(local, remote, 9);
    let mut inner = [&plain[..20], &[148, 4, 0, 0], &plain[20..]].concat(); // router alert
    inner[0] = 0x46;
    inner[2..4].copy_from_slice(&(plain.len() as u16 + 4).to_be_bytes());
    inner[10..12].fill(0);
    let sum = Sum::default().octets(&inner[..24]).finish();
    inner[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut pair = Pair::new(&transport());
    let sealed = pair.seal(&inner).unwrap();
    assert_eq!(sealed[20..28], [&[148, 4, 0, 0], &SPI.to_be_bytes()[..]].concat());
    assert_eq!(pair.open(&sealed), Ok(inner));
}

/// Behind a NAT the addresses have changed, and with them what the UDP checksum covers (RFC 3948 3.1.2).
#[test]
fn transport_checksum_is_renewed_behind_a_nat() {
    let kind = Kind { udp: true, ..transport() };
    let (local, remote) = kind.endpoints();
    let translated: IpAddr = "198.51.100.77".parse().unwrap();
    let mut pair = Pair::new(&kind);
    let sealed = pair.seal(&udp_packet(local, remote, 40)).unwrap();
    let behind_nat = |sealed: &[u8]| {
        let mut packet = ip_packet(translated, remote, 17, &sealed[20..]);
        packet[1] = sealed[1];
        packet
    };
    let mut expected = udp_packet(translated, remote, 40);
    expected[8] = 33;
    assert_eq!(pair.open(&behind_nat(&sealed)).unwrap()[20..], expected[20..]);

    let mut without = udp_packet(local, remote, 40);
    without[26..28].fill(0);
    let sealed = pair.seal(&without).unwrap();
    assert_eq!(pair.open(&behind_nat(&sealed)).unwrap()[26..28], [0, 0], "none stays none");
}

#[test]
fn selectors_hold_after_opening() {
    let range = |text: &str| ravelin_contract::address::AddressRange::single(text.parse().unwrap());
    let mut inn = tunnel().inbound();
    inn.selectors = vec![Selector {
        source: range("10.1.0.5"),
        destination: range("10.2.0.9"),
        upper: Upper::Protocol(17),
    }];
    let mut pair = Pair::from(&tunnel().outbound(), &inn, 0);
    let [v4, v6] = inner_packets(&tunnel(), 30).try_into().unwrap();
    let tcp = ip_packet("10.1.0.5".parse().unwrap(), "10.2.0.9".parse().unwrap(), 6, &[0x50; 40]);
    let sealed: Vec<_> = pair.seal_batch(&[v4.clone(), v6, tcp]).into_iter().flatten().collect();
    let mismatch = Err(Verdict::SelectorMismatch);
    assert_eq!(pair.open_batch(&sealed), [Ok(v4.clone()), mismatch.clone(), mismatch]);
    let status = status(&pair);
    assert_eq!(status.traffic, (1, v4.len() as u64));
    assert_eq!((status.drops, status.sequence), (vec![(Verdict::SelectorMismatch, 2)], 3));
}

/// Seals arbitrary octets under arbitrary next headers, as a broken or hostile peer with the key could.
fn sealed_by_peer(pair: &mut Pair, upper: u8, payload: &[u8]) -> Vec<u8> {
    // Transport mode puts any protocol and payload under ESP; both modes look the same outside.
    let (local, remote) = transport().endpoints();
    let mut peer = Pair::from(&transport().outbound(), &transport().inbound(), status(pair).sequence);
    let mut batch = peer.batch(&[ip_packet(local, remote, upper, payload)]);
    let mut pool = std::mem::replace(&mut peer.pool, ravelin_dataplane::frame::Pool::new(vec![]));
    outbound::seal(&mut batch, &peer, &mut pool, Now(0));
    batch.packets[0].frame.bytes().to_vec()
}

#[test]
fn what_does_not_belong_in_a_tunnel_is_refused() {
    let [v4, v6] = inner_packets(&tunnel(), 30).try_into().unwrap();
    let mut bad_sum = v4.clone();
    bad_sum[10] ^= 1;
    let mut pair = Pair::new(&tunnel());
    for (upper, payload, expected) in [
        (59, &octets(30, 1)[..], Verdict::Dummy),
        (59, &[], Verdict::Dummy),
        (6, &[0x50; 40], Verdict::BadInner),
        (50, &v4, Verdict::BadInner),
        (41, &v4, Verdict::BadInner),
        (4, &v6, Verdict::BadInner),
        (4, &v4[..v4.len() - 1], Verdict::BadInner),
        (4, &[], Verdict::BadInner),
        (4, &bad_sum, Verdict::BadInner),
    ] {
        let sealed = sealed_by_peer(&mut pair, upper, payload);
        assert_eq!(pair.open(&sealed), Err(expected), "next header {upper}");
        assert_eq!(pair.open(&sealed), Err(Verdict::Replayed), "it was authentic, so its number is used");
    }
    let padded = [&v4[..], &[0; 77]].concat();
    let sealed = sealed_by_peer(&mut pair, 4, &padded);
    assert_eq!(pair.open(&sealed), Ok(v4), "octets after the packet are flow padding");
}

#[test]
fn what_is_not_esp_to_us_is_left_alone() {
    let ours: IpAddr = "192.0.2.2".parse().unwrap();
    let peer: IpAddr = "192.0.2.1".parse().unwrap();
    let other: IpAddr = "203.0.113.9".parse().unwrap();
    let udp = |destination, port: u16, data: &[u8]| {
        let length = (8 + data.len() as u16).to_be_bytes();
        let datagram = [&4500u16.to_be_bytes()[..], &port.to_be_bytes(), &length, &[0, 0], data].concat();
        ip_packet(peer, destination, 17, &datagram)
    };
    let esp = octets(80, 9);
    let mut fragment = ip_packet(peer, ours, 50, &octets(80, 9));
    edit::set_dont_fragment(&mut fragment, false);
    edit::mark_fragment(&mut fragment, 0, true);
    let left_alone = [
        ip_packet(peer, other, 50, &esp),
        udp(other, NATT, &esp),
        udp(ours, 500, &esp),
        udp(ours, NATT, &[0, 0, 0, 0, 1, 2, 3, 4]),
        udp(ours, NATT, &[1, 2]),
        udp(other, NATT, &[0xff]),
    ];
    let mut pair = Pair::new(&tunnel());
    for packet in left_alone {
        assert_eq!(pair.open(&packet), Ok(packet));
    }
    for (packet, verdict) in [
        (ip_packet(peer, ours, 50, &esp), Verdict::NoSuchSa),
        (udp(ours, NATT, &esp), Verdict::NoSuchSa),
        (udp(ours, NATT, &[0xff]), Verdict::Keepalive),
        (ip_packet(peer, ours, 50, &esp[..7]), Verdict::BadEspLength),
        (fragment, Verdict::BadEspLength),
    ] {
        assert_eq!(pair.open(&packet), Err(verdict));
    }
}

#[test]
fn only_what_is_to_be_protected_is_sealed() {
    let mut pair = Pair::new(&tunnel());
    let inner = inner_packets(&tunnel(), 30);
    let mut batch = pair.batch(&[inner[0].clone(), inner[0].clone(), inner[0].clone(), inner[0].clone()]);
    batch.packets[0].decision = Decision::Clear;
    batch.packets[1].end(Verdict::Denied);
    batch.packets[2].decision = Decision::Protect(ravelin_contract::rule::TunnelId(9));
    let mut pool = std::mem::replace(&mut pair.pool, ravelin_dataplane::frame::Pool::new(vec![]));
    outbound::seal(&mut batch, &pair, &mut pool, Now(0));
    assert_eq!(batch.packets[0].frame.bytes(), inner[0]);
    assert_eq!(batch.packets[1].verdict, Some(Verdict::Denied));
    assert_eq!(batch.packets[2].verdict, Some(Verdict::NoSa));
    let last = &batch.packets[3];
    assert_eq!((last.sealed, last.verdict, last.route), (true, None, Route::Unknown));
    let sealed: Vec<bool> = batch.packets.iter().map(|packet| packet.sealed).collect();
    assert_eq!(sealed, [false, false, false, true]);
    outbound::seal(&mut batch, &pair, &mut pool, Now(0));
    assert_eq!(pair.out.as_ref().unwrap().status("t", Now(0)).sequence, 2, "nothing is sealed twice");
}

#[test]
fn a_reservation_that_ends_within_a_run_ends_only_the_rest() {
    let sequence = Arc::new(Sequence::starting_at(1));
    sequence.allow_below(4);
    let mut pair = Pair::new(&tunnel());
    pair.out = Some(outbound_sa(&tunnel().outbound(), sequence.clone()));
    let inner = vec![inner_packets(&tunnel(), 30).remove(0); 5];
    let results = pair.seal_batch(&inner);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
    assert_eq!(results[3..], [Err(Verdict::SequenceNotReserved), Err(Verdict::SequenceNotReserved)]);
    sequence.allow_below(100);
    assert!(pair.seal(&inner[0]).is_ok());
    let status = pair.out.as_ref().unwrap().status("t", Now(0));
    assert_eq!((status.traffic.0, status.sequence, status.bound), (4, 5, 100));
    assert_eq!(status.drops, [(Verdict::SequenceNotReserved, 2)]);
}

#[test]
fn without_room_before_the_packet_it_moves_and_without_a_frame_it_ends() {
    let mut pair = Pair::new(&tunnel());
    let inner = inner_packets(&tunnel(), 30).remove(0);
    let tight = |pair: &mut Pair| {
        let mut packet = pair.packet(&inner);
        packet.frame.place(10, inner.len()).unwrap();
        packet.frame.bytes_mut().copy_from_slice(&inner);
        Batch { packets: [packet].into_iter().collect() }
    };
    let mut batch = tight(&mut pair);
    let mut pool = std::mem::replace(&mut pair.pool, ravelin_dataplane::frame::Pool::new(vec![]));
    outbound::seal(&mut batch, &pair, &mut pool, Now(0));
    pair.pool = pool;
    let sealed = pair.results(batch).remove(0).unwrap();
    assert_eq!(pair.open(&sealed), Ok(inner.clone()));

    let mut batch = tight(&mut pair);
    outbound::seal(&mut batch, &pair, &mut ravelin_dataplane::frame::Pool::new(vec![]), Now(0));
    assert_eq!(batch.packets[0].verdict, Some(Verdict::NoFrame));
    pair.results(batch);
}

#[test]
fn keepalives_go_when_idle_and_only_then() {
    let kind = Kind { udp: true, ..tunnel() };
    for kind in
        [kind.clone(), Kind { outer_v6: true, ..kind.clone() }, Kind { mode: Mode::Transport, ..kind }]
    {
        let mut pair = Pair::new(&kind);
        let at = |seconds: u64| Now(seconds * 1_000_000_000);
        let ask = |pair: &mut Pair, seconds| {
            let mut batch = Batch::default();
            let mut pool = std::mem::replace(&mut pair.pool, ravelin_dataplane::frame::Pool::new(vec![]));
            keepalive::keepalives(pair.out.iter(), &mut batch, &mut pool, at(seconds));
            pair.pool = pool;
            for packet in &batch.packets {
                assert_eq!((packet.decision, packet.origin), (Decision::Clear, Origin::OwnExempt));
            }
            pair.results(batch).into_iter().map(Result::unwrap).collect::<Vec<_>>()
        };
        assert!(ask(&mut pair, 19).is_empty());
        let sent = ask(&mut pair, 20);
        assert_eq!(sent.len(), 1);
        assert_eq!(pair.open(&sent[0]), Err(Verdict::Keepalive));
        assert!(ask(&mut pair, 39).is_empty());
        pair.now = at(39);
        pair.seal(&inner_packets(&kind, 1)[0]).unwrap();
        assert!(ask(&mut pair, 58).is_empty(), "traffic puts it off");
        assert_eq!(ask(&mut pair, 59).len(), 1);
    }
}

#[test]
fn esp_inside_esp_is_opened_once() {
    let mut pair = Pair::new(&tunnel());
    let inner = inner_packets(&tunnel(), 30).remove(0);
    let once = pair.seal(&inner).unwrap();
    let twice = pair.seal(&once).unwrap();
    let mut batch = pair.batch(&[twice]);
    inbound::open(&mut batch, &pair);
    assert_eq!((batch.packets[0].frame.bytes(), batch.packets[0].opened_by), (&once[..], Some(7)));
    inbound::open(&mut batch, &pair);
    assert_eq!(batch.packets[0].frame.bytes(), once);
}

#[test]
fn the_spi_tells_whose_packet_it_is() {
    for udp in [false, true] {
        let kind = Kind { udp, ..tunnel() };
        let mut pair = Pair::new(&kind);
        let inner = inner_packets(&kind, 30).remove(0);
        let sealed = pair.seal(&inner).unwrap();
        let mut unknown = sealed.clone();
        unknown[if udp { 28 } else { 20 }] ^= 1;
        let spis: Vec<_> =
            [sealed, unknown, inner].iter().map(|octets| inbound::spi(&pair.packet(octets), &pair)).collect();
        assert_eq!(spis, [Some(SPI), None, None]);
    }
}

#[test]
fn the_service_can_be_off() {
    let mut inn = tunnel().inbound();
    inn.side = Side::Inbound(Receiving { replay_window: 0 });
    let mut pair = Pair::from(&tunnel().outbound(), &inn, 0);
    let inner = inner_packets(&tunnel(), 30).remove(0);
    let sealed = pair.seal(&inner).unwrap();
    assert_eq!(pair.open_batch(&[sealed.clone(), sealed]), [Ok(inner.clone()), Ok(inner)]);
}

#[test]
fn path_mtu_lowers_the_inner_mtu_for_ten_minutes() {
    let pair = Pair::new(&tunnel());
    let sa = pair.out.as_ref().unwrap();
    let at = |seconds: u64| Now(seconds * 1_000_000_000);
    let full = sa.inner_mtu(1500, at(0));
    assert_eq!(
        full, 1446,
        "1500 - 20 outer - 16 header and IV - 16 ICV, whole words, less 2 for the trailer"
    );
    assert!(sa.learn_path_mtu(1400, at(1)));
    assert_eq!((sa.inner_mtu(1500, at(2)), sa.status("t", at(2)).path_mtu), (1346, Some(1400)));
    assert_eq!(sa.inner_mtu(1300, at(2)), 1246);
    assert_eq!((sa.inner_mtu(1500, at(601)), sa.path_mtu(at(601))), (full, None));
}

proptest! {
    /// What fits by `inner_mtu` fits sealed, and one octet more does not; `overhead` is never exceeded.
    #[test]
    fn inner_mtu_is_exact(at in 0usize..208, mtu in 400u16..1600) {
        let kind = &kinds()[at];
        let mut pair = Pair::new(kind);
        let most = pair.out.as_ref().unwrap().inner_mtu(mtu, Now(0));
        let overhead = pair.out.as_ref().unwrap().overhead();
        let headers = inner_packets(kind, 0)[0].len();
        for (more, fits) in [(0, true), (1, false)] {
            let inner = inner_packets(kind, usize::from(most) + more - headers).remove(0);
            let sealed = pair.seal(&inner).unwrap();
            prop_assert_eq!(sealed.len() <= usize::from(mtu), fits, "{} of {}", sealed.len(), mtu);
            prop_assert!(sealed.len() <= inner.len() + usize::from(overhead));
        }
    }

    /// Whatever comes under a known SPI: no panic, a verdict, and no frame lost.
    #[test]
    fn garbage_never_panics(at in 0usize..208, mut octets in prop::collection::vec(any::<u8>(), 4..200)) {
        let kind = &kinds()[at];
        let mut pair = Pair::new(kind);
        octets[..4].copy_from_slice(&SPI.to_be_bytes());
        let (local, remote) = kind.endpoints();
        let result = pair.open(&ip_packet(local, remote, 50, &octets));
        prop_assert!(matches!(result, Err(Verdict::BadIcv | Verdict::BadEspLength | Verdict::Replayed)));
    }
}
