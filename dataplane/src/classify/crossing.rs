//! Where a packet came from and where it goes, in the words of [`ravelin_lookup::crossing`], and crossings as keys of tables.

use ravelin_contract::rule::TunnelId;
use ravelin_lookup::crossing::{Crossing, From, Port, Shown, Side, To};

use crate::packet::{Origin, Packet, PortIndex, Route};
use crate::table::Tables;
use crate::wire::ip::Fragment;

/// The crossings of a packet whose route is known; `came_by` is the tunnel of the SA that opened it.
pub(crate) fn of(packet: &Packet, came_by: Option<TunnelId>, tables: &Tables) -> Crossing {
    let from = match packet.origin {
        Origin::Wire => From::Port(port(tables, packet.ingress)),
        Origin::Spliced => From::Splice,
        Origin::Own | Origin::OwnExempt => From::Host,
    };
    let to = match packet.route {
        Route::Via { port: egress, .. } => To::Port(port(tables, egress)),
        Route::Local => To::Host,
        Route::Unknown => To::Nowhere,
    };
    Crossing::between(shown(packet), from, to, came_by)
}

/// The crossing of a packet as it came, in clear, to this host; it has no route yet.
pub(crate) fn to_us(packet: &Packet, tables: &Tables) -> Crossing {
    Crossing::between(shown(packet), From::Port(port(tables, packet.ingress)), To::Host, None)
}

fn shown(packet: &Packet) -> Shown {
    Shown {
        flow: packet.ip.flow,
        fragment: packet.ip.fragment != Fragment::Whole,
        opens_tcp: packet.ip.opens_tcp,
    }
}

/// A port that is not there is not trusted.
fn port(tables: &Tables, index: PortIndex) -> Port {
    let port = tables.port(index);
    Port { zone: port.and_then(|port| port.zone), protected: port.is_some_and(|port| port.protected) }
}

/// A [`Crossing`] as a key of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) source: u128,
    pub(crate) destination: u128,
    pub(crate) rest: u64,
    pub(crate) came_by: u32,
}

impl Packed {
    /// The same in four words; different crossings give different words.
    pub(crate) fn new(crossing: &Crossing) -> Self {
        let wide = |address| match address {
            std::net::IpAddr::V4(v4) => u128::from(v4.to_bits()),
            std::net::IpAddr::V6(v6) => v6.to_bits(),
        };
        let Shown { flow, fragment, opens_tcp } = crossing.shown;
        let (first, second) = flow.upper.unwrap_or((0, 0));
        let flags = u64::from(flow.source.is_ipv4())
            | u64::from(flow.upper.is_some()) << 1
            | u64::from(fragment) << 2
            | u64::from(opens_tcp) << 3;
        Self {
            source: wide(flow.source),
            destination: wide(flow.destination),
            rest: u64::from(first)
                | u64::from(second) << 16
                | u64::from(flow.protocol) << 32
                | flags << 40
                | side_bits(crossing.inbound) << 44
                | side_bits(crossing.outbound) << 54,
            came_by: crossing.came_by.map_or(u32::MAX, |tunnel| tunnel.0),
        }
    }
}

/// Ten bits: the zone (255 for none, since zones are numbered below `limits::ZONES`) and none, routed or local.
fn side_bits(side: Option<Side>) -> u64 {
    let Some(side) = side else { return 0 };
    u64::from(side.zone.map_or(u8::MAX, |zone| zone.0)) << 2 | if side.local { 2 } else { 1 }
}

const _: () = assert!(ravelin_contract::limits::ZONES <= u8::MAX as usize);
const _: () = assert!(ravelin_contract::limits::TUNNELS < u32::MAX as usize);
const _: () = assert!(ravelin_contract::limits::SAS < u32::MAX as usize);
