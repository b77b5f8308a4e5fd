//! Which segments leave the batch for the TLS splice, and how both legs of a connection meet.
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use crate::support::connection::{
    ACK, FIN, RST, SYN, Talk, advance, back, flags, keys, notices, order, out, sealed_anew,
};
use crate::support::crowd::{CONTENT, Crowd, resident};
use crate::support::network::{INTERNET, framed, host};
use crate::support::plan::{Plan, both, served, spoken_for, tls_rule};
use crate::support::samples::{Ip, internet_checksum};
use crate::support::{Counts, LAN, Rig, Setup, WAN};
use ravelin_contract::rule::Action;
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::tls::{Answer, ConnectionId, Ending, Notice, Order, TlsAction};
use ravelin_contract::tls_session::Role;
use ravelin_contract::verdict::Verdict;

fn rig(workers: usize, action: Option<TlsAction>) -> Rig {
    let permit = both("10.1.0.0/24", &format!("{INTERNET}/32"), Action::Permit);
    let tls = action.map(|action| tls_rule(443, action)).into_iter().collect();
    let snapshot = Snapshot { tls, ..Plan::of(1).rules(permit).done() };
    Rig::with(Setup { workers, ..Setup::of(1) }, snapshot)
}

fn counted(action: Option<TlsAction>, port: usize, packet: &[u8]) -> Counts {
    let mut rig = rig(1, action);
    let counts = rig.counted(|rig| rig.receive(port, packet));
    rig.assert_no_frame_lost();
    counts
}

#[test]
fn only_connections_of_a_rule_are_ended_here() {
    let forwarded: Counts = [(Verdict::Forwarded, 1)].into();
    for action in [None, Some(TlsAction::Pass)] {
        assert_eq!(counted(action, LAN, &out(4000, 443, SYN)), forwarded);
    }
    assert_eq!(counted(Some(served()), LAN, &out(4000, 80, SYN)), forwarded);
    let spliced: Counts = [(Verdict::Spliced, 1)].into();
    assert_eq!(counted(Some(served()), LAN, &out(4000, 443, RST)), spliced);
    assert_eq!(counted(Some(served()), WAN, &back(4000, 443, RST)), spliced, "from its other end, too");
}

#[test]
fn a_connection_that_a_rule_refuses_hears_a_reset() {
    let mut rig = rig(1, Some(TlsAction::Refuse));
    rig.receive(LAN, &out(4000, 443, SYN));
    let answers = rig.sent(LAN);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0][20 + 13] & RST, RST);
    assert!(rig.sent(WAN).is_empty());
}

#[test]
fn a_segment_of_a_connection_that_is_not_known_is_answered_and_goes_nowhere() {
    let mut rig = rig(1, Some(served()));
    rig.receive(LAN, &out(4000, 443, ACK));
    assert_eq!(rig.sent(LAN).len(), 1);
    assert!(rig.sent(WAN).is_empty());
}

/// A record adds at most 29 octets to its content; so what an end sends in one segment goes out in one.
#[test]
fn ends_are_told_of_a_smaller_segment_than_the_link_takes() {
    let mut rig = rig(1, Some(served()));
    rig.receive(LAN, &out(4000, 443, SYN));
    let syn = rig.sent(WAN).remove(0);
    assert_eq!(syn[40..44], [2, 4, 5, 151], "1,500 octets less headers less 29 are 1,431");
}

/// Whichever worker a card gives each packet to.
#[test]
fn both_legs_meet_on_one_worker() {
    let mut handed = 0;
    for client_port in 4000..4016 {
        let mut rig = rig(2, Some(served()));
        let give = |rig: &mut Rig, worker: usize, port: usize, packet: &[u8]| {
            let frame = framed(&rig.setup, port, packet);
            assert!(rig.plugs[worker][port].feed(&frame));
            (0..3).for_each(|_| rig.breathe());
        };
        let counts = rig.counted(|rig| give(rig, 0, LAN, &out(client_port, 443, SYN)));
        handed += counts.get(&Verdict::HandedOff).copied().unwrap_or(0);
        assert_eq!(rig.sent(WAN).len(), 1, "the SYN goes on: {counts:?}");
        give(&mut rig, 1, WAN, &back(client_port, 443, SYN | ACK));
        assert_eq!(rig.sent(LAN).len(), 1, "so does its answer");
    }
    assert!((1..16).contains(&handed), "{handed} of 16 belonged to the other worker");
}

