//! Which crossings of the boundary a packet makes, and so which lookups it needs (RFC 4301 3.1, 5.1, 5.2).
//!
//! | from | to | inbound | outbound |
//! |---|---|---|---|
//! | unprotected port, or out of an SA | protected port or this host | yes | no |
//! | unprotected port, or out of an SA | unprotected port | yes, first | yes |
//! | protected port | any port | no | yes |
//! | protected port | this host | yes | no |
//! | this host | unprotected port | no | yes |
//! | this host | protected port | no | no |
//! | our splice, for one end of a connection | unprotected port | no | yes, as forwarded |
//! | our splice | protected port or this host | no | no |

use ravelin_contract::rule::{TunnelId, ZoneId};
use ravelin_contract::selector::FlowKey;

use crate::packet::{Origin, Packet, PortIndex, Route};
use crate::table::Tables;
use crate::wire::ip::Fragment;

/// Everything that decides what filters say of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Crossing {
    /// Addresses and upper layer; ports of a later fragment only if they are known.
    pub(crate) flow: FlowKey,
    /// Whether it is a fragment.
    pub(crate) fragment: bool,
    /// Whether it opens a TCP connection.
    pub(crate) opens_tcp: bool,
    /// The tunnel of the SA that brought it; `None` when it came in clear.
    pub(crate) came_by: Option<TunnelId>,
    /// The inbound lookup, if one is due.
    pub(crate) inbound: Option<Side>,
    /// The outbound lookup, if one is due.
    pub(crate) outbound: Option<Side>,
}

/// The part of a lookup that hangs on where the packet crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Side {
    /// Of the ingress port when inbound, of the egress port when outbound.
    pub(crate) zone: Option<ZoneId>,
    /// Whether this host is the packet's end.
    pub(crate) local: bool,
}

impl Crossing {
    /// The crossings of a packet whose route is known; `came_by` is the tunnel of the SA that opened it.
    pub(crate) fn of(packet: &Packet, came_by: Option<TunnelId>, tables: &Tables) -> Self {
        let own = packet.origin != Origin::Wire;
        let to_us = packet.route == Route::Local;
        let egress = match packet.route {
            Route::Via { port, .. } => Some(port),
            Route::Local | Route::Unknown => None,
        };
        let outside = came_by.is_some() || !is_protected(tables, packet.ingress);
        let side = |port: PortIndex, local| Side { zone: zone(tables, port), local };
        let leaves = |port: &PortIndex| !is_protected(tables, *port) || !(own || outside);
        Self {
            flow: packet.ip.flow,
            fragment: packet.ip.fragment != Fragment::Whole,
            opens_tcp: packet.ip.opens_tcp,
            came_by,
            inbound: (!own && (outside || to_us)).then(|| side(packet.ingress, to_us)),
            outbound: egress.filter(leaves).map(|port| side(port, own && packet.origin != Origin::Spliced)),
        }
    }

    /// The crossing of a packet as it came, in clear, to this host; it has no route yet.
    pub(crate) fn to_us(packet: &Packet, tables: &Tables) -> Self {
        Self {
            flow: packet.ip.flow,
            fragment: packet.ip.fragment != Fragment::Whole,
            opens_tcp: packet.ip.opens_tcp,
            came_by: None,
            inbound: Some(Side { zone: zone(tables, packet.ingress), local: true }),
            outbound: None,
        }
    }

    /// The same in four words; different crossings give different words.
    pub(crate) fn packed(&self) -> Packed {
        let wide = |address| match address {
            std::net::IpAddr::V4(v4) => u128::from(v4.to_bits()),
            std::net::IpAddr::V6(v6) => v6.to_bits(),
        };
        let (first, second) = self.flow.upper.unwrap_or((0, 0));
        let flags = u64::from(self.flow.source.is_ipv4())
            | u64::from(self.flow.upper.is_some()) << 1
            | u64::from(self.fragment) << 2
            | u64::from(self.opens_tcp) << 3;
        Packed {
            source: wide(self.flow.source),
            destination: wide(self.flow.destination),
            rest: u64::from(first)
                | u64::from(second) << 16
                | u64::from(self.flow.protocol) << 32
                | flags << 40
                | side_bits(self.inbound) << 44
                | side_bits(self.outbound) << 54,
            came_by: self.came_by.map_or(u32::MAX, |tunnel| tunnel.0),
        }
    }
}

/// A [`Crossing`] as a key of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) source: u128,
    pub(crate) destination: u128,
    pub(crate) rest: u64,
    pub(crate) came_by: u32,
}

/// Ten bits: the zone (255 for none, since zones are numbered below `limits::ZONES`) and none, routed or local.
fn side_bits(side: Option<Side>) -> u64 {
    let Some(side) = side else { return 0 };
    u64::from(side.zone.map_or(u8::MAX, |zone| zone.0)) << 2 | if side.local { 2 } else { 1 }
}

const _: () = assert!(ravelin_contract::limits::ZONES <= u8::MAX as usize);
const _: () = assert!(ravelin_contract::limits::TUNNELS < u32::MAX as usize);

/// A port that is not there is not trusted.
fn is_protected(tables: &Tables, port: PortIndex) -> bool {
    tables.port(port).is_some_and(|port| port.protected)
}

fn zone(tables: &Tables, port: PortIndex) -> Option<ZoneId> {
    tables.port(port).and_then(|port| port.zone)
}
