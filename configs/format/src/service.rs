//! Services: protocol, ports, ICMP type and code as operators write them.

use ravelin_contract::address::{Family, NumberRange};
use ravelin_contract::selector::{Upper, protocol};
use ravelin_events::catalogue::{CHECK_NEVER, FILE_CONTRADICTION, FILE_MISSING, FILE_TWICE};

use crate::document::Table;
use crate::similar::did_you_mean;
use crate::source::Place;
use crate::value::Value;

/// The keys of a service.
pub const KEYS: &[&str] = &["protocol", "source_port", "destination_port", "icmp_type", "icmp_code"];

/// One simple service of those that a table was split into.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it asks of the upper layer.
    pub upper: Upper,
    /// The only family that has the protocol; `None` when both do.
    pub family: Option<Family>,
    /// Where it was written.
    pub place: Place,
    /// The protocol as messages show it.
    pub text: String,
}

/// Names of protocols; the first of a number is the one that is shown.
const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", protocol::ICMP),
    ("igmp", 2),
    ("ipv4", protocol::IPV4),
    ("ipip", protocol::IPV4),
    ("tcp", protocol::TCP),
    ("udp", protocol::UDP),
    ("dccp", 33),
    ("ipv6", protocol::IPV6),
    ("gre", 47),
    ("esp", protocol::ESP),
    ("ah", protocol::AH),
    ("icmpv6", protocol::ICMPV6),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", protocol::SCTP),
    ("mobility", 135),
    ("udplite", 136),
];

/// Headers that lead to the upper layer and so never are it: hop-by-hop, routing, fragment, destination options.
const EXTENSION_HEADERS: [u64; 4] = [0, 43, 44, 60];

/// ICMP types by name: the number of ICMP, and that of ICMPv6 (RFC 792, RFC 4443, RFC 4861).
const TYPES: &[(&str, Option<u16>, Option<u16>)] = &[
    ("echo-reply", Some(0), Some(129)),
    ("echo-request", Some(8), Some(128)),
    ("destination-unreachable", Some(3), Some(1)),
    ("packet-too-big", None, Some(2)),
    ("time-exceeded", Some(11), Some(3)),
    ("parameter-problem", Some(12), Some(4)),
    ("redirect", Some(5), Some(137)),
    ("router-advertisement", Some(9), Some(134)),
    ("router-solicitation", Some(10), Some(133)),
    ("neighbour-solicitation", None, Some(135)),
    ("neighbour-advertisement", None, Some(136)),
    ("timestamp-request", Some(13), None),
    ("timestamp-reply", Some(14), None),
    ("multicast-listener-query", None, Some(130)),
    ("multicast-listener-report", None, Some(131)),
    ("multicast-listener-done", None, Some(132)),
];

/// Codes of destination-unreachable by name, as [`TYPES`].
const CODES: &[(&str, Option<u16>, Option<u16>)] = &[
    ("net-unreachable", Some(0), Some(0)),
    ("host-unreachable", Some(1), Some(3)),
    ("protocol-unreachable", Some(2), None),
    ("port-unreachable", Some(3), Some(4)),
    ("fragmentation-needed", Some(4), None),
    ("administratively-prohibited", Some(13), Some(1)),
];

/// Reads the service keys of `table`, which may be a rule: any protocol when there are none. The parts are as many as
/// protocols, source and destination ports (or types and codes) multiply to.
pub fn read(table: &Table<'_>) -> Option<Vec<Part>> {
    let protocols = read_protocols(table)?;
    let parts: Option<Vec<_>> = protocols.iter().map(|written| expand(table, written, &protocols)).collect();
    let parts: Vec<_> = parts?.into_iter().flatten().collect();
    (!parts.is_empty()).then_some(parts)
}

/// TCP by the ports of its two ends, the one that connects first; all ports where nothing is written.
pub fn tcp(source: Option<Value<'_>>, destination: Option<Value<'_>>, place: &Place) -> Option<Vec<Part>> {
    let uppers = expand_ports(protocol::TCP, source, destination)?;
    let part = |upper| Part { upper, family: None, place: place.clone(), text: protocol_name(protocol::TCP) };
    Some(uppers.into_iter().map(part).collect())
}

