//! The memory of a worker is what it took at the start: packets cost no allocation and give nothing back.
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]
#![expect(unsafe_code, reason = "a global allocator that counts is the only way to see every allocation")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ravelin_contract::rule::{Action, Direction, Discard, Log};
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::worker::Worker;
use support::connection::Talk;
use support::esp_support::{Kind, Pair, octets, transforms};
use support::network::{INTERNET, NOWHERE, framed, host, lan, wan};
use support::plan::{Plan, both, gcm, inbound, outbound, rule, udp_to};
use support::samples::{Ip, udp};
use support::{LAN, Rig, Setup, WAN, cut};

/// The system's allocator; counts what each thread asks of it.
struct Counting;

thread_local! {
    /// Allocations and releases of this thread.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: every call goes to the system's allocator as it came; counting touches a cell without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, there: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller keeps the contract of `dealloc`, and all memory is the system's.
        unsafe { System.dealloc(there, layout) }
    }

    unsafe fn realloc(&self, there: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`, and all memory is the system's.
        unsafe { System.realloc(there, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `act` called the allocator.
fn calls(act: impl FnOnce()) -> u64 {
    let before = CALLS.get();
    act();
    CALLS.get() - before
}

fn datagram() -> Vec<u8> {
    udp(4000, 53, &octets(100, 9))
}

fn plan(kind: &Kind) -> Plan {
    let internet = format!("{INTERNET}/32");
    let mut denied = rule(Direction::Outbound, "10.1.0.0/24", &internet, Action::Deny(Discard::Icmp));
    denied.selector.upper = udp_to(9);
    Plan::of(1).tunnel(2, kind).rules([denied]).rules(both("10.1.0.0/24", &internet, Action::Permit))
}

fn gateway(snapshot: Snapshot) -> Rig {
    Rig::with(Setup::of(1), snapshot)
}

/// What the breath costs in which a frame comes in.
fn one_breath(rig: &mut Rig, port: usize, frame: &[u8]) -> u64 {
    assert!(rig.plugs[0][port].feed(frame));
    let spent = breath(&mut rig.workers[0]);
    for plug in &rig.plugs[0] {
        plug.drain(|_| ());
    }
    spent
}

fn breath(worker: &mut Worker) -> u64 {
    calls(|| {
        worker.breathe();
    })
}

/// Feeds the frames again and again and counts what that costs once everything has been seen. Nothing but the breaths
/// is counted.
fn cost(rig: &mut Rig, port: usize, packets: &[Vec<u8>]) -> u64 {
    let frames: Vec<_> = packets.iter().map(|packet| framed(&rig.setup, port, packet)).collect();
    let mut cost = 0;
    for round in 0..200 {
        for frame in &frames {
            let spent = one_breath(rig, port, frame);
            cost += if round == 0 { 0 } else { spent };
        }
        rig.hand.advance(1);
    }
    cost
}

/// What is to cost nothing must also have happened.
fn assert_free(snapshot: Snapshot, port: usize, packets: &[Vec<u8>], expected: Verdict) {
    assert_rig_is_free(gateway(snapshot), port, packets, expected);
}

fn assert_rig_is_free(mut rig: Rig, port: usize, packets: &[Vec<u8>], expected: Verdict) {
    let spent = cost(&mut rig, port, packets);
    let counts = rig.counts();
    assert!(counts.get(&expected).is_some_and(|count| *count >= 200), "{expected:?}: {counts:?}");
    assert_eq!(spent, 0, "{expected:?}");
}

fn from_lan(destination: &str) -> Ip {
    Ip::new(&host(1, destination.contains(':')), destination, 17, datagram())
}

#[test]
fn the_allocator_counts() {
    assert_eq!(calls(|| drop(vec![1, 2, 3])), 2);
}

#[test]
fn sealing_and_opening_cost_nothing() {
    for transform in transforms() {
        for bits in 0..4 {
            let (outer_v6, udp) = (bits & 1 == 1, bits & 2 == 2);
            let kind = Kind { transform: transform.clone(), outer_v6, udp, ..gcm() };
            let out = [from_lan(&host(2, false)), from_lan(&host(2, true))].map(|ip| ip.octets());
            assert_free(plan(&kind).done(), LAN, &out, Verdict::Protected);

            // Each packet opens once, so there must be as many as rounds.
            let mut pair = Pair::from(&outbound(2, 1, &kind), &inbound(2, 1, &kind), 0);
            let inner = Ip::new(&host(2, false), &host(1, false), 17, datagram()).octets();
            let sealed: Vec<_> = (0..201).map(|_| pair.seal(&inner).unwrap()).collect();
            let mut rig = gateway(plan(&kind).done());
            cost(&mut rig, WAN, &sealed[..1]);
            let frames: Vec<_> = sealed[1..].iter().map(|packet| framed(&rig.setup, WAN, packet)).collect();
            let spent: u64 = frames.iter().map(|frame| one_breath(&mut rig, WAN, frame)).sum();
            assert_eq!((rig.counts()[&Verdict::Forwarded], spent), (201, 0));
        }
    }
}

#[test]
fn every_other_way_costs_nothing() {
    let policy = || plan(&gcm()).done();
    let long = Ip { payload: udp(4000, 53, &octets(1430, 1)), ..from_lan(&host(2, false)) };
    let whole = Ip::new(&wan(2, false), &wan(1, false), 50, octets(900, 1)).octets();
    let unbreakable = Ip { dont_fragment: true, ..long.clone() };
    let forbidden = Ip { payload: udp(4000, 9, b"x"), ..from_lan(INTERNET) };
    let later = cut(&from_lan(INTERNET).octets(), 16).remove(1);
    let pieces = cut(&from_lan(INTERNET).octets(), 16);
    for (port, packets, expected) in [
        (LAN, vec![from_lan(INTERNET).octets()], Verdict::Forwarded),
        (LAN, pieces, Verdict::Forwarded),
        (LAN, vec![later], Verdict::FragmentUnknown),
        (LAN, vec![long.octets()], Verdict::Protected),
        (LAN, vec![unbreakable.octets()], Verdict::TooBig),
        (LAN, vec![Ip { hop_limit: 1, ..from_lan(INTERNET) }.octets()], Verdict::HopLimitExceeded),
        (LAN, vec![forbidden.octets()], Verdict::Denied),
        (LAN, vec![from_lan("192.0.2.77").octets()], Verdict::ImplicitlyDenied),
        (LAN, vec![from_lan(NOWHERE).octets()], Verdict::NoRoute),
        (LAN, vec![from_lan(INTERNET).octets()[..19].to_vec()], Verdict::Malformed),
        (
            WAN,
            vec![Ip::new(&host(2, false), &host(1, false), 17, datagram()).octets()],
            Verdict::CleartextRefused,
        ),
        (WAN, vec![Ip::new(&wan(2, false), &wan(1, false), 50, octets(64, 1)).octets()], Verdict::NoSuchSa),
        (WAN, cut(&whole, 400), Verdict::Reassembled),
        (
            WAN,
            vec![Ip::new(&wan(2, false), &wan(1, false), 17, udp(4500, 4500, &[0xff])).octets()],
            Verdict::Keepalive,
        ),
    ] {
        assert_free(policy(), port, &packets, expected);
    }
}

/// Records of a segment and longer ones, both ways.
#[test]
fn a_running_tls_connection_costs_nothing() {
    for size in [1, 700, 1_400] {
        let mut talk = Talk::new();
        let data = octets(size, 5);
        let mut spent = 0;
        for round in 0..200 {
            let asked = talk.client_says(&data);
            let asked = framed(&talk.rig.setup, LAN, &asked);
            assert!(talk.rig.plugs[0][LAN].feed(&asked));
            let mut cost = breath(&mut talk.rig.workers[0]);
            assert_eq!(talk.hear(1), size + 22, "round {round}: one record");
            let answered = talk.server_says(&data);
            let answered = framed(&talk.rig.setup, WAN, &answered);
            assert!(talk.rig.plugs[0][WAN].feed(&answered));
            cost += breath(&mut talk.rig.workers[0]);
            assert_eq!(talk.hear(0), size, "round {round}: its content");
            spent += if round < 20 { 0 } else { cost };
            talk.rig.hand.advance(1);
        }
        assert_eq!(spent, 0, "{size} octets");
    }
}

#[test]
fn waiting_for_a_neighbour_costs_nothing() {
    let policy = Plan::of(1).rules(both("10.1.0.0/24", "192.0.2.0/24", Action::Permit)).done();
    let absent = Ip::new(&host(1, false), "192.0.2.77", 17, datagram()).octets();
    let mut rig = gateway(policy);
    let frame = framed(&rig.setup, LAN, &absent);
    let mut spent = 0;
    for _ in 0..200 {
        spent += one_breath(&mut rig, LAN, &frame);
        rig.hand.advance(100);
    }
    assert!(rig.counts()[&Verdict::NoNeighbour] > 100 && rig.asks.len() > 10);
    assert_eq!(spent, 0);
}

/// A new generation is taken, and the old one handed back, without freeing it here.
#[test]
fn changing_tables_costs_a_worker_nothing() {
    let mut rig = gateway(plan(&gcm()).done());
    let engine = std::sync::Arc::clone(&rig.engine);
    let worker = &mut rig.workers[0];
    let spent = std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for _ in 0..20 {
                engine.use_default_filters().unwrap();
                engine.use_policy().unwrap();
            }
        });
        let mut spent = 0;
        while !changing.is_finished() {
            spent += breath(worker);
            std::thread::yield_now();
        }
        spent
    });
    assert_eq!((spent, rig.engine.status().generation), (0, 42));
}

/// The exceptions: an event for the log and a question for an SA carry names, so they allocate, within limits that do not
/// grow with traffic: ten of a rule and one of a tunnel each second.
#[test]
fn events_cost_within_their_limits() {
    let mut logged = rule(Direction::Outbound, "10.1.0.0/24", INTERNET, Action::Permit);
    logged.log = Log::Yes;
    let per_second = |snapshot: Snapshot, packet: &Ip| {
        let mut rig = gateway(snapshot);
        let frame = framed(&rig.setup, LAN, &packet.octets());
        let first: u64 = (0..1000).map(|_| one_breath(&mut rig, LAN, &frame)).sum();
        rig.hand.advance(1000);
        let second: u64 = (0..10_000).map(|_| one_breath(&mut rig, LAN, &frame)).sum();
        let told = rig.engine.take_events().len();
        (first, second, told)
    };
    let (first, second, told) = per_second(Plan::of(1).rules([logged]).done(), &from_lan(INTERNET));
    assert!(first > 0 && first == second && first <= 10 * 4, "{first} and {second} calls");
    assert_eq!(told, 20);

    let mut without_sas = plan(&gcm()).done();
    without_sas.sas.clear();
    let (first, second, told) = per_second(without_sas, &from_lan(&host(2, false)));
    assert!(first > 0 && first == second && first <= 4, "{first} and {second} calls");
    assert_eq!(told, 2);
}

#[test]
fn what_is_for_the_gateway_costs_nothing() {
    let permit = rule(Direction::Inbound, "0.0.0.0/0", "0.0.0.0/0", Action::Permit);
    let to_us = [Ip::new(&host(1, false), &lan(1, false), 17, datagram()).octets()];
    let policy = Plan::of(1).rules([permit]).done();
    for (stack, expected) in [(true, Verdict::Local), (false, Verdict::NoLocalPath)] {
        let rig = Rig::with(Setup { stack, ..Setup::of(1) }, policy.clone());
        assert_rig_is_free(rig, LAN, &to_us, expected);
    }
}
