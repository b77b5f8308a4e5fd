//! NIST's own vectors of AES-GCM (CAVP, `gcmtestvectors`): every one with a nonce of 96 bits and a tag of 128.
//!
//! `perf/provision.sh` brings them, in PyPI's `cryptography-vectors`: they are megabytes.

mod common;

use std::path::Path;

use common::{hex, keys, opened, sealed};
use ravelin_crypto_accel::BadTag;
use ravelin_crypto_accel::aead::Algorithm;

/// One case of a response file.
#[derive(Default)]
struct Case {
    count: String,
    key: Vec<u8>,
    iv: Vec<u8>,
    aad: Vec<u8>,
    clear: Vec<u8>,
    hidden: Vec<u8>,
    tag: Vec<u8>,
    /// It must not open.
    forged: bool,
}

/// The cases of the file for which the product has an algorithm.
fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/cavp").join(file);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; `make ready` brings it", path.display()));
    let (mut cases, mut case, mut group) = (Vec::new(), Case::default(), String::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            group = if line.starts_with("[Keylen") { String::new() } else { group };
            group.push_str(line);
        } else if line == "FAIL" {
            case.forged = true;
        } else if let Some((name, value)) = line.split_once(" =") {
            let value = value.trim();
            match name {
                "Count" => {
                    cases.push(std::mem::take(&mut case));
                    case.count = format!("{group} {value}");
                }
                "Key" => case.key = hex(value),
                "IV" => case.iv = hex(value),
                "AAD" => case.aad = hex(value),
                "PT" => case.clear = hex(value),
                "CT" => case.hidden = hex(value),
                "Tag" => case.tag = hex(value),
                _ => panic!("{file}: {line}"),
            }
        }
    }
    cases.push(case);
    cases.retain(|case| case.iv.len() == 12 && case.tag.len() == 16);
    cases
}

/// Holds every back end to the file; returns how many cases it had and how many of them were forged.
fn check(algorithm: Algorithm, file: &str) -> (usize, usize) {
    let cases = cases(file);
    for case in &cases {
        let tag: [u8; 16] = case.tag[..].try_into().expect("`cases` keeps no other tags");
        for (back_end, key) in keys(algorithm, &case.key) {
            let name = format!("{file} {} on {back_end}", case.count);
            let due = if case.forged {
                (vec![0; case.hidden.len()], Err(BadTag))
            } else {
                let remade = sealed(&key, &case.iv, &case.aad, &case.clear);
                assert_eq!(remade, (case.hidden.clone(), tag), "{name}");
                (case.clear.clone(), Ok(()))
            };
            assert_eq!(opened(&key, &case.iv, &case.aad, &case.hidden, &tag), due, "{name}");
        }
    }
    (cases.len(), cases.iter().filter(|case| case.forged).count())
}

#[test]
fn seals_as_nist_says() {
    assert_eq!(check(Algorithm::Aes128Gcm, "gcmEncryptExtIV128.rsp"), (375, 0));
    assert_eq!(check(Algorithm::Aes256Gcm, "gcmEncryptExtIV256.rsp"), (375, 0));
}

#[test]
fn opens_and_refuses_as_nist_says() {
    assert_eq!(check(Algorithm::Aes128Gcm, "gcmDecrypt128.rsp"), (375, 196));
    assert_eq!(check(Algorithm::Aes256Gcm, "gcmDecrypt256.rsp"), (375, 191));
}
