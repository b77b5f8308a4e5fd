//! The power is cut before, at and after every step of every change: what is then on the disk is a ring, the old one
//! or the new one, and its keys sign.

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use ravelin_rings::access::Caller;
use ravelin_rings::key::KeyKind;
use ravelin_rings::passphrase::Source;
use ravelin_rings::scheme::Scheme;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewRing, Rings, StoreKind};

use crate::disk::{Cut, every_cut};
use crate::tools::{label, name, new_ring, with_ring};

/// Labels of pending keys, all of which must sign.
fn keys(rings: &Rings) -> Vec<String> {
    let ring = Rings::at(rings.root()).open(&name("web")).expect("a readable ring");
    let signer = Signer::new(Rings::at(rings.root()));
    let sign = |at| signer.sign(&Caller::operator(), &name("web"), Some(at), Scheme::Ed25519, b"text");
    for pending in &ring.pending {
        let key = ParsedPublicKey::new(&ED25519, pending.public.spki()).expect("a public key");
        let signature = sign(&pending.label).expect("a signature");
        key.verify_sig(b"text", &signature).expect("a signature by this key");
    }
    ring.pending.iter().map(|pending| pending.label.to_string()).collect()
}

/// Cuts the power at every step of `change` to a ring with one key `old`; how many steps there were.
pub(crate) fn cut_everywhere(
    new: NewRing,
    change: impl Fn(&Rings) -> ravelin_rings::Result<()>,
    after: &[&str],
) -> usize {
    let (base, rings) = with_ring(new);
    rings.change(&name("web"), |ring| ring.generate(&label("old"), KeyKind::Ed25519)).expect("a key");
    every_cut(base.path(), |rings, cutting, disk, place| {
        let result = change(cutting);
        let found = keys(rings);
        let whole = found == ["old"] || found == after;
        assert!(whole, "{place}: {found:?}");
        if !disk.was_cut() {
            result.expect("changed");
            assert_eq!(found, after);
        }
        // Life goes on.
        rings.change(&name("web"), |ring| ring.generate(&label("later"), KeyKind::Ed25519)).expect("a key");
        assert!(keys(rings).contains(&"later".to_owned()));
        let stray = std::fs::read_dir(rings.root().join("web")).expect("a folder").count();
        assert!(stray <= 6, "{stray} files: what was cut short is not tidied away");
    })
}

fn in_pkcs12() -> NewRing {
    NewRing { store: StoreKind::Pkcs12 { file: None }, ..new_ring() }
}

#[test]
fn a_new_key() {
    let change = |rings: &Rings| {
        rings.change(&name("web"), |ring| ring.generate(&label("new"), KeyKind::Ed25519)).map(drop)
    };
    assert!(cut_everywhere(new_ring(), change, &["old", "new"]) >= 7);
}

#[test]
fn a_deleted_key() {
    let change = |rings: &Rings| rings.change(&name("web"), |ring| ring.remove(&label("old")));
    assert!(cut_everywhere(new_ring(), change, &[]) >= 5);
}

#[test]
fn another_passphrase() {
    let change = |rings: &Rings| {
        rings.change(&name("web"), |ring| {
            ring.set_passphrase(Source::stash())?;
            ring.rename(&label("old"), &label("renamed"))
        })
    };
    assert!(cut_everywhere(new_ring(), change, &["renamed"]) >= 9);
}

#[test]
fn a_new_key_and_passphrase_in_a_pkcs12_ring() {
    let change = |rings: &Rings| {
        rings.change(&name("web"), |ring| {
            ring.set_passphrase(Source::stash())?;
            ring.generate(&label("new"), KeyKind::Ed25519).map(drop)
        })
    };
    assert!(cut_everywhere(in_pkcs12(), change, &["old", "new"]) >= 9);
}

#[test]
fn a_new_ring_and_a_deleted_ring_are_there_or_not() {
    for delete in [false, true] {
        for cut in 0.. {
            let folder = tempfile::tempdir().expect("a folder");
            let rings = Rings::at(folder.path().join("rings"));
            if delete {
                rings.create(&name("web"), new_ring()).expect("a ring");
            }
            let disk = Cut::new(cut, true);
            let cutting = rings.clone().with_files(disk.clone());
            let result = match delete {
                true => cutting.delete(&name("web")),
                false => cutting.create(&name("web"), new_ring()).map(drop),
            };
            let listed = rings.list().expect("a list");
            assert!(listed.len() <= 1);
            listed.iter().for_each(|ring| drop(rings.open(ring).expect("a readable ring")));
            // Nothing in the way of doing it again.
            if listed.is_empty() {
                rings.create(&name("web"), new_ring()).expect("a ring");
            }
            rings.delete(&name("web")).expect("deleted");
            if !disk.was_cut() {
                result.expect("done");
                break;
            }
        }
    }
}

#[test]
fn changes_from_many_sides_at_once_are_all_kept() {
    let (_folder, rings) = with_ring(new_ring());
    std::thread::scope(|scope| {
        for side in 0..4 {
            let rings = rings.clone();
            scope.spawn(move || {
                for number in 0..3 {
                    let wanted = label(&format!("{side}-{number}"));
                    rings
                        .change(&name("web"), |ring| ring.generate(&wanted, KeyKind::Ed25519))
                        .expect("a key");
                    rings.open(&name("web")).expect("a readable ring");
                }
            });
        }
    });
    assert_eq!(keys(&rings).len(), 12);
    assert_eq!(rings.open(&name("web")).expect("the ring").generation, 12);
}
