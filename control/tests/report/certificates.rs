//! Certificates that come to their end: in the metrics, and once each in the log.

use std::io::Write;
use std::sync::{Arc, Mutex};

use ravelin_control::report::certificates::Certificates;
use ravelin_control::report::metrics::Scrape;
use ravelin_rings::access::{Access, Owner};
use ravelin_rings::issue::{Desk, Plan, Profile};
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::RingName;
use ravelin_rings::passphrase::Source;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewRing, Rings, StoreKind};
use ravelin_rings::verify::parse_name;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_end_of_certificates_is_told_and_a_renewal_counts_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let rings = Rings::at(folder.path());
    let name = RingName::new("gw").expect("a name");
    let new = NewRing {
        owner: Owner::Host,
        access: Access::default(),
        store: StoreKind::Directory,
        passphrase: Source::stash(),
    };
    rings.create(&name, new).expect("a ring");
    let signer = Signer::new(rings.clone());
    let place = "gw/main".parse().expect("a place");
    let plan = Plan::new(parse_name("CN=gw").expect("a name"), vec![], Profile::Server, NOW - DAY, 6);
    Desk::new(&rings, &signer, NOW).self_sign(&place, KeyKind::P256, &plan).expect("a certificate");

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let certificates = Certificates::new(rings.clone());
    let gauge = |now: u64| {
        let scrape = Scrape { expiries: certificates.look(now), ..Scrape::default() };
        let text = String::from_utf8(scrape.encode().expect("encoded")).expect("text");
        let line =
            text.lines().find(|line| line.starts_with("ravelin_certificate_expiry_timestamp_seconds{"));
        line.expect("the gauge").to_owned()
    };
    rings
        .change(&name, |draft| {
            draft.set_passphrase_end(Some(NOW + 6 * DAY));
            Ok(())
        })
        .expect("a term");
    tracing::subscriber::with_default(subscriber, || {
        let series = r#"ravelin_certificate_expiry_timestamp_seconds{ring="gw",label="main"}"#;
        assert_eq!(gauge(NOW), format!("{series} {}", NOW + 5 * DAY));
        gauge(NOW + 60);
        gauge(NOW + 4 * DAY + 60);
        gauge(NOW + 6 * DAY);
        rings.set_passphrase(&name, &Source::stash()).expect("a new passphrase");
        Desk::new(&rings, &signer, NOW + 6 * DAY).renew_self_signed(&place, 300).expect("renewed");
        assert_eq!(gauge(NOW + 6 * DAY), format!("{series} {}", NOW + 306 * DAY));
    });
    let said = String::from_utf8(log.0.lock().expect("the log").clone()).expect("text");
    // The renewal itself is on record, too; that is the signer's own test.
    let codes: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split("\"code\":\"").nth(1)?.split('"').next())
        .filter(|code| code.starts_with("RVL-CERT"))
        .collect();
    assert_eq!(codes, ["RVL-CERT-EXPIRES", "RVL-CERT-EXPIRES", "RVL-CERT-EXPIRED"], "{said}");
    let told = said.lines().filter(|line| line.contains("RVL-RING-PASSPHRASE")).count();
    assert_eq!(told, 2, "for the last week and the last day; then it has another: {said}");
    assert!(said.contains("\"days\":5") && said.contains("gw/main"), "{said}");
}
