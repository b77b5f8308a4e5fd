//! `IpService`: protocol, ports or ICMP types, direction and routing.

use ravelin_contract::selector::protocol;

use super::Setting;
use super::filter::protocol as number_of;
use crate::pagent::book::{Body, Once};
use crate::pagent::condition::{self, PortKeys, Set};
use crate::write::Value;

const SOURCE: PortKeys =
    PortKeys { plain: "SourcePortRange", range: "SourcePortRangeRef", group: "SourcePortGroupRef" };
const DESTINATION: PortKeys = PortKeys {
    plain: "DestinationPortRange",
    range: "DestinationPortRangeRef",
    group: "DestinationPortGroupRef",
};
/// IPv6 extension headers, which are never the protocol of a packet here.
const EXTENSION_HEADERS: [u8; 4] = [0, 43, 44, 60];

/// The services of a rule.
pub(super) enum Parts {
    /// Each as a rule of its own.
    Known(Vec<Part>),
    /// One could not be read, which was told.
    Unknown,
}

/// One service; any traffic where it says nothing.
#[derive(Default)]
pub(super) struct Part {
    /// Protocol, ports, types.
    pub(super) traffic: Vec<Setting>,
    pub(super) direction: Option<&'static str>,
    pub(super) connect: Option<&'static str>,
    pub(super) routing: Option<&'static str>,
    pub(super) fragments_only: bool,
}

/// The services of a rule, those of groups too; none is any traffic.
pub(super) fn read(body: &Body<'_, '_>) -> Parts {
    let book = body.book;
    let before = book.notes.refusals();
    let mut services = body.statements("IpService");
    for group in body.statements("IpServiceGroup") {
        let within = book.enter(group, || Some(book.open(group).statements("IpService")));
        services.extend(within.unwrap_or_default());
    }
    let parts: Vec<Part> = services.into_iter().filter_map(|node| one(&book.open(node))).collect();
    if parts.is_empty() && book.notes.refusals() == before {
        // z/OS asks for a service; without one the rule says nothing of what it is for.
        let remedy = "add an IpService; Protocol All is for every packet";
        book.refused(body.node, "it names no IpService", remedy);
    }
    if book.notes.refusals() != before {
        return Parts::Unknown;
    }
    Parts::Known(parts)
}

fn one(body: &Body<'_, '_>) -> Option<Part> {
    let protocol = protocol_of(body);
    let traffic = traffic(body, protocol?)?;
    let (direction, connect) = direction(body)?;
    let tcp = protocol?.is_none_or(|number| number == protocol::TCP);
    class(body);
    let fragments_only = match body.once(&["FragmentsOnly"]).one() {
        Some(node) => crate::pagent::attls::switch(node, body.book)?,
        None => false,
    };
    Some(Part {
        traffic,
        direction,
        connect: connect.filter(|_| tcp),
        routing: routing(body)?,
        fragments_only,
    })
}

/// `Some(None)` for any.
fn protocol_of(body: &Body<'_, '_>) -> Option<Option<u8>> {
    let node = match body.once(&["Protocol"]) {
        Once::Absent => return Some(None),
        Once::Several => return None,
        Once::One(node) => node,
    };
    if node.first().eq_ignore_ascii_case("all") {
        body.book.exact(node, "");
        return Some(None);
    }
    let number = number_of(node.first()).filter(|number| !EXTENSION_HEADERS.contains(number));
    match number {
        Some(_) => body.book.exact(node, ""),
        None => body.book.bad_value(node, "All, the name of a protocol such as TCP, or its number"),
    }
    number.map(Some)
}

