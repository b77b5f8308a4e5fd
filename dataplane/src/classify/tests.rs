//! Every row of the direction rules, with rules as short lines: `in permit`, `out protect 1 udp 53`.

mod settings;
mod whom;

use std::sync::Arc;

use proptest::prelude::*;
use ravelin_contract::address::NumberRange;
use ravelin_contract::identity::{IdentityId, Pattern};
use ravelin_contract::message::Event;
use ravelin_contract::name::Name;
use ravelin_contract::report::FilterMode;
use ravelin_contract::rule::{
    Action, Direction, Discard, FilterSettings, Fragments as Which, Log, Opening, Routing, Rule, ZoneId,
};
use ravelin_contract::sa::{Carrier, Hash, Integrity, Mode, Receiving, Sa, Spi, Transform};
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::{Selector, Upper};

use ravelin_lookup::crossing::{Shown as Visible, Side};

use super::crossing::Packed;
use super::*;
use crate::clock::Clock;
use crate::esp::sa::{InboundSa, Received};
use crate::packet::PortIndex;
use crate::report::events::Events;
use crate::table::forwarding::Forwarding;
use crate::table::forwarding::view::{Address, Link, View};
use crate::table::policy::{Policy, PolicySource};
use crate::table::sa_table::InboundEntry;
use crate::table::{PortInfo, SaTable};
use crate::wire::ip;
use crate::wire::samples::{self, Ip};

const LAN: PortIndex = PortIndex(0);
const WAN: PortIndex = PortIndex(1);
const WAN2: PortIndex = PortIndex(2);
const LAN2: PortIndex = PortIndex(3);
/// Tunnels of the inbound SAs at these positions of the table, and who their peers are.
const SAS: [(u32, &[u32]); 4] = [(7, &[0]), (8, &[0]), (7, &[]), (7, &[1, 2])];

/// A rule from words: direction, action (`protect N`, `reject` answers by ICMP), then any of `udp PORT`, `tcp PORT`,
/// `icmp TYPE`, `zone N`, `whom N`, `local`, `routed`, `fragments`, `established`, `log`, `log-denied`, `log-permitted`.
fn rule(text: &str) -> Rule {
    let mut words = text.split(' ');
    let direction = match words.next() {
        Some("in") => Direction::Inbound,
        _ => Direction::Outbound,
    };
    let number = |words: &mut std::str::Split<'_, char>| words.next().unwrap().parse::<u16>().unwrap();
    let action = match words.next().unwrap() {
        "permit" => Action::Permit,
        "deny" => Action::Deny(Discard::Silent),
        "reject" => Action::Deny(Discard::Icmp),
        "protect" => Action::Protect(TunnelId(number(&mut words).into())),
        other => panic!("{other}"),
    };
    let mut rule = Rule {
        name: Name::new(text.replace(' ', "-")).unwrap(),
        extension: 1,
        direction,
        selector: Selector::all(Family::V4),
        routing: Routing::Either,
        zone: None,
        fragments: Which::Any,
        opening: Opening::Allowed,
        action,
        log: Log::No,
        identities: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word {
            "udp" => rule.selector.upper = to_port(protocol::UDP, number(&mut words)),
            "tcp" => rule.selector.upper = to_port(protocol::TCP, number(&mut words)),
            "icmp" => {
                let (types, codes) = (NumberRange::single(number(&mut words)), NumberRange::ALL);
                rule.selector.upper = Upper::Icmp { protocol: protocol::ICMP, types, codes };
            }
            "zone" => rule.zone = Some(ZoneId(number(&mut words) as u8)),
            "whom" => rule.identities.push(IdentityId(number(&mut words).into())),
            "local" => rule.routing = Routing::Local,
            "routed" => rule.routing = Routing::Routed,
            "fragments" => rule.fragments = Which::Only,
            "established" => rule.opening = Opening::Excluded,
            "log" => rule.log = Log::Yes,
            "log-denied" => rule.log = Log::Denied,
            "log-permitted" => rule.log = Log::Permitted,
            other => panic!("{other}"),
        }
    }
    rule
}

fn to_port(protocol: u8, port: u16) -> Upper {
    Upper::Ports { protocol, source: NumberRange::ALL, destination: NumberRange::single(port) }
}

