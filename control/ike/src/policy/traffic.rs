//! Which packets one side of a child SA speaks of, and what two sides agree on (RFC 7296 2.9 and 3.13.1).

use std::net::IpAddr;

use ravelin_contract::address::{AddressRange, Family, NumberRange};
use ravelin_contract::selector::{FlowKey, Selector, Upper, protocol};
use serde::{Deserialize, Serialize};

/// Addresses, protocol and ports of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Traffic {
    /// Addresses.
    pub addresses: AddressRange,
    /// IP protocol; 0 for any.
    pub protocol: u8,
    /// Ports; for ICMP the type in the upper octet and the code in the lower.
    pub ports: NumberRange,
}

impl Traffic {
    /// All traffic of these addresses.
    pub fn of(addresses: AddressRange) -> Self {
        Self { addresses, protocol: 0, ports: NumberRange::ALL }
    }

    /// All traffic of one address.
    pub fn single(address: IpAddr) -> Self {
        Self::of(AddressRange::single(address))
    }

    /// What both speak of.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let protocol = match (self.protocol, other.protocol) {
            (0, one) | (one, 0) => one,
            (a, b) if a == b => a,
            _ => return None,
        };
        if self.addresses.family() != other.addresses.family() {
            return None;
        }
        let first = self.addresses.first().max(other.addresses.first());
        let last = self.addresses.last().min(other.addresses.last());
        let ports = NumberRange::new(
            self.ports.first().max(other.ports.first()),
            self.ports.last().min(other.ports.last()),
        );
        Some(Self { addresses: AddressRange::new(first, last).ok()?, protocol, ports: ports.ok()? })
    }

    /// Whether everything that `other` speaks of is spoken of here.
    pub fn covers(&self, other: &Self) -> bool {
        self.intersect(other) == Some(*other)
    }

    /// The two sides of a packet that leaves here: ours, then the peer's.
    pub fn of_flow(flow: &FlowKey) -> (Self, Self) {
        let (source, destination) = match flow.upper {
            Some((kind, code)) if protocol::is_icmp(flow.protocol) => {
                let both = NumberRange::single((kind << 8) | (code & 0xff));
                (both, both)
            }
            Some((source, destination)) => (NumberRange::single(source), NumberRange::single(destination)),
            None => (NumberRange::ALL, NumberRange::ALL),
        };
        let side = |address, ports| Self {
            addresses: AddressRange::single(address),
            protocol: flow.protocol,
            ports,
        };
        (side(flow.source, source), side(flow.destination, destination))
    }

    /// The contract's selector for packets from `source` to `destination`, where the two fit each other.
    pub fn selector(source: &Self, destination: &Self) -> Option<Selector> {
        if source.addresses.family() != destination.addresses.family() {
            return None;
        }
        let number = match (source.protocol, destination.protocol) {
            (0, one) | (one, 0) => one,
            (a, b) if a == b => a,
            _ => return None,
        };
        let all = source.ports.is_all() && destination.ports.is_all();
        let upper = if number == 0 {
            Upper::Any
        } else if protocol::has_ports(number) && !all {
            Upper::Ports { protocol: number, source: source.ports, destination: destination.ports }
        } else if protocol::is_icmp(number) && !all {
            let ports = if source.ports.is_all() { destination.ports } else { source.ports };
            icmp(number, ports)?
        } else {
            Upper::Protocol(number)
        };
        Some(Selector { source: source.addresses, destination: destination.addresses, upper })
    }
}

/// Types and codes out of one range of `type << 8 | code`: one type with some codes, or whole types.
fn icmp(number: u8, ports: NumberRange) -> Option<Upper> {
    let (first, last) = (ports.first(), ports.last());
    let types = NumberRange::new(first >> 8, last >> 8).ok()?;
    let codes = NumberRange::new(first & 0xff, last & 0xff).ok()?;
    let exact = types.first() == types.last() || (codes.first() == 0 && codes.last() == 0xff);
    exact.then_some(Upper::Icmp { protocol: number, types, codes })
}

impl std::fmt::Display for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.addresses)?;
        if self.protocol != 0 {
            write!(f, "[{}", self.protocol)?;
            if !self.ports.is_all() {
                write!(f, "/{}", self.ports)?;
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

/// A list of traffic for people.
pub(crate) fn list(traffic: &[Traffic]) -> String {
    traffic.iter().map(Traffic::to_string).collect::<Vec<_>>().join(", ")
}

/// Everything of both families.
pub fn everything() -> Vec<Traffic> {
    [Family::V4, Family::V6].map(|family| Traffic::of(AddressRange::all(family))).into()
}
