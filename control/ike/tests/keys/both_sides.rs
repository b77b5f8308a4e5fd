//! Key exchange, key schedule, AUTH, cookies and NAT detection: what both sides must find alike, and what is refused.

use crate::hex::hex;
use crate::script::Script;
use aws_lc_rs::digest;
use ravelin_contract::sa;
use ravelin_ike::crypto::auth::{self, AuthError, SignaturePolicy};
use ravelin_ike::crypto::signature::KeyKind;
use ravelin_ike::crypto::{
    AdditionalGroups, ChildCipher, ChildSuite, Cipher, CookieKeys, CryptoError, Group, IkeSuite, Integrity,
    KeyPair, KeySize, Prf, Secret, SignatureScheme, SignedOctets, SuiteError, SystemRandom, nat,
};
use ravelin_ike::keymat::{ChildKeys, IkeKeys, Nonces, Spis, intermediate_mac};
use ravelin_ike::sealed::Plain;
use ravelin_ike::wire::{
    AuthMethod, Authentication, ExchangeType, Header, IkeSpi, KeyExchange, Payload, PayloadType, Proposal,
    ProposalSpi, ProtocolId, SecurityAssociation, SignatureHash, Slot, Transform,
};

#[test]
fn both_sides_of_every_group_agree() {
    for group in Group::ALL {
        let pair = KeyPair::generate(group, &mut SystemRandom).expect("a key");
        assert_eq!(pair.share().len(), group.initiator_share_len(), "{group}");
        let (share, ours) = group.respond(pair.share(), &mut SystemRandom).expect("an answer");
        assert_eq!(share.len(), group.responder_share_len(), "{group}");
        assert_eq!(pair.finish(&share).expect("a secret"), ours, "{group}");
    }
}

#[test]
fn shares_of_the_wrong_length_are_refused() {
    for group in Group::ALL {
        for wrong in [0, 1, group.initiator_share_len() - 1, group.initiator_share_len() + 1] {
            let refused = group.respond(&vec![4; wrong], &mut SystemRandom).err();
            assert_eq!(
                refused,
                Some(CryptoError::ShareLength { wanted: group.initiator_share_len(), found: wrong })
            );
        }
        let pair = KeyPair::generate(group, &mut SystemRandom).expect("a key");
        assert!(matches!(pair.finish(&[4]), Err(CryptoError::ShareLength { found: 1, .. })), "{group}");
    }
}

/// Shares and secret as Python's `pow` has them, by their SHA-256, for exponents that follow a rule.
#[test]
fn modp_groups_compute_what_python_does() {
    let exponent = |first: u8, step: usize, plus: usize, length: usize| {
        let rest = (1..length).map(|i| ((i * step + plus) % 256) as u8);
        Script(std::iter::once(0x80 | first).chain(rest).collect())
    };
    for (group, length, expected) in [
        (
            Group::Modp2048,
            40,
            [
                "e752a125637f8d9c1883b95a227b37639e1cc3731102909f76c95f942c720b00",
                "b644f322f4da1eb52b1950e9550a826a7491913ddadbf3f64b7d21ea10341bc2",
                "66f40a687600f10414b4fb270f6de2d66c72751622dcde588bb6d8b6ad4d71a3",
            ],
        ),
        (
            Group::Modp3072,
            56,
            [
                "44cfff18a33457e3f4609a5fa6610a23c2dbfea3fdf5a29500dd79f0cf45e6db",
                "07cd2a6d5dc694ace8d7f8e39331bccfb818077e9a1817660944f77841ae908f",
                "ee76414856a85178641487da0f0881e644e0c474ebba5e56948e945a7d5b6312",
            ],
        ),
        (
            Group::Modp4096,
            64,
            [
                "ac7069932e92cdd8e6ece8c325438e51c9daf2098aecc206186eb8d7e4fa3059",
                "e89d982d5fb06a4390836baac2f298ad139ca02331d0d3b84edfa185da3de047",
                "89c22fa62714983ea079f8c3ba4636c5cae7649d76a07fb1fadbda15d0797954",
            ],
        ),
    ] {
        let one = KeyPair::generate(group, &mut exponent(1, 7, 3, length)).expect("a key");
        let two = KeyPair::generate(group, &mut exponent(2, 11, 5, length)).expect("a key");
        let hash = |octets: &[u8]| digest::digest(&digest::SHA256, octets).as_ref().to_vec();
        assert_eq!([hash(one.share()), hash(two.share())], [hex(expected[0]), hex(expected[1])], "{group}");
        let share = two.share().to_vec();
        assert_eq!(hash(one.finish(&share).expect("a secret").expose()), hex(expected[2]), "{group}");
    }
}

