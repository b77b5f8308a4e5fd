//! The filters in force as chains for the kernel's own traffic: what this host sends and receives beside the workers.
//!
//! Rules that speak of this host keep their order, and the first match decides as it does in the workers. A chain sees
//! packets where it can read their ports: inbound the kernel has joined IPv4 fragments by then, and outbound it has not
//! cut anything yet. That a packet came in pieces is noted in a mark before ([`FRAGMENT_MARK`]). Of IPv6 only the first
//! fragment is judged; the others are let through, as they are worth nothing without it.
//!
//! A packet with an end at this host never comes or goes by an SA here, so that "ipsec" means: not in clear.

use std::fmt::{self, Display, Formatter};

use ravelin_contract::address::{AddressRange, Family, NumberRange};
use ravelin_contract::rule::{Action, Direction, Discard, Fragments, Opening, Routing, Rule, ZoneId};
use ravelin_contract::selector::{Upper, protocol};

/// Bit of the packet mark that says "came in fragments". No other tool may use it.
pub(crate) const FRAGMENT_MARK: u32 = 0x4000_0000;

/// What becomes of a packet that a line matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Accept,
    Drop,
    /// Drop, and say so by ICMP "administratively prohibited"; the kernel limits the rate.
    Reject,
}

/// One question to a packet. Numbers are ordered as in the packet: source port or type first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    /// Came in, or goes out, by one of these interfaces.
    Interface(Direction, Vec<String>),
    Source(AddressRange),
    Destination(AddressRange),
    Protocol(u8),
    NotProtocol(u8),
    SourcePort(NumberRange),
    DestinationPort(NumberRange),
    /// ICMP type, an octet.
    Type(NumberRange),
    /// ICMP code, an octet.
    Code(NumberRange),
    /// Came in fragments.
    Fragment(Direction, Family),
    /// Not a TCP segment with SYN and without ACK.
    NotOpening,
}

/// Matches when every test does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tests: Vec<Test>,
    pub(super) end: End,
}

/// The lines for one direction and family, in the order of `rules`. What none matches is denied. `interfaces` names the
/// ports of a zone.
pub(super) fn lines(
    rules: &[Rule],
    direction: Direction,
    family: Family,
    interfaces: &dyn Fn(ZoneId) -> Vec<String>,
) -> Vec<Line> {
    let here = |rule: &&Rule| {
        rule.direction == direction && rule.selector.family() == family && rule.routing != Routing::Routed
    };
    rules.iter().filter(here).flat_map(|rule| split(rule, interfaces)).collect()
}

/// Whether any line asks for fragments.
pub(super) fn ask_for_fragments(lines: &[Line]) -> bool {
    lines.iter().flat_map(|line| &line.tests).any(|test| matches!(test, Test::Fragment(..)))
}

/// Most rules are one line. One that excludes openings and names no protocol is two, as only TCP shows flags. One that no
/// packet can match is none.
fn split(rule: &Rule, interfaces: &dyn Fn(ZoneId) -> Vec<String>) -> Vec<Line> {
    let zone = rule.zone.map(interfaces);
    let Some(upper) = upper_tests(&rule.selector.upper) else { return vec![] };
    if zone.as_ref().is_some_and(Vec::is_empty) {
        return vec![];
    }
    let zone = zone.map(|names| Test::Interface(rule.direction, names));
    let family = rule.selector.family();
    let fragment = (rule.fragments == Fragments::Only).then_some(Test::Fragment(rule.direction, family));
    let tests: Vec<Test> = zone.into_iter().chain(address_tests(rule)).chain(upper).chain(fragment).collect();
    let end = end(rule.action);
    let with = |more: &[Test]| Line { tests: [&tests[..], more].concat(), end };
    match (rule.opening, protocol_of(&rule.selector.upper)) {
        (Opening::Allowed, _) => vec![with(&[])],
        (Opening::Excluded, Some(protocol::TCP)) => vec![with(&[Test::NotOpening])],
        (Opening::Excluded, Some(_)) => vec![with(&[])],
        (Opening::Excluded, None) => vec![
            with(&[Test::NotProtocol(protocol::TCP)]),
            with(&[Test::Protocol(protocol::TCP), Test::NotOpening]),
        ],
    }
}

