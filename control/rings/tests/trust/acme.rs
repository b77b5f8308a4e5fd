//! ACME against pebble, Let's Encrypt's test server: a first certificate and its renewal, straight into a ring.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ravelin_rings::access::{Access, Owner};
use ravelin_rings::acme::{AcmeServer, Order, Orders, Wish, due_at, obtain};
use ravelin_rings::certificate::Certificate;
use ravelin_rings::io::Challenges;
use ravelin_rings::issue::parse_alternative_name;
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::{Label, RingName};
use ravelin_rings::passphrase::Source;
use ravelin_rings::ring::{Trust, Usage};
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewEntry, NewRing, Rings, StoreKind};
use ravelin_rings::verify::Anchors;
use rustls_pki_types::CertificateDer;

use crate::judges::now;
use crate::pebble::{Pebble, free_port};

fn server(pebble: &Pebble) -> AcmeServer {
    AcmeServer {
        directory: pebble.directory(),
        root: Some(pebble.web_root()),
        contact: vec!["mailto:ops@example.com".to_owned()],
        patience: Duration::from_secs(120),
    }
}

fn certificate(pem: &Path) -> Vec<u8> {
    let text = std::fs::read(pem).expect("PEM");
    der::pem::decode_vec(&text).expect("PEM").1
}

/// A ring without anything.
fn ring(rings: &Rings) -> RingName {
    let ring = RingName::new("web").expect("a name");
    let new = NewRing {
        owner: Owner::Host,
        access: Access::default(),
        store: StoreKind::Directory,
        passphrase: Source::stash(),
    };
    rings.create(&ring, new).expect("a ring");
    ring
}

#[tokio::test]
async fn pebble_certifies_and_renews_into_a_ring() {
    let challenges = Challenges::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a port");
    let pebble = Pebble::start(challenges.address().port());
    let folder = tempfile::tempdir().expect("a folder");
    let rings = Rings::at(folder.path());
    let ring = ring(&rings);
    let signer = Signer::new(rings.clone());
    let wish = Wish {
        place: "web/main".parse().expect("a place"),
        names: ["dns:a.example.test", "dns:b.example.test"]
            .map(|name| parse_alternative_name(name).expect("a name"))
            .to_vec(),
        kind: KeyKind::P256,
    };
    let server = server(&pebble);
    let root = CertificateDer::from(certificate(&pebble.issued_root()));
    let anchors = Anchors::from_certificates([&root]).expect("an anchor");
    // A root that did not issue it: nothing is taken, nothing is left.
    let stranger = CertificateDer::from(certificate(&pebble.web_root()));
    let strangers = Anchors::from_certificates([&stranger]).expect("an anchor");
    let refused = obtain(&rings, &signer, &wish, &server, &challenges, &strangers, now).await;
    let refused = refused.expect_err("a stranger").to_string();
    assert!(refused.contains("not taken"), "{refused}; {}", pebble.log());
    let now_in_it = rings.open(&ring).expect("the ring");
    assert!(now_in_it.entries.is_empty() && now_in_it.pending.is_empty(), "{now_in_it:?}");

    let first = obtain(&rings, &signer, &wish, &server, &challenges, &anchors, now).await;
    let first = first.unwrap_or_else(|error| panic!("{error}; {}", pebble.log()));
    rings.change(&ring, |draft| draft.set_default(Some(&Label::new("main")?))).expect("a default");
    let (from, to) = first.validity();
    assert!(due_at(&first) > from && due_at(&first) < to - (to - from) / 4);
    let second = obtain(&rings, &signer, &wish, &server, &challenges, &anchors, now).await;
    let second = second.unwrap_or_else(|error| panic!("{error}; {}", pebble.log()));
    assert_ne!(first.public_key().expect("a key"), second.public_key().expect("a key"));
    let after = rings.open(&ring).expect("the ring");
    assert_eq!((after.entries.len(), after.pending.len()), (1, 0));
    assert_eq!(after.choose(None).expect("the default").certificate(), &second);
    assert!(after.entries[0].has_key && after.entries[0].chain.len() > 1);
}

#[tokio::test]
async fn a_standing_order_is_due_until_it_is_done() {
    let web = free_port();
    let pebble = Pebble::start(web);
    let (folder, root) = (tempfile::tempdir().expect("a folder"), certificate(&pebble.issued_root()));
    let rings = Rings::at(folder.path());
    let (ring, signer) = (ring(&rings), Signer::new(rings.clone()));
    let given = Order {
        directory: pebble.directory(),
        names: vec!["dns:a.example.test".to_owned()],
        key: "p384".to_owned(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, web)),
        root: Some(pebble.web_root()),
        contact: Vec::new(),
        trust: Vec::new(),
        place: "web/main".parse().expect("a place"),
    };
    let put = |orders: &mut Orders| {
        orders.put(given.clone());
        Ok(())
    };
    Orders::change(&rings, put).expect("stored");
    let order = &Orders::load(&rings).expect("loaded").order[0];
    assert_eq!(order, &given);
    assert_eq!(order.due_at(&rings).expect("known"), 0);
    let refused = order.run(&rings, &signer, now).await.expect_err("no anchor").to_string();
    assert!(refused.contains("no trust anchor"), "{refused}");
    let anchor = NewEntry {
        label: Label::new("root").expect("a label"),
        chain: vec![Certificate::from_der(&root).expect("a certificate")],
        usage: Usage::TrustAnchor,
        trust: Trust::Trusted,
        key: None,
    };
    rings.change(&ring, |draft| draft.add(anchor)).expect("added");
    let made =
        order.run(&rings, &signer, now).await.unwrap_or_else(|error| panic!("{error}; {}", pebble.log()));
    let due = order.due_at(&rings).expect("known");
    assert!(due > now() && due < made.validity().1);
}
