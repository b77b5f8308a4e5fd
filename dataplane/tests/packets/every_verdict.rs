//! For every verdict something that brings about it and nothing else, counted once.
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use crate::support::esp_support::{Kind, octets};
use crate::support::fuzzed::{null, sealed_by_hand};
use crate::support::network::{INTERNET, NOWHERE, framed, host, port_mac, route, wan};
use crate::support::plan::{Plan, both, gcm, range, rule, served, spi, tls_rule};
use crate::support::samples::{Ip, internet_checksum, tcp, udp};
use crate::support::{Counts, LAN, LINKS, Rig, Setup, WAN, cut};
use ravelin_contract::address::NumberRange;
use ravelin_contract::identity::{IdentityId, Pattern};
use ravelin_contract::rule::{Action, Direction, Discard, Rule, TunnelId};
use ravelin_contract::sa::{Mode, Origin, Sa};
use ravelin_contract::selector::{Selector, Upper};
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::tls::TlsAction;
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::esp::fingerprint::Fingerprint;
use ravelin_dataplane::esp::reservation::Store;
use ravelin_dataplane::esp::trailer;
use ravelin_dataplane::table::forwarding::view::{KernelRoute, RouteKind};
use ravelin_dataplane::wire::edit;

/// What was counted when it came about. Whoever adds a verdict has to say here how it happens.
fn bring_about(verdict: Verdict) -> Counts {
    match verdict {
        Verdict::Forwarded => at_site_1(LAN, &browse()),
        Verdict::Protected => at_site_1(LAN, &to_peer()),
        Verdict::Local => to_the_gateway_itself(true),
        Verdict::Held => held(),
        Verdict::Reassembled => second_of_three_pieces(400),
        Verdict::Keepalive => at_site_1(WAN, &to_gateway(17, udp(4500, 4500, &[0xff]))),
        Verdict::Dummy => authentic(59, &octets(40, 1), 0),
        Verdict::HandedOff => handed_over(0),
        Verdict::PathMtuLearned => path_mtu(),
        Verdict::Malformed => at_site_1(LAN, &browse()[..27]),
        Verdict::OtherStation => frame_to_site_1(&port_mac(3, LAN), [8, 0]),
        // What follows reads as the tag of VLAN 1280.
        Verdict::UnknownVlan => frame_to_site_1(&port_mac(1, LAN), [0x81, 0]),
        Verdict::NotIp => frame_to_site_1(&port_mac(1, LAN), [8, 6]),
        Verdict::BadChecksum => at_site_1(LAN, &changed(browse(), |packet| packet[10] ^= 1)),
        Verdict::FragmentLimit => at_site_1(WAN, &piece_of_esp(60_000)),
        Verdict::FragmentOverlap => piece_of_a_spoilt_packet(),
        Verdict::FragmentTimeout => piece_left_alone(),
        Verdict::FragmentUnknown => at_site_1(LAN, &later_fragment()),
        Verdict::NoSuchSa => at_site_1(WAN, &to_gateway(50, octets(60, 0x77))),
        Verdict::Replayed => sealed_twice(),
        Verdict::BadIcv => from_peer(|sealed| *sealed.last_mut().unwrap() ^= 1),
        Verdict::BadEspLength => from_peer(|sealed| shorten(sealed, 3)),
        Verdict::BadPadding => authentic(4, &from_far_host(), 0x11),
        Verdict::BadInner => authentic(6, &octets(40, 1), 0),
        Verdict::BadEcn => from_peer(|sealed| edit::set_traffic_class(sealed, 3)),
        Verdict::SelectorMismatch => outside_of_selectors(),
        Verdict::HandOffFull => handed_over(512),
        Verdict::Denied => by_rule(Action::Deny(Discard::Silent)),
        Verdict::ImplicitlyDenied => {
            at_site_1(LAN, &Ip::new(&host(1, false), "192.0.2.77", 17, datagram()).octets())
        }
        Verdict::CleartextRefused => at_site_1(WAN, &from_far_host()),
        Verdict::WrongTunnel => by_another_tunnel(),
        Verdict::WrongIdentity => of_somebody_else(),
        Verdict::NoSa => by_rule(Action::Protect(TunnelId(0))),
        Verdict::SequenceExhausted => numbers(Some(1 << 32), 0),
        Verdict::SequenceNotReserved => numbers(None, 10),
        Verdict::NotSealable => foreign_to_transport_mode(),
        Verdict::TooLongToSeal => as_long_as_a_frame(),
        Verdict::TooBig => at_site_1(LAN, &unanswerable(1501, 64)),
        Verdict::BatchFull => many_pieces(),
        Verdict::NoRoute => at_site_1(LAN, &Ip::new(&host(1, false), NOWHERE, 17, datagram()).octets()),
        Verdict::HopLimitExceeded => at_site_1(LAN, &unanswerable(100, 1)),
        Verdict::NotForwardable => {
            at_site_1(LAN, &Ip::new(&host(1, false), "224.0.0.5", 17, datagram()).octets())
        }
        Verdict::NoNeighbour => never_resolved(),
        Verdict::PolicyChanged => still_waiting_when_filters_change(),
        Verdict::NoLocalPath => to_the_gateway_itself(false),
        Verdict::NoFrame => held_without_a_frame(),
        Verdict::TransmitFull => cable_full(),
        Verdict::Spliced => secured(served(), &reset()),
        Verdict::TlsRefused => secured(TlsAction::Refuse, &reset()),
        Verdict::TlsFragment => secured(served(), &cut(&reset(), 32).remove(0)),
    }
}