/// RFC 6989 2.1: 0, 1, p - 1, p and above are no shares.
#[test]
fn modp_shares_outside_of_the_group_are_refused() {
    for group in [Group::Modp2048, Group::Modp3072, Group::Modp4096] {
        let length = group.responder_share_len();
        let number = |low: u8| [&vec![0; length - 1][..], &[low]].concat();
        // The prime ends with 64 ones; all the others of this test are made from that.
        let pair = || KeyPair::generate(group, &mut SystemRandom).expect("a key");
        for bad in [number(0), number(1), vec![0xff; length]] {
            assert_eq!(pair().finish(&bad), Err(CryptoError::Share), "{group}");
        }
        assert!(pair().finish(&number(2)).is_ok(), "{group}");
    }
}

const NI: [u8; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31,
];

fn nr() -> Vec<u8> {
    (100..148).collect()
}

fn spis() -> Spis {
    Spis { initiator: IkeSpi(0x0102_0304_0506_0708), responder: IkeSpi(0x1112_1314_1516_1718) }
}

fn hybrid() -> IkeSuite {
    IkeSuite {
        cipher: Cipher::AesGcm16(KeySize::Bits256),
        integrity: None,
        prf: Prf::HmacSha256,
        group: Group::Curve25519,
        additional: AdditionalGroups::NONE.with(Slot::ALL[0], Group::MlKem768),
    }
}

/// RFC 9370 2.2.2, RFC 8784 3 and RFC 9242 3.3.2 as a few lines of Python compute them from the same inputs.
#[test]
fn additional_key_exchanges_ppk_and_intermediate_macs() {
    let suite = hybrid();
    assert_eq!(suite.to_string(), "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE_25519/KE1_ML_KEM_768");
    let nr = nr();
    let nonces = Nonces { initiator: &NI, responder: &nr };
    let first = IkeKeys::initial(&suite, nonces, spis(), &Secret::new(vec![7; 32]));
    let second = first.intermediate(&suite, nonces, spis(), &Secret::new(vec![8; 32]));
    let is = |key: &Secret, text: &str| assert_eq!(key.expose(), hex(text));
    is(&second.d, "c3cc9b8a7ae3d963f8ab7bab2aedc91c733a0039d2c452d7d374fa9f8808c180");
    is(&second.ei, "cc4d12568fc91452d50935e41f230d717851b382b21a32a6cf1588ea5119cb5f12088161");
    is(&second.er, "2376028f43e53b7acd21a2895700b1aeabb2c2dcc52058292381192f7b62d45adde3ea1b");
    is(&second.pi, "6a7cbea1f7c164c98c737846077cbb17f6b6e6ee1eab8bae35bc1f1fd5315a8d");
    is(&second.pr, "37f39044a4c05573cc76eea836313adc17f81be53f067674bf60cfaa0709e3a2");

    let mixed = second.with_ppk(Prf::HmacSha256, &Secret::new(b"a post-quantum pre-shared key".to_vec()));
    is(&mixed.d, "7c4686a112a6e76edede68960260e1440f072b0717db90a9f7813f34d65cd240");
    is(&mixed.pi, "4bb32bb5ab3437fb070962aa2789059d051d75ccca8c521e0f87477351479ea9");
    is(&mixed.pr, "60fb4f689f7b186129214d748d526197acd44f111d25a900271ca859cde4b0d3");
    assert_eq!((&mixed.ei, &mixed.er), (&second.ei, &second.er), "RFC 8784 changes three keys only");

    let shared = [Secret::new(vec![9; 32]), Secret::new(vec![10; 32])];
    let third = second.successor(Prf::HmacSha256, &suite, nonces, spis(), &shared);
    is(&third.d, "ae8a7be8f04f7ef219c6320eb4248da564ef93819e7eb80abe66f336c282aafd");
    is(&third.pr, "152788329ba69d45972a17938aa65a69f929356a2c400b60eee466a1b5d631da");
    let child = ChildKeys::derive(Prf::HmacSha256, &second.d, &gcm_child(), nonces, &shared).expect("keys");
    let stream = [raw(&child.from_initiator), raw(&child.from_responder)].concat();
    assert_eq!(
        stream,
        hex("50a416db4786582a4618e546f9fd095fbbbd0178157f205f2368e6bb44283067399d12bc18f15068")
    );

    let share = KeyExchange { group: 36.into(), data: (0..28).collect::<Vec<u8>>().into() };
    let plain = Plain::write(&[Payload::KeyExchange(share)]).expect("a chain");
    let header = Header {
        initiator_spi: spis().initiator,
        responder_spi: spis().responder,
        exchange: ExchangeType::Intermediate,
        from_initiator: true,
        response: false,
        message_id: 1,
    };
    // The header of a first fragment, whose length says nothing about the whole.
    let header = header.to_octets(PayloadType::EncryptedFragment, 999);
    let mac = intermediate_mac(Prf::HmacSha256, &first.pi, None, &header, &plain);
    is(&mac, INT_1);
    is(&intermediate_mac(Prf::HmacSha256, &second.pi, Some(&mac), &header, &plain), INT_2);
}