/// Its rule is gone, but the connection runs: no worker lets its segments pass in clear.
#[test]
fn a_connection_outlives_its_rule_at_every_worker() {
    for client_port in 4000..4008 {
        let mut rig = rig(2, Some(served()));
        let give = |rig: &mut Rig, worker: usize, port: usize, packet: &[u8]| {
            let frame = framed(&rig.setup, port, packet);
            assert!(rig.plugs[worker][port].feed(&frame));
            (0..3).for_each(|_| rig.breathe());
        };
        give(&mut rig, 0, LAN, &out(client_port, 443, SYN));
        give(&mut rig, 0, WAN, &back(client_port, 443, SYN | ACK));
        let mut last = out(client_port, 443, ACK);
        advance(&mut last);
        give(&mut rig, 0, LAN, &last);
        let permit = both("10.1.0.0/24", &format!("{INTERNET}/32"), Action::Permit);
        rig.install(Plan::of(1).rules(permit).done()).unwrap();
        assert!(!rig.sent(LAN).is_empty() && !rig.sent(WAN).is_empty(), "it did not open");
        for worker in [0, 1] {
            let counts = rig.counted(|rig| give(rig, worker, LAN, &last));
            assert_eq!(counts.get(&Verdict::Spliced), Some(&1), "{counts:?}");
            assert!(rig.sent(WAN).is_empty(), "it passed in clear");
        }
    }
}

/// We speak for the client, whose SYN the server has answered; the client has not heard of it.
fn half_open(patient: bool) -> (Rig, ConnectionId) {
    let answer = if patient { Answer::AfterHandshake } else { Answer::AtOnce };
    half_open_in(rig(1, Some(spoken_for(Role::Client, answer))), patient)
}

fn half_open_in(mut rig: Rig, patient: bool) -> (Rig, ConnectionId) {
    rig.receive(LAN, &out(4000, 443, SYN));
    rig.receive(WAN, &back(4000, 443, SYN | ACK));
    let to_server: Vec<_> = rig.sent(WAN).iter().map(|packet| packet[33]).collect();
    if !patient {
        assert_eq!((to_server, flags(&rig.sent(LAN))), (vec![SYN], vec![SYN | ACK]));
        let mut last = out(4000, 443, ACK);
        advance(&mut last);
        rig.receive(LAN, &last);
        rig.sent(WAN);
    } else {
        assert_eq!((to_server, flags(&rig.sent(LAN))), (vec![SYN, ACK], vec![]));
    }
    let notices = notices(&rig);
    let [Notice::Opened { connection, role: Role::Client, .. }] = notices[..] else { panic!("{notices:?}") };
    (rig, connection)
}

/// The application has sent so many octets, behind keys; what went out for them.
fn application_says(rig: &mut Rig, connection: ConnectionId, count: usize) -> Vec<Vec<u8>> {
    order(rig, keys(connection));
    rig.sent(WAN);
    let mut packet = out(4000, 443, ACK);
    packet.extend(vec![7; count]);
    advance(&mut packet);
    let packet = sealed_anew(packet);
    rig.receive(LAN, &packet);
    rig.breathe();
    let mut packets = rig.sent(WAN);
    packets.retain(|packet| packet.len() > 60);
    packets
}

/// A router on the way to the server found `packet` too large.
fn too_big(packet: &[u8], mtu: u16) -> Vec<u8> {
    let mut message = [&[3, 4, 0, 0, 0, 0], &mtu.to_be_bytes()[..], &packet[..28]].concat();
    let sum = internet_checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    Ip::new("203.0.113.5", &host(1, false), 1, message).octets()
}

fn lengths(packets: &[Vec<u8>]) -> Vec<usize> {
    packets.iter().map(Vec::len).collect()
}

/// Our segments must not be cut, so who cannot carry them says so, and that is for us (RFC 1191).
#[test]
fn a_router_that_carries_less_is_listened_to() {
    let (mut rig, connection) = half_open(false);
    let sent = application_says(&mut rig, connection, 1_300);
    assert_eq!((sent.len(), sent[0][6] & 0x40), (1, 0x40), "it must not be cut");
    let mut other = sent[0].clone();
    other[24] ^= 0x40;
    let counts = rig.counted(|rig| rig.receive(WAN, &too_big(&other, 1_000)));
    assert_eq!(counts, [(Verdict::PathMtuLearned, 1)].into(), "it goes to nobody");
    assert!(rig.sent(WAN).is_empty(), "it is not about a segment in flight");
    rig.receive(WAN, &too_big(&sent[0], 1_000));
    let again = rig.sent(WAN);
    assert_eq!(lengths(&again), [1_000, sent[0].len() - 1_000 + 40], "{again:?}");
    assert!(rig.sent(LAN).iter().all(|packet| packet[9] == 6), "the application hears nothing of it");
    rig.assert_no_frame_lost();
}

