//! Finds the next hop of each packet, and stops what must never be forwarded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_contract::verdict::Verdict;

use crate::packet::{Batch, Origin, Packet, Route};
use crate::table::forwarding::{Forwarding, Reach};

/// Looks up every travelling packet whose route is unknown.
///
/// Ends packets with `NotForwardable` (RFC 1812 5.3.7, RFC 4291 2.5.6) and `NoRoute`.
pub fn find(batch: &mut Batch, forwarding: &Forwarding) {
    for packet in batch.travelling().filter(|packet| packet.route == Route::Unknown) {
        match look_up(packet, forwarding) {
            Ok(route) => packet.route = route,
            Err(verdict) => packet.end(verdict),
        }
    }
}

fn look_up(packet: &Packet, forwarding: &Forwarding) -> Result<Route, Verdict> {
    let flow = &packet.ip.flow;
    let ours = packet.sealed || packet.origin != Origin::Wire;
    // A stranger that claims our own address is a liar, whether it writes to us or through us.
    if !is_host(flow.source) || (!ours && forwarding.is_local(flow.source)) {
        return Err(Verdict::NotForwardable);
    }
    if ours && is_link_local(flow.destination) {
        return answer_on_link(packet, forwarding);
    }
    match forwarding.reach(flow) {
        Reach::Route(Route::Local) => Ok(Route::Local),
        _ if !is_host(flow.destination) => Err(Verdict::NotForwardable),
        _ if !ours && (is_link_local(flow.source) || is_link_local(flow.destination)) => {
            Err(Verdict::NotForwardable)
        }
        Reach::Route(route) => Ok(route),
        Reach::Broadcast => Err(Verdict::NotForwardable),
        Reach::Nothing => Err(Verdict::NoRoute),
    }
}

/// Our own answer to a link-local address goes back by the port of the packet that caused it: the address means
/// nothing elsewhere.
fn answer_on_link(packet: &Packet, forwarding: &Forwarding) -> Result<Route, Verdict> {
    let link = forwarding.link(packet.ingress).ok_or(Verdict::NoRoute)?;
    let next_hop = packet.ip.flow.destination;
    Ok(Route::Via { port: packet.ingress, next_hop, mtu: link.mtu })
}

