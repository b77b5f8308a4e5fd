//! Handshakes that come to nothing: the alert goes, the connection is ended, and the reason is told.

use ravelin_contract::tls::{Ending, Order};
use ravelin_contract::tls_session::Role;
use ravelin_log::heard::Heard;

use crate::{Bench, client, server, world};

const SERVER: &str =
    "[[rule]]\nname = \"in\"\nserver_port = 992\nrole = \"server\"\ncertificate = \"web/main\"\n";

/// What was told last.
fn told(bench: &Bench) -> (String, Option<u16>, String) {
    let told = world::wait(|| bench.door.ledger().failures().pop());
    (told.result, told.number, told.text)
}

#[test]
fn what_is_no_tls_gets_an_alert_and_an_end() {
    let heard = Heard::everywhere();
    let bench = Bench::new(SERVER);
    let connection = bench.open("in", Role::Server);
    bench.world.octets(connection, b"GET / HTTP/1.0\r\n\r\n");
    let alert = bench.world.next_order(connection);
    assert!(matches!(&alert, Order::Octets { octets, .. } if octets[0] == 21), "{alert:?}");
    let mut rest = vec![bench.world.next_order(connection)];
    while !matches!(rest.last(), Some(Order::End { .. })) {
        rest.push(bench.world.next_order(connection));
    }
    let (result, number, text) = told(&bench);
    assert_eq!((result.as_str(), number), ("not-tls", Some(5003)));
    assert!(text.contains("GET / HTTP/1.0"), "{text}");
    let record = heard.wait("RVL-TLS-ERROR", |record| record.text("result") == "not-tls");
    assert_eq!((record.text("rule"), record.text("return_code")), ("in".to_owned(), "5003".to_owned()));
    assert!(record.text("why").contains("GET / HTTP/1.0\\r\\n"), "escaped: {record:?}");
    bench.until(|standing| standing.connections.is_empty());
}

#[test]
fn clients_without_a_certificate_and_with_one_that_maps_to_nobody() {
    let mapped = format!("{SERVER}client_auth = \"safcheck\"\ntrust = \"ca\"\nversions = \"1.2\"\n");
    let bench = Bench::new(&mapped);
    for (shows, expected) in
        [(&[][..], ("no-certificate", Some(5001))), (&["clients/bob"][..], ("not-mapped", Some(5002)))]
    {
        let connection = bench.open("in", Role::Server);
        let seen = bench.meet(connection, &mut client(&bench.site, shows));
        assert!(matches!(seen.orders.last(), Some(Order::End { .. })), "{:?}", seen.orders);
        let (result, number, _) = told(&bench);
        assert_eq!((result.as_str(), number), expected);
    }
    let connection = bench.open("in", Role::Server);
    bench.meet(connection, &mut client(&bench.site, &["clients/ann"])).session();
    bench.until(|standing| {
        let agreed = standing.connections.first().and_then(|one| one.agreed.as_ref());
        agreed.is_some_and(|agreed| agreed.identity.as_deref() == Some("ann"))
    });
}

#[test]
fn a_server_of_another_name_is_refused_with_an_alert() {
    let bench = Bench::new(
        "[[rule]]\nname = \"out\"\nserver_port = 992\nrole = \"client\"\ntrust = \"ca\"\nserver_name = \"wrong.example\"\n",
    );
    let connection = bench.open("out", Role::Client);
    let mut peer = server(&bench.site);
    let seen = bench.meet(connection, &mut peer);
    assert!(matches!(seen.orders.last(), Some(Order::End { .. })), "{:?}", seen.orders);
    assert_eq!(peer.finish().unwrap_err().alert_received, Some(42));
    let (result, _, text) = told(&bench);
    assert_eq!(result, "wrong-name");
    assert!(text.contains("wrong.example"), "{text}");
}

#[test]
fn silence() {
    let bench = Bench::new(&format!("{SERVER}first_timeout = 1\n"));
    let silent = bench.open("in", Role::Server);
    assert!(matches!(bench.world.next_order(silent), Order::End { .. }));
    assert_eq!(told(&bench).1, Some(5004));
}

#[test]
fn an_early_end() {
    let bench = Bench::new(SERVER);
    let closed = bench.open("in", Role::Server);
    bench.world.octets(closed, &[22, 3, 1]);
    bench.world.stream_ended(closed);
    while !matches!(bench.world.next_order(closed), Order::End { .. }) {}
    assert_eq!(told(&bench).0, "closed");
    let reset = bench.open("in", Role::Server);
    bench.world.octets(reset, &[22, 3, 1]);
    bench.world.ended(reset, Ending::Reset);
    world::wait(|| (bench.count("in", "reset") == 1).then_some(()));
    bench.until(|standing| standing.connections.is_empty());
}

#[test]
fn a_ring_that_does_not_serve_is_told_where_it_is_named_and_serves_once_it_can() {
    let text = SERVER.replace("web/main", "fresh");
    let bench = Bench::without_policy();
    let me = ravelin_rings::access::Owner::User(rustix::process::geteuid().as_raw());
    bench.site.ring("fresh", me);
    let prepared = bench._runtime.block_on(bench.door.prepare(&crate::compiled(&text).attls));
    let said = prepared.unwrap_err().to_string();
    assert!(
        said.starts_with("attls.toml:5:15: error: rule `in`: fresh holds no certificate of ours"),
        "{said}"
    );

    bench.apply(&text);
    let connection = bench.open("in", Role::Server);
    assert!(matches!(bench.world.next_order(connection), Order::End { .. }));
    assert!(told(&bench).2.contains("fresh holds no certificate of ours"));
    use ravelin_rings::{issue::Profile, key::KeyKind};
    bench.site.certify(
        "fresh/one",
        "ca/root",
        KeyKind::P256,
        &["dns:host.example"],
        Profile::Server,
        (0, 30),
    );
    let shown = || {
        let connection = bench.open("in", Role::Server);
        let mut peer = client(&bench.site, &[]);
        let seen = bench.meet(connection, &mut peer);
        let chain = peer.finish().ok().map(|handover| format!("{:?}", handover.facts.peer));
        seen.orders.iter().any(|order| matches!(order, Order::Run { .. })).then_some(chain)
    };
    // Rings are looked at once a second.
    let first = world::wait(shown);
    assert!(first.unwrap().contains("CN=fresh/one"));
}
