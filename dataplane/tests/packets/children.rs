//! Negotiated SAs: installed, replaced under traffic, narrowed, moved, aged and removed, as control asks.
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use std::num::NonZeroU64;
use std::time::Instant;

use crate::support::network::{host, lan_prefix, wan};
use crate::support::plan::{Plan, both, gcm, outbound, range, text};
use crate::support::samples::{Ip, udp};
use crate::support::{LAN, Rig, Setup, WAN, across, only};
use ravelin_contract::child::*;
use ravelin_contract::identity::{IdentityId, Pattern};
use ravelin_contract::message::{Event, Refusal, Reply};
use ravelin_contract::name::Name;
use ravelin_contract::rule::Action;
use ravelin_contract::sa::{Carrier, Mode, Receiving, Sa, Side, Spi, Transform};
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::{Selector, Upper};
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::wire::ip;

const NOTHING: Vec<Vec<u8>> = vec![];

fn packet(from: u8, to: u8) -> Vec<u8> {
    Ip::new(&host(from, false), &host(to, false), 17, udp(4000, 53, b"data")).octets()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Rules between two sites, without an SA.
fn policy(site: u8) -> Plan {
    let mut plan = Plan::of(site);
    let tunnel = plan.bare_tunnel("between");
    let [near, far] = [site, 3 - site].map(|site| text(lan_prefix(site, false)));
    plan.rules(both(&near, &far, Action::Protect(tunnel)))
}

fn site(site: u8) -> Rig {
    Rig::with(Setup::of(site), policy(site).done())
}

/// SPI from one site to the other in the round `round` of their key exchange.
fn spi(from: u8, round: u32) -> Spi {
    Spi::new(0x10000 * u32::from(from) + round).unwrap()
}

fn key(from: u8, round: u32) -> Transform {
    let key = [&[from; 12][..], &round.to_be_bytes()].concat();
    Transform::AesGcm16 { key: Secret::new(key), salt: [from; 4] }
}

fn selector(near: &str, far: &str) -> Selector {
    Selector { source: range(near), destination: range(far), upper: Upper::Any }
}

/// The pair of a round, as `site` has it.
fn child(site: u8, round: u32) -> Child {
    let peer = 3 - site;
    let Sa { side, local, remote, carrier, .. } = outbound(site, peer, &gcm());
    let Side::Outbound(sending) = side else { panic!("an inbound SA") };
    Child {
        name: name("paris"),
        tunnel: name("between"),
        mode: Mode::Tunnel,
        path: Path { local, remote, carrier },
        extended_sequence: false,
        selectors: vec![selector(&text(lan_prefix(site, false)), &text(lan_prefix(peer, false)))],
        inbound: Inbound {
            spi: spi(peer, round),
            transform: key(peer, round),
            receiving: Receiving { replay_window: 64 },
        },
        outbound: Outbound { spi: spi(site, round), transform: key(site, round), sending },
        lifetime: Lifetime::default(),
        start: Start::Sending,
        worker: None,
        identities: Vec::new(),
    }
}

fn install(child: Child) -> Change {
    Change::Install(Box::new(child))
}

fn try_change(rig: &mut Rig, changes: Vec<Change>) -> Result<Reply, Refusal> {
    rig.meanwhile(|engine| engine.change_children(engine.identity().0, changes))
}

/// On a loaded machine a worker may not get its turn in time; then nothing was changed, and it is asked again.
fn change(rig: &mut Rig, changes: impl IntoIterator<Item = Change>) {
    let changes: Vec<Change> = changes.into_iter().collect();
    let mut tries = std::iter::repeat_with(|| try_change(rig, changes.clone())).take(50);
    tries.find(|made| !matches!(made, Err(Refusal::NotInForce(_)))).unwrap().unwrap();
}

/// Both sites with the pair of round 1.
fn joined() -> (Rig, Rig) {
    let (mut a, mut b) = (site(1), site(2));
    change(&mut a, [install(child(1, 1))]);
    change(&mut b, [install(child(2, 1))]);
    (a, b)
}

fn list(rig: &Rig) -> Vec<ChildStatus> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let Reply::Children(page) = rig.engine.list_children(after) else { panic!("no list") };
        let Some(last) = page.last() else { return all };
        after = Some(last.spi);
        all.extend(page);
    }
}