/// The name of a protocol, or its number.
pub fn protocol_name(number: u8) -> String {
    let name = PROTOCOLS.iter().find(|(_, of)| *of == number).map(|(name, _)| (*name).to_owned());
    name.unwrap_or_else(|| number.to_string())
}

/// The number of a protocol of this name.
pub fn protocol_number(name: &str) -> Option<u8> {
    PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// All names of protocols.
pub fn protocol_names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|(name, _)| *name)
}

/// The ICMP type of this name in ICMP, or in ICMPv6.
pub fn icmp_type(name: &str, number: u8) -> Option<u16> {
    icmp_named(TYPES, name, number)
}

/// The code of this name of destination-unreachable in ICMP, or in ICMPv6.
pub fn icmp_code(name: &str, number: u8) -> Option<u16> {
    icmp_named(CODES, name, number)
}

fn icmp_named(names: &[(&str, Option<u16>, Option<u16>)], name: &str, number: u8) -> Option<u16> {
    let entry = names.iter().find(|entry| entry.0 == name)?;
    if number == protocol::ICMP { entry.1 } else { entry.2 }
}

/// A protocol (`None` for any) and where it stands.
struct Written {
    number: Option<u8>,
    place: Place,
}

impl Written {
    fn text(&self) -> String {
        self.number.map_or_else(|| "any".to_owned(), protocol_name)
    }
}

fn read_protocols(table: &Table<'_>) -> Option<Vec<Written>> {
    let Some(value) = table.get("protocol") else {
        return Some(vec![Written { number: None, place: table.place() }]);
    };
    let mut list: Vec<Written> = Vec::new();
    for item in value.one_or_more() {
        let number = read_protocol(&item)?;
        if list.iter().any(|other| other.number == number) {
            item.error(FILE_TWICE.of("the protocol stands twice"), "list each protocol once");
            return None;
        }
        list.push(Written { number, place: item.place() });
    }
    if list.len() > 1 && list.iter().any(|written| written.number.is_none()) {
        value.error(FILE_CONTRADICTION.of("\"any\" beside other protocols"), "list either any or the others");
        return None;
    }
    (!list.is_empty()).then_some(list)
}

fn read_protocol(value: &Value<'_>) -> Option<Option<u8>> {
    let Some(text) = value.as_text() else {
        let number = value.number(0..=255)?;
        if EXTENSION_HEADERS.contains(&number) {
            let message =
                CHECK_NEVER.of(format!("{number} is an IPv6 extension header, which no rule can match"));
            value.error(message, "name the protocol behind the extension headers");
            return None;
        }
        return Some(Some(number as u8));
    };
    if text == "any" {
        return Some(None);
    }
    let found = protocol_number(text);
    if found.is_none() {
        let names = protocol_names().chain(["any"]);
        let remedy = did_you_mean(text, names, "use a name such as \"tcp\", or the protocol's number");
        value.error(format!("{text:?} is not a protocol"), remedy);
    }
    found.map(Some)
}

fn expand(table: &Table<'_>, written: &Written, all: &[Written]) -> Option<Vec<Part>> {
    let ports = [table.get("source_port"), table.get("destination_port")];
    let icmp = [table.get("icmp_type"), table.get("icmp_code")];
    let number = written.number;
    if let Some(value) = ports.iter().flatten().next()
        && !number.is_some_and(protocol::has_ports)
    {
        let message = FILE_CONTRADICTION.of(format!(
            "`{}` needs a protocol with ports, not {}",
            value.key(),
            written.text()
        ));
        value.error(message, "write protocol = \"tcp\", \"udp\" or another protocol with ports");
        return None;
    }
    if let Some(value) = icmp.iter().flatten().next()
        && !number.is_some_and(protocol::is_icmp)
    {
        let message = FILE_CONTRADICTION.of(format!(
            "`{}` needs protocol icmp or icmpv6, not {}",
            value.key(),
            written.text()
        ));
        value.error(message, "write protocol = \"icmp\", or \"icmpv6\" for IPv6");
        return None;
    }
    let uppers = match (number, ports, icmp) {
        (None, ..) => vec![Upper::Any],
        (Some(number), [None, None], [None, None]) => vec![Upper::Protocol(number)],
        (Some(number), [None, None], [types, codes]) => {
            expand_icmp(number, types, codes, all.len() > 1, table)?
        }
        (Some(number), [source, destination], _) => expand_ports(number, source, destination)?,
    };
    let family = number.and_then(family_of);
    let part = |upper| Part { upper, family, place: written.place.clone(), text: written.text() };
    Some(uppers.into_iter().map(part).collect())
}

