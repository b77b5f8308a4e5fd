//! Rings as their users meet them: made, changed, opened again, and their keys used by whom the list lets in.

use std::os::unix::fs::PermissionsExt;

use ravelin_rings::access::Caller;
use ravelin_rings::error::Error;
use ravelin_rings::key::KeyKind;
use ravelin_rings::scheme::Scheme;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;

use crate::tools::{label, name, new_ring};

#[test]
fn a_key_made_in_a_ring_is_there_when_it_is_opened_again_and_signs() {
    let folder = tempfile::tempdir().expect("a folder");
    let rings = Rings::at(folder.path().join("rings"));
    rings.create(&name("web"), new_ring()).expect("a ring");
    let public =
        rings.change(&name("web"), |ring| ring.generate(&label("site"), KeyKind::Ed25519)).expect("a key");
    let ring = Rings::at(rings.root()).open(&name("web")).expect("the ring");
    assert_eq!(ring.pending[0].public, public);
    let signer = Signer::new(Rings::at(rings.root()));
    let signature = signer
        .sign(&Caller::operator(), &name("web"), Some(&label("site")), Scheme::Ed25519, b"text")
        .expect("a signature");
    let key = aws_lc_rs::signature::ParsedPublicKey::new(&aws_lc_rs::signature::ED25519, public.spki())
        .expect("a public key");
    key.verify_sig(b"text", &signature).expect("the signature verifies");
}

#[test]
fn a_key_file_that_others_may_read_is_refused_with_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let rings = Rings::at(folder.path());
    rings.create(&name("web"), new_ring()).expect("a ring");
    rings.change(&name("web"), |ring| ring.generate(&label("site"), KeyKind::P256)).expect("a key");
    let key = folder.path().join("web/k1-1.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).expect("chmod");
    let signer = Signer::new(rings);
    let scheme = Scheme::EcdsaP256Sha256;
    let error = signer
        .sign(&Caller::operator(), &name("web"), Some(&label("site")), scheme, b"")
        .expect_err("refused");
    assert!(matches!(error, Error::LooseMode { mode: 0o640, .. }), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}
