//! What an operator wrote, read slowly and word by word, agrees with the compiled rules, with the tables that workers look
//! things up in, and with `ravelin test`, on every packet.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod asked;
mod tls;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{
    Action, Direction, Discard, Fragments, Opening, Routing, Rule, TunnelId, ZoneId,
};
use ravelin_contract::selector::FlowKey;
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::tls::TlsAction;
use ravelin_control::policy;
use ravelin_control::policy::explain::Explainer;
use ravelin_control::policy::management::Site;
use ravelin_lookup::filters::{Filters, Peer, Query};
use ravelin_lookup::tls::TlsTable;

const ZONES: [&str; 2] = ["lan", "wan"];

/// A rule of a small world: eight addresses of each family, six ports, so that rules and packets often meet.
#[derive(Debug, Clone)]
struct Written {
    source: Option<Vec<Part>>,
    destination: Option<Vec<Part>>,
    /// Lists stand in `[addresses]`.
    named: bool,
    service: Service,
    way: &'static str,
    connect: &'static str,
    routing: &'static str,
    zone: Option<usize>,
    fragments_only: bool,
    action: &'static str,
}

/// Addresses `first..=last` of the eight, both included.
#[derive(Debug, Clone, Copy)]
struct Part {
    v6: bool,
    first: u8,
    last: u8,
}

#[derive(Debug, Clone)]
struct Service {
    protocols: Vec<&'static str>,
    source_ports: Vec<(u16, u16)>,
    destination_ports: Vec<(u16, u16)>,
    echo_only: bool,
}

#[derive(Debug, Clone)]
struct Packet {
    direction: Direction,
    flow: FlowKey,
    local: bool,
    zone: usize,
    fragment: bool,
    opens: bool,
}

fn address(v6: bool, number: u8) -> IpAddr {
    match v6 {
        true => Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number)).into(),
        false => Ipv4Addr::new(10, 0, 0, number).into(),
    }
}

fn number_of(protocol: &str) -> Option<u8> {
    match protocol {
        "any" => None,
        "tcp" => Some(6),
        "udp" => Some(17),
        "icmp" => Some(1),
        "icmpv6" => Some(58),
        "gre" => Some(47),
        other => panic!("{other}"),
    }
}

// How a rule is written down.

impl Part {
    fn text(&self) -> String {
        let size = self.last - self.first + 1;
        let first = address(self.v6, self.first);
        if size.is_power_of_two() && self.first.is_multiple_of(size) && size > 1 {
            let bits = if self.v6 { 128 } else { 32 };
            return format!("{first}/{}", bits - size.ilog2());
        }
        if size == 1 { first.to_string() } else { format!("{first}-{}", address(self.v6, self.last)) }
    }
}

impl Written {
    fn text(&self, number: usize) -> (String, String) {
        let (mut objects, mut rule) = (String::new(), format!("[[rule]]\nname = \"r{number}\"\n"));
        for (key, parts) in [("source", &self.source), ("destination", &self.destination)] {
            let Some(parts) = parts else { continue };
            let list = format!("{:?}", parts.iter().map(Part::text).collect::<Vec<_>>());
            match self.named {
                true => {
                    objects += &format!("{key}-{number} = {list}\n");
                    rule += &format!("{key} = \"{key}-{number}\"\n");
                }
                false => rule += &format!("{key} = {list}\n"),
            }
        }
        rule += &format!("protocol = {:?}\n", self.service.protocols);
        for (key, ports) in [
            ("source_port", &self.service.source_ports),
            ("destination_port", &self.service.destination_ports),
        ] {
            if !ports.is_empty() {
                let list: Vec<_> = ports.iter().map(|(first, last)| format!("{first}-{last}")).collect();
                rule += &format!("{key} = {list:?}\n");
            }
        }
        if self.service.echo_only {
            rule += "icmp_type = \"echo-request\"\n";
        }
        rule += &format!("direction = {:?}\nrouting = {:?}\n", self.way, self.routing);
        rule += &format!("fragments_only = {}\naction = {:?}\n", self.fragments_only, self.action);
        if self.connect != "either" {
            rule += &format!("connect = {:?}\n", self.connect);
        }
        if let Some(zone) = self.zone {
            rule += &format!("zone = {:?}\n", ZONES[zone]);
        }
        if self.action == "ipsec" {
            rule += "tunnel = \"b\"\n";
        }
        (objects, rule)
    }
}

