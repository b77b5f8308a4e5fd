//! Property: what is encoded decodes to the same, and no octets make the decoder panic or allocate without bound.

use std::net::IpAddr;

use proptest::prelude::*;
use ravelin_contract::address::{AddressRange, NumberRange};
use ravelin_contract::codec::{self, decode, encode};
use ravelin_contract::identity::IdentityId;
use ravelin_contract::limits;
use ravelin_contract::message::{Reply, Request};
use ravelin_contract::name::Name;
use ravelin_contract::rule::*;
use ravelin_contract::selector::{FlowKey, Selector, Upper, protocol};

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

fn range() -> impl Strategy<Value = AddressRange> {
    (address(), 0u8..=32).prop_map(|(a, length)| AddressRange::prefix(a, length).expect("short enough"))
}

fn numbers() -> impl Strategy<Value = NumberRange> {
    any::<(u16, u16)>().prop_map(|(a, b)| NumberRange::new(a.min(b), a.max(b)).expect("in order"))
}

fn upper() -> impl Strategy<Value = Upper> {
    prop_oneof![
        Just(Upper::Any),
        any::<u8>().prop_map(Upper::Protocol),
        (numbers(), numbers()).prop_map(|(source, destination)| Upper::Ports {
            protocol: protocol::TCP,
            source,
            destination
        }),
        (numbers(), numbers()).prop_map(|(types, codes)| Upper::Icmp {
            protocol: protocol::ICMP,
            types,
            codes
        }),
    ]
}

prop_compose! {
    fn rule()(name in "[a-z0-9.-]{1,64}", extension in any::<u16>(), source in range(), destination in range(),
              upper in upper(), zone in any::<Option<u8>>(), tunnel in any::<u32>(), whom in prop::collection::vec(any::<u32>(), 0..3)) -> Rule {
        Rule {
            name: Name::new(name).expect("good characters"), extension, direction: Direction::Inbound,
            selector: Selector { source, destination, upper }, routing: Routing::Either, zone: zone.map(ZoneId),
            fragments: Fragments::Only, opening: Opening::Allowed, action: Action::Protect(TunnelId(tunnel)), log: Log::Yes, identities: whom.into_iter().map(IdentityId).collect(),
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes(rules in prop::collection::vec(rule(), 0..20)) {
        let message = Request::Rules(rules);
        prop_assert_eq!(decode::<Request>(&encode(&message).expect("fits")).expect("decodes"), message);
    }

    #[test]
    fn any_octets_decode_or_fail(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode::<Request>(&octets);
        let _ = decode::<Reply>(&octets);
    }

    #[test]
    fn a_damaged_message_decodes_to_something_valid_or_fails(rules in prop::collection::vec(rule(), 1..4), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut octets = encode(&Request::Rules(rules)).expect("fits").to_vec();
        let at = at.index(octets.len());
        octets[at] = with;
        if let Ok(Request::Rules(rules)) = decode::<Request>(&octets) {
            for rule in rules {
                prop_assert!(rule.selector.source.first() <= rule.selector.source.last());
                prop_assert!(Name::new(rule.name.as_str()).is_ok());
            }
        }
    }

    #[test]
    fn a_range_that_is_a_prefix_knows_it(a in address(), length in 0u8..=32) {
        let range = AddressRange::prefix(a, length).expect("short enough");
        prop_assert_eq!(range.as_prefix(), Some(length));
        prop_assert!(range.contains(a));
    }

    #[test]
    fn a_reversed_selector_selects_the_answers(selector in (range(), range(), upper()), flow in (address(), address(), any::<(u16, u16)>())) {
        let selector = Selector { source: selector.0, destination: selector.1, upper: selector.2 };
        let protocol = match selector.upper { Upper::Icmp { protocol, .. } => protocol, _ => protocol::TCP };
        let flow = FlowKey { source: flow.0, destination: flow.1, protocol, upper: Some(flow.2) };
        prop_assert_eq!(selector.matches(&flow), selector.reversed().matches(&flow.reversed()));
    }
}

#[test]
fn a_message_longer_than_the_limit_is_refused_on_both_sides() {
    let long = Request::Begin { fingerprint: "x".repeat(limits::MESSAGE), filter: FilterSettings::default() };
    assert!(matches!(encode(&long), Err(codec::CodecError::TooLong(_))));
    let announced = (limits::MESSAGE as u32 + 1).to_be_bytes();
    assert!(matches!(codec::read::<Request>(&mut &announced[..]), Err(codec::CodecError::TooLong(_))));
}

#[test]
fn a_message_lies_in_a_buffer_that_never_grew() {
    for length in [0, 1, 63, 64, 65, 1000, 40_000] {
        let octets =
            encode(&Request::Begin { fingerprint: "x".repeat(length), filter: FilterSettings::default() });
        let octets = octets.expect("fits");
        assert!(octets.len() > length && octets.capacity() == octets.len(), "{length}");
    }
}

#[test]
fn octets_left_over_are_refused() {
    let mut octets = encode(&Request::Commit).expect("fits").to_vec();
    octets.push(0);
    assert!(decode::<Request>(&octets).is_err());
}

#[test]
fn a_stream_that_ends_between_messages_ends_quietly_and_within_one_does_not() {
    let mut stream = Vec::new();
    codec::write(&mut stream, &Request::Status).expect("written");
    let mut whole = &stream[..];
    assert_eq!(codec::read::<Request>(&mut whole).expect("one"), Some(Request::Status));
    assert_eq!(codec::read::<Request>(&mut whole).expect("end"), None);
    assert!(codec::read::<Request>(&mut &stream[..stream.len() - 1]).is_err());
}