fn port(name: &str, number: u8, protected: bool) -> PortInfo {
    PortInfo {
        name: name.to_owned(),
        ifindex: u32::from(number) + 1,
        mac: [2, 0, 0, 0, 0, number],
        mtu: 1500,
        zone: Some(ZoneId(number)),
        zone_name: name.to_owned(),
        protected,
    }
}

fn sas() -> SaTable {
    let entry = |((tunnel, peer), spi): ((u32, &[u32]), u32)| InboundEntry {
        spi,
        destination: "192.0.2.1".parse().unwrap(),
        tunnel: TunnelId(tunnel),
        identities: peer.iter().copied().map(IdentityId).collect(),
        sa: inbound_sa(),
    };
    SaTable::new(SAS.into_iter().zip(256..).map(entry).collect(), Vec::new())
}

fn inbound_sa() -> Arc<InboundSa> {
    let receiving = Receiving { replay_window: 64 };
    let integrity = Integrity { hash: Hash::Sha256, key: Secret::new(vec![1; 32]) };
    let sa = Sa {
        name: Name::new("sa").unwrap(),
        tunnel: TunnelId(0),
        spi: Spi::new(256).unwrap(),
        mode: Mode::Tunnel,
        local: [192, 0, 2, 1].into(),
        remote: [192, 0, 2, 2].into(),
        carrier: Carrier::Ip,
        transform: Transform::Null { integrity },
        extended_sequence: false,
        selectors: Vec::new(),
        origin: ravelin_contract::sa::Origin::Ike,
        side: ravelin_contract::sa::Side::Inbound(receiving.clone()),
    };
    Arc::new(InboundSa::new(&sa, Arc::new(Received::new(&receiving, 0))).unwrap())
}

/// Every port has an own address to speak with.
fn forwarding() -> Forwarding {
    let link =
        |index: u32| Link { index, name: format!("port{index}"), mac: None, mtu: 1500, up: true, vlan: None };
    let address = |link: u32| Address { link, address: [192, 0, 2, link as u8].into(), global: true };
    let view = View {
        links: (1..5).map(link).collect(),
        addresses: (1..5).map(address).collect(),
        ..View::default()
    };
    Forwarding::build(&view, &[1, 2, 3, 4])
}

/// One worker's filters, and the packets that went through them.
struct Gate {
    tables: Tables,
    flows: Flows,
    pool: Pool,
    limiter: Limiter,
    events: Arc<Events>,
    sink: EventSink,
    now: Now,
}

impl Gate {
    fn new(rules: &[&str]) -> Self {
        Self::with(rules, FilterSettings::default())
    }

    fn with(rules: &[&str], settings: FilterSettings) -> Self {
        let rules = rules.iter().map(|text| rule(text)).collect();
        let identities = ["*@a", "*@b", "*@c"].map(|text| Pattern::new(text).unwrap()).to_vec();
        let source = PolicySource { rules, identities, settings, ..PolicySource::default() };
        let ports =
            [port("lan", 0, true), port("wan", 1, false), port("wan2", 2, false), port("lan2", 3, true)];
        let events = Events::new();
        Self {
            tables: Tables {
                encapsulation_ports: Arc::default(),
                generation: 1,
                mode: FilterMode::Policy,
                policy: Arc::new(Policy::compile(source, 1, None)),
                sas: Arc::new(sas()),
                forwarding: Arc::new(forwarding()),
                ports: Arc::new(ports),
            },
            flows: Flows::new(),
            pool: Pool::in_memory(64, 2048),
            limiter: Limiter::new(Now(0)),
            sink: EventSink::new(Arc::clone(&events)),
            events,
            now: Now(0),
        }
    }

    fn packet(&mut self, octets: &[u8]) -> Packet {
        let mut frame = self.pool.take().unwrap();
        frame.place(64, octets.len()).unwrap();
        frame.bytes_mut().copy_from_slice(octets);
        let headers = ip::parse(octets).unwrap();
        Packet::new(frame, headers, WAN, Origin::Wire)
    }

