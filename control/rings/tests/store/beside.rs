//! The power is cut at every step of what writes the files beside the rings: mapping rules, standing orders, ledgers of
//! authorities. What is then on the disk is the old file or the new one. And changes from many sides are all kept.

use ravelin_rings::acme::{Order, Orders};
use ravelin_rings::issue::{Authority, Desk, Plan, Profile};
use ravelin_rings::key::{KeyKind, PrivateKey};
use ravelin_rings::map::{Rule, Rules};
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;
use ravelin_rings::verify::parse_name;

use crate::disk::{copy, every_cut};
use crate::tools::{new_ring, place, with_ring};

const NOW: u64 = 1_800_000_000;

/// Cuts the power at every step of `change`; `told` says what is on the disk. How many steps there were.
fn cut_everywhere(
    prepare: impl Fn(&Rings),
    change: impl Fn(&Rings) -> ravelin_rings::Result<()>,
    told: impl Fn(&Rings) -> String,
) -> usize {
    let (base, rings) = with_ring(new_ring());
    prepare(&rings);
    let old = told(&rings);
    let whole = tempfile::tempdir().expect("a folder");
    copy(base.path(), whole.path());
    let rings = Rings::at(whole.path().join("rings"));
    change(&rings).expect("changed");
    let new = told(&rings);
    assert_ne!(old, new);
    every_cut(base.path(), |rings, cutting, disk, place| {
        let result = change(cutting);
        let found = told(rings);
        assert!(found == old || found == new, "{place}: {found}");
        assert_eq!(result.is_ok(), !disk.was_cut(), "who is told that it is done finds it done");
        if !disk.was_cut() {
            assert_eq!(found, new);
        } else if found == old {
            change(rings).expect("life goes on");
            assert_eq!(told(rings), new);
        }
    })
}

fn rule(name: &str) -> Rule {
    let subject = Some(format!("CN={name}").parse().expect("a pattern"));
    Rule { name: name.to_owned(), identity: "ops".to_owned(), issuer: None, subject, san: None }
}

fn order(label: &str) -> Order {
    Order {
        directory: "https://acme.example/dir".to_owned(),
        names: vec!["dns:a.example".to_owned()],
        key: "p256".to_owned(),
        listen: "127.0.0.1:80".parse().expect("an address"),
        root: None,
        contact: Vec::new(),
        trust: Vec::new(),
        place: place(&format!("web/{label}")),
    }
}

fn put(rings: &Rings, label: &str) -> ravelin_rings::Result<()> {
    Orders::change(rings, |orders| {
        orders.put(order(label));
        Ok(())
    })
}

#[test]
fn rules_are_the_old_ones_or_the_new_ones() {
    for known in [false, true] {
        let steps = cut_everywhere(
            |rings| {
                if known {
                    Rules::change(rings, |rules| rules.add(rule("old"))).expect("a rule");
                }
            },
            |rings| Rules::change(rings, |rules| rules.add(rule("new"))),
            |rings| format!("{:?}", Rules::load(rings).expect("readable rules")),
        );
        assert!(steps >= 4, "{steps} steps");
    }
}

#[test]
fn standing_orders_are_the_old_ones_or_the_new_ones() {
    for known in [false, true] {
        let steps = cut_everywhere(
            |rings| {
                if known {
                    put(rings, "old").expect("an order");
                }
            },
            |rings| put(rings, "new"),
            |rings| format!("{:?}", Orders::load(rings).expect("readable orders")),
        );
        assert!(steps >= 4, "{steps} steps");
    }
}

/// An authority `web/ca` in a ring.
fn with_authority(rings: &Rings) {
    let signer = Signer::new(rings.clone());
    let plan = Plan::new(parse_name("CN=CA").expect("a name"), Vec::new(), Profile::Ca(None), NOW, 3650);
    let desk = Desk::new(rings, &signer, NOW);
    desk.self_sign(&place("web/ca"), KeyKind::Ed25519, &plan).expect("an authority");
}

/// Does `work` with the authority.
fn authority<T>(
    rings: &Rings,
    work: impl FnOnce(&Authority<'_>) -> ravelin_rings::Result<T>,
) -> ravelin_rings::Result<T> {
    let signer = Signer::new(rings.clone());
    work(&Authority::open(rings, &signer, &place("web/ca"))?)
}

fn sign(rings: &Rings) -> ravelin_rings::Result<()> {
    let plan = Plan::new(parse_name("CN=peer").expect("a name"), Vec::new(), Profile::Client, NOW, 30);
    let key = PrivateKey::generate(KeyKind::Ed25519)?;
    authority(rings, |ca| ca.sign(&plan, key.public())).map(drop)
}

#[test]
fn what_an_authority_issued_took_back_and_published_is_the_old_or_the_new() {
    let told = |rings: &Rings| {
        let ledger = authority(rings, |ca| ca.ledger()).expect("a readable ledger");
        let revoked = ledger.issued.iter().filter(|issued| issued.revoked_at.is_some()).count();
        format!("{} issued, {revoked} revoked, CRL {}", ledger.issued.len(), ledger.crl_number)
    };
    let revoke = |rings: &Rings| {
        authority(rings, |ca| {
            let serial = ca.ledger()?.issued[0].serial.clone();
            ca.revoke(&serial, "keyCompromise", NOW).map(drop)
        })
    };
    let crl = |rings: &Rings| authority(rings, |ca| ca.crl(48, NOW)).map(drop);
    let first = |rings: &Rings| with_authority(rings);
    let issued = |rings: &Rings| {
        with_authority(rings);
        sign(rings).expect("a certificate");
    };
    assert!(cut_everywhere(first, sign, told) >= 4, "the first certificate");
    assert!(cut_everywhere(issued, sign, told) >= 4, "another certificate");
    assert!(cut_everywhere(issued, revoke, told) >= 4, "a revocation");
    assert!(cut_everywhere(issued, crl, told) >= 4, "a CRL");
}

#[test]
fn changes_from_many_sides_at_once_are_all_kept() {
    let (_folder, rings) = with_ring(new_ring());
    with_authority(&rings);
    std::thread::scope(|scope| {
        for side in 0..4 {
            let rings = rings.clone();
            scope.spawn(move || {
                for number in 0..5 {
                    let name = format!("{side}-{number}");
                    Rules::change(&rings, |rules| rules.add(rule(&name))).expect("a rule");
                    put(&rings, &name).expect("an order");
                    sign(&rings).expect("a certificate");
                }
            });
        }
    });
    assert_eq!(Rules::load(&rings).expect("rules").rule.len(), 20);
    assert_eq!(Orders::load(&rings).expect("orders").order.len(), 20);
    assert_eq!(authority(&rings, |ca| ca.ledger()).expect("the ledger").issued.len(), 20);
}

#[test]
fn rules_written_by_hand_are_held_to_the_same_law() {
    let (_folder, rings) = with_ring(new_ring());
    for (text, said) in [
        ("[[rule]]\nname = \"all\"\nidentity = \"root\"\n", "names no issuer"),
        ("[[rule]]\nname = \"a\"\nidentity = \"b\"\nsan = \"email\"\n", "line 4"),
        ("[[rule]]\nname = \"a\"\nidentity = \"b\"\nsubjekt = \"CN=x\"\n", "line 4"),
    ] {
        std::fs::write(rings.root().join(".maps.toml"), text).expect("written");
        let error = Rules::load(&rings).expect_err(text).to_string();
        assert!(error.contains(".maps.toml") && error.contains(said), "{error}");
    }
}
