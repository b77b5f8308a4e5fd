//! A ring on a PKCS#11 token, with SoftHSM as the token, in a folder of its own.
//!
//! The module reads `SOFTHSM2_CONF` from its process's environment, so each part runs in a process of its own: this
//! test program again, with that variable set.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use ravelin_rings::access::Caller;
use ravelin_rings::error::Error;
use ravelin_rings::export::{Form, KeyWish, export};
use ravelin_rings::format;
use ravelin_rings::key::{KeyKind, PublicKey};
use ravelin_rings::passphrase::{Passphrase, Source};
use ravelin_rings::ring::Trust;
use ravelin_rings::scheme::Scheme;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewRing, Rings, StoreKind};

use crate::tools::{label, name, new_ring, place, run};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// Set in the processes of the parts.
const BENCH: &str = "RAVELIN_TOKEN_BENCH";

/// A folder with a token `ravelin`, PIN 4711.
fn bench() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    std::fs::create_dir(at.join("tokens")).expect("a folder");
    let text =
        format!("directories.tokendir = {}\nobjectstore.backend = file\n", at.join("tokens").display());
    std::fs::write(at.join("softhsm2.conf"), text).expect("written");
    let made = Command::new("softhsm2-util")
        .args("--init-token --free --label ravelin --pin 4711 --so-pin 0815".split(' '))
        .env("SOFTHSM2_CONF", at.join("softhsm2.conf"))
        .output()
        .expect("softhsm2-util");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::write(at.join("pin"), "4711\n").expect("written");
    run(at, "chmod", "600 pin");
    folder
}

/// Runs one of the parts below in a process of its own.
fn part(bench: &Path, test: &str) {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", bench.join("softhsm2.conf"))
        .env(BENCH, bench)
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn here() -> PathBuf {
    std::env::var_os(BENCH).expect("only started by the tests above").into()
}

fn token() -> NewRing {
    NewRing {
        store: StoreKind::Token { module: MODULE.into(), token: "ravelin".to_owned() },
        passphrase: Source::File { path: here().join("pin") },
        ..new_ring()
    }
}

fn rings() -> Rings {
    Rings::at(here().join("rings"))
}

#[test]
fn a_key_on_a_token_signs_cannot_leave_it_and_is_missed_when_the_token_is_gone() {
    let bench = bench();
    part(bench.path(), "token::keys_sign_and_stay");
    part(bench.path(), "token::the_ring_is_the_same_in_another_process");
    std::fs::rename(bench.path().join("tokens"), bench.path().join("pulled")).expect("pulled");
    std::fs::create_dir(bench.path().join("tokens")).expect("an empty slot");
    part(bench.path(), "token::a_token_that_is_gone_is_an_error");
}

fn verify(scheme: Scheme, public: &PublicKey, signature: &[u8]) {
    let algorithm: &'static dyn VerificationAlgorithm = match scheme {
        Scheme::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        Scheme::RsaPkcs1Sha384 => &RSA_PKCS1_2048_8192_SHA384,
        Scheme::RsaPkcs1Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        Scheme::RsaPssSha256 => &RSA_PSS_2048_8192_SHA256,
        Scheme::RsaPssSha384 => &RSA_PSS_2048_8192_SHA384,
        Scheme::RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
        Scheme::EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1,
        Scheme::EcdsaP384Sha384 => &ECDSA_P384_SHA384_ASN1,
        Scheme::EcdsaP521Sha512 => &ECDSA_P521_SHA512_ASN1,
        Scheme::Ed25519 => &ED25519,
    };
    let key = ParsedPublicKey::new(algorithm, public.spki()).expect("a public key");
    key.verify_sig(b"text", signature).unwrap_or_else(|_| panic!("{} does not verify", scheme.name()));
}

