//! Leads what this host sends to protected prefixes to the workers, which seal it.
//!
//! A routing table of its own holds the prefixes, and a rule sends what the host itself has made there; packets of the
//! workers never see the kernel's routes. IKE is left alone, as the second line leaves it alone ([`super::guard`]).
//! When the process ends the interface goes, the table is empty, and the second line drops.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage, RulePortRange};
use netlink_packet_route::{AddressFamily, IpProtocol, RouteNetlinkMessage};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rustix::io::Errno;

use super::netlink::Asker;

/// The table, and the priority of the rule that leads to it: after the operator's own rules, before the main table.
/// Those of exceptions come just before.
const TABLE: u32 = 29_300;
/// UDP ports of IKE.
const IKE: [u16; 2] = [500, 4500];

/// A prefix: lowest address and length.
type Prefix = (IpAddr, u8);

/// The routes.
pub struct Detour {
    asker: Asker,
    interface: String,
    /// Index of the TUN interface.
    link: u32,
    /// The prefixes that lead to it.
    present: BTreeSet<Prefix>,
}

impl Detour {
    /// Sets up the rules; no prefix takes the detour yet. `link` is the index of `interface`, which is new and has no
    /// routes.
    pub fn open(interface: &str, link: u32) -> io::Result<Self> {
        let mut asker = Asker::open()?;
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            for rule in rules(family) {
                match asker.demand(RouteNetlinkMessage::NewRule(rule), NLM_F_CREATE | NLM_F_EXCL) {
                    Err(error) if Errno::from_io_error(&error) == Some(Errno::EXIST) => {}
                    // A kernel without IPv6.
                    Err(error) if Errno::from_io_error(&error) == Some(Errno::AFNOSUPPORT) => {}
                    other => other?,
                }
            }
        }
        Ok(Self { asker, interface: interface.to_owned(), link, present: BTreeSet::new() })
    }

    /// Name of the interface that leads to the workers.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Makes exactly these prefixes take it: first what is new, then what is old, so that none is missing meanwhile.
    pub fn set(&mut self, wanted: BTreeSet<Prefix>) -> io::Result<()> {
        for prefix in wanted.difference(&self.present.clone()) {
            let route = RouteNetlinkMessage::NewRoute(route(*prefix, self.link));
            self.asker.demand(route, NLM_F_CREATE | NLM_F_REPLACE)?;
            self.present.insert(*prefix);
        }
        for prefix in self.present.clone().difference(&wanted) {
            self.asker.demand(RouteNetlinkMessage::DelRoute(route(*prefix, self.link)), 0)?;
            self.present.remove(prefix);
        }
        Ok(())
    }
}

/// IKE to the main table; what else is of this host's making (`iif lo`) to ours.
fn rules(family: AddressFamily) -> Vec<RuleMessage> {
    let main = u32::from(RouteHeader::RT_TABLE_MAIN);
    // A NAT may have changed the peer's port, but not ours.
    let ports = IKE.map(|port| RulePortRange { start: port, end: port });
    let either = ports.into_iter().flat_map(|ports| {
        [RuleAttribute::SourcePortRange(ports), RuleAttribute::DestinationPortRange(ports)]
    });
    let ike = either.map(|ports| {
        let mut rule = rule(family, main, TABLE - 1);
        rule.attributes.extend([RuleAttribute::IpProtocol(IpProtocol::Udp), ports]);
        rule
    });
    ike.chain([rule(family, TABLE, TABLE)]).collect()
}

fn rule(family: AddressFamily, table: u32, priority: u32) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = family;
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::Iifname("lo".to_owned()),
        RuleAttribute::Table(table),
        RuleAttribute::Priority(priority),
    ];
    rule
}

fn route((address, length): Prefix, link: u32) -> RouteMessage {
    let mut route = RouteMessage::default();
    (route.header.address_family, route.header.destination_prefix_length) = (address.into(), length);
    (route.header.protocol, route.header.scope, route.header.kind) =
        (RouteProtocol::Static, RouteScope::Link, RouteType::Unicast);
    let destination = match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    };
    route.attributes = vec![
        RouteAttribute::Destination(destination),
        RouteAttribute::Oif(link),
        RouteAttribute::Table(TABLE),
    ];
    route
}