#[test]
fn links_of_our_own_may_be_narrow_too() {
    let permit = both("10.1.0.0/24", &format!("{INTERNET}/32"), Action::Permit);
    let action = spoken_for(Role::Client, Answer::AtOnce);
    let snapshot = Snapshot { tls: vec![tls_rule(443, action)], ..Plan::of(1).rules(permit).done() };
    let narrow = Rig::with(Setup { mtu: [1_500, 900], ..Setup::of(1) }, snapshot);
    let (mut rig, connection) = half_open_in(narrow, false);
    let sent = application_says(&mut rig, connection, 1_300);
    assert_eq!(lengths(&sent)[0], 900);
    assert_eq!(sent.len(), 2);
    rig.assert_no_frame_lost();
}

/// Row A5: `connect()` ends when the handshake has.
#[test]
fn a_client_is_answered_when_there_are_keys() {
    let (mut rig, connection) = half_open(true);
    rig.receive(LAN, &out(4000, 443, SYN));
    assert!(rig.sent(LAN).is_empty(), "whoever asks again waits, too");
    order(&mut rig, keys(connection));
    assert_eq!(flags(&rig.sent(LAN)), [SYN | ACK]);
    let mut last = out(4000, 443, ACK);
    advance(&mut last);
    rig.receive(LAN, &last);
    assert_eq!((flags(&rig.sent(LAN)), flags(&rig.sent(WAN))), (vec![], vec![]));
    assert_eq!(notices(&rig), []);
    rig.assert_no_frame_lost();
}

/// By order of control, by the server, or because control is gone: the client sees a port at which nobody listens.
#[test]
fn a_handshake_that_fails_is_a_connection_that_is_refused() {
    let end = |rig: &mut Rig, connection| order(rig, Order::End { connection });
    let reset = |rig: &mut Rig, _| {
        let mut reset = back(4000, 443, RST | ACK);
        advance(&mut reset);
        rig.receive(WAN, &reset);
    };
    let silence = |rig: &mut Rig, _| {
        rig.hand.advance(1_200);
        rig.breathe();
    };
    type Way = (fn(&mut Rig, ConnectionId), Ending);
    let ways: [Way; 3] = [(end, Ending::Ordered), (reset, Ending::Reset), (silence, Ending::TimedOut)];
    for (fail, expected) in ways {
        let (mut rig, connection) = half_open(true);
        fail(&mut rig, connection);
        let refusal = rig.sent(LAN);
        assert_eq!(flags(&refusal), [RST | ACK]);
        assert_eq!(refusal[0][28..32], [0, 0, 0, 2], "it acknowledges the SYN");
        let told = notices(&rig);
        assert!(matches!(&told[..], [Notice::Ended { ending, .. }] if *ending == expected), "{told:?}");
        rig.receive(LAN, &out(4000, 443, SYN));
        assert!(flags(&rig.sent(WAN)).contains(&SYN), "the next attempt begins anew");
        rig.assert_no_frame_lost();
    }
}

#[test]
fn a_client_that_is_answered_at_once_hears_of_a_failure_by_a_reset() {
    let (mut rig, connection) = half_open(false);
    order(&mut rig, Order::End { connection });
    assert_eq!(flags(&rig.sent(LAN)), [RST | ACK]);
}

/// What the peer got last: an alert, the end of the stream, and no reset.
fn assert_told(packets: &[Vec<u8>], alert: usize) {
    let all = flags(packets);
    assert!(all.iter().all(|flags| flags & RST == 0), "a reset beside the alert: {all:?}");
    assert!(all.last().is_some_and(|flags| flags & FIN == FIN), "no end: {all:?}");
    let octets: usize = packets.iter().map(|packet| packet.len() - 40).sum();
    assert_eq!(octets, alert, "{packets:?}");
}

