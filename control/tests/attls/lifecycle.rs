//! Policies, restarts and broken ways: what goes on, what ends, and when nobody is disturbed.

use std::time::Duration;

use ravelin_contract::tls::Order;
use ravelin_contract::tls_session::{Happening, Role};
use ravelin_log::heard::Heard;

use crate::{Bench, client, world};

const SERVER: &str =
    "[[rule]]\nname = \"in\"\nserver_port = 992\nrole = \"server\"\ncertificate = \"web/main\"\n";

#[test]
fn without_rules_nobody_is_asked() {
    let bench = Bench::new("[[rule]]\nserver_port = 1\nenabled = \"off\"\n");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(bench.world.visits(), (0, 0));
}

#[test]
fn a_packet_process_that_does_not_serve_is_asked_once_a_policy() {
    let heard = Heard::everywhere();
    let bench = Bench::without_policy();
    bench.world.refuse(true);
    for asked in 1..=2 {
        bench.apply(SERVER);
        world::wait(|| (bench.world.visits().1 >= asked).then_some(()));
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(bench.world.visits().1, asked);
    }
    heard.wait("RVL-TLS-NOT-SERVED", |record| !record.text("why").is_empty());
    bench.world.refuse(false);
    bench.apply(SERVER);
    let connection = bench.open("in", Role::Server);
    bench.meet(connection, &mut client(&bench.site, &[])).session();
}

#[test]
fn a_policy_that_is_replaced_keeps_its_connections_and_takes_no_new_ones() {
    let bench = Bench::new(SERVER);
    let running = bench.open("in", Role::Server);
    bench.meet(running, &mut client(&bench.site, &[])).session();
    let late = SERVER.replace("web/main", "late/main").replace("\"in\"", "\"new\"");
    bench.apply(&late);
    bench.until(|standing| standing.connections.iter().all(|one| one.stale));
    bench.world.octets(running, b"still there");
    assert!(matches!(bench.world.next_order(running), Order::Returned { .. }));
    // One that was mapped before the change is served by what it was mapped to.
    bench.world.set_policy(&SERVER.len().to_string());
    let mapped = bench.open("in", Role::Server);
    bench.meet(mapped, &mut client(&bench.site, &[])).session();
    bench.world.set_policy("nobody's");
    let stray = bench.open("in", Role::Server);
    assert!(matches!(bench.world.next_order(stray), Order::End { .. }));
    assert_eq!(bench.count("in", "no-policy"), 1);
}

#[test]
fn what_is_not_known_is_ended() {
    let bench = Bench::new(SERVER);
    // As after a restart of control: connections that another run of it served.
    for serial in 1000..1003 {
        let connection = ravelin_contract::tls::ConnectionId { worker: 3, slot: 1, serial };
        match serial {
            1000 => bench.world.octets(connection, b"x"),
            1001 => bench.world.happened(connection, Happening::PeerUpdated { answer: true }),
            _ => bench.world.stream_ended(connection),
        }
        assert!(matches!(bench.world.next_order(connection), Order::End { .. }));
    }
    let connection = ravelin_contract::tls::ConnectionId { worker: 3, slot: 1, serial: 2000 };
    bench.world.happened(connection, Happening::UpdateDue);
    let known = bench.open("in", Role::Server);
    bench.meet(known, &mut client(&bench.site, &[])).session();
    assert_eq!(bench.world.left(connection), 0, "one that runs goes on");
}

#[test]
fn after_a_restart_of_the_packet_process_no_order_reaches_a_namesake() {
    let bench = Bench::new(SERVER);
    let running = bench.open("in", Role::Server);
    bench.meet(running, &mut client(&bench.site, &[])).session();
    let waiting = bench.open("in", Role::Server);
    bench.until(|standing| standing.connections.len() == 2);
    bench.world.break_off(true);
    bench.until(|standing| standing.connections.is_empty());
    let next = bench.open("in", Role::Server);
    bench.meet(next, &mut client(&bench.site, &[])).session();
    assert_eq!((bench.world.left(running), bench.world.left(waiting)), (0, 0));
}

#[test]
fn a_way_that_breaks_ends_what_it_may_have_lost() {
    let bench = Bench::new(SERVER);
    let running = bench.open("in", Role::Server);
    bench.meet(running, &mut client(&bench.site, &[])).session();
    bench.world.break_off(false);
    assert!(matches!(bench.world.next_order(running), Order::End { .. }));
    let next = bench.open("in", Role::Server);
    bench.meet(next, &mut client(&bench.site, &[])).session();
}
