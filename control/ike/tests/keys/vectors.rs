//! Published vectors, each with its source.

use crate::hex::hex;
use crate::script::Script;
use ravelin_ike::crypto::{Cipher, Group, IkeSuite, KeyPair, Prf, Secret, SystemRandom};
use ravelin_ike::keymat::IkeKeys;
use ravelin_ike::sealed::{OpenError, OpeningKey, SealingKey, Side};
use ravelin_ike::wire::{Message, NotifyType, Payload};

/// Both sides of a published exchange: private keys, shares, secret.
fn check_exchange(group: Group, private: [&str; 2], shares: [&str; 2], secret: &str) {
    let pairs = private.map(|key| KeyPair::generate(group, &mut Script(hex(key))).expect("a key"));
    for (pair, share) in pairs.iter().zip(shares) {
        assert_eq!(pair.share(), hex(share), "{group}");
    }
    for (pair, share) in pairs.into_iter().zip([shares[1], shares[0]]) {
        assert_eq!(pair.finish(&hex(share)).expect("agrees").expose(), hex(secret), "{group}");
    }
}

#[test]
fn group_19_of_rfc_5903() {
    check_exchange(
        Group::Ecp256,
        [
            "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
            "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
        ],
        [
            "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180
             5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
            "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63
             56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
        ],
        "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE",
    );
}

#[test]
fn group_20_of_rfc_5903() {
    check_exchange(
        Group::Ecp384,
        [
            "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
            "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC",
        ],
        [
            "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA
             9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C",
            "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571
             DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C",
        ],
        "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746",
    );
}

#[test]
fn group_21_of_rfc_5903() {
    check_exchange(
        Group::Ecp521,
        [
            "0037ADE9319A89F4DABDB3EF411AACCCA5123C61ACAB57B5393DCE47608172A0
             95AA85A30FE1C2952C6771D937BA9777F5957B2639BAB072462F68C27A57382D4A52",
            "0145BA99A847AF43793FDD0E872E7CDFA16BE30FDC780F97BCCC3F078380201E
             9C677D600B343757A3BDBF2A3163E4C2F869CCA7458AA4A4EFFC311F5CB151685EB9",
        ],
        [
            "0015417E84DBF28C0AD3C278713349DC7DF153C897A1891BD98BAB4357C9ECBEE1E3BF42E00B8E380AEAE57C2D107564941885942AF5A7F4601723C4195D176CED3E
             017CAE20B6641D2EEB695786D8C946146239D099E18E1D5A514C739D7CB4A10AD8A788015AC405D7799DC75E7B7D5B6CF2261A6A7F1507438BF01BEB6CA3926F9582",
            "00D0B3975AC4B799F5BEA16D5E13E9AF971D5E9B984C9F39728B5E5739735A219B97C356436ADC6E95BB0352F6BE64A6C2912D4EF2D0433CED2B6171640012D9460F
             015C68226383956E3BD066E797B623C27CE0EAC2F551A10C2C724D9852077B87220B6536C5C408A1D2AEBB8E86D678AE49CB57091F4732296579AB44FCD17F0FC56A",
        ],
        "01144C7D79AE6956BC8EDB8E7C787C4521CB086FA64407F97894E5E6B2D79B04
         D1427E73CA4BAA240A34786859810C06B3C715A3A8CC3151F2BEE417996D19F3DDEA",
    );
}

#[test]
fn group_31_of_rfc_8031() {
    check_exchange(
        Group::Curve25519,
        [
            "751fb4308655b476b6789b7325f9ea8cddd16a58533ff6d9e60009464a5f9d54",
            "0a54645253290d60ddadd0e030bacd9e5501efdc220755a1e978f1b839a05688",
        ],
        [
            "48d5ddd4061257ba166fa3f9bbdb74f1a4e81c089384fa77f790709f0dfbc766",
            "0be7c1f5aad87d7e448662673298a443478b859745179eaf564c79c0ef6eee25",
        ],
        "c7495060 7a12327f 3204d94b 6825bfb0 68b7f831 9a9e3708 ed3d43ce 8130c950",
    );
}

#[test]
fn group_31_of_rfc_7748() {
    check_exchange(
        Group::Curve25519,
        [
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        ],
        [
            "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
            "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
        ],
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
    );
}

#[test]
fn hmac_of_rfc_4231() {
    let check = |key: &[u8], data: &[u8], tags: [&str; 3]| {
        for (prf, tag) in Prf::ALL.into_iter().zip(tags) {
            let (one, two) = data.split_at(data.len() / 2);
            assert_eq!(prf.mac(key, &[data]).expose(), hex(tag), "{prf}");
            assert_eq!(prf.mac(key, &[one, two]).expose(), hex(tag), "{prf} in parts");
        }
    };
    check(
        &[0x0b; 20],
        b"Hi There",
        [
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6",
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde
             daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        ],
    );
    check(
        b"Jefe",
        b"what do ya want for nothing?",
        [
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ],
    );
}

/// RFC 7634 appendix B: an INFORMATIONAL message, its key and its only payload.
#[test]
fn chacha20_poly1305_of_rfc_7634() {
    let datagram =
        hex("c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e20250000000009000000452900002910111213141516176103947
        01f8d017f7c129248896b71bfe25236efd7cdc67066906315b2");
    let key = hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3");
    let suite = IkeSuite {
        cipher: Cipher::ChaCha20Poly1305,
        integrity: None,
        prf: Prf::HmacSha256,
        group: Group::Curve25519,
        additional: Default::default(),
    };
    let none = || Secret::new(Vec::new());
    let keys = IkeKeys {
        d: none(),
        ai: none(),
        ar: none(),
        ei: Secret::new(key.clone()),
        er: Secret::new(key),
        pi: none(),
        pr: none(),
    };
    let message = Message::parse(&datagram).expect("parses");
    let opener = OpeningKey::new(&suite, &keys, Side::Responder).expect("a key");
    let plain = opener.open(&message.sealed.expect("encrypted")).expect("opens");
    let payloads = plain.payloads().expect("a chain");
    let [Payload::Notify(notify)] = &payloads[..] else { panic!("{payloads:?}") };
    assert_eq!((notify.kind, notify.protocol), (NotifyType::SetWindowSize, None));
    assert_eq!(notify.content(), Ok(ravelin_ike::wire::Content::WindowSize(10)));

    let mut sealer = SealingKey::new(&suite, &keys, Side::Responder, 0x1011_1213_1415_1617).expect("a key");
    assert_eq!(sealer.seal(&message.header, &plain, &mut SystemRandom).expect("seals"), datagram);

    let mut changed = datagram.clone();
    changed[19] ^= 0x10;
    let message = Message::parse(&changed).expect("parses");
    assert_eq!(opener.open(&message.sealed.expect("encrypted")), Err(OpenError::Checksum));
}
