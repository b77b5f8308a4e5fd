//! The whole way of a packet through one, two and three gateways, as stories.
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use crate::support::esp_support::{Kind, kinds, octets};
use crate::support::network::{self, INTERNET, framed, host, lan, neighbour, port_mac, wan};
use crate::support::plan::{Plan, both, gcm, rule, sending};
use crate::support::samples::{Ip, internet_checksum, join, tcp, udp};
use crate::support::{LAN, LINKS, Rig, Setup, WAN, across, only};
use ravelin_contract::message::{Event, Refusal, Reply};
use ravelin_contract::name::Name;
use ravelin_contract::report::{FilterMode, SaStatus};
use ravelin_contract::rule::{Action, Direction, Discard, Rule};
use ravelin_contract::sa::{Carrier, Origin};
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::table::policy::PolicySource;
use ravelin_dataplane::wiring::{Place, TrunkIndex};

/// Data that shows wherever it is in clear.
const TAG: &[u8] = b"in clear this can be read by anyone";

/// Nobody sent anything.
const NOTHING: [Vec<u8>; 0] = [];

/// From the LAN host of one site to that of another.
fn hello(from: u8, to: u8, v6: bool, length: usize) -> Ip {
    let data = [TAG, &octets(length, 3)].concat();
    Ip::new(&host(from, v6), &host(to, v6), 17, udp(4000, 53, &data))
}

/// The packet as a frame to a port, with tags: type and control of each.
fn tagged(rig: &Rig, port: usize, tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut frame = framed(&rig.setup, port, packet);
    let tags: Vec<u8> = tags.iter().flat_map(|word| word.to_be_bytes()).collect();
    frame.splice(12..12, tags);
    frame
}

/// The packet after so many hops.
fn after_hops(packet: &Ip, hops: u8) -> Vec<u8> {
    Ip { hop_limit: packet.hop_limit - hops, ..packet.clone() }.octets()
}

fn site(number: u8, kind: &Kind) -> Rig {
    Rig::with(Setup::of(number), Plan::of(number).tunnel(3 - number, kind).done())
}

fn sites(kind: &Kind) -> (Rig, Rig) {
    (site(1, kind), site(2, kind))
}

fn shows_tag(packet: &[u8]) -> bool {
    packet.windows(TAG.len()).any(|window| window == TAG)
}

fn one(mut packets: Vec<Vec<u8>>) -> Vec<u8> {
    assert_eq!(packets.len(), 1);
    packets.remove(0)
}

/// The first SA of a direction.
fn sa(rig: &Rig, direction: Direction) -> SaStatus {
    let Reply::Sas { sas, .. } = rig.engine.list_sas(0) else { panic!("no SAs") };
    sas.into_iter().find(|sa| sa.direction == direction).unwrap()
}

fn mode(rig: &Rig) -> FilterMode {
    rig.engine.status().mode
}

/// Type, code and the second half of an ICMP error's argument, which is the MTU; the checksum must hold.
fn icmp_error(packet: &[u8]) -> (u8, u8, u16) {
    let at = if packet[0] >> 4 == 4 { 20 } else { 40 };
    if at == 20 {
        assert_eq!(internet_checksum(&packet[20..]), 0);
    }
    (packet[at], packet[at + 1], u16::from_be_bytes([packet[at + 6], packet[at + 7]]))
}

#[test]
fn between_two_sites_by_every_kind_of_tunnel() {
    for kind in kinds().into_iter().filter(|kind| kind.mode == gcm().mode) {
        let (mut a, mut b) = sites(&kind);
        for v6 in [false, true] {
            let there = hello(1, 2, v6, 100);
            let (arrived, wire) = across(&mut a, &mut b, &there.octets());
            assert_eq!(arrived, [after_hops(&there, 2)], "{kind:?}");
            let named = if kind.outer_v6 { wire[0][6] } else { wire[0][9] };
            assert_eq!((wire.len(), named), (1, if kind.udp { 17 } else { 50 }));
            let name = kind.transform.name();
            let authentic_only = name.contains("gmac") || name.contains("null");
            assert_eq!(shows_tag(&wire[0]), authentic_only, "{name}");

            let back = hello(2, 1, v6, 0);
            assert_eq!(across(&mut b, &mut a, &back.octets()).0, [after_hops(&back, 2)], "{kind:?}");
        }
        a.assert_no_frame_lost();
        b.assert_no_frame_lost();
        assert_eq!(a.counts(), [(Verdict::Forwarded, 2), (Verdict::Protected, 2)].into());
        assert_eq!(a.counts(), b.counts());
    }
}