pub(super) fn end(action: Action) -> End {
    match action {
        Action::Permit => End::Accept,
        Action::Deny(Discard::Icmp) => End::Reject,
        Action::Deny(Discard::Silent) | Action::Protect(_) => End::Drop,
    }
}

/// Ranges that take everything need no test.
fn address_tests(rule: &Rule) -> impl Iterator<Item = Test> {
    let asked = |range: AddressRange| (range != AddressRange::all(range.family())).then_some(range);
    let source = asked(rule.selector.source).map(Test::Source);
    source.into_iter().chain(asked(rule.selector.destination).map(Test::Destination))
}

fn protocol_of(upper: &Upper) -> Option<u8> {
    match *upper {
        Upper::Any => None,
        Upper::Protocol(protocol) | Upper::Ports { protocol, .. } | Upper::Icmp { protocol, .. } => {
            Some(protocol)
        }
    }
}

/// `None` when no packet can match.
fn upper_tests(upper: &Upper) -> Option<Vec<Test>> {
    let mut tests: Vec<Test> = protocol_of(upper).map(Test::Protocol).into_iter().collect();
    match *upper {
        Upper::Any | Upper::Protocol(_) => {}
        Upper::Ports { source, destination, .. } => {
            tests.extend((!source.is_all()).then_some(Test::SourcePort(source)));
            tests.extend((!destination.is_all()).then_some(Test::DestinationPort(destination)));
        }
        Upper::Icmp { types, codes, .. } => {
            tests.extend(octets(types)?.map(Test::Type));
            tests.extend(octets(codes)?.map(Test::Code));
        }
    }
    Some(tests)
}

/// The part of a range that an octet can have; `Some(None)` for every octet, `None` for none.
#[expect(clippy::option_option, reason = "no test and no match are two things")]
fn octets(range: NumberRange) -> Option<Option<NumberRange>> {
    let cut = NumberRange::new(range.first(), range.last().min(255)).ok()?;
    let every = cut.first() == 0 && cut.last() == 255;
    Some((!every).then_some(cut))
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.tests.iter().try_for_each(|test| write!(f, "{test} "))?;
        f.write_str(self.end.in_nft())
    }
}

impl End {
    pub(super) fn in_nft(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject with icmpx admin-prohibited",
        }
    }
}

/// In nft's language. Upper layers are read as octets (`@th`): the named fields would each bring a family with them.
impl Display for Test {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(direction, names) => {
                let key = if *direction == Direction::Inbound { "iifname" } else { "oifname" };
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                write!(f, "{key} {{ {} }}", names.join(", "))
            }
            Self::Source(range) => write!(f, "{} saddr {range}", header(range)),
            Self::Destination(range) => write!(f, "{} daddr {range}", header(range)),
            Self::Protocol(number) => write!(f, "meta l4proto {number}"),
            Self::NotProtocol(number) => write!(f, "meta l4proto != {number}"),
            Self::SourcePort(range) => write!(f, "th sport {range}"),
            Self::DestinationPort(range) => write!(f, "th dport {range}"),
            Self::Type(range) => write!(f, "@th,0,8 {range}"),
            Self::Code(range) => write!(f, "@th,8,8 {range}"),
            Self::Fragment(Direction::Inbound, _) => write!(f, "meta mark & {FRAGMENT_MARK:#x} != 0"),
            Self::Fragment(Direction::Outbound, Family::V4) => f.write_str("ip frag-off & 0x3fff != 0"),
            Self::Fragment(Direction::Outbound, Family::V6) => f.write_str("frag more-fragments 1"),
            Self::NotOpening => f.write_str("tcp flags & (syn | ack) != syn"),
        }
    }
}

fn header(range: &AddressRange) -> &'static str {
    match range.family() {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// An interface's name as nft takes it. The appliance file lets no space, slash, colon or control character in; what
/// could end the string is taken out, so that such a name matches nothing.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace(['"', '\\', '*'], ""))
}

#[cfg(test)]
mod tests;