fn look(rig: &mut Rig) -> Vec<Happening> {
    rig.meanwhile(|engine| engine.look_at_children());
    let happening = |event| match event {
        Event::Child { happening, .. } => Some(happening),
        _ => None,
    };
    rig.engine.take_events().into_iter().filter_map(happening).collect()
}

fn spi_on_wire(sealed: &[u8]) -> u32 {
    u32::from_be_bytes(sealed[20..24].try_into().unwrap())
}

fn number_on_wire(sealed: &[u8]) -> u32 {
    u32::from_be_bytes(sealed[24..28].try_into().unwrap())
}

#[test]
fn a_pair_opens_the_way_and_its_removal_closes_it_without_baring_a_packet() {
    let (mut a, mut b) = (site(1), site(2));
    assert_eq!(a.pass(LAN, &packet(1, 2)), NOTHING);
    assert_eq!(only(&a.counts()), Verdict::NoSa);
    let acquired = a.engine.take_events();
    assert!(matches!(&acquired[..], [Event::Acquire { tunnel, .. }] if *tunnel == name("between")));

    change(&mut a, [install(child(1, 1))]);
    change(&mut b, [install(child(2, 1))]);
    let (arrived, wire) = across(&mut a, &mut b, &packet(1, 2));
    assert_eq!((arrived.len(), spi_on_wire(&wire[0])), (1, spi(1, 1).get()));
    let (arrived, wire) = across(&mut b, &mut a, &packet(2, 1));
    assert_eq!((arrived.len(), spi_on_wire(&wire[0])), (1, spi(2, 1).get()));
    assert_eq!(a.heard().peers, [wan(2, false).parse::<std::net::IpAddr>().unwrap()]);

    let late = a.pass(LAN, &packet(1, 2));
    for rig in [&mut a, &mut b] {
        let ours = list(rig)[0].spi;
        change(rig, [Change::Remove(ours), Change::Remove(ours)]);
        assert_eq!((list(rig), rig.heard().peers), (vec![], vec![]));
    }
    assert_eq!(a.counted(|a| assert_eq!(a.pass(LAN, &packet(1, 2)), NOTHING)), [(Verdict::NoSa, 1)].into());
    assert_eq!(only(&b.counted(|b| b.receive(WAN, &late[0]))), Verdict::NoSuchSa);
}

/// As RFC 7296 2.8 has it: who answers receives before it answers, and sends by the new pair when the other does.
#[test]
fn pairs_are_replaced_under_traffic_without_a_lost_packet() {
    let (mut a, mut b) = joined();
    let (mut sent, mut arrived) = (0, 0);
    let mut both_ways = |a: &mut Rig, b: &mut Rig| {
        for _ in 0..5 {
            sent += 2;
            arrived += across(a, b, &packet(1, 2)).0.len() + across(b, a, &packet(2, 1)).0.len();
        }
    };
    for round in 2..20 {
        both_ways(&mut a, &mut b);
        change(&mut b, [install(Child { start: Start::Receiving, ..child(2, round) })]);
        both_ways(&mut a, &mut b);
        assert_eq!(look(&mut b), []);
        // Under way while the pairs change.
        let early = a.pass(LAN, &packet(1, 2));
        change(&mut a, [install(child(1, round))]);
        both_ways(&mut a, &mut b);
        assert_eq!(look(&mut b), [Happening::Used], "round {round}");
        assert_eq!(look(&mut b), []);
        change(&mut b, [Change::Send(spi(1, round))]);
        both_ways(&mut a, &mut b);
        assert_eq!(b.pass(WAN, &early[0]).len(), 1, "the old pair still receives");
        change(&mut a, [Change::Remove(spi(2, round - 1))]);
        change(&mut b, [Change::Remove(spi(1, round - 1))]);
        both_ways(&mut a, &mut b);
        assert_eq!((list(&a).len(), list(&b).len()), (1, 1));
    }
    assert_eq!(sent, arrived);
    a.assert_no_frame_lost();
    b.assert_no_frame_lost();
}