#[test]
fn every_verdict_comes_about_alone_and_is_counted_once() {
    let wrong: Vec<_> = Verdict::ALL
        .iter()
        .map(|verdict| (*verdict, bring_about(*verdict)))
        .filter(|(verdict, counts)| *counts != [(*verdict, 1)].into())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn datagram() -> Vec<u8> {
    udp(4000, 53, &octets(40, 9))
}

fn browse() -> Vec<u8> {
    Ip::new(&host(1, false), INTERNET, 17, datagram()).octets()
}

fn to_peer() -> Vec<u8> {
    Ip::new(&host(1, false), &host(2, false), 17, datagram()).octets()
}

fn from_far_host() -> Vec<u8> {
    Ip::new(&host(2, false), &host(1, false), 17, datagram()).octets()
}

/// From the peer to the security endpoint of site 1.
fn to_gateway(protocol: u8, payload: Vec<u8>) -> Vec<u8> {
    Ip::new(&wan(2, false), &wan(1, false), protocol, payload).octets()
}

fn changed(mut packet: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut packet);
    packet
}

fn shorten(packet: &mut Vec<u8>, by: usize) {
    packet.truncate(packet.len() - by);
    let length = packet.len() as u16;
    edit::set_total_len(packet, length);
}

/// Tunnel to site 2; the internet in clear, but UDP to port 9 of it.
fn plan() -> Plan {
    let internet = format!("{INTERNET}/32");
    let mut chargen = rule(Direction::Outbound, "10.1.0.0/24", &internet, Action::Deny(Discard::Silent));
    chargen.selector.upper =
        Upper::Ports { protocol: 17, source: NumberRange::ALL, destination: NumberRange::single(9) };
    Plan::of(1).tunnel(2, &gcm()).rules([chargen]).rules(both("10.1.0.0/24", &internet, Action::Permit))
}

fn site_1() -> Rig {
    Rig::with(Setup::of(1), plan().done())
}

fn in_rig(mut rig: Rig, port: usize, packet: &[u8]) -> Counts {
    let counts = rig.counted(|rig| rig.receive(port, packet));
    rig.assert_no_frame_lost();
    counts
}

fn at_site_1(port: usize, packet: &[u8]) -> Counts {
    in_rig(site_1(), port, packet)
}

fn frame_to_site_1(destination: &[u8; 6], ether_type: [u8; 2]) -> Counts {
    let frame = [&destination[..], &[2, 0, 0, 0, 0, 1], &ether_type, &browse()].concat();
    site_1().counted(|rig| rig.receive_frame(LAN, &frame))
}

/// Only one of this rule for what leaves site 1, and a tunnel without SAs.
fn by_rule(action: Action) -> Counts {
    let mut plan = Plan::of(1);
    plan.bare_tunnel("empty");
    let only = rule(Direction::Outbound, "0.0.0.0/0", "0.0.0.0/0", action);
    in_rig(Rig::with(Setup::of(1), plan.rules([only]).done()), LAN, &browse())
}

/// Rules are for the company alone, and site 2 never said who it is.
fn of_somebody_else() -> Counts {
    let mut snapshot = plan().done();
    snapshot.identities = vec![Pattern::new("*@company.example").unwrap()];
    let protects = |rule: &&mut Rule| matches!(rule.action, Action::Protect(_));
    snapshot.rules.iter_mut().filter(protects).for_each(|rule| rule.identities = vec![IdentityId(0)]);
    in_rig(Rig::with(Setup::of(1), snapshot), WAN, &sealed_by_site_2())
}

/// What site 2 seals for site 1.
fn sealed_by_site_2() -> Vec<u8> {
    let mut b = Rig::with(Setup::of(2), Plan::of(2).tunnel(1, &gcm()).done());
    b.pass(LAN, &from_far_host()).remove(0)
}

fn from_peer(change: impl FnOnce(&mut Vec<u8>)) -> Counts {
    at_site_1(WAN, &changed(sealed_by_site_2(), change))
}

