//! Two sites, each behind a gateway, and a wan between them.
//!
//! ```text
//!  site-a            gw-a                 wan                 gw-b             site-b
//!   lan ──────── lan0    wan0 ──────── to-a   to-b ──────── wan0    lan0 ──────── lan
//!
//!  site-a  10.1.0.2, 2001:db8:1::2        site-b  10.2.0.2, 2001:db8:2::2
//!  lan0    10.1.0.1, 2001:db8:1::1        lan0    10.2.0.1, 2001:db8:2::1
//!  wan0    192.0.2.1, 2001:db8:a::1       wan0    198.51.100.1, 2001:db8:b::1
//! ```
//!
//! The wan is a router; its addresses end in 2. It also has routes to both sites: a packet that a
//! gateway let out in clear would arrive, so a test that sees none arrive has seen something.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;

use super::{End, Lab, Link, Namespace, Ping, wait_until};

/// One side of the topology.
#[derive(Debug)]
pub struct Side {
    /// The letter, `a` or `b`.
    pub letter: char,
    /// The host at the site, with one interface, `lan`.
    pub site: Namespace,
    /// The gateway, with interfaces `lan0` and `wan0`. Its kernel does not forward.
    pub gateway: Namespace,
    /// The host's addresses.
    pub site_v4: IpAddr,
    /// See `site_v4`.
    pub site_v6: IpAddr,
    /// The gateway's addresses on the wan.
    pub gateway_v4: IpAddr,
    /// See `gateway_v4`.
    pub gateway_v6: IpAddr,
    /// The gateway's addresses on the lan.
    pub lan_v4: IpAddr,
    /// See `lan_v4`.
    pub lan_v6: IpAddr,
}

impl Side {
    /// The wan's interface toward this side.
    pub fn wan_interface(&self) -> String {
        format!("to-{}", self.letter)
    }

    /// The wan's address on the link to this side's gateway.
    pub fn router_v4(&self) -> IpAddr {
        router_of(self.gateway_v4)
    }

    /// The network of the site.
    pub fn network_v4(&self) -> String {
        network(self.site_v4)
    }
}

/// The topology.
#[derive(Debug)]
pub struct TwoSites {
    /// Side a.
    pub a: Side,
    /// Side b.
    pub b: Side,
    /// The router between.
    pub wan: Namespace,
    /// The lab it stands in; last, so that it is removed last.
    pub lab: Lab,
}

impl TwoSites {
    /// Builds it, with an MTU of 1,500 octets everywhere and one queue per interface.
    pub fn build(label: &str) -> Result<Self> {
        Self::build_with(label, Shape::default())
    }

    /// Builds it in this shape.
    pub fn build_with(label: &str, shape: Shape) -> Result<Self> {
        let lab = Lab::new(label)?;
        let wan = lab.namespace("wan")?;
        wan.forward(true)?;
        let plan = |letter| Plan { letter, shape };
        let a = plan('a').build(&lab, &wan)?;
        let b = plan('b').build(&lab, &wan)?;
        Ok(Self { a, b, wan, lab })
    }

    /// Whether a single ping from site a to site b is answered within a second.
    pub fn is_open(&self) -> bool {
        self.a.site.run(&format!("ping -n -q -c 1 -W 1 {}", self.b.site_v4)).is_ok()
    }

    /// Waits until a ping from site a to site b is answered.
    pub fn wait_for_traffic(&self, limit: Duration) -> Result<()> {
        wait_until("a ping between the sites to be answered", limit, || self.is_open())
    }

    /// Starts pings from site a to an address, one each `interval`.
    pub fn start_ping(&self, to: IpAddr, count: u32, interval: Duration) -> Result<Ping> {
        Ping::start(&self.lab, &self.a.site, to, count, interval)
    }

    /// Lets the gateways' kernels forward in clear: the control experiment, which shows what a test would see without Ravelin.
    pub fn forward_in_clear(&self, on: bool) -> Result<()> {
        self.a.gateway.forward(on)?;
        self.b.gateway.forward(on)
    }
}