const INT_1: &str = "cf35b915f4e1fd340ba5eadab7c89ee8b3241197d6935f7cde24301295f7ab56";
const INT_2: &str = "265cfa03ddcefda720fc6e7648d4d74f60d405f1f070685a856cb02573896064";

fn gcm_child() -> ChildSuite {
    ChildSuite {
        cipher: ChildCipher::AesGcm16(KeySize::Bits128),
        integrity: None,
        group: None,
        additional: AdditionalGroups::NONE,
        extended_sequence: true,
    }
}

fn raw(transform: &sa::Transform) -> Vec<u8> {
    match transform {
        sa::Transform::AesGcm16 { key, salt }
        | sa::Transform::AesGmac { key, salt }
        | sa::Transform::ChaCha20Poly1305 { key, salt } => [key.expose(), salt].concat(),
        sa::Transform::AesCbc { key, integrity } => [key.expose(), integrity.key.expose()].concat(),
        sa::Transform::Null { integrity } => integrity.key.expose().to_vec(),
    }
}

#[test]
fn every_child_cipher_gets_keys_that_the_dataplane_takes() {
    let nr = nr();
    let nonces = Nonces { initiator: &NI, responder: &nr };
    let sk_d = Secret::new(vec![1; 32]);
    for cipher in ChildCipher::ALL {
        let integrities: Vec<_> =
            if cipher.is_aead() { vec![None] } else { Integrity::ALL.map(Some).to_vec() };
        for integrity in integrities {
            let suite = ChildSuite { cipher, integrity, ..gcm_child() };
            let keys = ChildKeys::derive(Prf::HmacSha512, &sk_d, &suite, nonces, &[]).expect("keys");
            assert!(keys.from_initiator.has_valid_keys() && keys.from_responder.has_valid_keys(), "{suite}");
            assert_ne!(keys.from_initiator, keys.from_responder, "{suite}");
            assert_eq!(ChildSuite::from_proposal(&suite.to_proposal(1, 7)), Ok(suite));
        }
    }
    let without = ChildSuite { cipher: ChildCipher::Null, integrity: None, ..gcm_child() };
    assert_eq!(ChildKeys::derive(Prf::HmacSha256, &sk_d, &without, nonces, &[]), Err(CryptoError::KeyLength));
}