fn policy_text(rules: &[Written]) -> String {
    let (objects, texts): (Vec<_>, Vec<_>) =
        rules.iter().enumerate().map(|(number, rule)| rule.text(number)).unzip();
    format!("[addresses]\n{}{}{TUNNEL}", objects.concat(), texts.concat())
}

const TUNNEL: &str = "[[tunnel]]
name = \"b\"
local = \"192.0.2.1\"
remote = \"198.51.100.1\"
selectors = [{ source = \"any\" }]
[tunnel.manual]
algorithm = \"aes256-gcm16\"
outbound_spi = 0x1001
inbound_spi = 0x1002
keys = \"site-b\"
";

// How a person reads it.

impl Written {
    fn matches(&self, packet: &Packet) -> bool {
        let inbound = packet.direction == Direction::Inbound;
        let mirrored = self.way == "both" && inbound;
        let flow = packet.flow;
        let (source, destination) =
            if mirrored { (flow.destination, flow.source) } else { (flow.source, flow.destination) };
        let right_way = match self.way {
            "inbound" => inbound,
            "outbound" => !inbound,
            _ => true,
        };
        let right_path = match self.routing {
            "local" => packet.local,
            "routed" => !packet.local,
            _ => true,
        };
        let may_open = match self.connect {
            "inbound" => inbound,
            "outbound" => !inbound,
            _ => true,
        };
        right_way
            && right_path
            && (may_open || !packet.opens)
            && self.zone.is_none_or(|zone| zone == packet.zone)
            && (packet.fragment || !self.fragments_only)
            && lies_in(&self.source, source)
            && lies_in(&self.destination, destination)
            && self.service.matches(&flow, mirrored)
    }
}

fn lies_in(parts: &Option<Vec<Part>>, address_of_packet: IpAddr) -> bool {
    let Some(parts) = parts else { return true };
    parts.iter().any(|part| (part.first..=part.last).any(|n| address(part.v6, n) == address_of_packet))
}

impl Service {
    fn matches(&self, flow: &FlowKey, mirrored: bool) -> bool {
        let protocols = self.protocols.iter().map(|name| number_of(name));
        if !protocols.into_iter().any(|number| number.is_none_or(|number| number == flow.protocol)) {
            return false;
        }
        // ICMP belongs to IPv4 and ICMPv6 to IPv6, where the rule names them.
        if self.protocols != ["any"] {
            let strange = (flow.protocol == 1 && flow.source.is_ipv6())
                || (flow.protocol == 58 && flow.source.is_ipv4());
            if strange {
                return false;
            }
        }
        if self.echo_only {
            return flow.upper.is_some_and(|(kind, _)| kind == if flow.protocol == 1 { 8 } else { 128 });
        }
        if self.source_ports.is_empty() && self.destination_ports.is_empty() {
            return true;
        }
        let Some((a, b)) = flow.upper else { return false };
        let (source, destination) = if mirrored { (b, a) } else { (a, b) };
        let within = |ports: &[(u16, u16)], port| {
            ports.is_empty() || ports.iter().any(|(first, last)| (*first..=*last).contains(&port))
        };
        within(&self.source_ports, source) && within(&self.destination_ports, destination)
    }
}

/// The first rule as written that matches.
fn read_slowly(rules: &[Written], packet: &Packet) -> Option<usize> {
    rules.iter().position(|rule| rule.matches(packet))
}

// How the packet process reads what was compiled.

fn compiled_matches(rule: &Rule, packet: &Packet) -> bool {
    let path = match rule.routing {
        Routing::Local => packet.local,
        Routing::Routed => !packet.local,
        Routing::Either => true,
    };
    rule.direction == packet.direction
        && path
        && rule.zone.is_none_or(|zone| usize::from(zone.0) == packet.zone)
        && (rule.fragments == Fragments::Any || packet.fragment)
        && (rule.opening == Opening::Allowed || !packet.opens)
        && rule.selector.matches(&packet.flow)
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Permit => "permit",
        Action::Deny(Discard::Silent) => "deny",
        Action::Protect(TunnelId(0)) => "ipsec",
        other => panic!("{other:?}"),
    }
}

fn read_compiled(rules: &[Rule], packet: &Packet) -> Option<&'static str> {
    rules.iter().find(|rule| compiled_matches(rule, packet)).map(|rule| word(rule.action))
}

/// What a worker finds: the action, and the name of the rule.
fn look_up(filters: &Filters, packet: &Packet) -> (Option<&'static str>, Option<String>) {
    let query = Query {
        direction: packet.direction,
        flow: packet.flow,
        local: packet.local,
        zone: Some(ZoneId(packet.zone as u8)),
        fragment: packet.fragment,
        opens_tcp: packet.opens,
    };
    // No rule here asks who it is.
    let found = filters.lookup(&query, &|_, _| Peer::Absent);
    let rule = found.index.and_then(|index| filters.rule(index));
    (rule.map(|rule| word(rule.action)), rule.map(|rule| rule.name.to_string()))
}