#[test]
fn by_a_tagged_link() {
    let place = |vlan| Place { trunk: TrunkIndex(0), vlan: Some(vlan) };
    let setup = Setup { places: [place(5), place(9)], ..Setup::of(1) };
    let (mut a, mut b) = (Rig::with(setup, Plan::of(1).tunnel(2, &gcm()).done()), site(2, &gcm()));
    let (there, back) = (hello(1, 2, false, 10), hello(2, 1, true, 10));

    a.receive_frame(0, &tagged(&a, LAN, &[0x8100, 5], &there.octets()));
    let sealed = one(a.sent(0));
    assert_eq!(sealed[..4], [0, 9, 8, 0], "the tag of the WAN");
    assert_eq!(b.pass(WAN, &sealed[4..]), [after_hops(&there, 2)]);

    let sealed = one(b.pass(LAN, &back.octets()));
    // Its priority is the sender's business.
    a.receive_frame(0, &tagged(&a, WAN, &[0x8100, 0x6009], &sealed));
    let opened = one(a.sent(0));
    assert_eq!(opened[..4], [0, 5, 0x86, 0xdd], "the tag of the LAN");
    assert_eq!(opened[4..], after_hops(&back, 2));
    a.assert_no_frame_lost();
}

#[test]
fn nothing_comes_in_while_a_port_does_not_know_its_own_address() {
    let mut a = Rig::with(Setup::of(1), Plan::of(1).tunnel(2, &gcm()).done());
    let (view, mut ports) = (network::view(&a.setup), network::ports(&a.setup));
    ports[LAN].mac = [0; 6];
    a.meanwhile(|engine| engine.forwarding_changed(|before| before.rebuild(&view, &LINKS), ports));
    let packet = hello(1, 2, false, 10).octets();
    let mut to_nobody = framed(&a.setup, LAN, &packet);
    to_nobody[..6].fill(0);
    a.receive_frame(LAN, &to_nobody);
    assert_eq!((a.sent(WAN), a.pass(LAN, &packet)), (vec![], vec![]));
    assert_eq!(a.counts(), [(Verdict::OtherStation, 2)].into());
    // The kernel tells it.
    a.change_routes(|_| {});
    assert_eq!(a.pass(LAN, &packet).len(), 1);
}

#[test]
fn a_tunnel_reaches_the_gateway_itself_and_it_answers() {
    for v6 in [false, true] {
        let (mut a, mut b) = sites(&gcm());
        let question = Ip { destination: lan(2, v6).parse().unwrap(), ..hello(1, 2, v6, 100) };
        assert_eq!(across(&mut a, &mut b, &question.octets()).0, NOTHING, "nothing goes on to the LAN");
        assert_eq!(b.delivered(), [after_hops(&question, 1)]);
        assert_eq!(only(&b.counts()), Verdict::Local);

        let answer = Ip { source: question.destination, ..hello(2, 1, v6, 100) };
        assert!(b.host.send(&answer.octets()));
        b.breathe();
        let sealed = one(b.sent(WAN));
        assert!(!shows_tag(&sealed));
        assert_eq!(a.pass(WAN, &sealed), [after_hops(&answer, 1)], "the sender's own packet loses no hop");
        assert_eq!(b.counts(), [(Verdict::Local, 1), (Verdict::Protected, 1)].into());
        a.assert_no_frame_lost();
        b.assert_no_frame_lost();
    }
}