#[test]
fn narrow_selectors_hold_in_both_directions() {
    let (mut a, mut b) = (site(1), site(2));
    let narrow = |site: u8| {
        let far = format!("{}/32", host(3 - site, false));
        Child { selectors: vec![selector(&text(lan_prefix(site, false)), &far)], ..child(site, 1) }
    };
    change(&mut a, [install(narrow(1))]);
    // The peer was told the same, but sends what it likes.
    change(&mut b, [install(child(2, 1))]);
    assert_eq!(across(&mut a, &mut b, &packet(1, 2)).0.len(), 1);
    let elsewhere = Ip::new(&host(1, false), "10.2.0.77", 17, udp(1, 2, b"x")).octets();
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &elsewhere))), Verdict::NoSa);
    let stranger = Ip::new("10.2.0.77", &host(1, false), 17, udp(1, 2, b"x")).octets();
    let sealed = b.pass(LAN, &stranger);
    assert_eq!(only(&a.counted(|a| a.receive(WAN, &sealed[0]))), Verdict::SelectorMismatch);
}

/// The policy of site 1 where rules are for one of these patterns alone.
fn for_one(patterns: &[&str], number: u32) -> Snapshot {
    let mut snapshot = policy(1).done();
    snapshot.fingerprint = format!("for {number} of {patterns:?}");
    snapshot.identities = patterns.iter().map(|text| Pattern::new(*text).unwrap()).collect();
    snapshot.rules.iter_mut().for_each(|rule| rule.identities = vec![IdentityId(number)]);
    snapshot
}

/// Row B18: the SA of a peer is what opens a rule for it, and nothing else does.
#[test]
fn rules_for_some_peers_open_with_an_sa_of_theirs_and_close_with_it() {
    let who = |text: &str| vec![Pattern::new(text).unwrap()];
    let identify = |identities| Change::Identify { spi: spi(2, 1), identities };
    let (mut a, mut b) = (Rig::with(Setup::of(1), for_one(&["*@company"], 0)), site(2));
    let (mut open, mut shut) = (0, 0);
    let mut passes = |a: &mut Rig, b: &mut Rig| {
        let out = a.counted(|a| drop(across(a, b, &packet(1, 2))));
        let sealed = b.pass(LAN, &packet(2, 1));
        let back = a.counted(|a| drop(a.pass(WAN, &sealed[0])));
        let ends = (only(&out), only(&back));
        match ends {
            (Verdict::Protected, Verdict::Forwarded) => open += 1,
            (Verdict::WrongIdentity, Verdict::WrongIdentity) => shut += 1,
            other => panic!("{other:?}"),
        }
        ends.0 == Verdict::Protected
    };
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &packet(1, 2)))), Verdict::NoSa);
    assert!(matches!(&a.engine.take_events()[..], [Event::Acquire { .. }]), "one may be had");
    change(&mut b, [install(child(2, 1))]);
    change(&mut a, [install(Child { identities: who("*@elsewhere"), ..child(1, 1) })]);
    assert!(!passes(&mut a, &mut b));
    change(&mut a, [identify(who("*@company"))]);
    assert!(passes(&mut a, &mut b));
    assert_eq!(only(&a.counted(|a| a.receive(WAN, &packet(2, 1)))), Verdict::CleartextRefused);

    // By the pattern's text, whatever its number; who fits a new one is not known until control says so.
    a.meanwhile(|engine| engine.install(for_one(&["*@other", "*@company"], 1))).unwrap();
    assert!(passes(&mut a, &mut b));
    a.meanwhile(|engine| engine.install(for_one(&["*@other", "*@company"], 0))).unwrap();
    assert!(!passes(&mut a, &mut b));
    change(&mut a, [identify([who("*@company"), who("*@other")].concat())]);
    assert!(passes(&mut a, &mut b));
    let path = Path { remote: "192.0.2.99".parse().unwrap(), ..child(1, 1).path };
    change(&mut a, [Change::Move { spi: spi(2, 1), path }]);
    change(&mut a, [Change::Move { spi: spi(2, 1), path: child(1, 1).path }]);
    assert!(passes(&mut a, &mut b), "wherever it runs");
    change(&mut a, [identify(vec![])]);
    assert!(!passes(&mut a, &mut b));
    let sealed = b.pass(LAN, &packet(2, 1));
    change(&mut a, [identify(who("*@other")), Change::Remove(spi(2, 1))]);
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &packet(1, 2)))), Verdict::NoSa);
    assert_eq!(only(&a.counted(|a| a.receive(WAN, &sealed[0]))), Verdict::NoSuchSa);
    assert_eq!((open, shut), (4, 3));
    let many = vec![Pattern::new("*@company").unwrap(); 65];
    let refused = try_change(&mut a, vec![install(Child { identities: many, ..child(1, 2) })]);
    assert_eq!(refused, Err(ChildFault::Identities(spi(2, 2), 65).into()));
}