// Random rules and packets.

fn part(v6: bool) -> impl Strategy<Value = Part> {
    (0u8..8, 0u8..8).prop_map(move |(a, b)| Part { v6, first: a.min(b), last: a.max(b) })
}

/// One family, or both of them.
fn parts(families: Families) -> BoxedStrategy<Option<Vec<Part>>> {
    let list = |v6| proptest::collection::vec(part(v6), 1..3);
    match families {
        Families::V4 => list(false).prop_map(Some).boxed(),
        Families::V6 => list(true).prop_map(Some).boxed(),
        Families::Both => {
            prop_oneof![Just(None), (list(false), list(true)).prop_map(|(a, b)| Some([a, b].concat())),]
                .boxed()
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Families {
    V4,
    V6,
    Both,
}

fn service(families: Families) -> impl Strategy<Value = Service> {
    let lists: Vec<Vec<&'static str>> = match families {
        Families::V4 => vec![vec!["any"], vec!["tcp"], vec!["udp"], vec!["icmp"], vec!["tcp", "gre"]],
        Families::V6 => vec![vec!["any"], vec!["tcp"], vec!["udp"], vec!["icmpv6"], vec!["gre", "udp"]],
        Families::Both => {
            vec![vec!["any"], vec!["tcp"], vec!["udp"], vec!["tcp", "udp"], vec!["icmp", "icmpv6"]]
        }
    };
    let ports =
        || proptest::collection::vec((1u16..7, 1u16..7).prop_map(|(a, b)| (a.min(b), a.max(b))), 0..3);
    (select(lists), ports(), ports(), any::<bool>()).prop_map(|(protocols, source, destination, echo)| {
        let has_ports = protocols.iter().all(|name| matches!(*name, "tcp" | "udp"));
        let is_icmp = protocols.iter().all(|name| name.starts_with("icmp"));
        let only = |ports: Vec<_>| if has_ports { ports } else { Vec::new() };
        let (source_ports, destination_ports) = (only(source), only(destination));
        Service { protocols, source_ports, destination_ports, echo_only: is_icmp && echo }
    })
}

fn rule() -> impl Strategy<Value = Written> {
    let words = (
        select(vec!["inbound", "outbound", "both"]),
        select(vec!["inbound", "outbound", "either"]),
        select(vec!["local", "routed", "either"]),
        select(vec!["permit", "deny", "ipsec"]),
    );
    let families = select(vec![Families::V4, Families::V6, Families::Both]);
    let shape = families.prop_flat_map(|f| (parts(f), parts(f), service(f)));
    let rest = (any::<bool>(), proptest::option::of(0usize..2), proptest::bool::weighted(0.2));
    (shape, words, rest).prop_map(|((source, destination, service), words, (named, zone, fragments))| {
        let tcp = service.protocols.iter().any(|name| matches!(*name, "any" | "tcp"));
        let plain =
            service.source_ports.is_empty() && service.destination_ports.is_empty() && !service.echo_only;
        Written {
            source,
            destination,
            named,
            service,
            way: words.0,
            connect: if tcp { words.1 } else { "either" },
            routing: words.2,
            zone,
            fragments_only: fragments && plain,
            action: words.3,
        }
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let ends = (any::<bool>(), 0u8..9, 0u8..9);
    let upper = (select(vec![6u8, 17, 1, 58, 47]), select(vec![0u16, 1, 2, 3, 4, 5, 6, 7, 8, 128]), 0u16..8);
    let rest = (any::<bool>(), any::<bool>(), 0usize..2, 0u8..3, any::<bool>());
    (ends, upper, rest).prop_map(
        |((v6, source, destination), (protocol, a, b), (inbound, local, zone, piece, syn))| {
            // 0: whole; 1: first fragment, which shows its ports; 2: later fragment, which does not.
            let upper = (piece < 2 && protocol != 47).then_some((a, b));
            Packet {
                direction: if inbound { Direction::Inbound } else { Direction::Outbound },
                flow: FlowKey {
                    source: address(v6, source),
                    destination: address(v6, destination),
                    protocol,
                    upper,
                },
                local,
                zone,
                fragment: piece > 0,
                opens: syn && protocol == 6 && upper.is_some(),
            }
        },
    )
}

/// A packet, the zone that leads to who sent it, and what a question about it leaves open.
type Asked = (Packet, usize, asked::Open);

fn load(rules: &[Written], tls: &tls::File) -> Result<(policy::Compiled, String), TestCaseError> {
    let zones = ZONES.map(|zone| Name::new(zone).unwrap());
    let keys = Source::from_secret("keys.toml", include_str!("../../../configs/site-to-site/gw-a/keys.toml"));
    let (text, tls) = (policy_text(rules), tls.text());
    let attls = Source::from_text("attls.toml", tls.clone());
    let files = [Source::from_text("ipsec.toml", text.clone())];
    match policy::load_with_tls(&files, Some(&keys), Some(&attls), &Site::with(&zones)) {
        Ok(compiled) => Ok((compiled, format!("{text}\n--- attls.toml\n{tls}"))),
        Err(findings) => Err(TestCaseError::fail(format!("{findings}\n{text}\n{tls}"))),
    }
}

fn agree(rules: &[Written], tls: &tls::File, packets: &[Asked]) -> Result<(), TestCaseError> {
    let (compiled, text) = load(rules, tls)?;
    let Snapshot { rules: split, filter, tls: tls_rules, .. } = compiled.snapshot.clone();
    let (filters, table) =
        (Filters::compile(split.clone(), filter), TlsTable::compile(tls_rules, String::new()));
    let explainer = Explainer::new(&compiled.snapshot, compiled.origins, "candidate");
    for (packet, client_zone, open) in packets {
        let slow = read_slowly(rules, packet);
        let (action, name) =
            (slow.map(|number| rules[number].action), slow.map(|number| format!("r{number}")));
        prop_assert_eq!(action, read_compiled(&split, packet), "{:?}\n{}", packet, text);
        prop_assert_eq!((action, name), look_up(&filters, packet), "{:?}\n{}", packet, text);
        let slow_tls = tls.read_slowly(packet, *client_zone);
        let found =
            table.find(&packet.flow, Some(ZoneId(*client_zone as u8))).filter(|_| packet.flow.protocol == 6);
        let found = found.map(|rule| (rule.name.to_string(), tls_word(rule.action)));
        prop_assert_eq!(&slow_tls, &found, "{:?}\n{}", packet, text);
        let case = asked::ask(&explainer, packet, *client_zone, *open);
        let case = case.map_err(|why| TestCaseError::fail(format!("{why}\n{packet:?}\n{text}")))?;
        let (verdict, rule) = asked::expected(rules, packet);
        let said = (case.verdict.as_str(), case.rule.map(|rule| rule.name));
        prop_assert_eq!(said, (verdict, rule), "{:?} {:05b}\n{}", packet, open, text);
        if packet.opens && !packet.fragment && matches!(verdict, "permit" | "ipsec") {
            let said = case.tls.map(|tls| (tls.rule.map_or_else(String::new, |rule| rule.name), tls.verdict));
            let expected = slow_tls.unwrap_or_else(|| (String::new(), "none"));
            prop_assert_eq!(
                said,
                Some((expected.0, expected.1.to_owned())),
                "{:?} {:05b}\n{}",
                packet,
                open,
                text
            );
        }
    }
    Ok(())
}

fn tls_word(action: TlsAction) -> &'static str {
    match action {
        TlsAction::Pass => "off",
        TlsAction::Refuse => "refuse",
        TlsAction::Secure(_) => "client",
    }
}

/// `RAVELIN_PAIRS` says of how many packets, each with a policy; `make soak` takes ten million.
#[test]
fn all_that_reads_a_policy_says_what_was_written() {
    let pairs = std::env::var("RAVELIN_PAIRS").map_or(60_000, |text| text.parse::<u32>().unwrap());
    let each = if pairs > 1_000_000 { 400 } else { 64 };
    let cases = pairs.div_ceil(each);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(cases));
    let asked = (packet(), 0usize..2, 0u8..32);
    let strategy = (
        proptest::collection::vec(rule(), 1..5),
        tls::file(),
        proptest::collection::vec(asked, each as usize),
    );
    let result = runner.run(&strategy, |(rules, tls, packets)| agree(&rules, &tls, &packets));
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The packets above meet the rules often enough to prove something.
#[test]
fn rules_and_packets_meet() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut met = 0;
    for _ in 0..2000 {
        let (rule, packet) = (rule(), packet()).new_tree(&mut runner).unwrap().current();
        met += usize::from(rule.matches(&packet));
    }
    assert!(met > 40, "{met} of 2000");
}