#[test]
fn filters_stand_before_the_gateways_own_stack_too() {
    let mut b = site(2, &gcm());
    let question = Ip { destination: lan(2, false).parse().unwrap(), ..hello(1, 2, false, 0) };
    let counts = b.counted(|b| b.receive(WAN, &question.octets()));
    assert_eq!((only(&counts), b.delivered()), (Verdict::CleartextRefused, vec![]));
    let outwards = Ip::new(&lan(2, false), INTERNET, 17, udp(1, 2, TAG));
    let counts = b.counted(|b| {
        assert!(b.host.send(&outwards.octets()));
        b.breathe();
    });
    assert_eq!((only(&counts), b.sent(WAN)), (Verdict::ImplicitlyDenied, vec![]));
}

#[test]
fn a_stack_that_takes_nothing_loses_packets_and_no_frames() {
    let (mut a, mut b) = sites(&gcm());
    let question = Ip { destination: lan(2, false).parse().unwrap(), ..hello(1, 2, false, 0) };
    for _ in 0..300 {
        across(&mut a, &mut b, &question.octets());
    }
    assert_eq!(b.counts(), [(Verdict::Local, 256), (Verdict::NoLocalPath, 44)].into());
    assert_eq!(b.delivered().len(), 256);
    b.assert_no_frame_lost();
}

#[test]
fn no_tag_carries_a_packet_into_a_zone() {
    let mut a = site(1, &gcm());
    let packet = hello(1, 2, false, 10).octets();
    for tags in [&[0x8100, 5][..], &[0x88a8, 0], &[0x8100, 0, 0x8100, 0], &[0x88a8, 7, 0x8100, 9]] {
        let frame = tagged(&a, LAN, tags, &packet);
        let counts = a.counted(|a| a.receive_frame(LAN, &frame));
        assert_eq!((only(&counts), a.sent(WAN)), (Verdict::UnknownVlan, vec![]), "{tags:x?}");
    }
    let priority = tagged(&a, LAN, &[0x8100, 0xe000], &packet);
    a.receive_frame(LAN, &priority);
    assert_eq!(a.sent(WAN).len(), 1, "VLAN 0 is no VLAN");
}

#[test]
fn what_is_too_long_is_cut_before_it_is_sealed() {
    let (mut a, mut b) = sites(&gcm());
    let packet = hello(1, 2, false, 1400);
    let (arrived, wire) = across(&mut a, &mut b, &packet.octets());
    assert_eq!((arrived.len(), wire.len()), (2, 2));
    assert!(wire.iter().all(|sealed| sealed.len() <= 1500 && sealed[9] == 50 && !shows_tag(sealed)));
    assert_eq!(join(&arrived), Some((17, packet.payload)));
    a.assert_no_frame_lost();
}

#[test]
fn who_forbids_cutting_is_told_the_size_that_fits() {
    for v6 in [false, true] {
        let (mut a, mut b) = sites(&gcm());
        let long = Ip { dont_fragment: true, ..hello(1, 2, v6, 1400) };
        a.receive(LAN, &long.octets());
        assert_eq!(a.sent(WAN), NOTHING);
        let (kind, code, mtu) = icmp_error(&one(a.sent(LAN)));
        assert_eq!((kind, code), if v6 { (2, 0) } else { (3, 4) });

        let headers = if v6 { 48 } else { 28 };
        let fits = Ip { dont_fragment: true, ..hello(1, 2, v6, usize::from(mtu) - headers - TAG.len()) };
        let (arrived, wire) = across(&mut a, &mut b, &fits.octets());
        assert_eq!(arrived, [after_hops(&fits, 2)]);
        assert!((1493..=1500).contains(&wire[0].len()), "the size told is the largest");
    }
}