#[test]
fn ageing_and_end_are_told_once_and_the_end_closes() {
    let some = |n| NonZeroU64::new(n);
    let inner = packet(1, 2).len() as u64;
    let by_octets = |n| Bounds { octets: some(n * inner), ..Bounds::default() };
    let by_packets = |n| Bounds { packets: some(n), ..Bounds::default() };
    let by_time = |n| Bounds { seconds: some(n), ..Bounds::default() };
    let kinds: [(Bound, &dyn Fn(u64) -> Bounds); 3] =
        [(Bound::Octets, &by_octets), (Bound::Packets, &by_packets), (Bound::Seconds, &by_time)];
    for (bound, of) in kinds {
        let mut a = site(1);
        change(&mut a, [install(Child { lifetime: Lifetime { soft: of(3), hard: of(5) }, ..child(1, 1) })]);
        let mut told = vec![];
        for _ in 0..10 {
            a.receive(LAN, &packet(1, 2));
            a.hand.advance(1000);
            told.push(look(&mut a));
        }
        let mut expected = vec![vec![]; 10];
        (expected[2], expected[4]) = (vec![Happening::Ageing(bound)], vec![Happening::Expired(bound)]);
        assert_eq!(told, expected, "{bound:?}");
        assert_eq!(a.counts(), [(Verdict::Protected, 5), (Verdict::NoSa, 5)].into());
        assert_eq!(list(&a), []);
    }
}

#[test]
fn pairs_outlive_a_policy_that_has_their_tunnel_and_end_with_it() {
    let (mut a, mut b) = joined();
    let before = number_on_wire(&across(&mut a, &mut b, &packet(1, 2)).1[0]);
    // The tunnel has another number now.
    let mut plan = Plan::of(1);
    plan.bare_tunnel("another");
    let tunnel = plan.bare_tunnel("between");
    let other: Snapshot = plan.rules(both("10.1.0.0/24", "10.2.0.0/24", Action::Protect(tunnel))).done();
    a.install(other).unwrap();
    let (arrived, wire) = across(&mut a, &mut b, &packet(1, 2));
    assert_eq!((arrived.len(), number_on_wire(&wire[0])), (1, before + 1));
    assert_eq!(look(&mut a), []);

    let mut plan = Plan::of(1);
    let elsewhere = plan.bare_tunnel("elsewhere");
    a.install(plan.rules(both("10.1.0.0/24", "10.2.0.0/24", Action::Protect(elsewhere))).done()).unwrap();
    assert_eq!((look(&mut a), list(&a)), (vec![Happening::Orphaned], vec![]));
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &packet(1, 2)))), Verdict::NoSa);
    a.install(policy(1).done()).unwrap();
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &packet(1, 2)))), Verdict::NoSa, "it does not come back");
}

#[test]
fn a_manual_sa_of_a_new_policy_goes_before_a_negotiated_one_with_its_spi() {
    let mut a = site(1);
    change(&mut a, [install(child(1, 1))]);
    let manual = Sa { spi: spi(2, 1), ..crate::support::plan::inbound(2, 1, &gcm()) };
    a.install(policy(1).sas([manual]).done()).unwrap();
    assert_eq!((look(&mut a), list(&a)), (vec![Happening::Orphaned], vec![]));
    let refused = try_change(&mut a, vec![install(child(1, 1))]);
    assert_eq!(refused, Err(ChildFault::Taken(spi(2, 1)).into()));
}