fn sealed_twice() -> Counts {
    let (mut rig, sealed) = (site_1(), sealed_by_site_2());
    rig.receive(WAN, &sealed);
    in_rig(rig, WAN, &sealed)
}

/// A packet with a good ICV and whatever inside; `spoil` changes the first octet of its padding.
fn authentic(next_header: u8, payload: &[u8], spoil: u8) -> Counts {
    let mut text = [payload, &vec![0; 8 + trailer::padding(payload.len() + 6, 4)]].concat();
    trailer::write(&mut text[payload.len()..], next_header);
    text[payload.len()] ^= spoil;
    let rig = Rig::with(Setup::of(1), Plan::of(1).tunnel(2, &null()).done());
    in_rig(rig, WAN, &to_gateway(50, sealed_by_hand(&text)))
}

/// The SA carries one host; its far end sends from another.
fn outside_of_selectors() -> Counts {
    let narrow = |sa: &mut Sa| {
        let source = range("10.2.0.99/32");
        sa.selectors = vec![Selector { source, destination: range("10.1.0.0/24"), upper: Upper::Any }];
    };
    let rig = Rig::with(Setup::of(1), Plan::of(1).tunnel(2, &gcm()).each_sa(narrow).done());
    in_rig(rig, WAN, &sealed_by_site_2())
}

/// Site 3 may send what it likes by its SA; the rule asks for the tunnel of site 2.
fn by_another_tunnel() -> Counts {
    let plan = plan().tunnel(3, &gcm());
    let mut third = Rig::with(
        Setup::of(3),
        Plan::of(3).tunnel_between(1, &gcm(), &[("0.0.0.0/0".to_owned(), "0.0.0.0/0".to_owned())]).done(),
    );
    third
        .change_routes(|view| std::sync::Arc::make_mut(&mut view.routes)[0].prefix = [203, 0, 114, 0].into());
    let forged = Ip::new(&host(2, false), &host(1, false), 17, datagram()).octets();
    let sealed = third.pass(LAN, &forged).remove(0);
    in_rig(Rig::with(Setup::of(1), plan.done()), WAN, &sealed)
}

fn foreign_to_transport_mode() -> Counts {
    let kind = Kind { mode: Mode::Transport, ..gcm() };
    in_rig(Rig::with(Setup::of(1), Plan::of(1).tunnel(2, &kind).done()), LAN, &to_peer())
}

/// An SA with a manual key: `noted` is where an earlier life of the process left it; `used` packets go before.
fn numbers(noted: Option<u64>, used: usize) -> Counts {
    let mut rig = Rig::new(Setup { step: 10, ..Setup::of(1) });
    let plan = plan().each_sa(|sa| sa.origin = Origin::Manual).done();
    if let Some(number) = noted {
        let sa = plan.sas.iter().find(|sa| sa.is_outbound()).unwrap();
        let store = Store::open(&rig.state.path().join("numbers")).unwrap();
        store.note(&Fingerprint::of_numbers(sa), number).unwrap();
    }
    rig.install(plan).unwrap();
    (0..used).for_each(|_| rig.receive(LAN, &to_peer()));
    in_rig(rig, LAN, &to_peer())
}

/// ESP packets whose SA the second of two workers owns come to the first, which has given `before` others away.
fn handed_over(before: usize) -> Counts {
    let mut rig = Rig::with(Setup { workers: 2, ..Setup::of(1) }, plan().done());
    assert_eq!(spi(2, 1) % 2, 1);
    let frame = framed(&rig.setup, WAN, &sealed_by_site_2());
    let give = |rig: &mut Rig| {
        assert!(rig.plugs[0][WAN].feed(&frame));
        rig.workers[0].breathe();
    };
    (0..before).for_each(|_| give(&mut rig));
    rig.counted(give)
}

fn path_mtu() -> Counts {
    let mut rig = site_1();
    let sealed = rig.pass(LAN, &to_peer()).remove(0);
    let quoted = changed(sealed, |sealed| edit::set_total_len(sealed, 1500));
    let mut error = [&[3, 4, 0, 0, 0, 0], &1300u16.to_be_bytes()[..], &quoted].concat();
    let checksum = internet_checksum(&error);
    error[2..4].copy_from_slice(&checksum.to_be_bytes());
    in_rig(rig, WAN, &Ip::new("192.0.2.254", &wan(1, false), 1, error).octets())
}

fn piece_of_esp(offset: u16) -> Vec<u8> {
    let piece = Ip::new(&wan(2, false), &wan(1, false), 50, octets(64, 1));
    Ip { fragment: Some((9, offset, true)), ..piece }.octets()
}

fn second_of_three_pieces(offset: u16) -> Counts {
    let mut rig = site_1();
    rig.receive(WAN, &piece_of_esp(0));
    in_rig(rig, WAN, &piece_of_esp(offset))
}