    /// Sends one packet through and gives what became of it, and the packets that were added.
    fn pass(&mut self, way: Way, octets: &[u8]) -> (Packet, Vec<Packet>) {
        let mut packet = self.packet(octets);
        (packet.ingress, packet.opened_by, packet.origin) = (way.from, way.by, way.origin);
        packet.route = way.to;
        let mut batch = Batch::default();
        batch.packets.push(packet);
        let mut means = Means {
            now: self.now,
            worker: 0,
            pool: &mut self.pool,
            limiter: &mut self.limiter,
            events: &self.sink,
        };
        decide(&mut batch, &self.tables, &mut self.flows, &mut means);
        let mut packets = batch.packets.into_iter();
        (packets.next().unwrap(), packets.collect())
    }

    /// What becomes of a packet, as a word. Asked twice: the second answer comes from the cache.
    fn says(&mut self, way: Way, octets: &[u8]) -> String {
        let mut once = || {
            let (packet, _) = self.pass(way, octets);
            match (packet.verdict, packet.decision) {
                (Some(verdict), _) => verdict.name().to_owned(),
                (None, Decision::Protect(tunnel)) => format!("protect {}", tunnel.0),
                (None, decision) => format!("{decision:?}").to_lowercase(),
            }
        };
        let (first, second) = (once(), once());
        assert_eq!(first, second, "the cache answers otherwise");
        first
    }

    fn matched(&self, index: u32) -> (u64, u64) {
        self.tables.policy.status(index, 1).0[0].matched
    }

    fn told(&self) -> Vec<Event> {
        self.events.take(usize::MAX, &Clock::start())
    }
}

/// Where a packet comes from and goes to.
#[derive(Clone, Copy)]
struct Way {
    from: PortIndex,
    by: Option<u32>,
    origin: Origin,
    to: Route,
}

fn via(port: PortIndex) -> Route {
    Route::Via { port, next_hop: "192.0.2.254".parse().unwrap(), mtu: 1500 }
}

fn way(from: PortIndex, to: PortIndex) -> Way {
    Way { from, by: None, origin: Origin::Wire, to: via(to) }
}

fn to_us(from: PortIndex) -> Way {
    Way { to: Route::Local, ..way(from, LAN) }
}

fn own(to: PortIndex) -> Way {
    Way { origin: Origin::Own, ..way(WAN, to) }
}

/// Out of the SA at position `sa`, which arrived by the WAN.
fn by(sa: u32, way: Way) -> Way {
    Way { by: Some(sa), ..way }
}

fn udp(port: u16) -> Vec<u8> {
    Ip::new("10.1.0.1", "10.2.0.1", protocol::UDP, samples::udp(4000, port, b"data")).octets()
}

fn tcp(port: u16, flags: u8) -> Vec<u8> {
    Ip::new("10.1.0.1", "10.2.0.1", protocol::TCP, samples::tcp(4000, port, flags, &[])).octets()
}

fn icmp(kind: u8) -> Vec<u8> {
    Ip::new("10.1.0.1", "10.2.0.1", protocol::ICMP, vec![kind, 0, 0, 0, 0, 0, 0, 0]).octets()
}

/// A piece of a UDP datagram to `port`; only the one at offset 0 shows it.
fn piece(id: u32, port: u16, offset: u16, more: bool) -> Vec<u8> {
    let payload = if offset == 0 { samples::udp(4000, port, &[0; 16]) } else { vec![0; 24] };
    let mut packet = Ip::new("10.1.0.1", "10.2.0.1", protocol::UDP, payload);
    packet.fragment = Some((id, offset, more));
    packet.octets()
}

const SYN: u8 = 2;
const ACK: u8 = 16;

