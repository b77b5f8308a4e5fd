//! A gateway between two networks, and packets for it, for tests of this folder.

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::address::Family;
use ravelin_contract::selector::FlowKey;

use crate::frame::Pool;
use crate::packet::{Origin, Packet, PortIndex};
use crate::table::forwarding::Forwarding;
use crate::table::forwarding::view::{Address, Hop, KernelRoute, Link, Neighbour, RouteKind, View};
use crate::wire::ip::{Fragment, Headers};

pub(crate) const PORT_A: PortIndex = PortIndex(0);
pub(crate) const PORT_B: PortIndex = PortIndex(1);
/// Interface indexes of the two ports.
const LINKS: [u32; 2] = [10, 11];

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// MAC address of a port.
pub(crate) fn port_mac(port: PortIndex) -> [u8; 6] {
    [2, 0xAA, 0, 0, 0, port.0]
}

/// Port A has 10.1.0.1/24 and 2001:db8:1::1/64, port B 10.2.0.1/24 and 2001:db8:2::1/64; the IPv4 default route leads
/// to 10.2.0.254. No neighbour is known at first.
pub(crate) struct Gateway {
    view: View,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        let (mut view, mut routes) = (View::default(), Vec::new());
        for (port, link) in LINKS.into_iter().enumerate() {
            let mac = Some(port_mac(PortIndex(port as u8)));
            view.links.push(Link {
                index: link,
                name: format!("port{port}"),
                mac,
                mtu: 1500,
                up: true,
                vlan: None,
            });
            let net = port + 1;
            for (own, prefix, length) in [
                (format!("10.{net}.0.1"), format!("10.{net}.0.0"), 24),
                (format!("2001:db8:{net}::1"), format!("2001:db8:{net}::"), 64),
            ] {
                view.addresses.push(Address { link, address: ip(&own), global: true });
                routes.push(route(&prefix, length, link, None));
            }
            let mut broadcast = route(&format!("10.{net}.0.255"), 32, link, None);
            broadcast.kind = RouteKind::Broadcast;
            routes.push(broadcast);
        }
        routes.push(route("0.0.0.0", 0, LINKS[1], Some("10.2.0.254")));
        view.routes = Arc::new(routes);
        Self { view }
    }

    pub(crate) fn with_neighbour(mut self, port: PortIndex, address: &str, last: u8) -> Self {
        let link = LINKS[usize::from(port.0)];
        self.view.neighbours.push(Neighbour { link, address: ip(address), mac: [2, 0, 0, 0, 0, last] });
        self
    }

    pub(crate) fn table(&self) -> Forwarding {
        Forwarding::build(&self.view, &LINKS)
    }
}

fn route(prefix: &str, length: u8, link: u32, gateway: Option<&str>) -> KernelRoute {
    let hop = Hop { link, gateway: gateway.map(ip), weight: 1, dead: false };
    KernelRoute {
        prefix: ip(prefix),
        length,
        local_table: false,
        metric: 0,
        kind: RouteKind::Unicast,
        mtu: None,
        hops: vec![hop],
    }
}

/// A packet of 60 octets that came in by port A, in memory of its own.
pub(crate) fn packet(source: &str, destination: &str) -> Packet {
    packet_in(&mut Pool::in_memory(1, 256), source, destination)
}

/// The same in a frame of `pool`.
pub(crate) fn packet_in(pool: &mut Pool, source: &str, destination: &str) -> Packet {
    let mut frame = pool.take().unwrap();
    frame.place(64, 60).unwrap();
    let flow =
        FlowKey { source: ip(source), destination: ip(destination), protocol: 17, upper: Some((1, 2)) };
    let header_len = if Family::of(flow.source) == Family::V4 { 20 } else { 40 };
    let headers = Headers {
        flow,
        header_len,
        total_len: 60,
        protocol_at: 9,
        fragment: Fragment::Whole,
        traffic_class: 0,
        hop_limit: 64,
        dont_fragment: true,
        opens_tcp: false,
    };
    Packet::new(frame, headers, PORT_A, Origin::Wire)
}