#[test]
fn changes_are_made_together_or_not_at_all() {
    let mut a = site(1);
    change(&mut a, [install(child(1, 1))]);
    let held = list(&a);
    let generation = a.engine.status().generation;
    let path = child(1, 1).path;
    let v6 = "2001:db8::9".parse().unwrap();
    let wrong: Vec<(Change, Refusal)> = vec![
        (install(child(1, 1)), ChildFault::Taken(spi(2, 1)).into()),
        (
            install(Child { tunnel: name("no"), ..child(1, 3) }),
            ChildFault::Tunnel(spi(2, 3), name("no")).into(),
        ),
        (install(Child { selectors: vec![], ..child(1, 3) }), ChildFault::Selectors(spi(2, 3), 0).into()),
        (Change::Send(spi(2, 9)), ChildFault::Unknown(spi(2, 9)).into()),
        (Change::Move { spi: spi(2, 9), path }, ChildFault::Unknown(spi(2, 9)).into()),
        (
            Change::Move { spi: spi(2, 1), path: Path { remote: v6, ..path } },
            ravelin_contract::snapshot::Inconsistency::Endpoints("paris".into()).into(),
        ),
    ];
    for (wrong, expected) in wrong {
        let moved = Path { remote: "192.0.2.99".parse().unwrap(), ..path };
        let changes = vec![
            install(child(1, 2)),
            Change::Move { spi: spi(2, 1), path: moved },
            Change::Remove(spi(2, 1)),
            install(Child { start: Start::Receiving, ..child(1, 1) }),
            Change::Send(spi(2, 1)),
            wrong,
        ];
        assert_eq!(try_change(&mut a, changes), Err(expected));
        assert_eq!((list(&a), a.engine.status().generation), (held.clone(), generation));
    }
    let restarted = a.engine.change_children(a.engine.identity().0 ^ 1, vec![install(child(1, 2))]);
    assert_eq!(restarted, Err(ChildFault::Restarted.into()));
    let many = vec![Change::Send(spi(2, 1)); 257];
    assert_eq!(try_change(&mut a, many), Err(ChildFault::TooMany(257).into()));
    let mut bare = Rig::new(Setup::of(1));
    assert_eq!(try_change(&mut bare, vec![install(child(1, 1))]), Err(Refusal::NoPolicy));
}

