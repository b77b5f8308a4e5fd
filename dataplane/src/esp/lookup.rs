//! What ESP asks of the tables.

use std::net::IpAddr;

use ravelin_contract::rule::TunnelId;
use ravelin_contract::selector::FlowKey;

use super::sa::{InboundSa, OutboundSa};

/// Source address of an ESP packet, and source port where UDP carried it.
pub type End = (IpAddr, Option<u16>);

/// One generation of tables, as far as ESP needs it.
pub trait Lookup {
    /// The inbound SA of this SPI and destination, with its position (RFC 4301 4.1).
    fn inbound(&self, spi: u32, destination: IpAddr) -> Option<(u32, &InboundSa)>;

    /// The newest outbound SA of the tunnel whose selectors take the packet: the worker's own before one that all share.
    fn outbound(&self, tunnel: TunnelId, flow: &FlowKey) -> Option<&OutboundSa>;

    /// Told when a packet of a negotiated SA, authentic and newer than all before, came from another end than the SA's.
    /// Says whether anybody took note; then the same end is not told again.
    fn moved(&self, _sa: &InboundSa, _from: End) -> bool {
        false
    }

    /// Whether this host has the address.
    fn is_local(&self, address: IpAddr) -> bool;

    /// Whether ESP is expected on this UDP port of ours (RFC 3948).
    fn carries_esp(&self, port: u16) -> bool;

    /// MTU of the route towards a security endpoint. Asked only where traffic-flow padding needs a bound.
    fn link_mtu(&self, towards: IpAddr) -> u16;
}