/// RFC 8446 6.2: what a peer may write meanwhile is acknowledged, not answered with a reset that overtakes the alert.
#[test]
fn a_peer_has_time_to_hear_an_alert() {
    let mut talk = Talk::new();
    let mut forged = talk.server_says(b"forged");
    let last = forged.len() - 1;
    forged[last] ^= 1;
    talk.rig.receive(WAN, &sealed_anew(forged));
    assert_told(&talk.rig.sent(WAN), 24);
    assert_eq!(flags(&talk.rig.sent(LAN)), [RST | ACK]);
    let told = notices(&talk.rig);
    assert!(matches!(&told[..], [Notice::Ended { ending: Ending::Failed(_), .. }]), "{told:?}");
    for _ in 0..2 {
        let more = talk.server_says(b"more");
        talk.rig.receive(WAN, &more);
    }
    assert_eq!(flags(&talk.rig.sent(WAN)), [ACK]);
    talk.rig.hand.advance(6_000);
    talk.rig.breathe();
    assert!(flags(&talk.rig.sent(WAN)).contains(&(RST | ACK)), "it had its time");
    let more = talk.server_says(b"more");
    talk.rig.receive(WAN, &more);
    assert_eq!(flags(&talk.rig.sent(WAN)), [RST]);
    assert_eq!((flags(&talk.rig.sent(LAN)), notices(&talk.rig)), (vec![], vec![]));
    talk.rig.assert_no_frame_lost();
}

#[test]
fn a_peer_has_time_to_hear_the_alert_of_a_handshake() {
    for patient in [false, true] {
        let (mut rig, connection) = half_open(patient);
        order(&mut rig, Order::Octets { connection, octets: vec![21, 3, 3, 0, 2, 2, 48] });
        order(&mut rig, Order::End { connection });
        assert_told(&rig.sent(WAN), 7);
        assert_eq!(flags(&rig.sent(LAN)), [RST | ACK]);
        rig.assert_no_frame_lost();
    }
}

/// Both ends are asked every two hours whether they are there; after twelve, octets go both ways at once. When an end answers no
/// more, the other is told.
#[test]
fn a_connection_outlives_hours_of_nothing_until_an_end_is_gone() {
    const TWO_HOURS: u64 = 7_200_100;
    let mut talk = Talk::new();
    for hour in [2, 4, 6, 8, 10, 12] {
        talk.rig.hand.advance(TWO_HOURS);
        talk.rig.breathe();
        let asked = [LAN, WAN].map(|port| flags(&talk.rig.sent(port)));
        assert_eq!(asked, [[ACK], [ACK]], "hour {hour}");
        let answers = [(LAN, talk.client_says(b"")), (WAN, talk.server_nods())];
        answers.iter().for_each(|(port, answer)| talk.rig.receive(*port, answer));
        assert_eq!(notices(&talk.rig), []);
    }
    for _ in 0..20 {
        let (up, down) = (talk.client_says(&[7; 1_000]), talk.server_says(&[8; 1_300]));
        talk.rig.receive(LAN, &up);
        talk.rig.receive(WAN, &down);
        talk.rig.breathe();
        assert_eq!((talk.hear(0), talk.hear(1)), (1_300, 1_022));
    }
    // The last octets are acknowledged, and then the server is gone.
    let answers = [(LAN, talk.client_says(b"")), (WAN, talk.server_nods())];
    answers.iter().for_each(|(port, answer)| talk.rig.receive(*port, answer));
    talk.rig.hand.advance(TWO_HOURS);
    talk.rig.breathe();
    let answer = talk.client_says(b"");
    talk.rig.receive(LAN, &answer);
    for _ in 0..8 {
        talk.rig.hand.advance(75_100);
        talk.rig.breathe();
        assert_eq!(notices(&talk.rig), [], "one that is slow is not gone");
    }
    assert_eq!(flags(&talk.rig.sent(WAN)), [ACK; 9]);
    talk.rig.sent(LAN);
    talk.rig.hand.advance(75_100);
    talk.rig.breathe();
    assert_eq!([LAN, WAN].map(|port| flags(&talk.rig.sent(port))), [[RST | ACK], [RST | ACK]]);
    let told = notices(&talk.rig);
    assert!(matches!(&told[..], [Notice::Ended { octets: [20_000, 26_000], .. }]), "{told:?}");
    talk.rig.assert_no_frame_lost();
}