#[test]
fn suites_come_back_from_their_proposals() {
    for cipher in Cipher::ALL {
        for prf in Prf::ALL {
            for group in Group::ALL {
                let integrity = (!cipher.is_aead()).then_some(Integrity::HmacSha384);
                let additional = AdditionalGroups::NONE.with(Slot::ALL[2], Group::MlKem1024);
                let suite = IkeSuite { cipher, integrity, prf, group, additional };
                assert_eq!(IkeSuite::from_proposal(&suite.to_proposal(3, ProposalSpi::None)), Ok(suite));
            }
        }
    }
}

#[test]
fn proposals_that_are_no_suite_say_why() {
    let good = hybrid().to_proposal(1, ProposalSpi::None);
    let changed = |change: &dyn Fn(&mut Vec<Transform>)| {
        let mut proposal = good.clone();
        change(&mut proposal.transforms);
        IkeSuite::from_proposal(&proposal).expect_err("refused").to_string()
    };
    assert_eq!(changed(&|t| drop(t.remove(1))), "no PRF transform");
    assert_eq!(
        changed(&|t| t.push(Integrity::HmacSha256.transform())),
        "cipher and integrity do not fit each other"
    );
    assert_eq!(
        changed(&|t| t[0] = Cipher::AesCbc(KeySize::Bits128).transform()),
        "cipher and integrity do not fit each other"
    );
    assert_eq!(changed(&|t| t[0].key_bits = None), "AES_GCM_16 is not supported");
    assert_eq!(
        changed(&|t| t[2] = Transform::new(ravelin_ike::wire::TransformId::Group(2.into()))),
        "MODP_1024 is not supported"
    );
    let esp = Proposal { protocol: ProtocolId::Ah, ..gcm_child().to_proposal(1, 9) };
    assert_eq!(ChildSuite::from_proposal(&esp), Err(SuiteError::Protocol(ProtocolId::Ah)));
}

/// Both sides' offers stand in an event as the field writes them.
#[test]
fn offers_in_the_fields_words() {
    let mut weak = hybrid().to_proposal(2, ProposalSpi::None);
    weak.transforms[0] = Transform::new(ravelin_ike::wire::TransformId::Encryption(3.into()));
    let offer = SecurityAssociation { proposals: vec![hybrid().to_proposal(1, ProposalSpi::None), weak] };
    assert_eq!(
        offer.to_string(),
        "IKE:AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE_25519/KE1_ML_KEM_768, \
         IKE:3DES_CBC/PRF_HMAC_SHA2_256/CURVE_25519/KE1_ML_KEM_768"
    );
    assert_eq!(gcm_child().to_proposal(1, 1).to_string(), "ESP:AES_GCM_16_128/EXT_SEQ");
}

fn octets() -> SignedOctets {
    SignedOctets::new(Prf::HmacSha256, b"message", b"nonce of the peer", &[5; 32], b"identity")
}

#[test]
fn a_shared_key_proves_itself_alone() {
    let secret = Secret::new(b"correct horse".to_vec());
    let proof = auth::shared_key_payload(Prf::HmacSha256, &secret, &octets());
    assert_eq!(
        auth::verify_shared_key(&proof, Prf::HmacSha256, &secret, &octets()),
        Ok(auth::Proof::SharedKey)
    );
    let other = Secret::new(b"correct hors".to_vec());
    assert_eq!(auth::verify_shared_key(&proof, Prf::HmacSha256, &other, &octets()), Err(AuthError::Wrong));
    for changed in [
        SignedOctets::new(Prf::HmacSha256, b"messagf", b"nonce of the peer", &[5; 32], b"identity"),
        SignedOctets::new(Prf::HmacSha256, b"message", b"nonce of the pees", &[5; 32], b"identity"),
        SignedOctets::new(Prf::HmacSha256, b"message", b"nonce of the peer", &[6; 32], b"identity"),
        SignedOctets::new(Prf::HmacSha256, b"message", b"nonce of the peer", &[5; 32], b"identitz"),
        octets().with_intermediate(&[1; 32], &[2; 32], 2),
    ] {
        assert_eq!(
            auth::verify_shared_key(&proof, Prf::HmacSha256, &secret, &changed),
            Err(AuthError::Wrong)
        );
    }
    let signature = Authentication { method: AuthMethod::DigitalSignature, data: proof.data.clone() };
    let refused = auth::verify_shared_key(&signature, Prf::HmacSha256, &secret, &octets());
    assert_eq!(refused, Err(AuthError::Method(AuthMethod::DigitalSignature)));
    // A MAC cut short is none.
    let short = Authentication { data: proof.data[..16].to_vec().into(), ..proof };
    assert_eq!(auth::verify_shared_key(&short, Prf::HmacSha256, &secret, &octets()), Err(AuthError::Wrong));
}