/// What differs from stand to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Of the wan's links, in octets.
    pub wan_mtu: u16,
    /// Queues at the interfaces of the gateways and of the hosts.
    pub queues: u16,
    /// Queues at the interfaces of the router. With fewer than at the gateways, all that comes from the wan comes by the first
    /// queues.
    pub router_queues: u16,
}

impl Default for Shape {
    fn default() -> Self {
        Self { wan_mtu: 1500, queues: 1, router_queues: 1 }
    }
}

/// What differs between the sides.
struct Plan {
    letter: char,
    shape: Shape,
}

impl Plan {
    fn build(&self, lab: &Lab, wan: &Namespace) -> Result<Side> {
        let side = self.side(lab)?;
        self.link_lan(&side)?;
        self.link_wan(&side, wan)?;
        route_by(&side.site, side.lan_v4, side.lan_v6)?;
        route_by(&side.gateway, router_of(side.gateway_v4), router_of(side.gateway_v6))?;
        let (lan_v4, lan_v6) = (network(side.site_v4), network(side.site_v6));
        wan.run(&format!("ip route add {lan_v4} via {}", side.gateway_v4))?;
        wan.run(&format!("ip route add {lan_v6} via {}", side.gateway_v6))?;
        Ok(side)
    }

    fn side(&self, lab: &Lab) -> Result<Side> {
        let letter = self.letter;
        let (number, gateway_v4) = if letter == 'a' { (1, [192, 0, 2, 1]) } else { (2, [198, 51, 100, 1]) };
        let v6 = |subnet: u16, host: u16| IpAddr::from([0x2001, 0xdb8, subnet, 0, 0, 0, 0, host]);
        Ok(Side {
            letter,
            site: lab.namespace(&format!("site-{letter}"))?,
            gateway: lab.namespace(&format!("gw-{letter}"))?,
            site_v4: IpAddr::from([10, number, 0, 2]),
            site_v6: v6(number.into(), 2),
            gateway_v4: IpAddr::from(gateway_v4),
            gateway_v6: v6(if letter == 'a' { 0xa } else { 0xb }, 1),
            lan_v4: IpAddr::from([10, number, 0, 1]),
            lan_v6: v6(number.into(), 1),
        })
    }

    fn link_lan(&self, side: &Side) -> Result<()> {
        let (site_v4, site_v6) = (prefixed(side.site_v4), prefixed(side.site_v6));
        let (lan_v4, lan_v6) = (prefixed(side.lan_v4), prefixed(side.lan_v6));
        let site = End::new(&side.site, "lan").address(&site_v4).address(&site_v6);
        let gateway = End::new(&side.gateway, "lan0").address(&lan_v4).address(&lan_v6);
        let queues = self.shape.queues;
        Link::between(site.queues(queues), gateway.queues(queues)).create()
    }

    fn link_wan(&self, side: &Side, wan: &Namespace) -> Result<()> {
        let (own_v4, own_v6) = (prefixed(side.gateway_v4), prefixed(side.gateway_v6));
        let (router_v4, router_v6) =
            (prefixed(router_of(side.gateway_v4)), prefixed(router_of(side.gateway_v6)));
        let interface = side.wan_interface();
        let gateway = End::new(&side.gateway, "wan0").address(&own_v4).address(&own_v6);
        let router = End::new(wan, &interface).address(&router_v4).address(&router_v6);
        let Shape { wan_mtu, queues, router_queues } = self.shape;
        Link::between(gateway.queues(queues), router.queues(router_queues)).mtu(wan_mtu).create()
    }
}

fn route_by(namespace: &Namespace, v4: IpAddr, v6: IpAddr) -> Result<()> {
    namespace.run(&format!("ip route add default via {v4}"))?;
    namespace.run(&format!("ip route add default via {v6}"))?;
    Ok(())
}

/// The wan's address on the link of a gateway: the same with a 2 at the end.
fn router_of(gateway: IpAddr) -> IpAddr {
    match gateway {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::from([a, b, c, 2])
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, _] = address.segments();
            IpAddr::from([a, b, c, d, e, f, g, 2])
        }
    }
}

/// The address with the length of its network: 24 and 64 here.
fn prefixed(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 24 } else { 64 })
}

/// The network of a site's address.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/64")
        }
    }
}
