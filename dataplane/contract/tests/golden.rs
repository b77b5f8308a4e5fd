//! The octets of messages, pinned: whoever changes one has to raise the version.

use ravelin_contract::address::{AddressRange, Family, NumberRange};
use ravelin_contract::child::*;
use ravelin_contract::codec::encode;
use ravelin_contract::identity::{IdentityId, Pattern};
use ravelin_contract::message::{Event, Refusal, Reply, Request};
use ravelin_contract::name::Name;
use ravelin_contract::rule::*;
use ravelin_contract::sa::*;
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::{Selector, Upper};
use ravelin_contract::snapshot::Tunnel;
use ravelin_contract::tls::{Answer, ConnectionId, Order, Secure, TlsAction, Truncation};
use ravelin_contract::tls_session as tls;

fn hex(message: &impl serde::Serialize) -> String {
    encode(message).expect("fits").iter().map(|octet| format!("{octet:02x}")).collect()
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a good name")
}

fn pattern(text: &str) -> Pattern {
    Pattern::new(text).expect("short")
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
        identities: vec![IdentityId(5)],
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

fn settings() -> FilterSettings {
    FilterSettings { log: true, log_implicit: false, implicit_discard: Discard::Icmp, pre_decap: true }
}

fn connection() -> ConnectionId {
    ConnectionId { worker: 1, slot: 2, serial: 3 }
}

#[test]
fn requests() {
    let golden = [
        (Request::Hello { version: 1 }, "0001"),
        (Request::Begin { fingerprint: "ab".into(), filter: settings() }, "0102616201000101"),
        (Request::Zones(vec![name("lan")]), "0201036c616e"),
        (Request::Tunnels(vec![Tunnel { name: name("t") }]), "03010174"),
        (
            Request::Rules(vec![rule()]),
            "0401037765620201000a010000000a0100ff000a020000000a0200ff020600ffff03bb03bb0301010100010203030105",
        ),
        (Request::TlsRules(vec![]), "0600"),
        (Request::Commit, "07"),
        (Request::UseDefaultFilters, "08"),
        (Request::UsePolicy, "09"),
        (Request::Status, "0a"),
        (Request::Ports, "0b"),
        (Request::ListRules { from: 300 }, "0cac02"),
        (Request::ListSas { from: 0 }, "0d00"),
        (Request::TakeEvents, "0e"),
        (Request::Interfaces, "12"),
        (Request::TakeTlsNotices { wait_ms: 5 }, "1305"),
        (Request::TlsOrders(vec![Order::End { connection: connection() }]), "140105010203"),
        (Request::Identities(vec![pattern("*@a")]), "1501032a4061"),
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

fn child() -> Child {
    let Sa { name, mode, local, remote, carrier, transform, selectors, .. } = sa();
    let bounds = |octets| Bounds { octets: std::num::NonZeroU64::new(octets), ..Bounds::default() };
    Child {
        name,
        tunnel: Name::new("t").expect("a good name"),
        mode,
        path: Path { local, remote, carrier },
        extended_sequence: true,
        selectors,
        inbound: Inbound {
            spi: spi(0x1001),
            transform: transform.clone(),
            receiving: Receiving { replay_window: 1024 },
        },
        outbound: Outbound {
            spi: spi(0x2002),
            transform,
            sending: Sending {
                dont_fragment: DontFragment::Copy,
                dscp: Dscp::Value(46),
                hop_limit: Some(64),
                pad_to: 128,
                clamp_mss: true,
            },
        },
        lifetime: Lifetime { soft: bounds(1000), hard: bounds(2000) },
        start: Start::Receiving,
        worker: Some(3),
        identities: vec![pattern("*@a")],
    }
}

fn spi(number: u32) -> Spi {
    Spi::new(number).expect("not reserved")
}

#[test]
fn negotiated_sas() {
    let path = Path { carrier: Carrier::Ip, ..child().path };
    let changes = vec![
        Change::Install(Box::new(child())),
        Change::Send(spi(0x1001)),
        Change::Move { spi: spi(0x1001), path },
        Change::Remove(spi(0x1001)),
        Change::Identify { spi: spi(0x1001), identities: vec![] },
    ];
    let octets = concat!(
        "0f07050006612d746f2d6201740000c000020100c63364010194239523140101000000000000ffffffff000000000000",
        "ffffffff0081200010070707070707070707070707070707070102030480088240001007070707070707070707070707",
        "0707070102030400012e014080010101e807000001d00f000000010301032a406101812002812000c000020100c63364",
        "010003812004812000"
    );
    assert_eq!(hex(&Request::ChangeChildren { incarnation: 7, changes }), octets);
    assert_eq!(hex(&Request::Children(vec![spi(0x1001)])), "10018120");
    assert_eq!(hex(&Request::ListChildren { after: None }), "1100");
    let usage = Usage { packets: 1, octets: 100, idle_ms: Some(5) };
    let status = ChildStatus {
        spi: spi(0x1001),
        outbound_spi: spi(0x2002),
        name: name("a-to-b"),
        tunnel: name("t"),
        path,
        leads_to: child().leads_to(),
        sends: true,
        age: 60,
        received: usage,
        sent: Usage::default(),
    };
    assert_eq!(
        hex(&Reply::Children(vec![status])),
        "09018120824006612d746f2d62017400c000020100c63364010001000000000000ffffffff013c01640105000000"
    );
    assert_eq!(hex(&Reply::Refused(ChildFault::Unknown(spi(0x1001)).into())), "0308058120");
    let of = |happening| Event::Child { spi: spi(0x1001), name: name("c"), happening };
    let events = vec![
        of(Happening::Used),
        of(Happening::Ageing(Bound::Numbers)),
        of(Happening::Expired(Bound::Octets)),
        of(Happening::Orphaned),
        of(Happening::PeerMoved { remote: [192, 0, 2, 9].into(), port: Some(4501) }),
        Event::UnknownSpi {
            spi: 5,
            local: [192, 0, 2, 1].into(),
            remote: [192, 0, 2, 2].into(),
            ports: None,
        },
    ];
    assert_eq!(
        hex(&Reply::Events(events)),
        concat!(
            "0806038120016300038120016301030381200163020003812001630303812001630400c0000209019523040500c00002",
            "0100c000020200"
        )
    );
}

fn traffic(octet: u8) -> tls::Traffic {
    tls::Traffic {
        key: Secret::new(vec![octet; 16]),
        iv: Secret::new(vec![octet + 1; 12]),
        next_number: u64::from(octet),
    }
}

#[test]
fn tls_sessions() {
    let session = tls::Session {
        suite: tls::Suite::EcdheRsaAes128GcmSha256,
        role: tls::Role::Server,
        sending: traffic(1),
        receiving: traffic(3),
        shape: tls::Shape::default(),
    };
    let octets = concat!(
        "060110010101010101010101010101010101010c02020202020202020202020201",
        "10030303030303030303030303030303030c04040404040404040404040403",
        "80800180800101"
    );
    assert_eq!(hex(&session), octets);
    let role = tls::Role::Client;
    let (truncation, answer) = (Truncation::Accept, Answer::AfterHandshake);
    let action = TlsAction::Secure(Secure { role, patience_ms: 300, truncation, answer });
    assert_eq!(hex(&action), "0200ac020101");
    let change = tls::Change::SendUnder { traffic: traffic(1), ask_peer: true };
    assert_eq!(hex(&change), "0010010101010101010101010101010101010c0202020202020202020202020101");
    assert!(hex(&tls::Change::ReceiveUnder(traffic(1))).starts_with("01100101"));
    let ticket = tls::Ticket::new(vec![9; 3]).expect("short");
    assert_eq!(hex(&tls::Happening::Ticket(ticket)), "0003090909");
    assert_eq!(hex(&tls::Happening::PeerUpdated { answer: true }), "0101");
    assert_eq!(hex(&tls::Happening::UpdateDue), "02");
}

#[test]
fn the_version_goes_with_the_octets() {
    assert_eq!(ravelin_contract::VERSION, 7);
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
