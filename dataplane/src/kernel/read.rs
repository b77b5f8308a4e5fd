//! Netlink messages as plain values. What concerns neither IPv4 nor IPv6 unicast is `None`.

use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, VlanProtocol,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric, RouteNextHop,
    RouteNextHopFlags, RouteType, RouteVia,
};

use crate::table::forwarding::view::{Address, Hop, KernelRoute, Link, RouteKind, Vlan};

/// The local table, which the kernel asks first, and the main table. Others need policy routing, which is not followed.
const TABLE_LOCAL: u32 = 255;
const TABLE_MAIN: u32 = 254;

/// A neighbour entry, resolved or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Index of its interface.
    pub(super) link: u32,
    /// Its address.
    pub(super) address: IpAddr,
    /// Its MAC address while the kernel would use it.
    pub(super) mac: Option<[u8; 6]>,
    /// Whether the kernel would be helped by a hint that the entry is in use: it is stale, or was given up.
    pub(super) wants_use: bool,
}

/// An interface. Messages of bridges about their ports are not.
pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let up = message.header.flags.contains(LinkFlags::Up);
    let mut link =
        Link { index: message.header.index, name: String::new(), mac: None, mtu: 0, up, vlan: None };
    let mut parent = 0;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Address(octets) => link.mac = octets.as_slice().try_into().ok(),
            LinkAttribute::Link(index) => parent = *index,
            LinkAttribute::LinkInfo(infos) => link.vlan = infos.iter().find_map(vlan),
            _ => {}
        }
    }
    if let Some(vlan) = &mut link.vlan {
        vlan.parent = parent;
    }
    Some(link)
}

/// Without the interface below, which stands elsewhere in the message.
fn vlan(info: &LinkInfo) -> Option<Vlan> {
    let LinkInfo::Data(InfoData::Vlan(attributes)) = info else { return None };
    let mut vlan = Vlan { parent: 0, number: 0, service: false };
    for attribute in attributes {
        match attribute {
            InfoVlan::Id(number) => vlan.number = *number,
            InfoVlan::Protocol(protocol) => vlan.service = *protocol != VlanProtocol::Ieee8021Q,
            _ => {}
        }
    }
    Some(vlan)
}

/// An address that may be used: not tentative and not found to be a duplicate (RFC 4862 5.4).
pub(super) fn address(message: &AddressMessage) -> Option<Address> {
    let address = bare_address(message)?;
    let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    let usable = !message.header.flags.intersects(unusable);
    usable.then_some(address)
}

/// An address in whatever state.
pub(super) fn bare_address(message: &AddressMessage) -> Option<Address> {
    let find = |wanted: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(wanted);
    let local = find(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    // On point-to-point links `Address` is the far end and `Local` is ours; elsewhere IPv6 gives `Address` alone.
    let address = local.or_else(|| {
        find(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })?;
    let global = matches!(message.header.scope, AddressScope::Universe | AddressScope::Site);
    Some(Address { link: message.header.index, address, global })
}

/// A neighbour entry.
pub(super) fn neighbour(message: &NeighbourMessage) -> Option<Entry> {
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::V4(*v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::V6(*v6)),
            NeighbourAttribute::LinkLayerAddress(octets) => mac = octets.as_slice().try_into().ok(),
            _ => {}
        }
    }
    let (known, wants_use) = match message.header.state {
        NeighbourState::Reachable | NeighbourState::Delay | NeighbourState::Probe => (true, false),
        NeighbourState::Permanent | NeighbourState::Noarp => (true, false),
        NeighbourState::Stale => (true, true),
        NeighbourState::Incomplete => (false, false),
        _ => (false, true),
    };
    Some(Entry { link: message.header.ifindex, address: address?, mac: mac.filter(|_| known), wants_use })
}

/// A route of the local or main table.
pub(super) fn route(message: &RouteMessage) -> Option<KernelRoute> {
    let header = &message.header;
    let any: IpAddr = match header.address_family {
        AddressFamily::Inet => [0u8; 4].into(),
        AddressFamily::Inet6 => [0u8; 16].into(),
        _ => return None,
    };
    let followed = header.tos == 0 && header.source_prefix_length == 0;
    if !followed || header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let parts = Parts::of(message);
    let table = parts.table.unwrap_or(header.table.into());
    let kind = kind(header.kind).filter(|_| matches!(table, TABLE_LOCAL | TABLE_MAIN))?;
    Some(KernelRoute {
        prefix: parts.prefix.unwrap_or(any),
        length: header.destination_prefix_length,
        local_table: table == TABLE_LOCAL,
        metric: parts.metric,
        kind,
        mtu: parts.mtu,
        hops: if kind == RouteKind::Unicast { parts.hops(header) } else { Vec::new() },
    })
}

fn kind(kind: RouteType) -> Option<RouteKind> {
    match kind {
        RouteType::Unicast => Some(RouteKind::Unicast),
        RouteType::Local | RouteType::Anycast => Some(RouteKind::Local),
        RouteType::Broadcast => Some(RouteKind::Broadcast),
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit | RouteType::Throw => {
            Some(RouteKind::Refused)
        }
        _ => None,
    }
}

/// The attributes of a route that matter.
#[derive(Default)]
struct Parts<'a> {
    table: Option<u32>,
    prefix: Option<IpAddr>,
    metric: u32,
    mtu: Option<u32>,
    link: Option<u32>,
    gateway: Option<IpAddr>,
    several: &'a [RouteNextHop],
}

impl<'a> Parts<'a> {
    fn of(message: &'a RouteMessage) -> Self {
        let mut parts = Self::default();
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Table(table) => parts.table = Some(*table),
                RouteAttribute::Destination(prefix) => parts.prefix = ip(prefix),
                RouteAttribute::Priority(metric) => parts.metric = *metric,
                RouteAttribute::Oif(link) => parts.link = Some(*link),
                RouteAttribute::MultiPath(hops) => parts.several = hops,
                RouteAttribute::Metrics(metrics) => parts.mtu = metrics.iter().find_map(mtu),
                other => parts.gateway = parts.gateway.or(gateway(other)),
            }
        }
        parts
    }

    fn hops(&self, header: &RouteHeader) -> Vec<Hop> {
        let dead = header.flags.contains(RouteFlags::Dead);
        let one = self.link.map(|link| Hop { link, gateway: self.gateway, weight: 1, dead });
        one.into_iter().chain(self.several.iter().map(hop)).collect()
    }
}

fn hop(next: &RouteNextHop) -> Hop {
    Hop {
        link: next.interface_index,
        gateway: next.attributes.iter().find_map(gateway),
        // The kernel counts from zero.
        weight: u32::from(next.hops) + 1,
        dead: next.flags.contains(RouteNextHopFlags::Dead),
    }
}

fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(v4)) => Some(IpAddr::V4(*v4)),
        RouteAttribute::Via(RouteVia::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}
