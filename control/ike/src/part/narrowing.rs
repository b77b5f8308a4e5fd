//! Choosing traffic selectors (RFC 7296 2.9): what the peer offers, cut down to what policy allows.

use crate::policy::{Narrowing, Traffic};

/// What both lists speak of, without what another entry covers; empty when they share nothing.
///
/// The peer's order is kept: its first entry may be the packet that made it ask. With [`Narrowing::Packet`] only what is
/// shared with that first entry is given.
pub(crate) fn narrow(offered: &[Traffic], allowed: &[Traffic], narrowing: Narrowing) -> Vec<Traffic> {
    let offered = match narrowing {
        Narrowing::Rule => offered,
        Narrowing::Packet => offered.get(..1).unwrap_or_default(),
    };
    let mut found: Vec<Traffic> = Vec::new();
    for shared in offered.iter().flat_map(|one| allowed.iter().filter_map(|two| one.intersect(two))) {
        if found.iter().any(|known| known.covers(&shared)) {
            continue;
        }
        found.retain(|known| !shared.covers(known));
        found.push(shared);
    }
    found.truncate(usize::from(u8::MAX));
    found
}

/// Whether every entry of an answer lies in something we offered: a responder may narrow, never widen.
pub(crate) fn is_within(answer: &[Traffic], offered: &[Traffic]) -> bool {
    !answer.is_empty() && answer.iter().all(|one| offered.iter().any(|two| two.covers(one)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ravelin_contract::address::{AddressRange, NumberRange};

    fn net(text: &str) -> Traffic {
        let (address, length) = text.split_once('/').expect("a prefix");
        let length = length.parse().expect("a length");
        Traffic::of(AddressRange::prefix(address.parse().expect("an address"), length).expect("a prefix"))
    }

    #[test]
    fn an_answer_is_what_both_allow() {
        let offered = [net("10.0.0.0/8"), net("192.168.7.0/24"), net("2001:db8::/32")];
        let allowed = [net("10.1.0.0/16"), net("192.168.0.0/16")];
        assert_eq!(narrow(&offered, &allowed, Narrowing::Rule), [net("10.1.0.0/16"), net("192.168.7.0/24")]);
        assert_eq!(narrow(&offered, &allowed, Narrowing::Packet), [net("10.1.0.0/16")]);
        assert_eq!(narrow(&offered, &[net("172.16.0.0/12")], Narrowing::Rule), []);
        assert_eq!(narrow(&[], &allowed, Narrowing::Packet), []);
    }

    #[test]
    fn what_another_entry_covers_is_left_out() {
        let offered = [net("10.1.2.0/24"), net("10.0.0.0/8")];
        assert_eq!(narrow(&offered, &[net("10.1.0.0/16")], Narrowing::Rule), [net("10.1.0.0/16")]);
    }

    #[test]
    fn a_widened_answer_is_seen() {
        let offered = [net("10.1.0.0/16")];
        assert!(is_within(&[net("10.1.2.0/24")], &offered));
        assert!(!is_within(&[net("10.0.0.0/8")], &offered));
        assert!(!is_within(&[], &offered));
    }

    fn traffic() -> impl Strategy<Value = Traffic> {
        let addresses = (any::<[u8; 2]>(), 16u8..=32).prop_map(|([c, d], length)| {
            AddressRange::prefix([10, 0, c, d].into(), length).expect("a prefix")
        });
        let ports = (any::<u16>(), any::<u16>())
            .prop_map(|(a, b)| NumberRange::new(a.min(b), a.max(b)).expect("in order"));
        (addresses, prop_oneof![Just(0u8), Just(6), Just(17)], ports)
            .prop_map(|(addresses, protocol, ports)| Traffic { addresses, protocol, ports })
    }

    proptest! {
        #[test]
        fn the_answer_never_leaves_either_list(
            offered in prop::collection::vec(traffic(), 1..5),
            allowed in prop::collection::vec(traffic(), 1..5),
        ) {
            for one in narrow(&offered, &allowed, Narrowing::Rule) {
                prop_assert!(offered.iter().any(|two| two.covers(&one)));
                prop_assert!(allowed.iter().any(|two| two.covers(&one)));
            }
        }
    }
}