/// Two pieces overlap, so a third is refused for it too (RFC 5722).
fn piece_of_a_spoilt_packet() -> Counts {
    let mut rig = site_1();
    rig.receive(WAN, &piece_of_esp(0));
    rig.receive(WAN, &piece_of_esp(8));
    in_rig(rig, WAN, &piece_of_esp(400))
}

fn piece_left_alone() -> Counts {
    let mut rig = site_1();
    rig.receive(WAN, &piece_of_esp(0));
    rig.hand.advance(15_000);
    let counts = rig.counted(Rig::breathe);
    rig.assert_no_frame_lost();
    counts
}

/// What the rules say of it hangs on ports that only the first fragment shows.
fn later_fragment() -> Vec<u8> {
    cut(&browse(), 16).remove(1)
}

/// An ICMP error of `length` octets that must not be cut: no error is sent about it.
fn unanswerable(length: usize, hop_limit: u8) -> Vec<u8> {
    let error = [&[3, 1, 0, 0][..], &octets(length - 24, 0)].concat();
    let packet = Ip::new(&host(1, false), INTERNET, 1, error);
    Ip { dont_fragment: true, hop_limit, ..packet }.octets()
}

/// The links would carry the sealed packet, but no frame does.
fn as_long_as_a_frame() -> Counts {
    let rig = Rig::with(Setup { mtu: [9000; 2], ..Setup::of(1) }, plan().done());
    let packet = Ip::new(&host(1, false), &host(2, false), 17, udp(1, 2, &octets(1940, 0)));
    in_rig(rig, LAN, &packet.octets())
}

/// A batch has room for 64 packets, and this one would become 82.
fn many_pieces() -> Counts {
    let mut rig = Rig::with(Setup { frame_size: 4096, ..Setup::of(1) }, plan().done());
    rig.change_routes(|view| {
        let narrow = route(INTERNET, 32, RouteKind::Unicast, LINKS[WAN], Some("192.0.2.254"));
        let narrow = KernelRoute { mtu: Some(68), ..narrow };
        std::sync::Arc::make_mut(&mut view.routes).push(narrow);
    });
    let packet = Ip::new(&host(1, false), INTERNET, 17, udp(1, 2, &octets(3900, 0)));
    in_rig(rig, LAN, &packet.octets())
}

fn without_neighbours(setup: Setup) -> Rig {
    let mut rig = Rig::with(setup, plan().done());
    rig.change_routes(|view| view.neighbours.clear());
    rig
}

fn held() -> Counts {
    in_rig(without_neighbours(Setup::of(1)), LAN, &browse())
}

fn never_resolved() -> Counts {
    let mut rig = without_neighbours(Setup::of(1));
    rig.receive(LAN, &browse());
    rig.hand.advance(1000);
    let counts = rig.counted(Rig::breathe);
    rig.assert_no_frame_lost();
    counts
}

fn still_waiting_when_filters_change() -> Counts {
    let mut rig = without_neighbours(Setup::of(1));
    rig.receive(LAN, &browse());
    let counts = rig.counted(|rig| drop(rig.install(plan().done()).unwrap()));
    rig.assert_no_frame_lost();
    counts
}

/// To hold a packet takes a second frame.
fn held_without_a_frame() -> Counts {
    in_rig(without_neighbours(Setup { frames: 1, ..Setup::of(1) }), LAN, &browse())
}

fn to_the_gateway_itself(stack: bool) -> Counts {
    let permit = rule(Direction::Inbound, "0.0.0.0/0", "0.0.0.0/0", Action::Permit);
    let rig = Rig::with(Setup { stack, ..Setup::of(1) }, Plan::of(1).rules([permit]).done());
    in_rig(rig, WAN, &Ip::new("198.51.100.1", &wan(1, false), 17, datagram()).octets())
}

/// Belongs to no connection, and is never answered.
fn reset() -> Vec<u8> {
    Ip::new(&host(1, false), INTERNET, 6, tcp(4000, 443, 4, &[1; 20])).octets()
}

/// Comes to a gateway that does this with connections to port 443 of the internet.
fn secured(action: TlsAction, packet: &[u8]) -> Counts {
    let snapshot = Snapshot { tls: vec![tls_rule(443, action)], ..plan().done() };
    in_rig(Rig::with(Setup::of(1), snapshot), LAN, packet)
}

/// A cable with room for one frame, and nobody takes it: a port keeps 128 more.
fn cable_full() -> Counts {
    let mut rig = Rig::with(Setup { slots: 1, ..Setup::of(1) }, plan().done());
    (0..129).for_each(|_| rig.receive(LAN, &browse()));
    rig.counted(|rig| rig.receive(LAN, &browse()))
}
