//! Where packets go next: routes, own addresses and neighbours of one generation, never changed after it is built.
//!
//! The kernel's word is copied, not improved: the local table is asked before the main one, then the longest prefix
//! wins, then the lowest metric. What leads out of an interface that is not a port has no route here: such traffic is
//! the kernel's. Routes bound to a type of service are left out.

mod ranges;
pub mod view;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::address::Family;
use ravelin_contract::selector::FlowKey;

use self::ranges::{PathIndex, Prefix, Ranges};
use self::view::{Address, Hop, KernelRoute, RouteKind, View};
use crate::packet::{PortIndex, Route};

/// What stands behind a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A route: to this host, or out of a port.
    Route(Route),
    /// A broadcast address of a network of ours; never forwarded (RFC 2644).
    Broadcast,
    /// No route, or one that refuses, or one that does not leave by a port.
    Nothing,
}

/// What a port's interface is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortLink {
    /// MAC address; zero where there is none.
    pub mac: [u8; 6],
    /// MTU in octets; longer ones are cut to 65,535.
    pub mtu: u16,
    /// Whether it is administratively up.
    pub up: bool,
}

/// Routes, addresses and neighbours.
#[derive(Debug)]
pub struct Forwarding {
    routes: Arc<Routes>,
    /// By port: the address to speak with, IPv4 and IPv6.
    own: Vec<[Option<IpAddr>; 2]>,
    /// Ascending by key.
    neighbours: Vec<((u8, IpAddr), [u8; 6])>,
}

/// The part that is dear to build, and what it was built from.
#[derive(Debug)]
struct Routes {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    /// What the ranges lead to; the first refuses.
    paths: Vec<Path>,
    source: Source,
}

/// What routes are built from.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    routes: Arc<Vec<KernelRoute>>,
    addresses: Vec<Address>,
    ports: Vec<u32>,
    /// By port; `None` where the interface is not there.
    links: Vec<Option<PortLink>>,
}

/// What a route leads to. Equal ones are stored once, however many routes share them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Path {
    Refused,
    Local,
    Broadcast,
    /// At least one.
    Exits(Box<[Exit]>),
}

/// One way out of a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Exit {
    port: PortIndex,
    gateway: Option<IpAddr>,
    mtu: u16,
    /// Sum of the weights of the exits up to and including this one; strictly ascending.
    share: u32,
}

impl Default for Forwarding {
    /// No routes, no neighbours, no addresses.
    fn default() -> Self {
        Self::build(&View::default(), &[])
    }
}

impl Forwarding {
    /// The tables of `view`; `ports[i]` is the interface index of port `i`.
    pub fn build(view: &View, ports: &[u32]) -> Self {
        Self::over(Arc::new(Builder::build(Source::of(view, ports))), view, ports)
    }

    /// The same as [`Self::build`], cheaper when routes have not changed since `self`: neighbours come and go often, and
    /// packets wait for them.
    #[must_use]
    pub fn rebuild(&self, view: &View, ports: &[u32]) -> Self {
        let source = Source::of(view, ports);
        match self.routes.source == source {
            true => Self::over(self.routes.clone(), view, ports),
            false => Self::over(Arc::new(Builder::build(source)), view, ports),
        }
    }

    fn over(routes: Arc<Routes>, view: &View, ports: &[u32]) -> Self {
        let own = ports.iter().map(|&link| own_addresses(view, link)).collect();
        Self { routes, own, neighbours: neighbours(view, ports) }
    }

    /// What stands behind the destination of `flow`. Of several next hops the flow's addresses choose, so that a
    /// flow and its fragments keep to one.
    pub fn reach(&self, flow: &FlowKey) -> Reach {
        match self.path(flow.destination) {
            Path::Refused => Reach::Nothing,
            Path::Local => Reach::Route(Route::Local),
            Path::Broadcast => Reach::Broadcast,
            Path::Exits(exits) => Reach::Route(pick(exits, flow).route(flow.destination)),
        }
    }