#[test]
fn each_way_through_the_gateway_asks_the_lookups_of_its_row() {
    let (inbound, outbound) = (["in permit"], ["out permit"]);
    let both = ["in permit", "out permit"];
    let rows: &[(&str, Way, &[&str], &str)] = &[
        ("LAN to WAN asks outbound", way(LAN, WAN), &outbound, "clear"),
        ("LAN to WAN asks outbound only", way(LAN, WAN), &inbound, "implicitly_denied"),
        ("LAN to LAN asks outbound", way(LAN, LAN2), &outbound, "clear"),
        ("LAN to LAN asks outbound only", way(LAN, LAN2), &inbound, "implicitly_denied"),
        ("LAN to us asks inbound", to_us(LAN), &inbound, "clear"),
        ("LAN to us asks inbound only", to_us(LAN), &outbound, "implicitly_denied"),
        ("WAN to LAN asks inbound", way(WAN, LAN), &inbound, "clear"),
        ("WAN to LAN asks inbound only", way(WAN, LAN), &outbound, "implicitly_denied"),
        ("WAN to us asks inbound", to_us(WAN), &inbound, "clear"),
        ("WAN to us asks inbound only", to_us(WAN), &outbound, "implicitly_denied"),
        ("WAN to WAN asks both", way(WAN, WAN2), &both, "clear"),
        ("WAN to WAN asks inbound", way(WAN, WAN2), &outbound, "implicitly_denied"),
        ("WAN to WAN asks outbound", way(WAN, WAN2), &inbound, "implicitly_denied"),
        ("SA to LAN asks inbound", by(0, way(WAN, LAN)), &inbound, "clear"),
        ("SA to LAN asks inbound only", by(0, way(WAN, LAN)), &outbound, "implicitly_denied"),
        ("SA by a LAN port asks inbound", by(0, way(LAN, LAN2)), &inbound, "clear"),
        ("SA by a LAN port asks inbound only", by(0, way(LAN, LAN2)), &outbound, "implicitly_denied"),
        ("SA to WAN asks both", by(0, way(WAN, WAN2)), &both, "clear"),
        ("SA to WAN asks outbound", by(0, way(WAN, WAN2)), &inbound, "implicitly_denied"),
        ("us to WAN asks outbound", own(WAN), &outbound, "clear"),
        ("us to WAN asks outbound only", own(WAN), &inbound, "implicitly_denied"),
        ("us to LAN asks nothing", own(LAN), &[], "clear"),
        (
            "answers to denied packets ask nothing",
            Way { origin: Origin::OwnExempt, ..own(WAN) },
            &[],
            "clear",
        ),
        ("no route yet", Way { to: Route::Unknown, ..way(LAN, WAN) }, &outbound, "pending"),
        ("an SA that is not there", by(9, way(WAN, LAN)), &inbound, "no_such_sa"),
        ("a port that is not there is outside", way(PortIndex(9), LAN), &outbound, "implicitly_denied"),
    ];
    for (what, way, rules, expected) in rows {
        assert_eq!(Gate::new(rules).says(*way, &udp(53)), *expected, "{what}");
    }
}

#[test]
fn protection_is_asked_of_what_comes_and_given_to_what_goes() {
    let rows: &[(&str, Way, &[&str], &str)] = &[
        ("LAN to WAN", way(LAN, WAN), &["out protect 7"], "protect 7"),
        ("LAN to WAN in clear by an earlier rule", way(LAN, WAN), &["out permit", "out protect 7"], "clear"),
        ("WAN to LAN in clear", way(WAN, LAN), &["in protect 7"], "cleartext_refused"),
        ("WAN to us in clear", to_us(WAN), &["in protect 7"], "cleartext_refused"),
        ("by the right tunnel", by(0, way(WAN, LAN)), &["in protect 7"], "clear"),
        ("by the right tunnel to us", by(0, to_us(WAN)), &["in protect 7"], "clear"),
        ("by another tunnel", by(1, way(WAN, LAN)), &["in protect 7"], "wrong_tunnel"),
        ("by a tunnel where clear would do", by(1, way(WAN, LAN)), &["in permit"], "clear"),
        ("by a tunnel but denied", by(0, way(WAN, LAN)), &["in deny"], "denied"),
        ("hub", by(0, way(WAN, WAN)), &["in protect 7", "out protect 8"], "protect 8"),
        ("hub, wrong spoke", by(1, way(WAN, WAN)), &["in protect 7", "out protect 8"], "wrong_tunnel"),
        ("hub, not let out", by(0, way(WAN, WAN)), &["in protect 7", "out deny"], "denied"),
        ("clear in, protected out", way(WAN, WAN2), &["in permit", "out protect 8"], "protect 8"),
        ("our own ICMP error", own(WAN), &["out protect 7"], "protect 7"),
    ];
    for (what, way, rules, expected) in rows {
        assert_eq!(Gate::new(rules).says(*way, &udp(53)), *expected, "{what}");
    }
}