/// ICMP belongs to IPv4 and ICMPv6 to IPv6; all else runs over both.
fn family_of(number: u8) -> Option<Family> {
    match number {
        protocol::ICMP => Some(Family::V4),
        protocol::ICMPV6 => Some(Family::V6),
        _ => None,
    }
}

fn expand_ports(
    protocol: u8,
    source: Option<Value<'_>>,
    destination: Option<Value<'_>>,
) -> Option<Vec<Upper>> {
    let read = |value: Option<Value<'_>>| match value {
        Some(value) => value.one_or_more().iter().map(|item| read_range(item, u16::MAX)).collect(),
        None => Some(vec![NumberRange::ALL]),
    };
    let (sources, destinations): (Vec<_>, Vec<_>) = (read(source)?, read(destination)?);
    let pairs = sources.iter().flat_map(|s| destinations.iter().map(move |d| (*s, *d)));
    Some(pairs.map(|(source, destination)| Upper::Ports { protocol, source, destination }).collect())
}

fn expand_icmp(
    number: u8,
    types: Option<Value<'_>>,
    codes: Option<Value<'_>>,
    mixed: bool,
    table: &Table<'_>,
) -> Option<Vec<Upper>> {
    let Some(types) = types else {
        let remedy = "add a line such as: icmp_type = \"destination-unreachable\"";
        table.get("icmp_code")?.error(FILE_MISSING.of("`icmp_code` without `icmp_type`"), remedy);
        return None;
    };
    let read = |value: &Value<'_>, names| {
        value
            .one_or_more()
            .iter()
            .map(|item| read_icmp(item, number, names, mixed))
            .collect::<Option<Vec<_>>>()
    };
    let read_types = read(&types, TYPES)?;
    let unreachable = NumberRange::single(if number == protocol::ICMP { 3 } else { 1 });
    let read_codes = match codes {
        None => vec![NumberRange::ALL],
        Some(codes) => {
            let names: &[_] = if read_types == [unreachable] { CODES } else { &[] };
            read(&codes, names)?
        }
    };
    let pairs = read_types.iter().flat_map(|t| read_codes.iter().map(move |c| (*t, *c)));
    Some(pairs.map(|(types, codes)| Upper::Icmp { protocol: number, types, codes }).collect())
}

/// One type or code. Numbers mean different things in ICMP and ICMPv6, so a service of both takes names only.
fn read_icmp(
    value: &Value<'_>,
    number: u8,
    names: &[(&'static str, Option<u16>, Option<u16>)],
    mixed: bool,
) -> Option<NumberRange> {
    let text = value.as_text().filter(|text| !text.starts_with(|c: char| c.is_ascii_digit()));
    let Some(text) = text else {
        if mixed {
            let message = format!("`{}` is a number, which icmp and icmpv6 read differently", value.key());
            value.error(message, "use a name, or write icmp and icmpv6 as two services");
            return None;
        }
        return read_range(value, 255);
    };
    let found = icmp_named(names, text, number);
    if found.is_none() {
        let known =
            names.iter().map(|entry| entry.0).filter(|name| icmp_named(names, name, number).is_some());
        let message = format!("{text:?} is no `{}` of {}", value.key(), protocol_name(number));
        value.error(message, did_you_mean(text, known, "use a name of this protocol, or the number"));
    }
    found.map(NumberRange::single)
}

/// A number, or a range such as `"1024-65535"`.
fn read_range(value: &Value<'_>, most: u16) -> Option<NumberRange> {
    let Some(text) = value.as_text() else {
        return value.number(0..=u64::from(most)).map(|number| NumberRange::single(number as u16));
    };
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|number| *number <= most);
    let range = match text.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)),
        None => number(text).map(|number| (number, number)),
    };
    let range = range.and_then(|(first, last)| NumberRange::new(first, last).ok());
    if range.is_none() {
        let message = format!("`{}` cannot be {text:?}", value.key());
        value.error(message, format!("use a number from 0 to {most}, or a range such as \"8-15\""));
    }
    range
}