    /// The route to `destination`, by the first next hop where there are several.
    pub fn route(&self, destination: IpAddr) -> Option<Route> {
        match self.path(destination) {
            Path::Refused | Path::Broadcast => None,
            Path::Local => Some(Route::Local),
            Path::Exits(exits) => Some(exits[0].route(destination)),
        }
    }

    /// Whether `address` is one of this host.
    pub fn is_local(&self, address: IpAddr) -> bool {
        *self.path(address) == Path::Local
    }

    /// The address with which to speak out of `port`: a global one of its own, else a global one of another interface,
    /// else one of its own of narrower scope.
    pub fn own_address(&self, port: PortIndex, family: Family) -> Option<IpAddr> {
        self.own.get(usize::from(port.0))?[family as usize]
    }

    /// The MAC address of `next_hop`, where the kernel knows it.
    pub fn link_address(&self, port: PortIndex, next_hop: IpAddr) -> Option<[u8; 6]> {
        let found = self.neighbours.binary_search_by_key(&(port.0, next_hop), |(key, _)| *key).ok()?;
        Some(self.neighbours[found].1)
    }

    /// The interface of `port`; `None` while there is none.
    pub fn link(&self, port: PortIndex) -> Option<PortLink> {
        *self.routes.source.links.get(usize::from(port.0))?
    }

    /// Number of routes.
    pub fn routes(&self) -> usize {
        self.routes.source.routes.len()
    }

    /// Number of neighbours with a link address that are reached by ports.
    pub fn neighbours(&self) -> usize {
        self.neighbours.len()
    }

    fn path(&self, destination: IpAddr) -> &Path {
        let index = match destination {
            IpAddr::V4(address) => self.routes.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.routes.v6.find(address.to_bits()),
        };
        &self.routes.paths[index as usize]
    }
}

impl Exit {
    fn route(&self, destination: IpAddr) -> Route {
        Route::Via { port: self.port, next_hop: self.gateway.unwrap_or(destination), mtu: self.mtu }
    }
}

fn pick<'a>(exits: &'a [Exit], flow: &FlowKey) -> &'a Exit {
    let [only] = exits else {
        let total = exits[exits.len() - 1].share;
        let point = ((u64::from(spread(flow)) * u64::from(total)) >> 32) as u32;
        // The last share is `total` and `point` is below it, so one is found.
        return &exits[exits.partition_point(|exit| exit.share <= point)];
    };
    only
}