/// A router between the gateways has a smaller link: the gateway believes it and passes it on to the sender.
#[test]
fn a_router_on_the_way_tells_of_a_smaller_link() {
    let (mut a, mut b) = sites(&gcm());
    let long = Ip { dont_fragment: true, ..hello(1, 2, false, 1300) };
    let sealed = one(a.pass(LAN, &long.octets()));
    let mut error = [&[3, 4, 0, 0, 0, 0], &1300u16.to_be_bytes()[..], &sealed[..28]].concat();
    let checksum = internet_checksum(&error);
    error[2..4].copy_from_slice(&checksum.to_be_bytes());
    let error = Ip::new("192.0.2.254", &wan(1, false), 1, error).octets();
    assert_eq!(only(&a.counted(|a| a.receive(WAN, &error))), Verdict::PathMtuLearned);
    assert_eq!(sa(&a, Direction::Outbound).path_mtu, Some(1300));

    a.receive(LAN, &long.octets());
    let (kind, code, mtu) = icmp_error(&one(a.sent(LAN)));
    assert_eq!((kind, code), (3, 4));
    let fits = Ip { dont_fragment: true, ..hello(1, 2, false, usize::from(mtu) - 28 - TAG.len()) };
    let (arrived, wire) = across(&mut a, &mut b, &fits.octets());
    assert_eq!(arrived, [after_hops(&fits, 2)]);
    assert!((1293..=1300).contains(&wire[0].len()));
    a.hand.advance(600_000);
    assert_eq!(a.pass(LAN, &long.octets()).len(), 1, "the path is tried anew");
}

#[test]
fn sealed_packets_that_a_router_cut_are_joined_and_opened() {
    for (outer_v6, udp) in [(false, false), (false, true), (true, false), (true, true)] {
        for last_first in [false, true] {
            let (mut a, mut b) = sites(&Kind { outer_v6, udp, ..gcm() });
            let packet = hello(1, 2, false, 700);
            let sealed = one(a.pass(LAN, &packet.octets()));
            let mut pieces = crate::support::cut(&sealed, 400);
            if last_first {
                pieces.reverse();
            }
            let counts = b.counted(|b| pieces.iter().for_each(|piece| b.receive(WAN, piece)));
            assert_eq!(b.sent(LAN), [after_hops(&packet, 2)]);
            assert_eq!(counts, [(Verdict::Forwarded, 1), (Verdict::Reassembled, 1)].into());
            b.assert_no_frame_lost();
        }
    }
}

/// Site 3 joins the tunnels of sites 1 and 2: out of one SA, into another, in by the WAN and out by the WAN.
#[test]
fn through_a_hub() {
    let kind = gcm();
    let spoke = |site: u8| {
        let far = 3 - site;
        let prefix = |site| format!("10.{site}.0.0/24");
        Rig::with(
            Setup::of(site),
            Plan::of(site).tunnel_between(3, &kind, &[(prefix(site), prefix(far))]).done(),
        )
    };
    let between = |near: &str, far: &str| vec![(near.to_owned(), far.to_owned())];
    let hub = Plan::of(3).tunnel_between(1, &kind, &between("10.2.0.0/24", "10.1.0.0/24")).tunnel_between(
        2,
        &kind,
        &between("10.1.0.0/24", "10.2.0.0/24"),
    );
    let (mut a, mut b, mut hub) = (spoke(1), spoke(2), Rig::with(Setup::of(3), hub.done()));
    let packet = hello(1, 2, false, 50);
    let first = one(a.pass(LAN, &packet.octets()));
    hub.receive(WAN, &first);
    let second = one(hub.sent(WAN));
    assert_eq!((&second[12..16], &second[16..20]), (&[192, 0, 2, 3][..], &[192, 0, 2, 2][..]));
    assert_ne!(first[20..24], second[20..24], "another SA");
    assert_eq!(b.pass(WAN, &second), [after_hops(&packet, 3)]);
    assert_eq!(hub.counts(), [(Verdict::Protected, 1)].into());
}