/// What is shown, the way, the rules, the packet, and what becomes of it.
type Row<'a> = (&'a str, Way, &'a [&'a str], Vec<u8>, &'a str);

#[test]
fn rules_match_by_zone_place_and_upper_layer() {
    let rows: &[Row<'_>] = &[
        ("ingress zone", way(WAN, LAN), &["in permit zone 1"], udp(53), "clear"),
        ("another ingress zone", way(WAN2, LAN), &["in permit zone 1"], udp(53), "implicitly_denied"),
        ("egress zone", way(LAN, WAN2), &["out permit zone 2"], udp(53), "clear"),
        ("another egress zone", way(LAN, WAN), &["out permit zone 2"], udp(53), "implicitly_denied"),
        (
            "each lookup has its own zone",
            way(WAN, WAN2),
            &["in permit zone 1", "out permit zone 2"],
            udp(53),
            "clear",
        ),
        ("local", to_us(WAN), &["in permit local"], udp(53), "clear"),
        ("not local", way(WAN, LAN), &["in permit local"], udp(53), "implicitly_denied"),
        ("routed", way(WAN, LAN), &["in permit routed"], udp(53), "clear"),
        ("not routed", to_us(WAN), &["in permit routed"], udp(53), "implicitly_denied"),
        ("what we send is local", own(WAN), &["out permit routed"], udp(53), "implicitly_denied"),
        ("what we send is local", own(WAN), &["out permit local"], udp(53), "clear"),
        ("port", way(LAN, WAN), &["out permit udp 53"], udp(53), "clear"),
        ("another port", way(LAN, WAN), &["out permit udp 53"], udp(54), "implicitly_denied"),
        ("another protocol", way(LAN, WAN), &["out permit udp 53"], tcp(53, ACK), "implicitly_denied"),
        ("ICMP type", way(LAN, WAN), &["out permit icmp 8"], icmp(8), "clear"),
        ("another ICMP type", way(LAN, WAN), &["out permit icmp 8"], icmp(13), "implicitly_denied"),
        ("opening allowed", way(LAN, WAN), &["out permit tcp 80"], tcp(80, SYN), "clear"),
        (
            "opening excluded",
            way(LAN, WAN),
            &["out permit tcp 80 established"],
            tcp(80, SYN),
            "implicitly_denied",
        ),
        ("already open", way(LAN, WAN), &["out permit tcp 80 established"], tcp(80, ACK), "clear"),
        (
            "answer to an opening",
            way(LAN, WAN),
            &["out permit tcp 80 established"],
            tcp(80, SYN | ACK),
            "clear",
        ),
        ("first match wins", way(LAN, WAN), &["out deny udp 53", "out permit"], udp(53), "denied"),
        ("no rule at all", way(LAN, WAN), &[], udp(53), "implicitly_denied"),
    ];
    for (what, way, rules, octets, expected) in rows {
        assert_eq!(Gate::new(rules).says(*way, octets), *expected, "{what}");
    }
}

#[test]
fn later_fragments_share_the_fate_of_their_first() {
    let mut gate = Gate::new(&["out permit udp 53", "out deny udp 54"]);
    let way = way(LAN, WAN);
    assert_eq!(gate.says(way, &piece(1, 53, 24, true)), "fragment_unknown", "before its first");
    assert_eq!(gate.says(way, &piece(1, 53, 0, true)), "clear");
    assert_eq!(gate.says(way, &piece(1, 53, 24, true)), "clear");
    assert_eq!(gate.says(way, &piece(1, 53, 48, false)), "clear");
    assert_eq!(gate.says(way, &piece(2, 54, 0, true)), "denied");
    assert_eq!(gate.says(way, &piece(2, 54, 24, false)), "denied");
    assert_eq!(gate.says(way, &piece(3, 53, 24, false)), "fragment_unknown", "of a packet never seen");
    gate.now = Now(fragment::LIFETIME);
    assert_eq!(gate.says(way, &piece(1, 53, 24, true)), "fragment_unknown", "long after its first");
}

