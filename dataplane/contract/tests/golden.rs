//! The octets of messages, pinned: whoever changes one has to raise the version.

use ravelin_contract::address::{AddressRange, Family, NumberRange};
use ravelin_contract::codec::encode;
use ravelin_contract::message::{Refusal, Reply, Request};
use ravelin_contract::name::Name;
use ravelin_contract::rule::*;
use ravelin_contract::sa::*;
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::{Selector, Upper};
use ravelin_contract::snapshot::Tunnel;

fn hex(message: &impl serde::Serialize) -> String {
    encode(message).expect("fits").iter().map(|octet| format!("{octet:02x}")).collect()
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a good name")
}

fn rule() -> Rule {
    let prefix = |a, b, c, d| AddressRange::prefix([a, b, c, d].into(), 24).expect("a prefix");
    Rule {
        name: name("web"),
        extension: 2,
        direction: Direction::Outbound,
        selector: Selector {
            source: prefix(10, 1, 0, 0),
            destination: prefix(10, 2, 0, 0),
            upper: Upper::Ports {
                protocol: 6,
                source: NumberRange::ALL,
                destination: NumberRange::single(443),
            },
        },
        routing: Routing::Routed,
        zone: Some(ZoneId(1)),
        fragments: Fragments::Any,
        opening: Opening::Excluded,
        action: Action::Protect(TunnelId(3)),
        log: Log::Denied,
    }
}

fn sa() -> Sa {
    Sa {
        name: name("a-to-b"),
        tunnel: TunnelId(3),
        spi: Spi::new(0x1001).expect("not reserved"),
        mode: Mode::Tunnel,
        local: [192, 0, 2, 1].into(),
        remote: [198, 51, 100, 1].into(),
        carrier: Carrier::Udp { local_port: 4500, remote_port: 4501, keepalive: 20 },
        transform: Transform::AesGcm16 { key: Secret::new(vec![7; 16]), salt: [1, 2, 3, 4] },
        extended_sequence: true,
        selectors: vec![Selector::all(Family::V4)],
        origin: Origin::Manual,
        side: Side::Inbound(Receiving { replay_window: 1024 }),
    }
}

#[test]
fn requests() {
    let golden = [
        (Request::Hello { version: 1 }, "0001"),
        (Request::Begin { fingerprint: "ab".into(), log_implicit: true }, "0102616201"),
        (Request::Zones(vec![name("lan")]), "0201036c616e"),
        (Request::Tunnels(vec![Tunnel { name: name("t") }]), "03010174"),
        (
            Request::Rules(vec![rule()]),
            "0401037765620201000a010000000a0100ff000a020000000a0200ff020600ffff03bb03bb030101010001020303",
        ),
        (Request::Commit, "06"),
        (Request::UseDefaultFilters, "07"),
        (Request::UsePolicy, "08"),
        (Request::Status, "09"),
        (Request::Ports, "0a"),
        (Request::ListRules { from: 300 }, "0bac02"),
        (Request::ListSas { from: 0 }, "0c00"),
        (Request::TakeEvents, "0d"),
    ];
    for (message, octets) in golden {
        assert_eq!(hex(&message), octets, "{message:?}");
    }
}

#[test]
fn an_sa() {
    let octets = concat!(
        "050106612d746f2d620381200000c000020100c6336401019423952314",
        "001007070707070707070707070707070707010203040101000000000000ffffffff000000000000ffffffff0000018008"
    );
    assert_eq!(hex(&Request::Sas(vec![sa()])), octets);
}

#[test]
fn replies() {
    let golden = [
        (Reply::Hello { version: 1, incarnation: 5, policy: None }, "00010500"),
        (Reply::Done, "01"),
        (Reply::InForce { generation: 2, took_us: 300 }, "0202ac02"),
        (Reply::Refused(Refusal::NoPolicy), "0306"),
    ];
    for (message, octets) in golden {
        assert_eq!(hex(&message), octets, "{message:?}");
    }
}

#[test]
fn a_secret_does_not_print() {
    let text = format!("{:?}", sa());
    assert!(text.contains("Secret(16 octets)") && !text.contains("7, 7"), "{text}");
}