#[test]
fn packets_wait_for_a_neighbour_and_leave_in_order() {
    let (mut a, mut b) = sites(&gcm());
    b.change_routes(|view| view.neighbours.clear());
    let packets: Vec<_> = (0..3).map(|number| hello(1, 2, false, number)).collect();
    for packet in &packets {
        assert_eq!(across(&mut a, &mut b, &packet.octets()).0, NOTHING);
    }
    assert_eq!((b.workers[0].frames_held(), b.asks.len()), (3, 1));
    b.assert_no_frame_lost();
    let counts = b.counted(|b| {
        b.change_routes(|view| view.neighbours.push(neighbour(LAN, &host(2, false), [2, 0, 0, 0, 0, 9])));
        b.breathe();
    });
    assert_eq!(counts, [(Verdict::Forwarded, 3)].into());
    let arrived = b.sent(LAN);
    assert_eq!(arrived, packets.iter().map(|packet| after_hops(packet, 2)).collect::<Vec<_>>());
    b.assert_no_frame_lost();
}

#[test]
fn what_waits_too_long_ends() {
    let (mut a, mut b) = sites(&gcm());
    b.change_routes(|view| view.neighbours.clear());
    across(&mut a, &mut b, &hello(1, 2, false, 0).octets());
    b.hand.advance(999);
    assert_eq!(b.counted(Rig::breathe), [].into());
    b.hand.advance(1);
    assert_eq!(only(&b.counted(Rig::breathe)), Verdict::NoNeighbour);
    b.assert_no_frame_lost();
}

/// Permits from the LAN to the internet and the answers; knows nothing of tunnels.
fn defaults() -> PolicySource {
    PolicySource {
        rules: both("10.1.0.0/24", &format!("{INTERNET}/32"), Action::Permit),
        zones: vec![Name::new("wan").unwrap()],
        ..PolicySource::default()
    }
}

fn browse() -> Ip {
    Ip::new(&host(1, false), INTERNET, 17, udp(4000, 53, TAG))
}

#[test]
fn default_filters_permit_what_they_name_until_there_is_a_policy() {
    let mut a = Rig::new(Setup { defaults: defaults(), ..Setup::of(1) });
    assert_eq!(mode(&a), FilterMode::DefaultNoPolicy);
    assert_eq!(a.pass(LAN, &browse().octets()), [after_hops(&browse(), 1)]);
    let protected = hello(1, 2, false, 0).octets();
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &protected))), Verdict::ImplicitlyDenied);
    assert_eq!(a.sent(WAN), NOTHING);

    a.install(Plan::of(1).tunnel(2, &gcm()).done()).unwrap();
    assert_eq!(mode(&a), FilterMode::Policy);
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &protected))), Verdict::Protected);
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &browse().octets()))), Verdict::ImplicitlyDenied);
}

#[test]
fn the_switch_to_default_filters_stops_tunnels_survives_a_restart_and_is_taken_back() {
    let kind = gcm();
    let (mut a, mut b) = (Rig::new(Setup { defaults: defaults(), ..Setup::of(1) }), site(2, &kind));
    let policy = || Plan::of(1).tunnel(2, &kind).done();
    assert_eq!(a.meanwhile(|engine| engine.use_policy()), Err(Refusal::NoPolicy));
    a.install(policy()).unwrap();
    let (out, back) = (hello(1, 2, false, 0).octets(), hello(2, 1, false, 0));
    let sealed = one(b.pass(LAN, &back.octets()));

    a.meanwhile(|engine| engine.use_default_filters()).unwrap();
    assert_eq!(mode(&a), FilterMode::DefaultForced);
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &out))), Verdict::ImplicitlyDenied);
    assert_eq!(only(&a.counted(|a| a.receive(WAN, &sealed))), Verdict::NoSuchSa);
    assert_eq!(a.pass(LAN, &browse().octets()), [after_hops(&browse(), 1)]);

    let mut a = Rig::on(Setup { defaults: defaults(), ..Setup::of(1) }, a.state);
    a.install(policy()).unwrap();
    assert_eq!(mode(&a), FilterMode::DefaultForced, "a policy is held and not in force");
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &out))), Verdict::ImplicitlyDenied);
    a.meanwhile(|engine| engine.use_policy()).unwrap();
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &out))), Verdict::Protected);
    assert_eq!(a.pass(WAN, &sealed), [after_hops(&back, 2)]);
}

