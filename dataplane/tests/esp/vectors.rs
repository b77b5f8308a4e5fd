//! Published ESP packets, opened octet for octet.
//!
//! They carry IVs that a sender may choose but ours does not, so they are opened only; what we seal is opened by a foreign
//! implementation in `scapy.rs`.

#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use crate::esp_support::*;
use ravelin_contract::sa::{Hash, Integrity, Mode, Spi, Transform};
use ravelin_contract::secret::Secret;
use ravelin_contract::verdict::Verdict;
use sha2::{Digest, Sha256};

/// One packet from SPI to ICV, its number with the upper half, and its cleartext with the trailer.
struct Case {
    transform: Transform,
    number: u64,
    extended: bool,
    sealed: Vec<u8>,
    text: Vec<u8>,
}

fn key(hex: &str) -> Secret {
    Secret::new(unhex(hex))
}

fn salt(hex: &str) -> [u8; 4] {
    unhex(hex).try_into().unwrap()
}

/// Opens the case and checks payload and what names it. Vectors name the upper layer ICMP, whatever is in them, so most are
/// opened in transport mode; those that name IPv4 in tunnel mode.
fn check(case: &Case) {
    let &[.., pad_len, next_header] = &case.text[..] else { panic!("no trailer") };
    let payload = &case.text[..case.text.len() - 2 - usize::from(pad_len)];
    let mode = if next_header == 4 { Mode::Tunnel } else { Mode::Transport };
    let extended = case.extended;
    let kind = Kind { transform: case.transform.clone(), mode, outer_v6: false, extended, udp: false };
    let spi = u32::from_be_bytes(case.sealed[..4].try_into().unwrap());
    let (mut out, mut inn) = (kind.outbound(), kind.inbound());
    out.spi = Spi::new(spi).unwrap();
    inn.spi = out.spi;
    let mut pair = Pair::from(&out, &inn, case.number - 1);

    let (local, remote) = kind.endpoints();
    let opened = pair.open(&ip_packet(local, remote, 50, &case.sealed));
    if mode == Mode::Tunnel {
        assert_eq!(opened.unwrap(), payload);
    } else if payload.len() < 8 {
        assert_eq!(opened, Err(Verdict::BadInner), "authentic, but too short to be ICMP");
    } else {
        assert_eq!(opened.unwrap(), ip_packet(local, remote, next_header, payload));
    }
    assert_eq!(pair.open(&ip_packet(local, remote, 50, &case.sealed)), Err(Verdict::Replayed));
}

/// Key, salt, number in hex (8 digits, or 16 when extended), sealed, text.
fn gcm(key_hex: &str, salt_hex: &str, number: &str, sealed: &str, text: &str) -> Case {
    Case {
        transform: Transform::AesGcm16 { key: key(key_hex), salt: salt(salt_hex) },
        number: u64::from_str_radix(number, 16).unwrap(),
        extended: number.len() == 16,
        sealed: unhex(sealed),
        text: unhex(text),
    }
}

