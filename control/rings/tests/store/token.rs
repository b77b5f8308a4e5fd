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
use ravelin_rings::issue::{Plan, Profile, self_sign};
use ravelin_rings::key::{KeyKind, PrivateKey, PublicKey};
use ravelin_rings::name::Place;
use ravelin_rings::passphrase::{Passphrase, Source};
use ravelin_rings::ring::{Trust, Usage};
use ravelin_rings::scheme::Scheme;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewEntry, NewRing, Rings, StoreKind};
use ravelin_rings::verify::parse_name;

use crate::power::cut_everywhere;
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
        store: StoreKind::Token { module: MODULE.into(), token: "ravelin".to_owned(), patience: None },
        passphrase: pin("pin"),
        ..new_ring()
    }
}

/// A PIN in a file of the bench.
fn pin(file: &str) -> Source {
    Source::File { path: here().join(file) }
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

#[test]
fn keys_are_brought_to_a_token_and_its_pin_is_changed() {
    let bench = bench();
    part(bench.path(), "token::keys_come_to_a_token_and_do_not_leave_again");
    part(bench.path(), "token::a_token_gets_another_pin");
}

#[test]
fn a_token_that_does_not_answer_is_an_error_and_not_a_standstill() {
    let bench = bench();
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/standing_module.c");
    run(bench.path(), "gcc", &format!("-shared -fPIC -Wall -o standing.so {module} -ldl"));
    part(bench.path(), "token::a_token_that_stands_still_is_given_up");
    part(bench.path(), "token::a_module_that_does_not_load_is_given_up");
}

#[test]
fn a_power_cut_at_any_step_leaves_keys_of_a_token_that_sign() {
    let bench = bench();
    part(bench.path(), "token::cuts_leave_keys_that_sign");
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
    nothing_comes_out(kinds.len());
}

/// Asks the token itself for the values of its private keys, of which there must be so many.
fn nothing_comes_out(count: usize) {
    let library = Pkcs11::new(MODULE).expect("the module");
    // Already done by the ring.
    let _ = library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = library.get_slots_with_initialized_token().expect("slots")[0];
    let session = library.open_ro_session(slot).expect("a session");
    session.login(UserType::User, Some(&AuthPin::new("4711".into()))).expect("logged in");
    let keys = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).expect("keys");
    assert_eq!(keys.len(), count);
    for key in keys {
        let wanted = [AttributeType::Value, AttributeType::PrivateExponent, AttributeType::Prime1];
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
    assert!(
        error.to_string().contains("it was removed") || error.to_string().contains("plugged in"),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(60), "a hang");
    std::fs::rename(&pulled, &tokens).expect("back");
}

#[test]
#[ignore = "a part, run by the test above"]
fn a_token_that_is_gone_is_an_error() {
    let error = rings().open(&name("hsm")).expect_err("gone");
    assert!(error.to_string().contains("is it plugged in?"), "{error}");
}

#[test]
#[ignore = "a part, run by a test above"]
fn keys_come_to_a_token_and_do_not_leave_again() {
    let rings = rings();
    rings.create(&name("hsm"), token()).expect("a ring");
    let signer = Signer::new(rings.clone());
    let owner = Caller::application(1000, [], None);
    for kind in [KeyKind::Rsa(2048), KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519] {
        let key = PrivateKey::generate(kind).expect("a key");
        let public = key.public().clone();
        let subject = parse_name("CN=brought").expect("a name");
        let plan = Plan::new(subject, Vec::new(), Profile::Client, 1_800_000_000, 30);
        let chain = vec![self_sign(&plan, &key).expect("a certificate")];
        let (at, usage, trust) = (label(&kind.to_string()), Usage::Identity, Trust::Trusted);
        let new = NewEntry { label: at.clone(), chain, usage, trust, key: Some(key) };
        rings.change(&name("hsm"), |ring| ring.add(new)).unwrap_or_else(|e| panic!("{kind}: {e}"));
        let ring = rings.open(&name("hsm")).expect("the ring");
        assert!(ring.entry(&at).expect("the certificate").has_key, "{kind}");
        for scheme in Scheme::ALL.into_iter().filter(|scheme| scheme.fits(kind)) {
            let signature = signer.sign(&owner, &name("hsm"), Some(&at), scheme, b"text");
            verify(scheme, &public, &signature.unwrap_or_else(|e| panic!("{kind} {}: {e}", scheme.name())));
        }
        let out =
            export(&rings, &Place { ring: name("hsm"), label: at }, Form::Pkcs8, false, &KeyWish::Plain);
        assert!(out.expect_err("stays").to_string().contains("cannot leave it"));
    }
    nothing_comes_out(5);
    // What is deleted is gone from the token too, and nothing else is.
    rings.change(&name("hsm"), |ring| ring.remove(&label("p384"))).expect("deleted");
    nothing_comes_out(4);
    let ring = rings.open(&name("hsm")).expect("the ring");
    assert_eq!(ring.entries.iter().filter(|entry| entry.has_key).count(), 4);
}

#[test]
#[ignore = "a part, run by a test above"]
fn a_token_gets_another_pin() {
    let rings = rings();
    let write = |file: &str, text: &str| {
        std::fs::write(here().join(file), text).expect("written");
        run(&here(), "chmod", &format!("600 {file}"));
    };
    let sign = || {
        let signer = Signer::new(rings.clone());
        let owner = Caller::application(1000, [], None);
        signer.sign(&owner, &name("hsm"), Some(&label("p256")), Scheme::EcdsaP256Sha256, b"text")
    };
    write("new-pin", "12345678\n");
    rings.set_passphrase(&name("hsm"), &pin("new-pin")).expect("changed");
    sign().expect("a signature");
    // The token itself knows the new one only.
    write("pin", "4711\n");
    write("new-pin", "4711\n");
    assert!(matches!(rings.open(&name("hsm")), Err(Error::WrongPin { .. })));
    write("new-pin", "12345678\n");
    rings.open(&name("hsm")).expect("opened");
    // A PIN that it does not take is an error, and the old one goes on.
    write("bad-pin", "1\n");
    let error = rings.set_passphrase(&name("hsm"), &pin("bad-pin")).expect_err("too short");
    assert!(error.to_string().contains("does not take such a PIN"), "{error}");
    sign().expect("a signature");
    // Changed by another tool meanwhile: the ring is told the new one.
    let library = Pkcs11::new(MODULE).expect("the module");
    let slot = library.get_slots_with_initialized_token().expect("slots")[0];
    let session = library.open_rw_session(slot).expect("a session");
    session.login(UserType::User, Some(&AuthPin::new("12345678".into()))).expect("logged in");
    session.set_pin(&AuthPin::new("12345678".into()), &AuthPin::new("other-pin".into())).expect("changed");
    drop(session);
    assert!(matches!(sign(), Err(Error::WrongPin { .. })));
    write("others-pin", "other-pin\n");
    rings.set_passphrase(&name("hsm"), &pin("others-pin")).expect("told");
    sign().expect("a signature");
}

/// A ring whose token is given a second for each call.
fn impatient() -> NewRing {
    let (module, token_name) = (here().join("standing.so"), "ravelin".to_owned());
    NewRing { store: StoreKind::Token { module, token: token_name, patience: Some(1) }, ..token() }
}

fn stand(at: &str) -> PathBuf {
    let file = here().join(format!("stand-{at}"));
    std::fs::write(&file, "").expect("written");
    file
}

/// Waits until a call goes through again.
fn until_ok<T>(what: impl Fn() -> ravelin_rings::Result<T>) {
    let start = Instant::now();
    while let Err(error) = what() {
        assert!(start.elapsed() < Duration::from_secs(120), "{error}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "a part, run by a test above"]
fn a_token_that_stands_still_is_given_up() {
    let rings = rings();
    until_ok(|| rings.create(&name("slow"), impatient()));
    until_ok(|| {
        rings.change(&name("slow"), |ring| ring.generate(&label("key"), KeyKind::P256)).map(drop).or_else(
            |e| {
                // Given up on a loaded machine, and made all the same.
                let made = rings.open(&name("slow")).is_ok_and(|ring| !ring.pending.is_empty());
                if made { Ok(()) } else { Err(e) }
            },
        )
    });
    let signer = Signer::new(rings.clone());
    let sign = || {
        signer.sign(&Caller::operator(), &name("slow"), Some(&label("key")), Scheme::EcdsaP256Sha256, b"text")
    };
    until_ok(sign);
    for at in ["sign", "login"] {
        let file = stand(at);
        let start = Instant::now();
        let error = sign().expect_err("no answer").to_string();
        assert!(error.contains("no answer within 1 second"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(60), "a hang");
        // Whoever comes next does not queue up behind it.
        let error = rings.open(&name("slow")).expect_err("still out").to_string();
        assert!(error.contains("an earlier call has not come back"), "{error}");
        // And when it answers again, so do we.
        std::fs::remove_file(file).expect("removed");
        until_ok(sign);
    }
}

#[test]
#[ignore = "a part, run by a test above"]
fn a_module_that_does_not_load_is_given_up() {
    let file = stand("initialize");
    let error = rings().open(&name("slow")).expect_err("no answer").to_string();
    assert!(error.contains("no answer within 1 second"), "{error}");
    std::fs::remove_file(file).expect("removed");
    until_ok(|| rings().open(&name("slow")));
}

#[test]
#[ignore = "a part, run by a test above"]
fn cuts_leave_keys_that_sign() {
    let make = |rings: &Rings| {
        rings.change(&name("web"), |ring| ring.generate(&label("new"), KeyKind::Ed25519)).map(drop)
    };
    assert!(cut_everywhere(token(), make, &["old", "new"]) >= 5);
    let bring = |rings: &Rings| {
        rings.change(&name("web"), |ring| {
            ring.rename(&label("old"), &label("renamed"))?;
            ring.add_key(&label("new"), PrivateKey::generate(KeyKind::Ed25519)?)
        })
    };
    assert!(cut_everywhere(token(), bring, &["renamed", "new"]) >= 5);
}