fn traffic(body: &Body<'_, '_>, number: Option<u8>) -> Option<Vec<Setting>> {
    let mut keys: Vec<Setting> = Vec::new();
    keys.extend(
        number.map(|number| ("protocol", Value::text(ravelin_config::service::protocol_name(number)))),
    );
    if let Some((_, Value::Text(name))) = keys.first_mut()
        && let Ok(number) = name.parse()
    {
        keys = vec![("protocol", Value::Number(number))];
    }
    let (source, destination) = (condition::ports(body, &SOURCE), condition::ports(body, &DESTINATION));
    let ports = [("source_port", source?), ("destination_port", destination?)];
    let types = [("icmp_type", icmp(body, "Type")?), ("icmp_code", icmp(body, "Code")?)];
    let (has_ports, is_icmp) =
        (number.is_some_and(protocol::has_ports), number.is_some_and(protocol::is_icmp));
    for (key, set) in ports.into_iter().filter(|(_, set)| *set != Set::All) {
        if !has_ports {
            let remedy = "write Protocol TCP or UDP, or leave the ports out";
            body.book.refused(body.node, "ports of a protocol that has none", remedy);
            return None;
        }
        keys.extend(set.ports().map(|value| (key, value)));
    }
    for (key, value) in types.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        if !is_icmp {
            let remedy = "write Protocol ICMP or ICMPv6, or leave Type and Code out";
            body.book.refused(body.node, "types of a protocol that has none here", remedy);
            return None;
        }
        keys.push((key, Value::Number(value)));
    }
    if keys.iter().any(|(key, _)| *key == "icmp_code") && !keys.iter().any(|(key, _)| *key == "icmp_type") {
        body.book.refused(body.node, "a Code without a Type", "add the Type");
        return None;
    }
    Some(keys)
}

/// A type or code; `Some(None)` for all.
fn icmp(body: &Body<'_, '_>, key: &'static str) -> Option<Option<u64>> {
    let node = match body.once(&[key]) {
        Once::Absent => return Some(None),
        Once::Several => return None,
        Once::One(node) => node,
    };
    let number = match node.first() {
        text if text.eq_ignore_ascii_case("all") => Some(None),
        text => text.parse::<u8>().ok().map(|number| Some(u64::from(number))),
    };
    match number {
        Some(_) => body.book.exact(node, ""),
        None => body.book.bad_value(node, "a number up to 255, or All"),
    }
    number
}

/// Direction, and who may open TCP connections (row B9).
fn direction(body: &Body<'_, '_>) -> Option<(Option<&'static str>, Option<&'static str>)> {
    let node = match body.once(&["Direction"]) {
        Once::Absent => return Some((None, None)),
        Once::Several => return None,
        Once::One(node) => node,
    };
    let direction = match node.first().to_ascii_lowercase().as_str() {
        "bidirectional" => Some(None),
        "inbound" => Some(Some("inbound")),
        "outbound" => Some(Some("outbound")),
        _ => None,
    };
    let connect = match node.words.get(1).map(|word| word.to_ascii_lowercase()).as_deref() {
        Some("inboundconnect") => Some("inbound"),
        Some("outboundconnect") => Some("outbound"),
        // Text beyond the value means nothing (row C9).
        _ => None,
    };
    match direction {
        Some(_) => body.book.exact(node, ""),
        None => body
            .book
            .bad_value(node, "BiDirectional, Inbound or Outbound, with InboundConnect or OutboundConnect"),
    }
    direction.map(|direction| (direction, connect))
}

/// Local where nothing is written, as on z/OS.
fn routing(body: &Body<'_, '_>) -> Option<Option<&'static str>> {
    let node = match body.once(&["Routing"]) {
        Once::Absent => return Some(Some("local")),
        Once::Several => return None,
        Once::One(node) => node,
    };
    let routing = match node.first().to_ascii_lowercase().as_str() {
        "local" => Some(Some("local")),
        "routed" => Some(Some("routed")),
        "either" => Some(None),
        _ => None,
    };
    match routing {
        Some(_) => body.book.exact(node, ""),
        None => body.book.bad_value(node, "Local, Routed or Either"),
    }
    routing
}

/// Classes of interfaces are numbers there and names of zones here.
fn class(body: &Body<'_, '_>) {
    let Some(node) = body.once(&["SecurityClass"]).one() else { return };
    if node.first() == "0" {
        body.book.exact(node, "of every interface");
    } else {
        let remedy = "write zone = \"NAME\" in the rule of ours";
        body.book.refused(node, "which zone the class stands for is not known", remedy);
    }
}