/// What the old filters let pass must not leave under the new ones, however long it waited.
#[test]
fn what_waits_for_a_neighbour_ends_with_the_policy_that_let_it_pass() {
    let mut a = site(1, &gcm());
    a.change_routes(|view| view.neighbours.clear());
    a.receive(LAN, &hello(1, 2, false, 0).octets());
    assert_eq!(a.workers[0].frames_held(), 1);
    let counts = a.counted(|a| {
        a.meanwhile(|engine| engine.use_default_filters()).unwrap();
        a.change_routes(|view| view.neighbours.push(neighbour(WAN, &wan(2, false), port_mac(2, WAN))));
        a.breathe();
    });
    assert_eq!(a.sent(WAN), NOTHING);
    assert_eq!(counts, [(Verdict::PolicyChanged, 1)].into());
    a.assert_no_frame_lost();
}

#[test]
fn a_bad_snapshot_leaves_the_old_one_in_force() {
    let (mut a, mut b) = sites(&gcm());
    let before = (a.engine.identity(), a.engine.status().generation, a.heard());
    let good = || Plan::of(1).tunnel(2, &gcm());
    let mut dangling = good().done();
    dangling.sas[1].tunnel.0 = 9;
    let unknown_zone = {
        let mut snapshot = good().done();
        snapshot.zones.push(Name::new("dmz").unwrap());
        snapshot
    };
    for bad in [Plan::of(1).done(), dangling, unknown_zone] {
        assert!(a.install(bad).is_err());
        assert_eq!((a.engine.identity(), a.engine.status().generation, a.heard()), before);
        let packet = hello(1, 2, false, 9);
        assert_eq!(across(&mut a, &mut b, &packet.octets()).0, [after_hops(&packet, 2)]);
    }
}

#[test]
fn a_reload_keeps_numbers_windows_and_counts() {
    let (mut a, mut b) = sites(&gcm());
    let packet = hello(1, 2, false, 0);
    let first = one(a.pass(LAN, &packet.octets()));
    assert_eq!(b.pass(WAN, &first).len(), 1);
    let more = rule(Direction::Outbound, "10.9.0.0/16", "10.8.0.0/16", Action::Permit);
    for (rig, site, peer) in [(&mut a, 1, 2), (&mut b, 2, 1)] {
        let mut snapshot = Plan::of(site).tunnel(peer, &gcm()).done();
        snapshot.rules.insert(0, more.clone());
        rig.install(snapshot).unwrap();
    }
    let second = one(a.pass(LAN, &packet.octets()));
    assert_eq!((&first[24..28], &second[24..28]), (&[0, 0, 0, 1][..], &[0, 0, 0, 2][..]));
    assert_eq!(only(&b.counted(|b| b.receive(WAN, &first))), Verdict::Replayed);
    assert_eq!(b.pass(WAN, &second), [after_hops(&packet, 2)]);
    assert_eq!(sa(&a, Direction::Outbound).traffic.0, 2);
    let inbound = sa(&b, Direction::Inbound);
    assert_eq!((inbound.traffic.0, inbound.drops), (2, vec![(Verdict::Replayed, 1)]));
    let Reply::Rules { rules, .. } = b.engine.list_rules(0) else { panic!("no rules") };
    assert_eq!(rules.iter().map(|rule| rule.matched.0).collect::<Vec<_>>(), [0, 0, 2, 0, 0]);
}

