//! Secrets are marked as undefined memory; valgrind complains wherever a branch or an address depends on them.
//!
//! It knows instructions up to AVX2, so it runs the back ends `aesni` and `portable`, and HMAC and CBC.

use std::arch::asm;
use std::process::{Command, Output};

use ravelin_crypto_accel::aead::Key;
use ravelin_crypto_accel::etm::{self, Cipher, Hash};
use ravelin_crypto_accel::iv::Iv;
use ravelin_crypto_accel::{BackEnd, BadTag, Text};

use crate::common::ALGORITHMS;
use crate::work::{Batch, careless, noise};

/// What valgrind exits with when it found something.
const FOUND: i32 = 99;

/// Where a branch may go by the outcome of a comparison of tags, which is no secret.
const OUTCOMES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/constant_time/outcomes.supp");

/// Asks valgrind by its own magic (`valgrind.h`): four rotations that do nothing, and an exchange of a register with
/// itself. Without valgrind it gives 0.
fn ask(request: u64, start: *const u8, length: usize) -> u64 {
    let arguments = [request, start as u64, length as u64, 0, 0, 0];
    let mut answer = 0u64;
    // SAFETY: the instructions change nothing but the answer; valgrind reads the arguments.
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            inout("rdx") answer, in("rax") arguments.as_ptr(), out("rdi") _,
            options(nostack)
        );
    }
    answer
}

/// From now on nobody may go by these octets.
fn hide(secret: &[u8]) {
    ask(0x4d43_0001, secret.as_ptr(), secret.len());
}

/// From now on anybody may.
fn publish<T: ?Sized>(value: &T) {
    ask(0x4d43_0002, std::ptr::from_ref(value).cast(), size_of_val(value));
}

/// Runs one of the ignored tests below under valgrind.
fn under_valgrind(test: &str) -> Output {
    Command::new("valgrind")
        .args(["--quiet", "--leak-check=no", "--num-callers=30", "--read-inline-info=yes"])
        .arg(format!("--error-exitcode={FOUND}"))
        .arg(format!("--suppressions={OUTCOMES}"))
        .arg(std::env::current_exe().expect("this test's own program"))
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .expect("valgrind is installed; `make ready` brings it")
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn no_branch_or_address_depends_on_a_secret() {
    let output = under_valgrind("valgrind::work_on_hidden_secrets");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("back ends: aesni portable"), "{}", said(&output));
}

#[test]
fn careless_work_is_found() {
    let output = under_valgrind("valgrind::careless_work_on_hidden_secrets");
    assert_eq!(output.status.code(), Some(FOUND), "{}", said(&output));
    for complaint in ["Conditional jump or move depends on uninit", "Use of uninitialised value"] {
        assert!(said(&output).contains(complaint), "{}", said(&output));
    }
}

#[test]
#[ignore = "no_branch_or_address_depends_on_a_secret runs it"]
fn work_on_hidden_secrets() {
    assert_ne!(ask(0x1001, std::ptr::null(), 0), 0, "not under valgrind");
    for back_end in BackEnd::available() {
        for algorithm in ALGORITHMS {
            let octets = noise(algorithm.key_len(), 1);
            hide(&octets);
            let key = Key::on(back_end, algorithm, &octets).expect("the length is right");
            for length in [0, 1, 15, 16, 17, 64, 100, 257, 600, 1420, 4099] {
                aead(&key, length);
            }
        }
    }
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        for (cipher, key_len) in [(Cipher::Null, 0), (Cipher::AesCbc, 16), (Cipher::AesCbc, 32)] {
            encrypt_then_mac(cipher, key_len, hash);
        }
    }
    let names: Vec<_> = BackEnd::available().map(BackEnd::name).collect();
    println!("back ends: {}", names.join(" "));
}

/// Everything that leaves the sender is public, so it may be looked at before opening.
fn aead(key: &Key, length: usize) {
    let mut batch = Batch::<3>::new(length, 12);
    batch.fill(3);
    let clear = batch.texts.clone();
    hide(&batch.static_iv);
    batch.texts.iter().for_each(|text| hide(text));
    batch.seal(key);
    batch.texts.iter().for_each(|text| publish(&text[..]));
    publish(&batch.tags);
    let sealed = batch.texts[1].clone();
    let outcomes = batch.open(key);
    publish(&outcomes);
    assert_eq!(outcomes, [Ok(()); 3]);
    batch.texts.iter().for_each(|text| publish(&text[..]));
    assert!(batch.texts == clear);

    batch.texts[1].copy_from_slice(&sealed);
    batch.tags[1][15] ^= 1;
    let outcomes = batch.open(key);
    publish(&outcomes);
    assert_eq!(outcomes[1], Err(BadTag));
}

fn encrypt_then_mac(cipher: Cipher, key_len: usize, hash: Hash) {
    let (crypt_key, mac_key) = (noise(key_len, 4), noise(hash.key_len(), 5));
    hide(&crypt_key);
    hide(&mac_key);
    let key = etm::Key::new(cipher, &crypt_key, hash, &mac_key).expect("the lengths are right");
    let (mut octets, mut icv) = (noise(320, 6), vec![0; hash.icv_len()]);
    hide(&octets);
    let text = Text::in_place(&mut octets).expect("it is short");
    key.seal(b"before", Iv::promised([9; 16]), text, b"", &mut icv).expect("it is whole blocks");
    publish(&octets[..]);
    publish(&icv[..]);
    let text = Text::in_place(&mut octets).expect("it is short");
    let outcome = key.open(b"before", &[9; 16], text, b"", &icv);
    publish(&outcome);
    assert_eq!(outcome, Ok(()));
}

#[test]
#[ignore = "careless_work_is_found runs it"]
fn careless_work_on_hidden_secrets() {
    let secret = noise(64, 8);
    hide(&secret);
    careless(&secret, &std::array::from_fn(|i| i as u8));
}