#[test]
fn later_fragments_get_the_ports_for_the_choice_of_an_sa() {
    let mut gate = Gate::new(&["out protect 7 udp 53"]);
    gate.pass(way(LAN, WAN), &piece(1, 53, 0, true));
    let (packet, _) = gate.pass(way(LAN, WAN), &piece(1, 53, 24, false));
    assert_eq!((packet.decision, packet.ip.flow.upper), (Decision::Protect(TunnelId(7)), Some((4000, 53))));
}

#[test]
fn a_fragment_does_not_profit_from_one_that_came_another_way() {
    let mut gate = Gate::new(&["in permit udp 53"]);
    assert_eq!(gate.says(by(0, way(WAN, LAN)), &piece(1, 53, 0, true)), "clear");
    assert_eq!(gate.says(by(0, way(WAN, LAN)), &piece(1, 53, 24, false)), "clear");
    assert_eq!(gate.says(way(WAN, LAN), &piece(1, 53, 24, false)), "fragment_unknown");
    assert_eq!(gate.says(by(1, way(WAN, LAN)), &piece(1, 53, 24, false)), "fragment_unknown");
}

#[test]
fn where_no_rule_asks_for_ports_a_later_fragment_is_judged_alone() {
    let mut gate = Gate::new(&["out permit fragments", "out deny udp 54"]);
    assert_eq!(gate.says(way(LAN, WAN), &piece(1, 53, 24, false)), "clear");
    assert_eq!(gate.says(way(LAN, WAN), &udp(53)), "implicitly_denied", "a whole packet is no fragment");
    let mut gate = Gate::new(&["out deny udp 54", "out permit"]);
    assert_eq!(gate.says(way(LAN, WAN), &piece(1, 53, 24, false)), "fragment_unknown");
}

#[test]
fn a_new_generation_ends_what_the_cache_knew() {
    let mut gate = Gate::new(&["out permit"]);
    assert_eq!(gate.says(way(LAN, WAN), &udp(53)), "clear");
    gate.tables.policy = Gate::new(&["out deny"]).tables.policy;
    gate.tables.generation = 2;
    assert_eq!(gate.says(way(LAN, WAN), &udp(53)), "denied");
}

#[test]
fn rules_count_packets_and_octets_of_each_lookup() {
    let mut gate = Gate::new(&["in permit", "out deny udp 54", "out permit"]);
    let octets = udp(53);
    gate.says(way(WAN, WAN2), &octets);
    gate.says(way(WAN, WAN2), &udp(54));
    let (one, two) = ((2, 2 * octets.len() as u64), (4, 4 * octets.len() as u64));
    assert_eq!([gate.matched(0), gate.matched(1), gate.matched(2)], [two, one, one]);
}

/// Names of the rules in the events, and how the packet ended.
fn logged(rules: &[&str], log_implicit: bool, way: Way, octets: &[u8]) -> Vec<(String, Verdict)> {
    logged_with(rules, FilterSettings { log_implicit, ..FilterSettings::default() }, way, octets)
}

fn logged_with(rules: &[&str], settings: FilterSettings, way: Way, octets: &[u8]) -> Vec<(String, Verdict)> {
    let mut gate = Gate::with(rules, settings);
    gate.pass(way, octets);
    let told = |event| match event {
        Event::FilterMatch { rule, verdict, port, .. } => {
            assert_eq!(port, if way.from == LAN { "lan" } else { "wan" });
            (rule.map_or("implicit".to_owned(), |(name, _)| name.to_string()), verdict)
        }
        other => panic!("{other:?}"),
    };
    gate.told().into_iter().map(told).collect()
}

#[test]
fn matches_are_told_as_their_rules_ask() {
    let told = |name: &str, verdict| vec![(name.to_owned(), verdict)];
    let (out, clear) = (way(LAN, WAN), way(WAN, LAN));
    assert_eq!(logged(&["out permit log"], false, out, &udp(1)), told("out-permit-log", Verdict::Forwarded));
    assert_eq!(logged(&["out deny log"], false, out, &udp(1)), told("out-deny-log", Verdict::Denied));
    assert_eq!(logged(&["out permit log-denied"], false, out, &udp(1)), vec![]);
    assert_eq!(logged(&["in permit log-permitted"], false, to_us(WAN), &udp(1)).len(), 1);
    let protect = ["in protect 7 log-denied"];
    assert_eq!(logged(&protect, false, clear, &udp(1)).len(), 1, "in clear");
    assert_eq!(logged(&protect, false, by(0, clear), &udp(1)), vec![], "protected");
    assert_eq!(logged(&[], true, out, &udp(1)), told("implicit", Verdict::ImplicitlyDenied));
    assert_eq!(logged(&[], false, out, &udp(1)), vec![]);
    let hub = ["in permit log", "out protect 8 log"];
    assert_eq!(logged(&hub, false, way(WAN, WAN2), &udp(1)).len(), 2, "both lookups");
}

