//! Handshakes that are done, in both roles, and what comes after them.

use ravelin_contract::tls::{Ending, Order};
use ravelin_contract::tls_session::{Change, Happening, Role, Version};
use ravelin_log::heard::Heard;
use ravelin_tls::Handover;

use crate::{Bench, Seen, client, server};

const SERVER: &str =
    "[[rule]]\nname = \"in\"\nserver_port = 992\nrole = \"server\"\ncertificate = \"web/main\"\n";
const CLIENT: &str = "[[rule]]\nname = \"out\"\nserver_port = 992\nrole = \"client\"\ntrust = \"ca\"\n";

/// What is handed over at one end is what the other end has.
fn assert_twins(seen: &Seen, peer: &Handover) {
    let (ours, theirs) = (seen.session(), &peer.session);
    assert_eq!(ours.suite, theirs.suite);
    assert_eq!((&ours.sending.key, &ours.sending.iv), (&theirs.receiving.key, &theirs.receiving.iv));
    assert_eq!((&ours.receiving.key, &ours.receiving.iv), (&theirs.sending.key, &theirs.sending.iv));
}

fn returned(bench: &Bench, connection: ravelin_contract::tls::ConnectionId, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        match bench.world.next_order(connection) {
            Order::Returned { octets, .. } => all.extend_from_slice(octets.expose()),
            other => panic!("{other:?}"),
        }
    }
    all
}

#[test]
fn as_a_server_and_what_is_said_of_it() {
    let heard = Heard::everywhere();
    let bench =
        Bench::new(&format!("{SERVER}group = \"g\"\nproxy_protocol = \"v2\"\n[groups.g]\nsessions = 9\n"));
    let connection = bench.open("in", Role::Server);
    let mut peer = client(&bench.site, &[]);
    let seen = bench.meet(connection, &mut peer);
    assert_eq!(seen.taken(), seen.sent, "the handshake has used all");
    let Some(Order::Run { preface, .. }) = seen.orders.last() else { panic!("{:?}", seen.orders) };
    assert!(preface.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    assert_twins(&seen, &peer.finish().unwrap());
    let start = heard.wait("RVL-TLS-START", |record| record.text("rule") == "in");
    assert!(start.text("version").starts_with("TLS") && !start.text("suite").is_empty(), "{start:?}");
    bench.until(|standing| {
        let [one] = &standing.connections[..] else { return false };
        let agreed = one.agreed.as_ref().unwrap();
        (one.state.as_str(), one.rule.as_str(), one.group.as_str(), one.stale) == ("secure", "in", "g", false)
            && (agreed.version.as_str(), agreed.server_name.as_deref()) == ("TLSv1.3", Some("host.example"))
            && agreed.certificate.as_deref() == Some("web/main")
    });
    assert_eq!(bench.count("in", "done"), 1);

    // What the peer says before it has heard of the end of the handshake comes back in order.
    let early: Vec<u8> = (0..9000u32).map(|n| n as u8).collect();
    bench.world.octets(connection, &early);
    assert_eq!(returned(&bench, connection, early.len()), early);

    bench.world.ended(connection, Ending::Closed);
    bench.until(|standing| standing.connections.is_empty());
    let report = bench.door.ledger().report();
    let counts = report.rules.values().next().unwrap();
    assert_eq!((counts.running, counts.octets, counts.endings["closed"]), (0, [10, 20], 1));
    let end = heard.wait("RVL-TLS-END", |record| record.text("octets_out") == "10");
    assert_eq!((end.text("octets_in"), end.text("ending")), ("20".to_owned(), "Closed".to_owned()));
}

#[test]
fn as_a_client_and_the_tickets_that_follow() {
    let bench = Bench::new(&format!("{CLIENT}server_name = \"host.example\"\n"));
    let connection = bench.open("out", Role::Client);
    let mut peer = server(&bench.site);
    let seen = bench.meet(connection, &mut peer);
    assert_twins(&seen, &peer.finish().unwrap());
    // The server was done when it had our last message; its tickets came then, and are for the packet process to open.
    let tickets = seen.sent - seen.taken();
    assert!(tickets > 0);
    let back = returned(&bench, connection, tickets);
    assert_eq!((back.len(), &back[..3]), (tickets, &[23, 3, 3][..]));
}

#[test]
fn keys_change_in_step_with_the_peer() {
    let bench = Bench::new(SERVER);
    let connection = bench.open("in", Role::Server);
    let mut peer = client(&bench.site, &[]);
    bench.meet(connection, &mut peer);
    let mut keeper = peer.finish().unwrap().keeper;
    let change = || match bench.world.next_order(connection) {
        Order::Change { change, .. } => change,
        other => panic!("{other:?}"),
    };
    for answer in [false, true, true] {
        let Change::SendUnder { traffic, .. } = keeper.send_under(answer).unwrap() else {
            panic!("another change")
        };
        bench.world.happened(connection, Happening::PeerUpdated { answer });
        assert_eq!(change(), Change::ReceiveUnder(traffic));
        if answer {
            let Change::ReceiveUnder(traffic) = keeper.receive_under().unwrap() else {
                panic!("another change")
            };
            assert_eq!(change(), Change::SendUnder { traffic, ask_peer: false });
        }
    }
    bench.world.happened(connection, Happening::UpdateDue);
    let Change::ReceiveUnder(traffic) = keeper.receive_under().unwrap() else { panic!("another change") };
    assert_eq!(change(), Change::SendUnder { traffic, ask_peer: true });
}

#[test]
fn keys_of_tls12_last_as_long_as_the_connection() {
    let bench = Bench::new(&format!("{SERVER}versions = \"1.2\"\n"));
    let connection = bench.open("in", Role::Server);
    let mut peer = client(&bench.site, &[]);
    let seen = bench.meet(connection, &mut peer);
    assert_eq!(seen.session().suite.version(), Version::Tls12);
    assert_twins(&seen, &peer.finish().unwrap());
    bench.world.happened(connection, Happening::UpdateDue);
    bench.world.octets(connection, b"behind");
    assert_eq!(returned(&bench, connection, 6), b"behind", "nothing stands in front of it");
    bench.world.happened(connection, Happening::PeerUpdated { answer: false });
    assert!(
        matches!(bench.world.next_order(connection), Order::End { .. }),
        "there is no such thing in TLS 1.2"
    );
}

#[test]
fn many_at_once_do_not_mix() {
    let bench = Bench::new(SERVER);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let connection = bench.open("in", Role::Server);
                    let mut peer = client(&bench.site, &[]);
                    let seen = bench.meet(connection, &mut peer);
                    assert_twins(&seen, &peer.finish().unwrap());
                }
            });
        }
    });
    assert_eq!(bench.count("in", "done"), 32, "counted before keys are handed over");
}