#[test]
fn intermediate_exchanges_are_signed_with_their_order() {
    let base = octets().octets().to_vec();
    let signed = octets().with_intermediate(&[1; 32], &[2; 32], 2);
    assert_eq!(signed.octets(), [&base[..], &[1; 32], &[2; 32], &[0, 0, 0, 2]].concat());
}

/// SPKI of Ed25519 from RFC 8410 10.1.
fn ed25519_key() -> ravelin_ike::crypto::PublicKey {
    let spki =
        hex("302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
    ravelin_ike::crypto::PublicKey::from_spki(&spki).expect("a key")
}

#[test]
fn signatures_outside_of_the_policy_are_refused_with_their_name() {
    let key = ed25519_key();
    assert_eq!(key.kind(), KeyKind::Ed25519);
    let policy =
        |schemes: &[SignatureScheme]| SignaturePolicy { schemes: schemes.to_vec(), fixed_ecdsa: false };
    let payload = auth::signature_payload(SignatureScheme::EcdsaSha256, &[1; 70]).expect("a payload");
    let verify = |payload: &Authentication<'_>, schemes: &[SignatureScheme]| {
        auth::verify_signature(payload, &key, &policy(schemes), &octets()).expect_err("refused")
    };
    let ecdsa = SignatureScheme::EcdsaSha256;
    assert_eq!(verify(&payload, &[SignatureScheme::Ed25519]), AuthError::NotAllowed(ecdsa));
    assert_eq!(verify(&payload, &SignatureScheme::ALL), AuthError::Key(ecdsa));
    let ed = auth::signature_payload(SignatureScheme::Ed25519, &[1; 64]).expect("a payload");
    assert_eq!(verify(&ed, &SignatureScheme::ALL), AuthError::Wrong);
    let method = |method, data: &'static [u8]| Authentication { method, data: data.into() };
    assert_eq!(verify(&method(AuthMethod::RsaPkcs1Sha1, &[1]), &SignatureScheme::ALL), AuthError::Sha1);
    let fixed = AuthMethod::EcdsaSha256P256;
    assert_eq!(verify(&method(fixed, &[1; 64]), &SignatureScheme::ALL), AuthError::Method(fixed));
    assert_eq!(
        verify(&method(AuthMethod::DigitalSignature, &[9, 1]), &SignatureScheme::ALL),
        AuthError::Form
    );
    // sha1WithRSAEncryption, and PSS whose defaults are SHA-1.
    for weak in ["0f300d06092a864886f70d01010505000001", "0f300d06092a864886f70d01010a30000001"] {
        let data = hex(weak);
        let payload = Authentication { method: AuthMethod::DigitalSignature, data: data.into() };
        assert_eq!(verify(&payload, &SignatureScheme::ALL), AuthError::Unsupported);
    }
}

