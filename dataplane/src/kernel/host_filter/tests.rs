//! Lines against the rules that they come from: packet by packet, by a reader of lines as small as it can be.

use proptest::prelude::*;
use proptest::sample::select;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{FilterSettings, Log, TunnelId};
use ravelin_contract::selector::{FlowKey, Selector};

use ravelin_lookup::filters::{Peer, Query};
use ravelin_lookup::scan;

use super::*;

const ZONES: u8 = 2;

fn interfaces(zone: ZoneId) -> Vec<String> {
    vec![format!("first-of-{}", zone.0), format!("second-of-{}", zone.0)]
}

/// The interface by which a packet of this zone comes or goes.
fn interface(zone: Option<ZoneId>) -> String {
    zone.map_or("in-no-zone".to_owned(), |zone| format!("second-of-{}", zone.0))
}

fn passes(test: &Test, packet: &Query) -> bool {
    let upper = |protocols: &[u8]| packet.flow.upper.filter(|_| protocols.contains(&packet.flow.protocol));
    let ports = || upper(&[6, 17]);
    let icmp = || upper(&[1, 58]);
    match test {
        Test::Interface(_, names) => names.contains(&interface(packet.zone)),
        Test::Source(range) => range.contains(packet.flow.source),
        Test::Destination(range) => range.contains(packet.flow.destination),
        Test::Protocol(number) => packet.flow.protocol == *number,
        Test::NotProtocol(number) => packet.flow.protocol != *number,
        Test::SourcePort(range) => ports().is_some_and(|(source, _)| range.contains(source)),
        Test::DestinationPort(range) => ports().is_some_and(|(_, destination)| range.contains(destination)),
        Test::Type(range) => icmp().is_some_and(|(kind, _)| range.contains(kind)),
        Test::Code(range) => icmp().is_some_and(|(_, code)| range.contains(code)),
        Test::Fragment(..) => packet.fragment,
        // nft cannot read flags where there are none, and then the line does not match.
        Test::NotOpening => packet.flow.protocol == 6 && !packet.opens_tcp,
    }
}

fn judge(lines: &[Line], packet: &Query) -> End {
    let matching = lines.iter().find(|line| line.tests.iter().all(|test| passes(test, packet)));
    matching.map_or(End::Drop, |line| line.end)
}

fn address(family: Family, number: u8) -> std::net::IpAddr {
    match family {
        Family::V4 => [10, 0, 0, number].into(),
        Family::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)].into(),
    }
}

fn family() -> impl Strategy<Value = Family> {
    select(vec![Family::V4, Family::V6])
}

fn range(family: Family) -> impl Strategy<Value = AddressRange> {
    let between =
        move |a: u8, b: u8| AddressRange::new(address(family, a.min(b)), address(family, a.max(b))).unwrap();
    let all = AddressRange::all(family);
    prop_oneof![Just(all), Just(all), (0u8..4, 0u8..4).prop_map(move |(a, b)| between(a, b))]
}

fn numbers() -> impl Strategy<Value = NumberRange> {
    let ends = || select(vec![0u16, 1, 8, 254, 255, 256, 65535]);
    let some = (ends(), ends()).prop_map(|(a, b)| NumberRange::new(a.min(b), a.max(b)).unwrap());
    prop_oneof![Just(NumberRange::ALL), some]
}

fn upper() -> impl Strategy<Value = Upper> {
    let protocol = || select(vec![1u8, 6, 17, 50, 58]);
    prop_oneof![
        Just(Upper::Any),
        protocol().prop_map(Upper::Protocol),
        (select(vec![6u8, 17]), numbers(), numbers())
            .prop_map(|(protocol, source, destination)| Upper::Ports { protocol, source, destination }),
        (select(vec![1u8, 58]), numbers(), numbers()).prop_map(|(protocol, types, codes)| Upper::Icmp {
            protocol,
            types,
            codes
        }),
    ]
}

fn direction() -> impl Strategy<Value = Direction> {
    select(vec![Direction::Inbound, Direction::Outbound])
}

fn zone() -> impl Strategy<Value = Option<ZoneId>> {
    prop::option::of((0..ZONES).prop_map(ZoneId))
}

prop_compose! {
    fn rule()(family in family())(
        (source, destination, upper) in (range(family), range(family), upper()),
        direction in direction(),
        routing in select(vec![Routing::Local, Routing::Routed, Routing::Either]),
        zone in zone(),
        fragments in select(vec![Fragments::Any, Fragments::Any, Fragments::Only]),
        opening in select(vec![Opening::Allowed, Opening::Excluded]),
        action in select(vec![
            Action::Permit,
            Action::Deny(Discard::Silent),
            Action::Deny(Discard::Icmp),
            Action::Protect(TunnelId(0)),
        ]),
    ) -> Rule {
        let selector = Selector { source, destination, upper };
        let name = Name::new("r").unwrap();
        Rule { name, extension: 1, direction, selector, routing, zone, fragments, opening, action, log: Log::No, identities: Vec::new() }
    }
}

prop_compose! {
    /// A packet of this host whose upper layer can be read, as chains see them.
    fn packet()(family in family())(
        source in (0u8..5).prop_map(move |n| address(family, n)),
        destination in (0u8..5).prop_map(move |n| address(family, n)),
        protocol in select(vec![1u8, 6, 17, 50, 58]),
        fields in (select(vec![0u16, 1, 8, 9, 255]), select(vec![0u16, 1, 8, 9, 255])),
        direction in direction(),
        zone in zone(),
        fragment in any::<bool>(),
        opens in any::<bool>(),
    ) -> Query {
        let upper = (protocol != 50).then_some(fields);
        let flow = FlowKey { source, destination, protocol, upper };
        Query { direction, flow, local: true, zone, fragment, opens_tcp: opens && protocol == 6 }
    }
}

proptest! {
    #[test]
    fn lines_answer_as_the_rules_do(rules in prop::collection::vec(rule(), 0..12), packet in packet()) {
        let family = Family::of(packet.flow.source);
        let lines = lines(&rules, packet.direction, family, &interfaces);
        let wanted = end(scan::lookup(&rules, &FilterSettings::default(), &packet, &|_, _| Peer::Meant).action);
        prop_assert_eq!(judge(&lines, &packet), wanted, "{:?}", lines);
    }
}

#[test]
fn a_zone_without_ports_matches_nothing() {
    let mut any = rule_for_all();
    any.zone = Some(ZoneId(1));
    assert_eq!(lines(&[any], Direction::Inbound, Family::V4, &|_| vec![]), vec![]);
}

fn rule_for_all() -> Rule {
    Rule {
        name: Name::new("all").unwrap(),
        extension: 1,
        direction: Direction::Inbound,
        selector: Selector::all(Family::V4),
        routing: Routing::Either,
        zone: None,
        fragments: Fragments::Any,
        opening: Opening::Allowed,
        action: Action::Permit,
        log: Log::No,
        identities: Vec::new(),
    }
}

#[test]
fn names_cannot_leave_their_quotes() {
    let names = vec!["va".to_owned(), "x\"; flush ruleset; \\*".to_owned()];
    let line = Test::Interface(Direction::Inbound, names).to_string();
    assert_eq!(line, "iifname { \"va\", \"x; flush ruleset; \" }");
}