/// draft-mcgrew-gcm-test-01 section 4, without those that no SA can have: SPI 0, and keys of 192 bits.
#[test]
fn aes_gcm_of_draft_mcgrew() {
    let long_key = "abbccddef00112233445566778899aababbccddef00112233445566778899aab";
    let cases = [
        gcm(
            "4c80cdefbb5d10da906ac73c3613a634", "2e443b68", "8765432100000000",
            "00004321000000004956ed7e3b244cfe fecf537e729d5b07dc30df528dd22b76 8d1b98736696a6fd348509fa13ceac34
             cfa2436f14a3f3cf65925bf1f4a13c5d 15b21e1884f5ff6247aeabb786b93bce 61bc17d768fd9732459018148f6cbe72
             2fd04796562dfdb4",
            "45000048699a000080114db7c0a80102 c0a801010a9bf15638d3010000010000 00000000045f736970045f7564700373
             69700963796265726369747902646b00 0021000101020201",
        ),
        gcm(
            "feffe9928665731c6d6a8f9467308308", "cafebabe", "0000000a",
            "0000a5f80000000afacedbaddecaf888 deb22cd9b07c72c16e3a65beeb8df304 a5a5897d33ae530f1ba76d5d114d2a5c
             3de81827c10e9a4f51330d0eec416642 cfbb85a5b47e48a4ec3b9ba95d918bd1 83b70d3aa8bc6ee4c309e9d85a41ad4a",
            "4500003e698f000080114dccc0a80102 c0a801010a980035002a2343b2d00100 00010000000000000373697009637962
             65726369747902646b00000100010001",
        ),
        gcm(
            long_key, "11223344", "00000002",
            "4a2cbfe3000000020102030405060708 ff425c9b724599df7a3bcd510194e00d 6a78107f1b0b1cbf06efae9d65a5d763
             748a637985771d347f0545659f14e99d ef842d8eb335f4eecfdbf831824b4c49 15956c96",
            "4500003069a6400080062690c0a80102 9389155e0a9e008b2dc57ee000000000 7002400020bf0000020405b401010402
             01020201",
        ),
        gcm(
            "3de09874b388e6491988d0c3607eae1f", "57690e43", "1010101010101010",
            "42f67e3f101010104e280000a2fca1a3 fba2caa4853cf9f0f22cb10d86dd83b0 fec75691cf1a04b00d1138ec9c357917
             65acbd8701ad79845bf9fe3fba487bc9 1755e6662b4c8d0d1f5e22739530320a e0d731cc978ecafaeae88f00e80d6e48",
            "4500003c99c300008001cb7c40679318 010101010800085c0200430061626364 65666768696a6b6c6d6e6f7071727374
             75767761626364656667686901020201",
        ),
        gcm(
            "3de09874b388e6491988d0c3607eae1f", "57690e43", "1010101010101010",
            "42f67e3f101010104e280000a2fca1a3 fba2ca845e5df9f0f22c3e6e86dd831e 1fc65792cd1af9130e1379ed369f071f
             35e034be95f112e4e7d05d35",
            "4500001c42a200008001441f406793b6 e00000020a00f5ff01020201",
        ),
        gcm(
            "abbccddef00112233445566778899aab", "decaf888", "0000000000000001",
            "0000010000000001cafedebaceface74 18a6fd42f72cbf4ab2a2ea901f73d814 e3e7f243d95412e1c349c1d2fbec168f
             9190feebaf2cb01984e65863965d7472 b79da345e0e780191f0d2f0e0f496c22 6f2127b27db35724e7845d68651f57e6
             5f354f75ff17015769623436",
            "4500004933ba00007f119106c3fb1d10 c2b1d326c02831ce0035dd7b800302d5 00004e20001e8c18d75b81dc91baa047
             6b91b924b280389d92c963bac046ec95 9b6266c04722b14923010101",
        ),
        gcm(
            long_key, "73616c74", "156f3126dd0db99b",
            "17405e67dd0db99b616e640169766563 f2d69ecdbd5a0d5b8d5ef38bad4da58d 1f278fde98ef67549d524a3018d9a57f
             f4d3a31ce673119e451626c2415771e3 b7eebca614c89b35",
            "45080028732c00004006e9f90a010612 0a01038f06b88023dd6bafbecb712602 50101f646d540001",
        ),
        gcm(
            "3de09874b388e6491988d0c3607eae1f", "57690e43", "1010101010101010",
            "42f67e3f101010104e280000a2fca1a3 fba2cad12fc1f9f00d3cebf305410db8 3d7784b607323d220f24b0a97d541828
             00cadb0f68d99ef0e0c0c89ae9bea888 4e52d65bc1afd0740f742444747b5b39 ab533163aad4550ee5160975cdb608c5
             769189609763b8e18caa81e2",
            "45000049333e00007f119182c3fb1d10 c2b1d326c02831ce0035cb458003025b 000001e0001e8c18d65759d52284a035
             2c71475c8880391c764d6e5ee0496b32 5ae270c03899493915010101",
        ),
        gcm(
            long_key, "73616c74", "156f3126dd0db99b",
            "17405e67dd0db99b616e640169766563 d4b7ed86a1777f2ea13d6973d324c69e 7b43f826fb56831226508bebd2dceb18
             d0a6df10e5487df074113e14c641024e 3e6773d91a62ee429b043a10e3efe6b0 12a49363412364f8c0cac587f249e56b
             11e24f30e44ccc76",
            "636973636f0172756c65730174686501 6e6574776501646566696e6501746865 746563686e6f6c6f6769657301746861
             7477696c6c01646566696e65746f6d6f 72726f7701020201",
        ),
        gcm(
            "7d773d00c144c525ac619d18c84a3f47", "d9664267", "ffffffff",
            "335467aeffffffff43457e9182443bc6 437f866bcb3f699fe9b0822bac961c45 04bef270",
            "01020201",
        ),
        gcm(
            "abbccddef00112233445566778899aab", "decaf888", "0000000000000001",
            "0000010000000001cafedebaceface74 29c9fc69a197d038ccdd14e2ddfcaa05 43332164412503524303ed3c6c5f2838
             43af8c3e",
            "746f016265016f72016e6f7401746f01 62650001",
        ),
        gcm(
            "6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961", "7475726e", "ffffffffffffffff",
            "796b6963ffffffff333021696765746d f97ab2aa356d8edce17644ac8c78e25d d24dedbb29ebf1b64a274b39b49c3a86
             4cd3d78ca4ae68a32b42458fb57dbe82 1dcc63b9d0937ba2945f669368661a32 9fb4c053",
            "45000030da3a00008001df3bc0a80005 c0a800010800c6cd0200070061626364 65666768696a6b6c6d6e6f7071727374
             01020201",
        ),
    ];
    cases.iter().for_each(check);
}

