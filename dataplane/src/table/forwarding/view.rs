//! What the kernel says of links, addresses, routes and neighbours, as plain values.

use std::net::IpAddr;
use std::sync::Arc;

/// One consistent picture of the kernel's tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Every interface of the network namespace.
    pub links: Vec<Link>,
    /// Addresses that may be used: not tentative, not duplicate.
    pub addresses: Vec<Address>,
    /// Routes of the local and the main table. Of equal prefix and metric, the kernel prefers the earlier. Shared with
    /// earlier views while they are the same, because there may be a million.
    pub routes: Arc<Vec<KernelRoute>>,
    /// Neighbours with a link address.
    pub neighbours: Vec<Neighbour>,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// MAC address; `None` where there is none, as on tunnels.
    pub mac: Option<[u8; 6]>,
    /// MTU in octets.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// What it is a VLAN of, when it is one.
    pub vlan: Option<Vlan>,
}

/// A VLAN sub-interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vlan {
    /// Index of the interface below.
    pub parent: u32,
    /// VLAN number.
    pub number: u16,
    /// Whether its tag is a service tag (802.1ad), not a customer's.
    pub service: bool,
}

/// An address of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Index of its interface.
    pub link: u32,
    /// The address.
    pub address: IpAddr,
    /// Whether its scope is global, that is neither link nor host.
    pub global: bool,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRoute {
    /// Lowest address of the prefix, host bits zero.
    pub prefix: IpAddr,
    /// Length of the prefix in bits.
    pub length: u8,
    /// Whether it stands in the local table, which the kernel asks first.
    pub local_table: bool,
    /// Less is better.
    pub metric: u32,
    /// What it does.
    pub kind: RouteKind,
    /// MTU metric of the route, where set.
    pub mtu: Option<u32>,
    /// Ways out; empty unless `kind` is [`RouteKind::Unicast`].
    pub hops: Vec<Hop>,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// Sends to a next hop.
    Unicast,
    /// This host.
    Local,
    /// A broadcast address of a network of ours.
    Broadcast,
    /// Blackhole, unreachable, prohibit, throw: nothing passes.
    Refused,
}

/// One way out of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Index of the egress interface.
    pub link: u32,
    /// Gateway, of either family (RFC 8950); `None` when destinations are on link.
    pub gateway: Option<IpAddr>,
    /// Share among the hops of one route, at least 1.
    pub weight: u32,
    /// Whether the kernel calls it dead.
    pub dead: bool,
}

/// A resolved neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of its interface.
    pub link: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its MAC address.
    pub mac: [u8; 6],
}
