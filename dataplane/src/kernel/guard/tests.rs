//! The table as text, for a policy that has one rule of each kind.

use ravelin_contract::rule::{Discard, FilterSettings};

#[path = "../../../tests/support/written.rs"]
mod written;

use super::*;
use crate::table::policy::PolicySource;

fn policy(text: &str) -> Policy {
    policy_with(text, FilterSettings::default())
}

fn policy_with(text: &str, settings: FilterSettings) -> Policy {
    let (rules, zones) = written::rules(text);
    Policy::compile(PolicySource { rules, zones, settings, ..PolicySource::default() }, 1, None)
}

fn ports() -> [PortInfo; 3] {
    [("lan0", "lan", true), ("wan0", "wan", false), ("wan1", "wan", false)].map(|(name, zone, protected)| {
        PortInfo {
            name: name.to_owned(),
            ifindex: 0,
            mac: [0; 6],
            mtu: 1500,
            zone: None,
            zone_name: zone.to_owned(),
            protected,
        }
    })
}

/// The lines of one chain, without white space around them.
fn chain(table: &str, name: &str) -> Vec<String> {
    let after = table.split_once(&format!("chain {name} {{\n")).unwrap().1;
    after.split_once("    }\n").unwrap().0.lines().map(|line| line.trim().to_owned()).collect()
}

const RULES: &str = r#"
rule = [
    { source = "10.0.0.0/8", protocol = "tcp", destination_port = "22-25", zone = "wan", direction = "inbound", routing = "local", action = "permit" },
    { protocol = "tcp", source_port = 22, connect = "inbound", direction = "outbound", action = "permit" },
    { source = "10.0.0.3-10.0.0.9", protocol = "icmp", icmp_type = "echo-request", direction = "inbound", action = "deny", discard = "icmp" },
    { source = "10.1.0.0/16", destination = "10.2.0.0/16", action = "ipsec", tunnel = "site-b" },
    { source = "2001:db8::/32", direction = "inbound", fragments_only = true, action = "deny" },
    { routing = "routed", action = "permit" },
    { protocol = "udp", source_port = [53, 123], direction = "inbound", zone = "lan", action = "permit" },
    { destination = "2001:db8::1", connect = "inbound", direction = "outbound", action = "permit" },
]
"#;

fn guarded<'a>(filters: &'a Policy, ports: &'a [PortInfo], by_policy: bool) -> Guarded<'a> {
    Guarded { protected: &[], ports, workers: None, filters, by_policy }
}

#[test]
fn each_rule_is_where_its_packets_come() {
    let (policy, ports) = (policy(RULES), ports());
    let table = table(&guarded(&policy, &ports, true));
    let expected: [(&str, &[&str]); 4] = [
        (
            "input4",
            &[
                "iifname { \"wan0\", \"wan1\" } ip saddr 10.0.0.0/8 meta l4proto 6 th dport 22-25 accept",
                "ip saddr 10.0.0.3-10.0.0.9 meta l4proto 1 @th,0,8 8 reject with icmpx admin-prohibited",
                "ip saddr 10.2.0.0/16 ip daddr 10.1.0.0/16 drop",
                "iifname { \"lan0\" } meta l4proto 17 th sport 53 accept",
                "iifname { \"lan0\" } meta l4proto 17 th sport 123 accept",
                "counter drop",
            ],
        ),
        (
            "input6",
            &[
                "ip6 saddr 2001:db8::/32 meta mark & 0x40000000 != 0 drop",
                "iifname { \"lan0\" } meta l4proto 17 th sport 53 accept",
                "iifname { \"lan0\" } meta l4proto 17 th sport 123 accept",
                "counter drop",
            ],
        ),
        (
            "output4",
            &[
                "meta l4proto 6 th sport 22 tcp flags & (syn | ack) != syn accept",
                "ip saddr 10.1.0.0/16 ip daddr 10.2.0.0/16 drop",
                "counter drop",
            ],
        ),
        (
            "output6",
            &[
                "meta l4proto 6 th sport 22 tcp flags & (syn | ack) != syn accept",
                "ip6 daddr 2001:db8::1 meta l4proto != 6 accept",
                "ip6 daddr 2001:db8::1 meta l4proto 6 tcp flags & (syn | ack) != syn accept",
                "counter drop",
            ],
        ),
    ];
    for (name, lines) in expected {
        assert_eq!(chain(&table, name), lines, "{name}");
    }
    assert!(table.contains("set trusted { type ifname; elements = { \"lan0\" } }"));
    assert!(table.contains("set ports { type ifname; elements = { \"lan0\", \"wan0\", \"wan1\" } }"));
}

#[test]
fn fragments_are_marked_only_for_rules_that_ask() {
    let ports = ports();
    let marks = |rules: &str| table(&guarded(&policy(rules), &ports, true)).contains("prerouting");
    assert!(marks(RULES));
    assert!(!marks("[[rule]]\naction = \"permit\""));
    assert!(!marks("[[rule]]\ndirection = \"outbound\"\nfragments_only = true\naction = \"permit\""));
}

#[test]
fn default_filters_open_nothing_that_a_policy_had_closed() {
    let (policy, ports) = (policy("[[rule]]\naction = \"permit\""), ports());
    let output = |by_policy| chain(&table(&guarded(&policy, &ports, by_policy)), "output");
    assert!(output(false).contains(&"jump guarded".to_owned()));
    assert!(!output(true).contains(&"jump guarded".to_owned()));
}

#[test]
fn what_is_guarded_stands_in_its_family() {
    let (policy, ports) = (policy("[[rule]]\naction = \"permit\""), ports());
    let prefix = |text: &str, length| AddressRange::prefix(text.parse().unwrap(), length).unwrap();
    let protected = [prefix("192.0.2.0", 24), prefix("2001:db8::", 32)];
    let table = table(&Guarded { protected: &protected, ..guarded(&policy, &ports, true) });
    assert!(table.contains("type ipv4_addr; flags interval; auto-merge; elements = { 192.0.2.0/24 } }"));
    assert!(table.contains("type ipv6_addr; flags interval; auto-merge; elements = { 2001:db8::/32 } }"));
}

#[test]
fn the_implicit_deny_answers_when_it_shall() {
    let settings = FilterSettings { implicit_discard: Discard::Icmp, ..FilterSettings::default() };
    let (policy, ports) = (policy_with(RULES, settings), ports());
    let input = chain(&table(&guarded(&policy, &ports, true)), "input6");
    assert_eq!(input.last().map(String::as_str), Some("counter reject with icmpx admin-prohibited"));
}