/// Workers may have used the keys before one of them lagged.
#[test]
fn a_refused_pair_that_comes_again_repeats_no_number() {
    let mut a = Rig::with(Setup { workers: 2, ..Setup::of(1) }, policy(1).done());
    let engine = std::sync::Arc::clone(&a.engine);
    let frame = crate::support::network::framed(&a.setup, LAN, &packet(1, 2));
    let (first, plugs) = (&mut a.workers[0], &a.plugs);
    let mut used = 0;
    std::thread::scope(|scope| {
        let doing =
            scope.spawn(move || engine.change_children(engine.identity().0, vec![install(child(1, 1))]));
        while !doing.is_finished() {
            plugs[0][LAN].feed(&frame);
            first.breathe();
            let numbers =
                std::iter::from_fn(|| plugs[0][WAN].take()).map(|frame| number_on_wire(&frame[14..]));
            used = numbers.fold(used, u32::max);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(matches!(doing.join().unwrap(), Err(Refusal::NotInForce(_))));
    });
    assert!(used > 0 && list(&a).is_empty());
    change(&mut a, [install(child(1, 1))]);
    assert_eq!(number_on_wire(&a.pass(LAN, &packet(1, 2))[0]), used + 1);
}

#[test]
fn a_pair_that_moves_goes_on_where_it_was() {
    let udp_at = |remote_port| Carrier::Udp { local_port: 4500, remote_port, keepalive: 0 };
    let at = |site: u8, carrier| {
        let child = child(site, 1);
        Child { path: Path { carrier, ..child.path }, ..child }
    };
    let (mut a, mut b) = (site(1), site(2));
    change(&mut a, [install(at(1, udp_at(4500)))]);
    change(&mut b, [install(at(2, udp_at(4500)))]);
    assert_eq!(across(&mut a, &mut b, &packet(1, 2)).0.len(), 1);

    let path = Path { remote: wan(3, false).parse().unwrap(), carrier: udp_at(1234), ..child(1, 1).path };
    change(&mut a, [Change::Move { spi: spi(2, 1), path }]);
    let wire = a.pass(LAN, &packet(1, 2));
    let headers = ip::parse(&wire[0]).unwrap();
    assert_eq!((headers.flow.destination, headers.flow.upper), (path.remote, Some((4500, 1234))));
    assert_eq!(u32::from_be_bytes(wire[0][32..36].try_into().unwrap()), 2, "numbers go on");
    let status = list(&a).remove(0);
    assert_eq!((status.path, status.sent.packets), (path, 2));
    // And the window: what was taken before is not taken again.
    let (_, old) = across(&mut b, &mut a, &packet(2, 1));
    change(&mut a, [Change::Move { spi: spi(2, 1), path: at(1, udp_at(4500)).path }]);
    assert_eq!(only(&a.counted(|a| a.receive(WAN, &old[0]))), Verdict::Replayed);
}

/// `sealed`, as if it came from elsewhere.
fn from_elsewhere(sealed: &[u8], source: &str, port: u16) -> Vec<u8> {
    let esp = &sealed[28..];
    Ip::new(source, &wan(2, false), 17, udp(port, 4500, esp)).octets()
}

#[test]
fn a_peer_that_moves_is_told_once_and_only_by_what_it_has_sealed_last() {
    let carrier = Carrier::Udp { local_port: 4500, remote_port: 4500, keepalive: 0 };
    let in_udp = |site: u8| {
        let child = child(site, 1);
        Child { path: Path { carrier, ..child.path }, ..child }
    };
    let (mut a, mut b) = (site(1), site(2));
    change(&mut a, [install(in_udp(1))]);
    change(&mut b, [install(in_udp(2))]);
    let sealed: Vec<_> = (0..6).map(|_| a.pass(LAN, &packet(1, 2)).remove(0)).collect();
    let comes = |b: &mut Rig, packet: &[u8]| b.pass(WAN, packet).len();

    assert_eq!((comes(&mut b, &sealed[1]), look(&mut b)), (1, vec![]), "from where it should");
    let mut forged = from_elsewhere(&sealed[2], "203.0.113.5", 1);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!((comes(&mut b, &forged), look(&mut b)), (0, vec![]));
    let replayed = from_elsewhere(&sealed[1], "203.0.113.5", 1);
    assert_eq!((comes(&mut b, &replayed), look(&mut b)), (0, vec![]));
    let delayed = from_elsewhere(&sealed[0], "203.0.113.5", 1);
    assert_eq!((comes(&mut b, &delayed), look(&mut b)), (1, vec![]), "older than another");

    let (remote, port) = ("203.0.113.5".parse().unwrap(), Some(1234));
    for (number, told) in [(2, vec![Happening::PeerMoved { remote, port }]), (3, vec![])] {
        b.hand.advance(2000);
        let moved = from_elsewhere(&sealed[number], "203.0.113.5", 1234);
        assert_eq!((comes(&mut b, &moved), look(&mut b)), (1, told));
    }
    // Control agrees; from now on that is where it should be.
    let path = Path {
        remote,
        carrier: Carrier::Udp { local_port: 4500, remote_port: 1234, keepalive: 0 },
        ..in_udp(2).path
    };
    change(&mut b, [Change::Move { spi: spi(1, 1), path }]);
    b.hand.advance(2000);
    let moved = from_elsewhere(&sealed[4], "203.0.113.5", 1234);
    assert_eq!((comes(&mut b, &moved), look(&mut b)), (1, vec![]));
    let (remote, port) = (wan(1, false).parse().unwrap(), Some(4500));
    assert_eq!((comes(&mut b, &sealed[5]), look(&mut b)), (1, vec![Happening::PeerMoved { remote, port }]));
}

#[test]
fn few_numbers_left_are_told_once() {
    let mut a = site(1);
    change(&mut a, [install(child(1, 1))]);
    let [inbound, _] = child(1, 1).sas(ravelin_contract::rule::TunnelId(0));
    let [_, outbound] = child(2, 1).sas(ravelin_contract::rule::TunnelId(0));
    let mut pair =
        crate::support::esp_support::Pair::from(&outbound, &inbound, u64::from(u32::MAX) / 4 * 3 - 1);
    for told in [vec![], vec![Happening::Ageing(Bound::Numbers)], vec![]] {
        let sealed = pair.seal(&packet(2, 1)).unwrap();
        assert_eq!((a.pass(WAN, &sealed).len(), look(&mut a)), (1, told));
    }
}

#[test]
fn an_spi_that_is_not_there_is_told_within_limits() {
    let (mut a, mut b) = joined();
    let sealed = a.pass(LAN, &packet(1, 2));
    change(&mut b, [Change::Remove(spi(1, 1))]);
    let told = |b: &mut Rig| {
        b.receive(WAN, &sealed[0]);
        b.engine.take_events()
    };
    let [local, remote] = [2, 1].map(|site| wan(site, false).parse().unwrap());
    let expected = Event::UnknownSpi { spi: spi(1, 1).get(), local, remote, ports: None };
    assert_eq!((told(&mut b), told(&mut b)), (vec![expected.clone()], vec![]));
    b.hand.advance(1000);
    assert_eq!(told(&mut b), [expected]);
    b.meanwhile(|engine| engine.use_default_filters()).unwrap();
    b.hand.advance(1000);
    assert_eq!(told(&mut b), [], "default filters know of no SA at all");
}

#[test]
fn use_is_told_for_each_direction() {
    let (mut a, mut b) = joined();
    let usage =
        |packets: u64, idle_ms| Usage { packets, octets: packets * packet(1, 2).len() as u64, idle_ms };
    let of = |rig: &Rig, spi| match rig.engine.children_of(&[spi, self::spi(1, 77)]) {
        Reply::Children(found) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(of(&a, spi(2, 1))[0].sent, Usage::default());
    across(&mut a, &mut b, &packet(1, 2));
    assert_eq!(look(&mut a), []);
    a.hand.advance(7000);
    let status = of(&a, spi(2, 1));
    assert_eq!((status.len(), status[0].age), (1, 7));
    assert_eq!((status[0].sent, status[0].received), (usage(1, Some(7000)), Usage::default()));
    across(&mut b, &mut a, &packet(2, 1));
    assert_eq!(of(&a, spi(2, 1))[0].received, usage(1, Some(0)));
}

/// Row B23: default filters know no SA. The pairs wait, and come back with the policy.
#[test]
fn default_filters_put_pairs_aside() {
    let (mut a, mut b) = joined();
    a.meanwhile(|engine| engine.use_default_filters()).unwrap();
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &packet(1, 2)))), Verdict::ImplicitlyDenied);
    change(&mut a, [install(child(1, 2)), Change::Remove(spi(2, 1))]);
    change(&mut b, [install(child(2, 2))]);
    assert_eq!(only(&a.counted(|a| a.receive(LAN, &packet(1, 2)))), Verdict::ImplicitlyDenied);
    a.meanwhile(|engine| engine.use_policy()).unwrap();
    let (arrived, wire) = across(&mut a, &mut b, &packet(1, 2));
    assert_eq!((arrived.len(), spi_on_wire(&wire[0])), (1, spi(1, 2).get()));
}