/// A manual key comes back with the process; its numbers go on behind the reservation.
#[test]
fn a_restart_repeats_no_number_and_accepts_no_old_packet() {
    let plan = |site: u8| Plan::of(site).tunnel(3 - site, &gcm()).each_sa(|sa| sa.origin = Origin::Manual);
    let mut a = Rig::with(Setup { step: 100, ..Setup::of(1) }, plan(1).done());
    let mut b = Rig::with(Setup::of(2), plan(2).done());
    let packet = hello(1, 2, false, 0);
    let before = one(a.pass(LAN, &packet.octets()));
    assert_eq!(b.pass(WAN, &before).len(), 1);
    b.engine.note_accepted_numbers();

    let mut a = Rig::on(Setup { step: 100, ..Setup::of(1) }, a.state);
    let mut b = Rig::on(Setup::of(2), b.state);
    a.install(plan(1).done()).unwrap();
    b.install(plan(2).done()).unwrap();
    assert_eq!(only(&b.counted(|b| b.receive(WAN, &before))), Verdict::Replayed);
    let after = one(a.pass(LAN, &packet.octets()));
    assert_eq!(after[24..28], 101u32.to_be_bytes());
    assert_eq!(b.pass(WAN, &after), [after_hops(&packet, 2)]);
}

#[test]
fn without_its_sa_traffic_stops_and_one_is_asked_for() {
    let (mut a, mut b) = sites(&gcm());
    let back = one(b.pass(LAN, &hello(2, 1, false, 0).octets()));
    let mut snapshot = Plan::of(1).tunnel(2, &gcm()).done();
    snapshot.sas.clear();
    a.install(snapshot).unwrap();
    let packet = hello(1, 2, false, 0);
    let counts = a.counted(|a| (0..5).for_each(|_| a.receive(LAN, &packet.octets())));
    assert_eq!(counts, [(Verdict::NoSa, 5)].into());
    assert_eq!(a.sent(WAN), NOTHING);
    let [Event::Acquire { tunnel, flow }] = &a.engine.take_events()[..] else {
        panic!("one event, once a second")
    };
    assert_eq!((tunnel.as_str(), flow.source.to_string()), ("to-2", host(1, false)));
    assert_eq!(only(&a.counted(|a| a.receive(WAN, &back))), Verdict::NoSuchSa);
    assert_eq!(a.heard().peers, [] as [std::net::IpAddr; 0]);
}

#[test]
fn the_surroundings_hear_what_must_not_pass_them_by() {
    let a = site(1, &Kind { udp: true, ..gcm() });
    let heard = a.heard();
    let far = ["10.2.0.0/24", "2001:db8:2::/64"].map(crate::support::plan::range);
    assert_eq!((&heard.prefixes[..], &heard.ports[..]), (&far[..], &[4500][..]));
    assert_eq!((heard.peers, heard.wakes), (vec![network::ip(&wan(2, false))], 1));
}

#[test]
fn in_clear_from_a_protected_prefix_is_refused() {
    let (mut a, _) = sites(&gcm());
    for v6 in [false, true] {
        let forged = hello(2, 1, v6, 0).octets();
        assert_eq!(only(&a.counted(|a| a.receive(WAN, &forged))), Verdict::CleartextRefused);
    }
    assert_eq!(a.sent(LAN), NOTHING);
}

#[test]
fn an_idle_sa_over_udp_keeps_its_mapping() {
    let snapshot = Plan::of(1).tunnel(2, &Kind { udp: true, ..gcm() }).each_sa(|sa| {
        sa.carrier = Carrier::Udp { local_port: 4500, remote_port: 4500, keepalive: 20 };
    });
    let mut a = Rig::with(Setup::of(1), snapshot.done());
    let mut b = site(2, &Kind { udp: true, ..gcm() });
    a.hand.advance(19_999);
    a.breathe();
    assert_eq!(a.sent(WAN), NOTHING);
    a.hand.advance(1);
    a.breathe();
    let keepalive = one(a.sent(WAN));
    assert_eq!((keepalive.len(), keepalive[28]), (29, 0xff));
    a.breathe();
    assert_eq!(a.sent(WAN), NOTHING, "once");
    assert_eq!(only(&b.counted(|b| b.receive(WAN, &keepalive))), Verdict::Keepalive);
}

