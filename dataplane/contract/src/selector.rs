//! Traffic selectors (RFC 4301 4.4.1.1): which packets a rule or an SA speaks of.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::address::{AddressRange, Family, NumberRange};

/// IANA protocol numbers that the product treats by name.
pub mod protocol {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// IPv4 inside IP.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 inside IP.
    pub const IPV6: u8 = 41;
    /// Encapsulating Security Payload.
    pub const ESP: u8 = 50;
    /// Authentication Header.
    pub const AH: u8 = 51;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// No next header; in ESP a dummy packet (RFC 4303 2.6).
    pub const NONE: u8 = 59;
    /// SCTP.
    pub const SCTP: u8 = 132;

    /// Whether packets of `protocol` begin with a source and a destination port.
    pub fn has_ports(protocol: u8) -> bool {
        matches!(protocol, TCP | UDP | SCTP | 33 | 136)
    }

    /// Whether packets of `protocol` begin with an ICMP type and code.
    pub fn is_icmp(protocol: u8) -> bool {
        matches!(protocol, ICMP | ICMPV6)
    }
}

/// What a selector asks of the upper layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Upper {
    /// Any protocol.
    Any,
    /// One protocol, whatever its ports.
    Protocol(u8),
    /// One protocol with ports.
    Ports {
        /// A protocol for which [`protocol::has_ports`] holds.
        protocol: u8,
        /// Source ports.
        source: NumberRange,
        /// Destination ports.
        destination: NumberRange,
    },
    /// ICMP or ICMPv6 with types and codes.
    Icmp {
        /// A protocol for which [`protocol::is_icmp`] holds.
        protocol: u8,
        /// Types.
        types: NumberRange,
        /// Codes.
        codes: NumberRange,
    },
}

/// What a packet shows to a selector. Ports and ICMP fields are absent in later fragments (RFC 4301 "OPAQUE").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlowKey {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Upper-layer protocol, after extension headers.
    pub protocol: u8,
    /// `(source port, destination port)`, or `(type, code)` for ICMP.
    pub upper: Option<(u16, u16)>,
}

impl FlowKey {
    /// The key of the answer: addresses and ports swapped. ICMP type and code stay.
    pub fn reversed(&self) -> Self {
        let upper =
            if protocol::is_icmp(self.protocol) { self.upper } else { self.upper.map(|(a, b)| (b, a)) };
        Self { source: self.destination, destination: self.source, protocol: self.protocol, upper }
    }
}

/// Packets by addresses and upper layer. Both ranges are of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Selector {
    /// Source addresses.
    pub source: AddressRange,
    /// Destination addresses.
    pub destination: AddressRange,
    /// Protocol, ports, ICMP.
    pub upper: Upper,
}

impl Selector {
    /// Everything of one family.
    pub fn all(family: Family) -> Self {
        Self { source: AddressRange::all(family), destination: AddressRange::all(family), upper: Upper::Any }
    }

    /// The family of the addresses.
    pub fn family(&self) -> Family {
        self.source.family()
    }

    /// Whether both ranges are of one family and the upper layer fits its protocol.
    pub fn is_consistent(&self) -> bool {
        let upper = match self.upper {
            Upper::Any | Upper::Protocol(_) => true,
            Upper::Ports { protocol, .. } => protocol::has_ports(protocol),
            Upper::Icmp { protocol, .. } => protocol::is_icmp(protocol),
        };
        upper && self.source.family() == self.destination.family()
    }

    /// Whether the packet is selected. A later fragment never matches a selector that asks for ports, types or
    /// codes other than all (RFC 4301 4.4.1.1, OPAQUE).
    pub fn matches(&self, flow: &FlowKey) -> bool {
        self.source.contains(flow.source)
            && self.destination.contains(flow.destination)
            && self.upper.matches(flow.protocol, flow.upper)
    }

    /// The selector of the answers: addresses and ports swapped.
    pub fn reversed(&self) -> Self {
        let upper = match self.upper {
            Upper::Ports { protocol, source, destination } => {
                Upper::Ports { protocol, source: destination, destination: source }
            }
            other => other,
        };
        Self { source: self.destination, destination: self.source, upper }
    }
}

impl Upper {
    /// Whether a packet of `protocol` with these ports (or type and code) is selected.
    pub fn matches(&self, packet_protocol: u8, fields: Option<(u16, u16)>) -> bool {
        match *self {
            Self::Any => true,
            Self::Protocol(protocol) => protocol == packet_protocol,
            Self::Ports { protocol, source: first, destination: second }
            | Self::Icmp { protocol, types: first, codes: second } => {
                protocol == packet_protocol
                    && match fields {
                        Some((a, b)) => first.contains(a) && second.contains(b),
                        None => first.is_all() && second.is_all(),
                    }
            }
        }
    }
}