/// Whether the address can be that of another host: neither unspecified, loopback, multicast nor reserved.
fn is_host(address: IpAddr) -> bool {
    match address {
        // 0/8 and 127/8; 224/4 is multicast, 240/4 reserved, and the broadcast address its last.
        IpAddr::V4(v4) => !matches!(v4.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(v6) => !(is_never_on_the_wire(v6) || v6.is_multicast()),
    }
}

/// `::`, `::1` and IPv4-mapped addresses (RFC 6890).
fn is_never_on_the_wire(address: Ipv6Addr) -> bool {
    address.to_bits() <= 1 || address.to_ipv4_mapped().is_some()
}

/// 169.254/16 (RFC 3927 2.7) and fe80::/10 (RFC 4291 2.5.6).
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::is_link_local(&v4),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ravelin_contract::selector::FlowKey;

    use super::*;
    use crate::forward::samples::{Gateway, PORT_A, PORT_B, ip, packet};
    use crate::packet::Decision;

    /// What becomes of a packet that came in by port A.
    fn outcome(source: &str, destination: &str) -> Result<Route, Verdict> {
        outcome_of(packet(source, destination))
    }

    fn outcome_of(packet: Packet) -> Result<Route, Verdict> {
        let mut batch = Batch::default();
        batch.packets.push(packet);
        find(&mut batch, &Gateway::new().table());
        let packet = &batch.packets[0];
        packet.verdict.map_or(Ok(packet.route), Err)
    }

    fn via(next_hop: &str) -> Result<Route, Verdict> {
        Ok(Route::Via { port: PORT_B, next_hop: ip(next_hop), mtu: 1500 })
    }

    #[test]
    fn finds_gateways_neighbours_and_ourselves() {
        assert_eq!(outcome("10.1.0.5", "192.0.2.1"), via("10.2.0.254"));
        assert_eq!(outcome("10.1.0.5", "10.2.0.9"), via("10.2.0.9"));
        assert_eq!(outcome("10.1.0.5", "10.1.0.1"), Ok(Route::Local));
        assert_eq!(outcome("2001:db8:1::5", "2001:db8:2::9"), via("2001:db8:2::9"));
        assert_eq!(outcome("2001:db8:1::5", "2001:db8:ffff::9"), Err(Verdict::NoRoute));
    }

    #[test]
    fn refuses_addresses_that_belong_on_no_wire() {
        let good = ["10.1.0.5", "2001:db8:1::5"];
        let bad = [
            ["0.0.0.0", "::"],
            ["0.1.2.3", "::1"],
            ["127.0.0.1", "::ffff:10.0.0.1"],
            ["224.0.0.5", "ff02::1"],
            ["240.0.0.1", "ff0e::1"],
            ["255.255.255.255", "ff05::2"],
            ["169.254.1.1", "fe80::9"],
        ];
        for (family, bad) in bad.iter().flat_map(|pair| pair.iter().enumerate()) {
            let there = ["10.2.0.9", "2001:db8:2::9"][family];
            assert_eq!(outcome(bad, there), Err(Verdict::NotForwardable), "from {bad}");
            assert_eq!(outcome(good[family], bad), Err(Verdict::NotForwardable), "to {bad}");
        }
        assert_eq!(outcome("10.1.0.5", "10.2.0.255"), Err(Verdict::NotForwardable));
    }

    #[test]
    fn refuses_strangers_under_our_name() {
        assert_eq!(outcome("10.1.0.1", "10.2.0.9"), Err(Verdict::NotForwardable));
        assert_eq!(outcome("10.1.0.1", "10.2.0.1"), Err(Verdict::NotForwardable));
        let mut ours = packet("10.2.0.1", "192.0.2.1");
        ours.sealed = true;
        assert_eq!(outcome_of(ours), via("10.2.0.254"));
    }

    #[test]
    fn answers_link_local_neighbours_by_the_port_they_came_from() {
        let mut answer = packet("fe80::1", "fe80::9");
        answer.origin = Origin::Own;
        let back = Route::Via { port: PORT_A, next_hop: ip("fe80::9"), mtu: 1500 };
        assert_eq!(outcome_of(answer), Ok(back));
    }

    #[test]
    fn leaves_known_routes_and_ended_packets_alone() {
        let mut known = packet("10.1.0.5", "224.0.0.5");
        known.route = Route::Local;
        assert_eq!(outcome_of(known), Ok(Route::Local));
        let mut ended = packet("10.1.0.5", "10.2.0.9");
        ended.end(Verdict::Denied);
        assert_eq!(outcome_of(ended), Err(Verdict::Denied));
    }

    proptest! {
        /// What is sent on goes where the standard library, too, sees a host.
        #[test]
        fn never_forwards_a_martian(source: u32, destination: u32) {
            let (source, destination) = (Ipv4Addr::from_bits(source), Ipv4Addr::from_bits(destination));
            let mut batch = Batch::default();
            let mut travelling = packet("10.1.0.5", "10.2.0.9");
            travelling.ip.flow =
                FlowKey { source: source.into(), destination: destination.into(), protocol: 17, upper: None };
            prop_assert_eq!(travelling.decision, Decision::Pending);
            batch.packets.push(travelling);
            find(&mut batch, &Gateway::new().table());
            if let Route::Via { .. } = batch.packets[0].route {
                for address in [source, destination] {
                    prop_assert!(!address.is_loopback() && !address.is_multicast() && !address.is_link_local());
                    prop_assert!(!address.is_broadcast() && !address.is_unspecified());
                }
            }
        }
    }
}