/// Row G20: SYNs from nowhere take no room from who is there.
#[test]
fn a_flood_leaves_room_and_harms_no_running_connection() {
    let (mut rig, connection) = half_open(false);
    let spoofed: Vec<u16> = (10_000..10_200).collect();
    let counts = rig.counted(|rig| spoofed.iter().for_each(|port| rig.receive(LAN, &out(*port, 443, SYN))));
    assert_eq!(counts, [(Verdict::Spliced, 200), (Verdict::Forwarded, 200)].into());
    let (carried, answered) = (rig.sent(WAN).len(), flags(&rig.sent(LAN)));
    assert_eq!((carried, answered), (32, vec![SYN | ACK; 168]), "half of 64 are remembered");
    // Who is there brings the cookie back.
    rig.receive(LAN, &out(5_000, 443, SYN));
    let cookie = rig.sent(LAN).remove(0);
    let mut last = out(5_000, 443, ACK);
    advance(&mut last);
    let number = u32::from_be_bytes([cookie[24], cookie[25], cookie[26], cookie[27]]);
    last[28..32].copy_from_slice(&(number + 1).to_be_bytes());
    rig.receive(LAN, &sealed_anew(last));
    assert_eq!(flags(&rig.sent(WAN)), [SYN]);
    rig.receive(WAN, &back(5_000, 443, SYN | ACK));
    assert_eq!(flags(&rig.sent(WAN)), [ACK]);
    let told = notices(&rig);
    assert!(matches!(&told[..], [Notice::Opened { client, .. }] if client.port() == 5_000), "{told:?}");
    assert_eq!(application_says(&mut rig, connection, 1_000).len(), 1, "who was there before goes on");
    rig.assert_no_frame_lost();
}

#[test]
fn more_connections_than_there_is_room_for_are_refused() {
    let mut rig = rig(1, Some(served()));
    for port in 5_000..5_064 {
        rig.receive(LAN, &out(port, 443, SYN));
        rig.receive(WAN, &back(port, 443, SYN | ACK));
        let mut last = out(port, 443, ACK);
        advance(&mut last);
        rig.receive(LAN, &last);
    }
    assert_eq!(notices(&rig).len(), 64);
    rig.sent(LAN);
    rig.sent(WAN);
    let counts = rig.counted(|rig| rig.receive(LAN, &out(6_000, 443, SYN)));
    assert_eq!(counts, [(Verdict::TlsRefused, 1), (Verdict::Forwarded, 1)].into(), "refused by a reset");
    assert_eq!((flags(&rig.sent(LAN)), rig.sent(WAN).len()), (vec![RST | ACK], 0));
    rig.assert_no_frame_lost();
}

/// Control is gone: what waits for it is bounded, and nobody is left waiting for a handshake that nobody does.
#[test]
fn none_begins_that_control_would_not_hear_of() {
    let mut rig = rig(1, Some(spoken_for(Role::Client, Answer::AfterHandshake)));
    let begins = |rig: &mut Rig, port: u16| {
        rig.receive(LAN, &out(port, 443, SYN));
        rig.receive(WAN, &back(port, 443, SYN | ACK));
        rig.sent(WAN);
        let begins = rig.sent(LAN).is_empty();
        let mut reset = back(port, 443, RST | ACK);
        advance(&mut reset);
        rig.receive(WAN, &reset);
        rig.sent(LAN);
        begins
    };
    // Each tells of its begin and its end; 4,096 notices wait on their way, as many at the worker.
    let begun = (10_000..15_000).filter(|port| begins(&mut rig, *port)).count();
    assert_eq!(begun, 4_096);
    while !notices(&rig).is_empty() {
        rig.breathe();
    }
    assert!(begins(&mut rig, 20_000), "control is back");
    rig.assert_no_frame_lost();
}

/// Two thousand octets for a connection at rest, keys and all, and those at rest go on where they were. `make bench-splice`
/// has 110,000 of them.
#[test]
fn thousands_that_rest_cost_little_beside_hundreds_that_talk() {
    const ALONE: &str = "RAVELIN_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        // In a process of its own: other tests take memory, too.
        let name = "thousands_that_rest_cost_little_beside_hundreds_that_talk";
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        return assert!(alone.args(["--exact", name]).env(ALONE, "1").status().unwrap().success());
    }
    let frames = 4_096;
    let octets = |connections: u32| {
        let before = resident();
        let mut crowd = Crowd::new(connections, frames);
        crowd.add(connections, 1_000);
        crowd.pass_time(30_000);
        (crowd, resident() - before)
    };
    let ((_few, base), (mut crowd, all)) = (octets(64), octets(5_500));
    let each = all.saturating_sub(base) / (5_500 - 64);
    assert!((500..=2_048).contains(&each), "{each} octets");
    let talkers: Vec<_> = (0..500).map(|number| number * 11).collect();
    crowd.rouse(talkers.iter().copied());
    for from in [LAN, WAN, LAN] {
        let passed = crowd.say_much(from, &talkers, 4);
        assert_eq!(passed.octets, 500 * 4 * CONTENT);
        crowd.pass_time(15_000);
    }
    crowd.rig.assert_no_frame_lost();
}