/// Ten thousand pairs of one tunnel, 256 a message, while the worker breathes.
#[test]
fn ten_thousand_pairs_are_installed_soon() {
    const PAIRS: u32 = 10_000;
    let mut a = site(1);
    let began = Instant::now();
    let all: Vec<Change> = (0..PAIRS)
        .map(|n| {
            let far = format!("10.2.{}.{}/32", n / 256, n % 256);
            install(Child { selectors: vec![selector("10.1.0.0/24", &far)], ..child(1, n) })
        })
        .collect();
    for part in all.chunks(256) {
        change(&mut a, part.to_vec());
    }
    let took = began.elapsed();
    println!(
        "{PAIRS} pairs in {took:?}, the last generation in force after {} µs",
        a.engine.status().publish_us
    );
    assert!(took.as_secs() < 60, "{took:?}");
    assert_eq!(list(&a).len(), PAIRS as usize);
    let sealed = a.pass(LAN, &packet(1, 2));
    assert_eq!(spi_on_wire(&sealed[0]), spi(1, 5).get(), "10.2.0.5 is the sixth");
    let gone = (0..PAIRS).map(|n| Change::Remove(spi(2, n))).collect::<Vec<_>>();
    gone.chunks(256).for_each(|part| change(&mut a, part.to_vec()));
    assert_eq!((list(&a).len(), a.engine.status().counts.1), (0, 0));
}