/// A number that depends on the addresses only: ports are missing in fragments.
fn spread(flow: &FlowKey) -> u32 {
    let mixed = address_hash(flow.source) ^ address_hash(flow.destination).rotate_left(17);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

/// Spreads addresses over 64 bits; not against an adversary.
pub(crate) fn address_hash(address: IpAddr) -> u64 {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let folded = (bits >> 64) as u64 ^ (bits as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (folded ^ (folded >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

fn port_link(view: &View, index: u32) -> Option<PortLink> {
    let link = view.links.iter().find(|link| link.index == index)?;
    Some(PortLink { mac: link.mac.unwrap_or_default(), mtu: octets(link.mtu), up: link.up })
}

fn octets(mtu: u32) -> u16 {
    u16::try_from(mtu).unwrap_or(u16::MAX)
}

impl Source {
    fn of(view: &View, ports: &[u32]) -> Self {
        Self {
            routes: view.routes.clone(),
            addresses: view.addresses.clone(),
            ports: ports.to_vec(),
            links: ports.iter().map(|&index| port_link(view, index)).collect(),
        }
    }
}

/// Routes in the making.
struct Builder<'a> {
    source: &'a Source,
    v4: Vec<Prefix<u32>>,
    v6: Vec<Prefix<u128>>,
    paths: Vec<Path>,
    /// Where each path stands in `paths`.
    known: HashMap<Path, PathIndex>,
}

impl<'a> Builder<'a> {
    fn build(source: Source) -> Routes {
        let mut builder = Builder::new(&source);
        for address in &source.addresses {
            builder.add(
                address.address,
                if address.address.is_ipv4() { 32 } else { 128 },
                true,
                0,
                Path::Local,
            );
        }
        for route in source.routes.iter() {
            let path = builder.path(route);
            builder.add(route.prefix, route.length, route.local_table, route.metric, path);
        }
        let Builder { v4, v6, paths, .. } = builder;
        Routes { v4: Ranges::build(v4), v6: Ranges::build(v6), paths, source }
    }

    fn new(source: &'a Source) -> Self {
        let known = HashMap::from([(Path::Refused, 0)]);
        Self { source, v4: Vec::new(), v6: Vec::new(), paths: vec![Path::Refused], known }
    }

    fn add(&mut self, prefix: IpAddr, length: u8, first_table: bool, metric: u32, path: Path) {
        let path = self.intern(path);
        match prefix {
            IpAddr::V4(v4) => {
                self.v4.push(Prefix { first: v4.to_bits(), length, first_table, metric, path });
            }
            IpAddr::V6(v6) => {
                self.v6.push(Prefix { first: v6.to_bits(), length, first_table, metric, path });
            }
        }
    }

    fn intern(&mut self, path: Path) -> PathIndex {
        if let Some(&index) = self.known.get(&path) {
            return index;
        }
        let index = self.paths.len() as PathIndex;
        self.paths.push(path.clone());
        self.known.insert(path, index);
        index
    }

    fn path(&self, route: &KernelRoute) -> Path {
        match route.kind {
            RouteKind::Local => Path::Local,
            RouteKind::Broadcast => Path::Broadcast,
            RouteKind::Refused => Path::Refused,
            RouteKind::Unicast => self.exits(route),
        }
    }

    /// The hops that live and leave by a port.
    fn exits(&self, route: &KernelRoute) -> Path {
        let mut total = 0;
        let exits = route.hops.iter().filter_map(|hop| {
            let mut exit = self.exit(hop, route.mtu)?;
            total += hop.weight.max(1);
            exit.share = total;
            Some(exit)
        });
        let exits: Box<[Exit]> = exits.collect();
        if exits.is_empty() { Path::Refused } else { Path::Exits(exits) }
    }

    fn exit(&self, hop: &Hop, route_mtu: Option<u32>) -> Option<Exit> {
        let port = self.source.ports.iter().position(|&index| index == hop.link)?;
        let link = self.source.links[port].filter(|link| link.up && !hop.dead)?;
        let mtu = route_mtu.map_or(link.mtu, |mtu| octets(mtu).min(link.mtu));
        Some(Exit { port: PortIndex(port as u8), gateway: hop.gateway, mtu, share: 0 })
    }
}

fn own_addresses(view: &View, link: u32) -> [Option<IpAddr>; 2] {
    [Family::V4, Family::V6].map(|family| {
        let of_family = view.addresses.iter().filter(|a| Family::of(a.address) == family);
        let usable = of_family.filter(|a| a.link == link || a.global);
        // `min_by_key` keeps the first of equals, and the kernel lists primary addresses first.
        usable.min_by_key(|a| (!a.global, a.link != link)).map(|a| a.address)
    })
}

fn neighbours(view: &View, ports: &[u32]) -> Vec<((u8, IpAddr), [u8; 6])> {
    let of_ports = view.neighbours.iter().filter_map(|neighbour| {
        let port = ports.iter().position(|&index| index == neighbour.link)?;
        Some(((port as u8, neighbour.address), neighbour.mac))
    });
    let mut list: Vec<_> = of_ports.collect();
    list.sort_unstable();
    list.dedup_by_key(|(key, _)| *key);
    list
}

#[cfg(test)]
mod tests {
    use super::view::{Link, Neighbour};
    use super::*;

    const PORT: PortIndex = PortIndex(0);
    const OTHER: PortIndex = PortIndex(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn link(index: u32, mtu: u32) -> Link {
        Link { index, name: format!("l{index}"), mac: Some([index as u8; 6]), mtu, up: true, vlan: None }
    }

    fn hop(link: u32, gateway: Option<&str>) -> Hop {
        Hop { link, gateway: gateway.map(ip), weight: 1, dead: false }
    }

    fn route(prefix: &str, hops: Vec<Hop>) -> KernelRoute {
        let (address, length) = prefix.split_once('/').unwrap();
        KernelRoute {
            prefix: ip(address),
            length: length.parse().unwrap(),
            local_table: false,
            metric: 0,
            kind: if hops.is_empty() { RouteKind::Refused } else { RouteKind::Unicast },
            mtu: None,
            hops,
        }
    }

    fn flow(source: IpAddr, destination: &str) -> FlowKey {
        FlowKey { source, destination: ip(destination), protocol: 17, upper: None }
    }

    /// Interfaces 10 and 11 are ports 0 and 1; interface 12 is none.
    fn build(routes: Vec<KernelRoute>) -> Forwarding {
        let address = |link, text, global| Address { link, address: ip(text), global };
        let neighbour = |link, text, last| Neighbour { link, address: ip(text), mac: [2, 0, 0, 0, 0, last] };
        let view = View {
            links: vec![link(10, 1500), link(11, 9000), link(12, 1500)],
            addresses: vec![
                address(10, "10.0.0.1", true),
                address(10, "fe80::1", false),
                address(11, "fe80::2", false),
                address(11, "2001:db8::1", true),
            ],
            routes: Arc::new(routes),
            neighbours: vec![
                neighbour(11, "10.0.0.9", 1),
                neighbour(10, "10.0.0.9", 2),
                neighbour(12, "10.0.0.9", 3),
            ],
        };
        Forwarding::build(&view, &[10, 11])
    }

    fn via(port: PortIndex, next_hop: &str, mtu: u16) -> Option<Route> {
        Some(Route::Via { port, next_hop: ip(next_hop), mtu })
    }

    #[test]
    fn follows_the_longest_prefix_and_the_best_metric() {
        let mut worse = route("0.0.0.0/0", vec![hop(11, Some("10.1.0.254"))]);
        worse.metric = 100;
        let default = route("0.0.0.0/0", vec![hop(10, Some("10.0.0.254"))]);
        let on_link = route("10.0.0.0/24", vec![hop(10, None)]);
        let table = build(vec![worse, default, on_link]);
        assert_eq!(table.route(ip("192.0.2.1")), via(PORT, "10.0.0.254", 1500));
        assert_eq!(table.route(ip("10.0.0.7")), via(PORT, "10.0.0.7", 1500));
        assert_eq!(table.route(ip("10.0.0.1")), Some(Route::Local));
        assert_eq!(table.route(ip("2001:db8::2")), None);
    }

    #[test]
    fn refusing_routes_and_foreign_interfaces_hide_the_default() {
        let default = route("0.0.0.0/0", vec![hop(10, Some("10.0.0.254"))]);
        let blackhole = route("192.0.2.0/24", vec![]);
        let management = route("198.51.100.0/24", vec![hop(12, None)]);
        let table = build(vec![default, blackhole, management]);
        assert_eq!(table.route(ip("192.0.2.1")), None);
        assert_eq!(table.route(ip("198.51.100.1")), None);
        assert_eq!(table.route(ip("203.0.113.1")), via(PORT, "10.0.0.254", 1500));
    }

    #[test]
    fn mtu_is_the_least_of_link_and_route() {
        let with = |prefix, mtu| KernelRoute { mtu: Some(mtu), ..route(prefix, vec![hop(11, None)]) };
        let table = build(vec![with("192.0.2.0/25", 1400), with("192.0.2.128/25", 70_000)]);
        assert_eq!(table.route(ip("192.0.2.1")), via(OTHER, "192.0.2.1", 1400));
        assert_eq!(table.route(ip("192.0.2.129")), via(OTHER, "192.0.2.129", 9000));
    }

    #[test]
    fn dead_hops_take_no_share_and_living_ones_by_weight() {
        let mut heavy = hop(10, Some("10.0.0.3"));
        heavy.weight = 3;
        let mut dead = hop(10, Some("10.0.0.4"));
        dead.dead = true;
        let table = build(vec![route("0.0.0.0/0", vec![hop(11, Some("10.0.0.2")), dead, heavy])]);
        let mut counts = [0; 2];
        for source in 0..4000u32 {
            let flow = flow(std::net::Ipv4Addr::from_bits(0x0A00_0000 + source).into(), "192.0.2.1");
            assert_eq!(table.reach(&flow), table.reach(&flow));
            match table.reach(&flow) {
                Reach::Route(Route::Via { port: OTHER, next_hop, .. }) if next_hop == ip("10.0.0.2") => {
                    counts[0] += 1
                }
                Reach::Route(Route::Via { port: PORT, next_hop, .. }) if next_hop == ip("10.0.0.3") => {
                    counts[1] += 1
                }
                other => panic!("{other:?}"),
            }
        }
        assert!((900..1100).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn an_ipv4_route_may_have_an_ipv6_gateway() {
        let table = build(vec![route("192.0.2.0/24", vec![hop(10, Some("fe80::9"))])]);
        assert_eq!(table.route(ip("192.0.2.1")), via(PORT, "fe80::9", 1500));
    }

    #[test]
    fn broadcast_addresses_are_told_apart() {
        let broadcast =
            KernelRoute { kind: RouteKind::Broadcast, local_table: true, ..route("10.0.0.255/32", vec![]) };
        let table = build(vec![broadcast, route("10.0.0.0/24", vec![hop(10, None)])]);
        assert_eq!(table.reach(&flow(ip("10.0.0.2"), "10.0.0.255")), Reach::Broadcast);
        assert_eq!(table.route(ip("10.0.0.255")), None);
        assert!(!table.is_local(ip("10.0.0.255")));
    }

    #[test]
    fn speaks_with_a_global_address() {
        let table = build(vec![]);
        assert_eq!(table.own_address(PORT, Family::V4), Some(ip("10.0.0.1")));
        assert_eq!(table.own_address(OTHER, Family::V4), Some(ip("10.0.0.1")));
        assert_eq!(table.own_address(PORT, Family::V6), Some(ip("2001:db8::1")));
        assert_eq!(table.own_address(PortIndex(7), Family::V6), None);
        assert_eq!(Forwarding::default().own_address(PORT, Family::V4), None);
    }

    #[test]
    fn a_new_neighbour_costs_no_new_routes_and_a_new_link_does() {
        let mut view = View {
            links: vec![link(10, 1500)],
            routes: Arc::new(vec![route("10.0.0.0/24", vec![hop(10, None)])]),
            ..View::default()
        };
        let before = Forwarding::build(&view, &[10]);
        view.neighbours.push(Neighbour { link: 10, address: ip("10.0.0.9"), mac: [2; 6] });
        let after = before.rebuild(&view, &[10]);
        assert!(Arc::ptr_eq(&before.routes, &after.routes));
        assert_eq!(after.link_address(PORT, ip("10.0.0.9")), Some([2; 6]));
        view.links[0].mtu = 1400;
        let slower = after.rebuild(&view, &[10]);
        assert_eq!(slower.route(ip("10.0.0.9")), via(PORT, "10.0.0.9", 1400));
    }

    #[test]
    fn neighbours_belong_to_their_port() {
        let table = build(vec![]);
        assert_eq!(table.link_address(PORT, ip("10.0.0.9")), Some([2, 0, 0, 0, 0, 2]));
        assert_eq!(table.link_address(OTHER, ip("10.0.0.9")), Some([2, 0, 0, 0, 0, 1]));
        assert_eq!(table.link_address(PORT, ip("10.0.0.8")), None);
        assert_eq!(table.neighbours(), 2);
    }
}
