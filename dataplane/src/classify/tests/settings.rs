//! What holds for all filters of a policy (rows B3 and B15).

use super::*;

#[test]
fn one_switch_silences_every_log() {
    let settings = FilterSettings { log: false, log_implicit: true, ..FilterSettings::default() };
    for rules in [&["out permit log"][..], &["out deny log"], &[]] {
        assert_eq!(logged_with(rules, settings, way(LAN, WAN), &udp(1)), vec![], "{rules:?}");
    }
}

#[test]
fn the_implicit_deny_answers_when_it_shall() {
    for (implicit_discard, expected) in [(Discard::Silent, 0), (Discard::Icmp, 1)] {
        let settings = FilterSettings { implicit_discard, ..FilterSettings::default() };
        let (packet, answers) = Gate::with(&[], settings).pass(way(WAN, LAN), &udp(53));
        assert_eq!((packet.verdict, answers.len()), (Some(Verdict::ImplicitlyDenied), expected));
    }
}

/// What becomes of a sealed packet before it is opened, and how often the first rule matched.
fn sealed(rules: &[&str], pre_decap: bool, from: PortIndex) -> (Option<Verdict>, u64) {
    let mut gate = Gate::with(rules, FilterSettings { pre_decap, ..FilterSettings::default() });
    let mut packet = gate.packet(&udp(4500));
    packet.ingress = from;
    let mut batch = Batch::default();
    batch.packets.push(packet);
    let (pool, limiter, events) = (&mut gate.pool, &mut gate.limiter, &gate.sink);
    let mut means = Means { now: gate.now, worker: 0, pool, limiter, events };
    admit_sealed(&mut batch, &gate.tables, &mut gate.flows, &mut means, |_| true);
    let verdict = batch.packets[0].verdict;
    let matched = if rules.is_empty() { 0 } else { gate.matched(0).0 };
    (verdict, matched)
}

#[test]
fn sealed_packets_need_a_rule_of_their_own_when_the_policy_says_so() {
    assert_eq!(sealed(&[], false, WAN), (None, 0), "not asked for");
    assert_eq!(sealed(&["in permit udp 4500 local"], true, WAN), (None, 1));
    assert_eq!(sealed(&["in permit udp 4500 zone 1"], true, WAN), (None, 1));
    assert_eq!(sealed(&["in permit udp 4500 zone 2"], true, WAN), (Some(Verdict::ImplicitlyDenied), 0));
    assert_eq!(sealed(&["in permit routed"], true, WAN), (Some(Verdict::ImplicitlyDenied), 0));
    assert_eq!(sealed(&["in deny udp 4500"], true, LAN), (Some(Verdict::Denied), 1));
    assert_eq!(
        sealed(&["in protect 7"], true, WAN),
        (Some(Verdict::CleartextRefused), 1),
        "no SA brought it"
    );
    assert_eq!(sealed(&[], true, WAN), (Some(Verdict::ImplicitlyDenied), 0));
}
