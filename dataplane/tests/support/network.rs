//! Addresses of the lab: sites 1 to 3 with a LAN each, joined by one WAN; the internet is behind its default gateway.

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_dataplane::table::PortInfo;
use ravelin_dataplane::table::forwarding::view::{
    Address, Hop, KernelRoute, Link, Neighbour, RouteKind, View,
};

use super::{LINKS, Setup};

/// A host of the internet.
pub const INTERNET: &str = "198.51.100.9";
/// An address of a prefix to which routes refuse.
pub const NOWHERE: &str = "203.0.113.7";

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The host of a site's LAN.
pub fn host(site: u8, v6: bool) -> String {
    if v6 { format!("2001:db8:{site}::5") } else { format!("10.{site}.0.5") }
}

/// The gateway's address on its LAN.
pub fn lan(site: u8, v6: bool) -> String {
    if v6 { format!("2001:db8:{site}::1") } else { format!("10.{site}.0.1") }
}

/// The gateway's address on the WAN: its security endpoint.
pub fn wan(site: u8, v6: bool) -> String {
    if v6 { format!("2001:db8:ff::{site}") } else { format!("192.0.2.{site}") }
}

pub fn lan_prefix(site: u8, v6: bool) -> (String, u8) {
    if v6 { (format!("2001:db8:{site}::"), 64) } else { (format!("10.{site}.0.0"), 24) }
}

/// Link address of a gateway's port.
pub fn port_mac(site: u8, port: usize) -> [u8; 6] {
    [2, 0xaa, 0, 0, site, port as u8]
}

/// `packet` as a frame to a port of the gateway.
pub fn framed(setup: &Setup, port: usize, packet: &[u8]) -> Vec<u8> {
    let ether_type: [u8; 2] =
        if packet.first().is_some_and(|first| first >> 4 == 6) { [0x86, 0xdd] } else { [8, 0] };
    [&port_mac(setup.site, port)[..], &[2, 0xbb, 0, 0, 0, 1], &ether_type, packet].concat()
}

pub fn ports(setup: &Setup) -> Vec<PortInfo> {
    let info = |port: usize, name: &str, protected| PortInfo {
        name: name.to_owned(),
        ifindex: LINKS[port],
        mac: port_mac(setup.site, port),
        mtu: setup.mtu[port],
        zone: None,
        zone_name: name.to_owned(),
        protected,
    };
    vec![info(0, "lan", true), info(1, "wan", false)]
}

/// What the kernel of a gateway says: its own addresses, the other sites behind their gateways, everybody known.
pub fn view(setup: &Setup) -> View {
    let site = setup.site;
    let mut view = View::default();
    let mut routes = vec![route("203.0.113.0", 24, RouteKind::Refused, 0, None)];
    for (port, name) in ["lan", "wan"].into_iter().enumerate() {
        let mac = Some(port_mac(site, port));
        let mtu = setup.mtu[port].into();
        view.links.push(Link { index: LINKS[port], name: name.to_owned(), mac, mtu, up: true, vlan: None });
    }
    for v6 in [false, true] {
        let bits = if v6 { 128 } else { 32 };
        for (port, own) in [lan(site, v6), wan(site, v6)].into_iter().enumerate() {
            view.addresses.push(Address { link: LINKS[port], address: ip(&own), global: true });
            routes.push(route(&own, bits, RouteKind::Local, 0, None));
        }
        let (prefix, length) = lan_prefix(site, v6);
        routes.push(route(&prefix, length, RouteKind::Unicast, LINKS[0], None));
        let (wire, all, default) = match v6 {
            true => ("2001:db8:ff::", "::", "2001:db8:ff::fe"),
            false => ("192.0.2.0", "0.0.0.0", "192.0.2.254"),
        };
        routes.push(route(wire, if v6 { 64 } else { 24 }, RouteKind::Unicast, LINKS[1], None));
        routes.push(route(all, 0, RouteKind::Unicast, LINKS[1], Some(default)));
        view.neighbours.push(neighbour(0, &host(site, v6), [2, 0xbb, 0, 0, site, 5]));
        view.neighbours.push(neighbour(1, default, [2, 0xbb, 0, 0, 0, 0xfe]));
        for peer in (1..=3).filter(|peer| *peer != site) {
            let (prefix, length) = lan_prefix(peer, v6);
            routes.push(route(&prefix, length, RouteKind::Unicast, LINKS[1], Some(&wan(peer, v6))));
            view.neighbours.push(neighbour(1, &wan(peer, v6), port_mac(peer, 1)));
        }
    }
    view.routes = Arc::new(routes);
    view
}

pub fn neighbour(port: usize, address: &str, mac: [u8; 6]) -> Neighbour {
    Neighbour { link: LINKS[port], address: ip(address), mac }
}

pub fn route(prefix: &str, length: u8, kind: RouteKind, link: u32, gateway: Option<&str>) -> KernelRoute {
    let hop = Hop { link, gateway: gateway.map(ip), weight: 1, dead: false };
    KernelRoute {
        prefix: ip(prefix),
        length,
        local_table: kind == RouteKind::Local,
        metric: 0,
        kind,
        mtu: None,
        hops: if kind == RouteKind::Unicast { vec![hop] } else { vec![] },
    }
}