#[test]
#[ignore = "a part, run by the test above"]
fn keys_sign_and_stay() {
    let rings = rings();
    rings.create(&name("hsm"), token()).expect("a ring");
    let signer = Signer::new(rings.clone());
    let kinds = [KeyKind::Rsa(2048), KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519];
    for kind in kinds {
        let at = label(&kind.to_string());
        let public = rings.change(&name("hsm"), |ring| ring.generate(&at, kind)).expect("a key");
        assert_eq!(public.kind(), kind);
        for scheme in Scheme::ALL.into_iter().filter(|scheme| scheme.fits(kind)) {
            let signature = signer.sign(&Caller::operator(), &name("hsm"), Some(&at), scheme, b"text");
            verify(scheme, &public, &signature.unwrap_or_else(|e| panic!("{kind} {}: {e}", scheme.name())));
        }
    }
    receive(&rings, "p256");
    let error = export(&rings, &place("hsm/p256"), Form::Pkcs8, false, &KeyWish::Plain).expect_err("stays");
    assert!(error.to_string().contains("cannot leave it"), "{error}");
    export(&rings, &place("hsm/p256"), Form::Pem, false, &KeyWish::Without).expect("the certificate leaves");
    // The token itself refuses too.
    let library = Pkcs11::new(MODULE).expect("the module");
    // Already done by the ring.
    let _ = library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = library.get_slots_with_initialized_token().expect("slots")[0];
    let session = library.open_ro_session(slot).expect("a session");
    session.login(UserType::User, Some(&AuthPin::new("4711".into()))).expect("logged in");
    let keys = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).expect("keys");
    assert_eq!(keys.len(), kinds.len());
    for key in keys {
        let wanted = [AttributeType::Value, AttributeType::PrivateExponent];
        let found = session.get_attributes(key, &wanted).unwrap_or_default();
        assert!(found.is_empty(), "a private value came out");
        let facts = session.get_attributes(key, &[AttributeType::Extractable, AttributeType::Sensitive]);
        let facts = facts.expect("facts");
        assert!(
            facts.contains(&Attribute::Extractable(false)) && facts.contains(&Attribute::Sensitive(true))
        );
    }
}

/// Has OpenSSL certify the pending key, and receives the certificate.
fn receive(rings: &Rings, which: &str) {
    let at = here();
    let ring = rings.open(&name("hsm")).expect("the ring");
    let pending = ring.pending.iter().find(|pending| pending.label == label(which)).expect("a key");
    std::fs::write(at.join("key.spki"), pending.public.spki()).expect("written");
    let openssl = |arguments: &str| run(&at, "openssl", arguments);
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -subj /CN=ca -out ca.pem",
    );
    openssl("pkey -pubin -inform DER -in key.spki -out key.pub");
    openssl("x509 -new -force_pubkey key.pub -subj /CN=hsm -CA ca.pem -CAkey ca.key -days 30 -out cert.pem");
    let text = std::fs::read(at.join("cert.pem")).expect("a certificate");
    let contents = format::read("cert.pem", &text, &mut |_| Ok(Passphrase::new(""))).expect("read");
    let chain = contents.certificates.into_iter().map(|named| named.item).collect();
    let got = rings.change(&name("hsm"), |ring| ring.receive(chain, Trust::Trusted)).expect("received");
    assert_eq!(got, label(which));
}

#[test]
#[ignore = "a part, run by the test above"]
fn the_ring_is_the_same_in_another_process() {
    let rings = rings();
    let ring = rings.open(&name("hsm")).expect("the ring");
    let entry = ring.entry(&label("p256")).expect("the certificate");
    assert!(entry.has_key);
    assert_eq!(ring.pending.len(), 4);
    rings.rename(&place("hsm/p256"), &label("renamed")).expect("renamed");
    let signer = Signer::new(rings.clone());
    let owner = Caller::application(1000, [], None);
    let sign =
        |at: &str| signer.sign(&owner, &name("hsm"), Some(&label(at)), Scheme::EcdsaP256Sha256, b"text");
    verify(
        Scheme::EcdsaP256Sha256,
        &entry.certificate().public_key().expect("a key"),
        &sign("renamed").expect("signed"),
    );
    // A wrong PIN is told from a missing token.
    std::fs::write(here().join("pin"), "1234\n").expect("written");
    let error = rings.open(&name("hsm")).expect_err("a wrong PIN");
    std::fs::write(here().join("pin"), "4711\n").expect("written");
    assert!(error.to_string().contains("PIN is wrong"), "{error}");
    // The token goes away under an open ring.
    let (tokens, pulled) = (here().join("tokens"), here().join("aside"));
    std::fs::rename(&tokens, &pulled).expect("pulled");
    let start = Instant::now();
    let error = sign("renamed").expect_err("gone");
    assert!(matches!(error, Error::Token { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(60), "a hang");
    std::fs::rename(&pulled, &tokens).expect("back");
}

#[test]
#[ignore = "a part, run by the test above"]
fn a_token_that_is_gone_is_an_error() {
    let error = rings().open(&name("hsm")).expect_err("gone");
    assert!(error.to_string().contains("is it plugged in?"), "{error}");
}
