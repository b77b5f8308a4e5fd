//! What the kernel is told, seen in the tables a moment later.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ravelin_dataplane::packet::{PortIndex, Route};

use crate::host::raise;
use crate::lab::{A, B, Lab, Namespace, ip};

fn via(port: PortIndex, next_hop: &str, mtu: u16) -> Option<Route> {
    Some(Route::Via { port, next_hop: ip(next_hop), mtu })
}

#[test]
fn the_first_picture_is_there_at_once() {
    let lab = Lab::new();
    let held = lab.table.lock().unwrap();
    let table = &held.1;
    assert_eq!(table.route(ip("10.1.0.2")), via(A, "10.1.0.2", 1500));
    assert_eq!(table.route(ip("2001:db8:2::2")), via(B, "2001:db8:2::2", 1500));
    assert_eq!(table.route(ip("10.2.0.1")), Some(Route::Local));
    assert_eq!(table.route(ip("10.2.0.255")), None);
    assert_eq!(table.route(ip("192.0.2.1")), None);
    assert!(table.link(A).unwrap().up);
}

#[test]
fn routes_addresses_and_links_are_followed() {
    let lab = Lab::new();
    let (there, there6) = (ip("192.0.2.1"), ip("2001:db8:9::1"));
    lab.gateway
        .ip("route add 192.0.2.0/24 via 10.2.0.254 mtu 1400\nroute add 2001:db8:9::/48 via 2001:db8:2::fe");
    lab.until("routes come", |t| t.route(there) == via(B, "10.2.0.254", 1400));
    lab.until("IPv6 routes come", |t| t.route(there6) == via(B, "2001:db8:2::fe", 1500));
    lab.gateway.ip("route replace 192.0.2.0/24 via 10.1.0.254");
    lab.until("routes are replaced", |t| t.route(there) == via(A, "10.1.0.254", 1500));
    lab.gateway.ip("route add blackhole 192.0.2.0/25");
    lab.until("routes are refused", |t| t.route(there).is_none() && t.route(ip("192.0.2.200")).is_some());
    lab.gateway.ip("route del blackhole 192.0.2.0/25\naddr add 192.0.2.7/32 dev va");
    lab.until("addresses come", |t| t.is_local(ip("192.0.2.7")) && t.route(there).is_some());
    lab.gateway.ip("addr del 192.0.2.7/32 dev va\nlink set va mtu 1300");
    lab.until("addresses go", |t| !t.is_local(ip("192.0.2.7")));
    lab.until("the MTU falls", |t| t.route(there) == via(A, "10.1.0.254", 1300));
    // The kernel removes these routes without a message.
    lab.gateway.ip("link set va down");
    lab.until("routes go with their link", |t| t.route(there).is_none() && t.route(ip("10.1.0.2")).is_none());
    lab.gateway.ip("link set va up");
    lab.until("routes come back with their link", |t| t.route(ip("10.1.0.2")).is_some());
    lab.gateway.ip("link del vb");
    lab.until("everything goes with the interface", |t| t.link(B).is_none() && t.route(there6).is_none());
}

#[test]
fn routes_that_share_prefix_and_metric_are_read_again() {
    let lab = Lab::new();
    let there = ip("192.0.2.1");
    lab.gateway.ip("route add 192.0.2.0/24 via 10.1.0.254\nroute append 192.0.2.0/24 via 10.2.0.254");
    lab.until("the first is kept", |t| t.route(there) == via(A, "10.1.0.254", 1500));
    lab.gateway.ip("route del 192.0.2.0/24 via 10.1.0.254");
    lab.until("the second takes over", |t| t.route(there) == via(B, "10.2.0.254", 1500));
    lab.gateway
        .ip("route del 192.0.2.0/24\nnexthop add id 7 via 10.1.0.253 dev va\nroute add 192.0.2.0/24 nhid 7");
    lab.until("next hop objects are seen", |t| t.route(there) == via(A, "10.1.0.253", 1500));
    lab.gateway.ip("nexthop replace id 7 via 10.2.0.253 dev vb");
    lab.until("next hop objects are followed", |t| t.route(there) == via(B, "10.2.0.253", 1500));
}

#[test]
fn neighbours_are_resolved_on_demand() {
    let lab = Lab::new();
    for (port, address, mac) in [(A, "10.1.0.2", 1), (B, "10.2.0.2", 2), (B, "2001:db8:2::2", 2)] {
        assert_eq!(
            lab.table.lock().unwrap().1.link_address(port, ip(address)),
            None,
            "{address} is known already"
        );
        lab.ask(port, address);
        let wanted = Some([2, 0, 0, 0, 0, mac]);
        lab.until(address, |t| t.link_address(port, ip(address)) == wanted);
    }
    lab.gateway.ip("neigh flush dev va");
    lab.until("neighbours go", |t| t.link_address(A, ip("10.1.0.2")).is_none());
    lab.peers[0].ip("link set pa address 02:00:00:00:00:99");
    lab.ask(A, "10.1.0.2");
    lab.until("neighbours change", |t| t.link_address(A, ip("10.1.0.2")) == Some([2, 0, 0, 0, 0, 0x99]));
}