#[test]
fn a_packet_at_the_end_of_its_hops_is_told_so() {
    for v6 in [false, true] {
        let (mut a, _) = sites(&gcm());
        let tired = Ip { hop_limit: 1, ..hello(1, 2, v6, 0) };
        a.receive(LAN, &tired.octets());
        let error = one(a.sent(LAN));
        assert_eq!(icmp_error(&error).0, if v6 { 3 } else { 11 });
        let source = if v6 { &error[8..24] } else { &error[12..16] };
        let own: std::net::IpAddr = lan(1, v6).parse().unwrap();
        match own {
            std::net::IpAddr::V4(own) => assert_eq!(source, own.octets()),
            std::net::IpAddr::V6(own) => assert_eq!(source, own.octets()),
        }
    }
}

fn with_rule(rule: Rule) -> Rig {
    Rig::with(Setup::of(1), Plan::of(1).rules([rule]).done())
}

#[test]
fn a_rule_may_tell_the_sender_that_it_denies() {
    let to = format!("{INTERNET}/32");
    let mut silent = with_rule(rule(Direction::Outbound, "10.1.0.0/24", &to, Action::Deny(Discard::Silent)));
    let mut telling = with_rule(rule(Direction::Outbound, "10.1.0.0/24", &to, Action::Deny(Discard::Icmp)));
    for rig in [&mut silent, &mut telling] {
        rig.receive(LAN, &browse().octets());
        assert_eq!(rig.sent(WAN), NOTHING);
        assert_eq!(rig.counts()[&Verdict::Denied], 1);
    }
    assert_eq!(silent.sent(LAN), NOTHING);
    let (kind, code, _) = icmp_error(&one(telling.sent(LAN)));
    assert_eq!((kind, code), (3, 13));
}

#[test]
fn tcp_is_asked_to_send_what_fits() {
    let clamp = |sa: &mut ravelin_contract::sa::Sa| {
        if sa.is_outbound() {
            sending(sa).clamp_mss = true;
        }
    };
    let mut a = Rig::with(Setup::of(1), Plan::of(1).tunnel(2, &gcm()).each_sa(clamp).done());
    let mut b = site(2, &gcm());
    let syn = Ip::new(&host(1, false), &host(2, false), 6, tcp(4000, 80, 2, &[2, 4, 5, 180]));
    let arrived = one(across(&mut a, &mut b, &syn.octets()).0);
    let mss = u16::from_be_bytes([arrived[42], arrived[43]]);
    assert!((1380..1420).contains(&mss), "{mss}");
}

/// A card spreads packets as it likes; the SA's owner opens them, whichever worker they came to.
#[test]
fn a_packet_for_another_workers_sa_is_handed_over() {
    let mut a = site(1, &gcm());
    let plan = Plan::of(2).tunnel(1, &gcm()).done();
    let mut b = Rig::with(Setup { workers: 3, ..Setup::of(2) }, plan);
    let packet = hello(1, 2, false, 30);
    for arrives_at in 0..3 {
        let sealed = one(a.pass(LAN, &packet.octets()));
        let frame = framed(&b.setup, WAN, &sealed);
        assert!(b.plugs[arrives_at][WAN].feed(&frame));
        b.breathe();
        b.breathe();
        assert_eq!(b.sent(LAN), [after_hops(&packet, 2)]);
    }
    assert_eq!(b.counts(), [(Verdict::Forwarded, 3), (Verdict::HandedOff, 2)].into());
    b.assert_no_frame_lost();
}

#[test]
fn frames_for_other_stations_are_not_ours_to_forward() {
    let (mut a, _) = sites(&gcm());
    let mut frame = framed(&a.setup, LAN, &hello(1, 2, false, 0).octets());
    frame[..6].copy_from_slice(&port_mac(2, LAN));
    assert_eq!(only(&a.counted(|a| a.receive_frame(LAN, &frame))), Verdict::OtherStation);
}