/// The same draft, its AES-GMAC packet.
#[test]
fn aes_gmac_of_draft_mcgrew() {
    let text = "45000030da3a00008001df3bc0a80005 c0a800010800c6cd0200070061626364 65666768696a6b6c6d6e6f7071727374 01020201";
    check(&Case {
        transform: Transform::AesGmac {
            key: key("4c80cdefbb5d10da906ac73c3613a634"),
            salt: salt("22433c64"),
        },
        number: 7,
        extended: false,
        sealed: unhex(&format!("00004321 00000007 0000000000000000 {text} f2a9a836e155106aa8dcd618e4099aaa")),
        text: unhex(text),
    });
}

/// RFC 7634 appendix A.
#[test]
fn chacha20_poly1305_of_rfc_7634() {
    check(&Case {
        transform: Transform::ChaCha20Poly1305 {
            key: key("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
            salt: salt("a0a1a2a3"),
        },
        number: 5,
        extended: false,
        sealed: unhex(
            "01020304 00000005 1011121314151617
             24039428b97f417e3c13753a4f05087b 67c352e6a7fab1b982d466ef407ae5c6 14ee8099d52844eb61aa95dfab4c02f7
             2aa71e7c4c4f64c9befe2facc638e8f3 cbec163fac469b502773f6fb94e664da 9165b82829f641e0
             76aaa8266b7fb0f7b11b369907e1ad43",
        ),
        text: unhex(
            "45000054a6f200004001e778c6336405 c000020508005b7a3a080000553bec10 0007362708090a0b0c0d0e0f10111213
             1415161718191a1b1c1d1e1f20212223 2425262728292a2b2c2d2e2f30313233 3435363701020204",
        ),
    });
}

/// HMAC-SHA-256-128 from RFC 2104's own words, for packets that were published without an ICV.
fn icv(key: &[u8; 32], octets: &[u8]) -> Vec<u8> {
    let padded =
        |with: u8| -> Vec<u8> { (0..64).map(|at| with ^ key.get(at).copied().unwrap_or(0)).collect() };
    let inner = Sha256::digest([&padded(0x36), octets].concat());
    Sha256::digest([&padded(0x5c)[..], &inner].concat())[..16].to_vec()
}

/// RFC 3602 section 4, cases 5 to 8: packets of AES-CBC. They have no ICV; we know no such SA, so one is added.
#[test]
fn aes_cbc_of_rfc_3602() {
    let ping =
        "08000ebda70a00008e9c083db95b0700 08090a0b0c0d0e0f1011121314151617 18191a1b1c1d1e1f2021222324252627
                28292a2b2c2d2e2f3031323334353637 0102030405060708090a0b0c0d0e 0e01";
    let short_ping = "0800b5e8a80a0500a69c083d0b660e00 777777777777777777777777 0102 0201";
    let cases = [
        (
            "90d382b410eeba7ad938c46cec1a82bf", 1,
            "00004321 00000001 e96e8c08ab465763fd098d45dd3ff893 f663c25d325c18c6a9453e194e120849
             a4870b66cc6b9965330013b4898dc856 a4699e523a55db080b59ec3a8e4b7e52 775b07d1db34ed9c538ab50c551b874a
             a269add047ad2d5913ac19b7cfbad4a6",
            ping.to_owned(),
        ),
        (
            "90d382b410eeba7ad938c46cec1a82bf", 8,
            "00004321 00000008 69d08df7d203329db093fc4924e5bd80 f51995881ec4e0c4488987ce742e8109
             689bb379d2d750c0d915dca346a89f75",
            short_ping.to_owned(),
        ),
        (
            "0123456789abcdef0123456789abcdef", 2,
            "00008765 00000002 f4e765244f6407adf13dc1380f673f37 773b5241a4c449225e4f3ce5ed611b0c
             237ca96cf74a93013c1b0ea1a0cf70f8 e4ecaec78ac53aad7a0f022b859243c6 47752e94a859352b8a4d4d2decd136e5
             c177f132ad3fbfb2201ac9904c74ee0a 109e0ca1e4dfe9d5a100b842f1c22f0d",
            "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b0c0d0e0f
             101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637
             0102030405060708090a 0a04".to_owned(),
        ),
        (
            "0123456789abcdef0123456789abcdef", 5,
            "00008765 00000005 85d47224b5f3dd5d2101d4ea8dffab22 15b92683819596a8047232cc00f7048f
             e45318e11f8a0f62ede3c3fc61203bb5 0f980a08c9843fd3a1b06d5c07ff9639 b7eb7dfb3512e5de435e7207ed971ef3
             d2726d9b5ef6affc6d17a0decbb13892",
            "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffffffffffff
             ffffffffffffffffffffffffffffffffffffffffffffffff 0102030405060708090a 0a04".to_owned(),
        ),
    ];
    let mac_key = [0x77; 32];
    for (cipher_key, number, packet, text) in cases {
        let mut sealed = unhex(packet);
        sealed.extend(icv(&mac_key, &sealed));
        let integrity = Integrity { hash: Hash::Sha256, key: Secret::new(mac_key.to_vec()) };
        let transform = Transform::AesCbc { key: key(cipher_key), integrity };
        check(&Case { transform, number, extended: false, sealed, text: unhex(&text) });
    }
}