#[test]
fn stale_neighbours_in_use_are_confirmed() {
    let lab = Lab::new();
    lab.gateway.run(|| std::fs::write("/proc/sys/net/ipv4/neigh/va/delay_first_probe_time", "0").unwrap());
    lab.gateway.ip("neigh add 10.1.0.2 lladdr 02:00:00:00:00:77 dev va nud stale");
    lab.until("the stale entry is used", |t| {
        t.link_address(A, ip("10.1.0.2")) == Some([2, 0, 0, 0, 0, 0x77])
    });
    lab.ask(A, "10.1.0.2");
    let begun = Instant::now();
    let right = Some([2, 0, 0, 0, 0, 1]);
    // Unicast probes to the wrong address go unanswered; then the kernel gives up or asks everybody.
    while lab.table.lock().unwrap().1.link_address(A, ip("10.1.0.2")) != right {
        assert!(begun.elapsed() < Duration::from_secs(15), "never confirmed");
        thread::sleep(Duration::from_millis(50));
        lab.ask(A, "10.1.0.2");
    }
}

#[test]
fn a_thousand_routes_come_and_go() {
    let lab = Lab::new();
    let before = lab.table.lock().unwrap().1.routes();
    let each = |verb: &str| {
        let line = |n: u32| format!("route {verb} 172.16.{}.{}/32 via 10.2.0.254\n", n / 250, n % 250);
        (0..1000).map(line).collect::<String>()
    };
    let published = lab.table.lock().unwrap().2;
    lab.gateway.ip(&each("add"));
    lab.until("all come", |t| t.routes() == before + 1000);
    lab.gateway.ip(&each("del"));
    lab.until("all go", |t| t.routes() == before);
    let publications = lab.table.lock().unwrap().2 - published;
    assert!(publications < 200, "{publications} publications for two thousand changes");
}

#[test]
fn messages_that_were_lost_do_no_harm() {
    let lab = Lab::new();
    // While the publication is held up, nobody reads, and the kernel must drop messages.
    let held = lab.table.lock().unwrap();
    let line = |n: u32| {
        format!("route add 172.{}.{}.{}/32 via 10.2.0.254\n", 16 + n / 65536, n / 256 % 256, n % 256)
    };
    let before = held.1.routes();
    lab.gateway.ip(&(0..30_000).map(line).collect::<String>());
    drop(held);
    let begun = Instant::now();
    while lab.table.lock().unwrap().1.routes() != before + 30_000 {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "never complete: {} of {}",
            lab.table.lock().unwrap().1.routes(),
            before + 30_000
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_guard_stops_the_kernel() {
    let lab = Lab::new();
    let all = "[[rule]]\naction = \"permit\"";
    lab.gateway.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    lab.peers[0].ip("route add default via 10.1.0.1");
    lab.peers[1].ip("route add default via 10.2.0.1\naddr add 192.0.2.9/32 dev pb");
    lab.gateway.ip("route add 192.0.2.0/24 via 10.2.0.2");
    let ping = |from: &Namespace, to: &'static str| {
        from.run(move || Command::new("ping").args(["-c1", "-W1", to]).output().unwrap().status.success())
    };
    assert!(ping(&lab.peers[0], "10.2.0.2"), "without the guard the kernel forwards");
    assert!(ping(&lab.gateway, "192.0.2.9"), "and sends");
    for _ in 0..2 {
        raise(&lab, all, &["192.0.2.0"], false);
        assert!(!ping(&lab.peers[0], "10.2.0.2"), "forwarded in spite of the guard");
        assert!(!ping(&lab.gateway, "192.0.2.9"), "sent to a protected prefix in clear");
        assert!(ping(&lab.gateway, "10.2.0.2"), "the rest must pass");
    }
    // Also when someone switches forwarding on again.
    lab.gateway.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    assert!(!ping(&lab.peers[0], "10.2.0.2"), "the table does not stop forwarding");
    lab.peers[0].ip("addr add 198.51.100.9/32 dev pa");
    lab.gateway.ip("route add 198.51.100.0/24 via 10.1.0.2");
    raise(&lab, all, &["192.0.2.0", "198.51.100.0"], false);
    assert!(ping(&lab.gateway, "198.51.100.9"), "cleartext may leave by a protected port");
    // A cable that is no port of ours: only what is protected is kept from it.
    lab.gateway.ip(
        "link set vb down\nlink set vb name other\nlink set other up\nroute add 192.0.2.0/24 via 10.2.0.2",
    );
    raise(&lab, "[[rule]]\naction = \"deny\"", &["192.0.2.0"], true);
    assert!(!ping(&lab.gateway, "192.0.2.9"), "sent by another interface");
    assert!(ping(&lab.gateway, "10.2.0.2"), "other interfaces are not ours to judge");
    raise(&lab, all, &[], false);
    assert!(ping(&lab.gateway, "192.0.2.9"), "the table was not replaced");
}