#[test]
fn names_of_algorithms_are_read_as_they_are_written() {
    for scheme in SignatureScheme::ALL {
        let name = scheme.algorithm_identifier();
        assert_eq!(SignatureScheme::from_algorithm_identifier(&name), Some(scheme));
        for cut in 0..name.len() {
            assert_eq!(
                SignatureScheme::from_algorithm_identifier(&name[..cut]),
                None,
                "{scheme} cut at {cut}"
            );
        }
        assert_eq!(SignatureScheme::from_algorithm_identifier(&[&name[..], &[0]].concat()), None);
    }
    // RFC 7427 A.4.3 writes the default trailer too.
    let with_trailer =
        hex("304606092a864886f70d01010a3039a00f300d06096086480165030402010500a11c301a06092a864886f70d010108
        300d06096086480165030402010500a203020120a303020101");
    let found = SignatureScheme::from_algorithm_identifier(&with_trailer);
    assert_eq!(found, Some(SignatureScheme::RsaPssSha256));
}

#[test]
fn a_scheme_is_chosen_by_key_policy_and_peer() {
    use SignatureHash as Hash;
    use SignatureScheme as Scheme;
    let all = [Hash::Sha2_256, Hash::Sha2_384, Hash::Sha2_512, Hash::Identity];
    let choose = |kind, hashes: &[Hash]| Scheme::choose(kind, &Scheme::ALL, hashes);
    assert_eq!(choose(KeyKind::EcdsaP384, &all), Some(Scheme::EcdsaSha384));
    assert_eq!(choose(KeyKind::EcdsaP384, &[Hash::Sha2_256]), Some(Scheme::EcdsaSha256));
    assert_eq!(choose(KeyKind::Rsa, &all), Some(Scheme::RsaPssSha256));
    assert_eq!(choose(KeyKind::Ed25519, &[Hash::Sha2_256]), None);
    assert_eq!(choose(KeyKind::Rsa, &[Hash::Sha1]), None);
    assert_eq!(Scheme::choose(KeyKind::RsaPssOnly, &[Scheme::RsaPkcs1Sha256], &all), None);
}

#[test]
fn cookies_are_for_one_address_one_nonce_and_not_for_long() {
    let mut keys = CookieKeys::new(&mut SystemRandom);
    let (address, spi) = ([192, 0, 2, 9].into(), IkeSpi(77));
    let cookie = keys.make(&NI, address, spi);
    assert!((1..=64).contains(&cookie.len()));
    assert!(keys.verify(&cookie, &NI, address, spi));
    assert!(!keys.verify(&cookie, &NI, [192, 0, 2, 10].into(), spi));
    assert!(!keys.verify(&cookie, &NI, address, IkeSpi(78)));
    assert!(!keys.verify(&cookie, &nr(), address, spi));
    assert!(!keys.verify(&cookie[1..], &NI, address, spi));
    keys.rotate(&mut SystemRandom);
    assert!(keys.verify(&cookie, &NI, address, spi), "a change harms nobody under way");
    keys.rotate(&mut SystemRandom);
    assert!(!keys.verify(&cookie, &NI, address, spi));
}

#[test]
fn nat_detection_sees_address_and_port() {
    let hash = |port| nat::detection_hash(IkeSpi(1), IkeSpi(2), ([192, 0, 2, 1], port).into());
    assert_eq!(hash(500), hash(500));
    assert_ne!(hash(500), hash(4500));
    assert_ne!(hash(500), nat::detection_hash(IkeSpi(1), IkeSpi(2), ([192, 0, 2, 2], 500).into()));
    let v6 = "[2001:db8::1]:500".parse().expect("an address");
    assert_ne!(hash(500), nat::detection_hash(IkeSpi(1), IkeSpi(2), v6));
}

#[test]
fn secrets_print_as_their_length() {
    let nr = nr();
    let keys = IkeKeys::initial(
        &hybrid(),
        Nonces { initiator: &NI, responder: &nr },
        spis(),
        &Secret::new(vec![7; 32]),
    );
    let text = format!("{keys:?}");
    assert!(text.contains("Secret(32 octets)") && !text.contains("[195"), "{text}");
    let pair = KeyPair::generate(Group::Curve25519, &mut SystemRandom).expect("a key");
    assert_eq!(format!("{pair:?}"), "KeyPair(CURVE_25519)");
}
