//! Rules for some peers alone (row B18): who gets in by them, and how others hear of it.

use super::*;

/// Row B18: what a rule for some peers speaks of comes from them alone, and in clear from nobody.
#[test]
fn a_rule_for_some_peers_lets_no_other_in() {
    let for_a = "in protect 7 whom 0";
    let come = |sa| by(sa, way(WAN, LAN));
    let rows: &[(&str, Way, &[&str], &str)] = &[
        ("one of them", come(0), &[for_a], "clear"),
        ("one of several", come(3), &["in protect 7 whom 0 whom 2"], "clear"),
        ("somebody else", come(2), &[for_a], "wrong_identity"),
        ("somebody else by name", come(3), &[for_a], "wrong_identity"),
        ("one of them by another tunnel", come(1), &[for_a], "wrong_tunnel"),
        ("in clear", way(WAN, LAN), &[for_a], "cleartext_refused"),
        ("what permits later is not for others", come(2), &[for_a, "in permit"], "wrong_identity"),
        ("nor for what comes in clear", way(WAN, LAN), &[for_a, "in permit"], "cleartext_refused"),
        ("what permits before is", come(2), &["in permit", for_a], "clear"),
        ("others may have a rule of their own", come(2), &[for_a, "in protect 7"], "clear"),
        ("and by their own tunnel", come(1), &[for_a, "in protect 8"], "clear"),
        ("a later deny is a deny", come(2), &[for_a, "in deny"], "denied"),
        ("of two the one that fits", come(3), &[for_a, "in protect 7 whom 1", "in permit"], "clear"),
        ("without an SA one is wanted", way(LAN, WAN), &["out protect 7 whom 0", "out permit"], "protect 7"),
        (
            "unless another rule protects",
            way(LAN, WAN),
            &["out protect 7 whom 0", "out protect 8"],
            "protect 8",
        ),
        ("what it does not speak of", way(LAN, WAN), &["out protect 7 whom 0 tcp 1", "out permit"], "clear"),
    ];
    for (what, way, rules, expected) in rows {
        assert_eq!(Gate::new(rules).says(*way, &udp(53)), *expected, "{what}");
    }
}

/// The drop is the first such rule's, in its count and its log.
#[test]
fn who_is_somebody_else_is_counted_and_told() {
    let mut gate = Gate::new(&["in protect 7 whom 0 log-denied", "in permit"]);
    assert_eq!(gate.says(by(2, way(WAN, LAN)), &udp(53)), "wrong_identity");
    assert_eq!((gate.matched(0).0, gate.matched(1).0, gate.told().len()), (2, 0, 2));
    // A later piece of a packet whose ports nobody has seen: it may be for a rule that does not let it in.
    let mut gate = Gate::new(&["in protect 7 whom 0 udp 53", "in permit"]);
    assert_eq!(gate.says(by(2, way(WAN, LAN)), &piece(7, 53, 24, false)), "fragment_unknown");
    assert_eq!(gate.says(by(2, way(WAN, LAN)), &piece(8, 53, 0, true)), "wrong_identity");
    assert_eq!(gate.says(by(2, way(WAN, LAN)), &piece(8, 53, 24, false)), "wrong_identity");
}