#[test]
fn a_rejecting_rule_answers_but_never_quotes_in_clear_what_came_protected() {
    let mut gate = Gate::new(&["in reject"]);
    let (packet, answers) = gate.pass(way(WAN, LAN), &udp(53));
    assert_eq!(packet.verdict, Some(Verdict::Denied));
    let [answer] = answers.as_slice() else { panic!("{} answers", answers.len()) };
    assert_eq!((answer.origin, answer.ip.flow.upper), (Origin::OwnExempt, Some((3, 13))));
    assert_eq!(answer.ip.flow.destination, packet.ip.flow.source);
    let (_, answers) = gate.pass(by(0, way(WAN, LAN)), &udp(53));
    assert_eq!(answers.first().map(|answer| answer.origin), Some(Origin::Own));
    let (_, answers) = Gate::new(&["in deny"]).pass(way(WAN, LAN), &udp(53));
    assert!(answers.is_empty());
}

proptest! {
    /// Any order of packets over any ways: the answer with a cache that has seen them all is that of an empty one.
    #[test]
    fn a_cache_never_changes_an_answer(
        order in prop::collection::vec((0..4u8, 0..5u8, prop::option::of(0..2u32), 50..56u16, any::<bool>()), 1..200),
    ) {
        let rules = [
            "in protect 7 udp 50", "in permit udp 51 zone 1", "in protect 8 tcp 52", "in deny udp 53 local",
            "in permit established", "out protect 8 udp 50", "out deny tcp 53 zone 2", "out permit routed",
        ];
        let mut gate = Gate::new(&rules);
        // Two places: everything collides.
        gate.flows.cache = FlowCache::new(2);
        for (from, to, by, port, tcp_) in order {
            let route = if to == 4 { Route::Local } else { via(PortIndex(to)) };
            let way = Way { from: PortIndex(from), by, origin: Origin::Wire, to: route };
            let octets = if tcp_ { tcp(port, SYN) } else { udp(port) };
            let mut fresh = Gate::new(&rules);
            prop_assert_eq!(gate.says(way, &octets), fresh.says(way, &octets));
            gate.pool = Pool::in_memory(8, 2048);
        }
    }

    /// The packed key holds everything: crossings that differ have keys that differ.
    #[test]
    fn different_crossings_have_different_keys(a in crossings(), b in crossings()) {
        prop_assert_eq!(a == b, Packed::new(&a) == Packed::new(&b));
    }
}

fn crossings() -> impl Strategy<Value = Crossing> {
    let side = || {
        let zone =
            prop::option::of(prop::sample::select(vec![0u8, 1, 254])).prop_map(|zone| zone.map(ZoneId));
        prop::option::of((zone, any::<bool>()).prop_map(|(zone, local)| Side { zone, local }))
    };
    let address = || prop::sample::select(vec!["0.0.0.1", "0.0.0.2", "::1", "::2"]);
    let upper = prop::option::of((0..2u16, 0..2u16));
    let flow = (address(), address(), 0..2u8, upper).prop_map(|(source, destination, protocol, upper)| {
        let [source, destination] = [source, destination].map(|text| text.parse().unwrap());
        ravelin_contract::selector::FlowKey { source, destination, protocol, upper }
    });
    let came_by = prop::option::of(0..2u32).prop_map(|tunnel| tunnel.map(TunnelId));
    (flow, any::<bool>(), any::<bool>(), came_by, side(), side())
        .prop_filter("one family", |(flow, ..)| flow.source.is_ipv4() == flow.destination.is_ipv4())
        .prop_map(|(flow, fragment, opens_tcp, came_by, inbound, outbound)| Crossing {
            shown: Visible { flow, fragment, opens_tcp },
            came_by,
            inbound,
            outbound,
        })
}
