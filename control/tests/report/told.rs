//! What the packet process reports becomes events with all that it said, and what is wrong with rings is told.

use std::fs;
use std::net::IpAddr;

use ravelin_contract::child::{Bound, Happening};
use ravelin_contract::message::Event;
use ravelin_contract::name::Name;
use ravelin_contract::rule::Action;
use ravelin_contract::sa::Spi;
use ravelin_contract::selector::FlowKey;
use ravelin_contract::verdict::Verdict;
use ravelin_control::report::certificates::Certificates;
use ravelin_control::report::events::write;
use ravelin_log::heard::Heard;
use ravelin_rings::store::Rings;

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn flow() -> FlowKey {
    FlowKey {
        source: address("10.1.0.5"),
        destination: address("10.2.0.9"),
        protocol: 6,
        upper: Some((40000, 443)),
    }
}

#[test]
fn a_filter_match_has_every_field_and_the_implicit_deny_its_name() {
    let heard = Heard::begin();
    let matched = |rule: Option<(Name, u16)>, action: Option<Action>, verdict| Event::FilterMatch {
        time: 1_800_000_000_000_000,
        rule,
        action,
        verdict,
        flow: flow(),
        port: "wan0".to_owned(),
        length: 1400,
        fragment: false,
        suppressed: 7,
    };
    write(&matched(Some((name("web"), 3)), Some(Action::Permit), Verdict::Forwarded));
    write(&matched(None, None, Verdict::ImplicitlyDenied));
    let told = heard.all("RVL-FILTER-MATCH");
    let fields = |at: usize| {
        let names = ["rule", "extension", "action", "verdict", "source", "destination", "protocol"];
        names.map(|field| told[at].text(field))
    };
    assert_eq!(fields(0), ["web", "3", "permit", "forwarded", "10.1.0.5", "10.2.0.9", "6"]);
    assert_eq!(
        fields(1),
        ["IMPLICIT-DENY", "0", "implicit-deny", "implicitly_denied", "10.1.0.5", "10.2.0.9", "6"]
    );
    let rest = ["source_port_or_type", "destination_port_or_code", "port", "length", "suppressed"];
    assert_eq!(rest.map(|field| told[0].text(field)), ["40000", "443", "wan0", "1400", "7"]);
}

#[test]
fn what_happens_to_sas_is_told() {
    let heard = Heard::begin();
    let spi = Spi::new(0x1001).expect("an SPI");
    write(&Event::Acquire { tunnel: name("b"), flow: flow() });
    write(&Event::SequenceEnding { name: name("b"), spi: 0x1001, reason: "no number is left".to_owned() });
    write(&Event::Child { spi, name: name("b"), happening: Happening::Expired(Bound::Seconds) });
    let (local, remote) = (address("192.0.2.1"), address("198.51.100.1"));
    write(&Event::UnknownSpi { spi: 0xbad, local, remote, ports: None });
    assert_eq!(heard.one("RVL-SA-ACQUIRE").text("tunnel"), "b");
    let ending = heard.one("RVL-SA-SEQUENCE");
    assert_eq!([ending.text("spi"), ending.text("reason")], ["0x00001001", "no number is left"]);
    assert!(heard.one("RVL-SA-CHILD").text("happening").contains("Expired"));
    assert_eq!(heard.one("RVL-SA-UNKNOWN").text("remote"), "198.51.100.1");
}

#[test]
fn a_damaged_ring_is_told_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("web")).expect("a folder");
    fs::write(folder.path().join("web/ring.toml"), "no ring at all").expect("written");
    let heard = Heard::begin();
    Certificates::new(Rings::at(folder.path())).look(1_800_000_000);
    let told = heard.one("RVL-RING-UNREADABLE");
    assert_eq!(told.text("ring"), "web");
    assert!(!told.text("error").is_empty());
}

#[tokio::test]
async fn orders_that_cannot_be_read_or_carried_out_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificates = Certificates::new(Rings::at(folder.path()));
    let orders = folder.path().join(".acme.toml");
    fs::write(&orders, "no orders at all").expect("written");
    let heard = Heard::begin();
    certificates.renew_due(|| 1_800_000_000).await;
    assert!(!heard.one("RVL-CERT-ORDERS").text("error").is_empty());
}
