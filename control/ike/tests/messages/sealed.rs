//! The encrypted payload, whole and in fragments: what opens, what does not, and numbers that never repeat.

use std::collections::HashSet;

use aws_lc_rs::aead;
use proptest::collection::vec;
use proptest::prelude::*;
use ravelin_ike::crypto::{
    AdditionalGroups, Cipher, Group, IkeSuite, Integrity, Prf, Random, Secret, SystemRandom,
};
use ravelin_ike::fragment::{FragmentRefused, Progress, Reassembly};
use ravelin_ike::keymat::{IkeKeys, Nonces, Spis};
use ravelin_ike::sealed::{OpenError, OpeningKey, Plain, SealError, SealingKey, Side};
use ravelin_ike::wire::{
    ExchangeType, FragmentNumber, Header, IkeSpi, Message, Payload, PayloadType, limits,
};

fn suites() -> Vec<IkeSuite> {
    let suite = |cipher, integrity| IkeSuite {
        cipher,
        integrity,
        prf: Prf::HmacSha256,
        group: Group::Curve25519,
        additional: AdditionalGroups::NONE,
    };
    let mut suites = Vec::new();
    for cipher in Cipher::ALL {
        match cipher.is_aead() {
            true => suites.push(suite(cipher, None)),
            false => suites.extend(Integrity::ALL.map(|integrity| suite(cipher, Some(integrity)))),
        }
    }
    suites
}

fn keys(suite: &IkeSuite) -> IkeKeys {
    let nonces = Nonces { initiator: &[1; 32], responder: &[2; 32] };
    let spis = Spis { initiator: IkeSpi(1), responder: IkeSpi(2) };
    IkeKeys::initial(suite, nonces, spis, &Secret::new(vec![3; 32]))
}

fn header() -> Header {
    Header {
        initiator_spi: IkeSpi(1),
        responder_spi: IkeSpi(2),
        exchange: ExchangeType::IkeAuth,
        from_initiator: true,
        response: false,
        message_id: 1,
    }
}

fn plain(length: usize) -> Plain {
    let octets: Vec<u8> = (0..length).map(|octet| octet as u8).collect();
    Plain::write(&[Payload::Unknown { kind: 200, body: octets.into() }]).expect("a chain")
}

fn sealer(suite: &IkeSuite, first_iv: u64) -> SealingKey {
    SealingKey::new(suite, &keys(suite), Side::Initiator, first_iv).expect("keys fit")
}

fn opener(suite: &IkeSuite) -> OpeningKey {
    OpeningKey::new(suite, &keys(suite), Side::Initiator).expect("keys fit")
}

/// What `opener` says of a datagram, or `None` when it is no encrypted message any more.
fn open(opener: &OpeningKey, datagram: &[u8]) -> Option<Result<Plain, OpenError>> {
    let message = Message::parse(datagram).ok()?;
    Some(opener.open(&message.sealed?))
}

#[test]
fn every_suite_opens_what_it_sealed() {
    for suite in suites() {
        let (mut sealer, opener) = (sealer(&suite, 0), opener(&suite));
        for length in (0..40).chain([1000, 40_000]) {
            let plain = plain(length);
            let datagram = sealer.seal(&header(), &plain, &mut SystemRandom).expect("seals");
            assert_eq!(datagram.len(), sealer.sealed_len(&plain), "{suite}");
            assert_eq!(open(&opener, &datagram), Some(Ok(plain)), "{suite} {length}");
        }
        let empty = Plain::write(&[]).expect("a chain");
        let datagram = sealer.seal(&header(), &empty, &mut SystemRandom).expect("seals");
        let opened = open(&opener, &datagram).expect("a message").expect("opens");
        assert_eq!((opened.first(), opened.payloads()), (PayloadType::None, Ok(vec![])));
    }
}

#[test]
fn no_octet_may_change_on_the_way() {
    for suite in suites() {
        let opener = opener(&suite);
        let datagram = sealer(&suite, 7).seal(&header(), &plain(20), &mut SystemRandom).expect("seals");
        for at in 0..datagram.len() {
            for bit in [0x01, 0x80] {
                let mut changed = datagram.clone();
                changed[at] ^= bit;
                let opened = open(&opener, &changed).and_then(Result::ok);
                assert_eq!(opened, None, "{suite}: octet {at} changed by {bit:#x}");
            }
        }
    }
}

#[test]
fn a_side_does_not_believe_its_own_echo() {
    for suite in suites() {
        let datagram = sealer(&suite, 0).seal(&header(), &plain(20), &mut SystemRandom).expect("seals");
        let echo = OpeningKey::new(&suite, &keys(&suite), Side::Initiator.peer()).expect("keys fit");
        assert_eq!(open(&echo, &datagram), Some(Err(OpenError::Checksum)), "{suite}");
    }
}

/// Bodies that are too short for IV, a block and a checksum end before any cryptography.
#[test]
fn bodies_that_are_too_short() {
    for suite in suites() {
        let opener = opener(&suite);
        let checksum = suite.integrity.map_or(16, Integrity::checksum_len);
        for length in 0..suite.cipher.iv_len() + checksum + suite.cipher.block_len() {
            let octets = header().to_octets(PayloadType::Encrypted, (32 + length) as u32);
            let datagram = [&octets[..], &[0, 0, 0, 4 + length as u8], &vec![7; length]].concat();
            assert_eq!(open(&opener, &datagram), Some(Err(OpenError::Length)), "{suite} {length}");
        }
    }
}

/// A peer that has the key may still say that its padding is longer than what it sent.
#[test]
fn padding_longer_than_the_plaintext() {
    let suite = suites()[0];
    let keys = keys(&suite);
    let (key, salt) = keys.ei.expose().split_at(16);
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, key).expect("a key"));
    for (text, expected) in [
        (vec![1, 2, 3, 3], Ok(0)),
        (vec![1, 2, 3, 4], Err(OpenError::Padding)),
        (vec![255], Err(OpenError::Padding)),
        (vec![9, 9, 9, 0], Ok(3)),
    ] {
        let mut datagram =
            header().to_octets(PayloadType::Encrypted, (32 + 8 + text.len() + 16) as u32).to_vec();
        datagram.extend([0, 0, 0, (4 + 8 + text.len() + 16) as u8]);
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(salt);
        let mut sealed = text;
        let (associated, nonce) =
            (aead::Aad::from(datagram.clone()), aead::Nonce::assume_unique_for_key(nonce));
        key.seal_in_place_append_tag(nonce, associated, &mut sealed).expect("seals");
        datagram.extend([0; 8]);
        datagram.extend(sealed);
        let opened = open(&opener(&suite), &datagram).expect("a message");
        assert_eq!(opened.map(|plain| plain.octets().len()), expected);
    }
}

#[test]
fn ivs_of_aead_never_repeat_and_end() {
    for suite in suites().into_iter().filter(|suite| suite.cipher.is_aead()) {
        let mut sealer = sealer(&suite, u64::MAX - 40);
        let mut seen = HashSet::new();
        let mut count = 0;
        let exhausted = loop {
            let made = if count % 3 == 0 {
                sealer.seal_within(&header(), &plain(400), 200, &mut SystemRandom)
            } else {
                sealer.seal(&header(), &plain(9), &mut SystemRandom).map(|one| vec![one])
            };
            count += 1;
            match made {
                Ok(datagrams) => datagrams.iter().for_each(|datagram| {
                    let message = Message::parse(datagram).expect("parses");
                    let iv = message.sealed.expect("encrypted").body[..8].to_vec();
                    assert!(seen.insert(iv), "{suite}: an IV came twice");
                }),
                Err(error) => break error,
            }
        };
        assert_eq!(exhausted, SealError::Exhausted);
        assert_eq!(sealer.next_iv(), None);
        assert!(seen.len() > 30, "{suite}: {} IVs", seen.len());
        assert!(sealer.seal(&header(), &plain(9), &mut SystemRandom).is_err(), "it began again");
    }
}

#[test]
fn ivs_of_cbc_come_from_the_caller() {
    struct Count(u8);
    impl Random for Count {
        fn fill(&mut self, out: &mut [u8]) {
            self.0 += 1;
            out.fill(self.0);
        }
    }
    let suite = suites().into_iter().find(|suite| !suite.cipher.is_aead()).expect("a CBC suite");
    let (mut sealer, mut random) = (sealer(&suite, 0), Count(0));
    for number in 1..4 {
        let datagram = sealer.seal(&header(), &plain(9), &mut random).expect("seals");
        assert_eq!(
            Message::parse(&datagram).expect("parses").sealed.expect("encrypted").body[..16],
            [number; 16]
        );
    }
}

fn fragments(suite: &IkeSuite, plain: &Plain, limit: usize) -> Vec<(FragmentNumber, Plain)> {
    let datagrams = sealer(suite, 0).seal_within(&header(), plain, limit, &mut SystemRandom).expect("seals");
    let opener = opener(suite);
    let part = |datagram: &Vec<u8>| {
        assert!(datagram.len() <= limit, "{suite}: {} octets", datagram.len());
        let message = Message::parse(datagram).expect("parses");
        let sealed = message.sealed.expect("encrypted");
        (sealed.fragment.expect("a fragment"), opener.open(&sealed).expect("opens"))
    };
    datagrams.iter().map(part).collect()
}

#[test]
fn fragments_fill_their_datagrams_and_come_together() {
    for suite in suites() {
        for limit in [160usize, 576, 1_232] {
            let plain = plain(5_000);
            let parts = fragments(&suite, &plain, limit);
            let least = limit - 36 - suite.cipher.iv_len() - 32 - suite.cipher.block_len() * 2;
            assert!(parts[0].1.octets().len() >= least, "{suite}: fragments are smaller than they could be");
            assert_eq!(parts[0].1.first(), plain.first());
            assert!(parts[1..].iter().all(|(_, part)| part.first() == PayloadType::None));
            let mut reassembly = Reassembly::new();
            let mut whole = None;
            for (number, part) in parts.into_iter().rev() {
                if let Progress::Whole(found) = reassembly.add(number, part).expect("is new") {
                    whole = Some(found);
                }
            }
            assert_eq!(whole, Some(plain), "{suite} {limit}");
        }
    }
}

#[test]
fn what_fits_is_not_fragmented_and_what_cannot_fit_is_refused() {
    let suite = suites()[0];
    let mut sealer = sealer(&suite, 0);
    let length = sealer.sealed_len(&plain(100));
    let whole = sealer.seal_within(&header(), &plain(100), length, &mut SystemRandom).expect("fits");
    assert!(Message::parse(&whole[0]).expect("parses").sealed.expect("encrypted").fragment.is_none());
    let two = sealer.seal_within(&header(), &plain(100), length - 1, &mut SystemRandom).expect("fits in two");
    assert_eq!(two.len(), 2);
    for limit in [0, 40, 61] {
        let refused = sealer.seal_within(&header(), &plain(100), limit, &mut SystemRandom);
        assert_eq!(refused, Err(SealError::Fragments), "{limit}");
    }
    let many = usize::from(limits::FRAGMENTS) + 1;
    assert_eq!(
        sealer.seal_within(&header(), &plain(many * 39), 100, &mut SystemRandom),
        Err(SealError::Fragments)
    );
}

#[test]
fn fragments_that_repeat_change_their_total_or_never_end() {
    let suite = suites()[0];
    let number = |number, total| FragmentNumber::new(number, total).expect("sound");
    let mut reassembly = Reassembly::new();
    assert_eq!(reassembly.add(number(1, 3), plain(10)), Ok(Progress::Waiting));
    assert_eq!(reassembly.wants(number(1, 3)), Err(FragmentRefused::Duplicate));
    assert_eq!(reassembly.add(number(1, 3), plain(11)), Err(FragmentRefused::Duplicate));
    assert_eq!(reassembly.add(number(2, 2), plain(10)), Err(FragmentRefused::Outdated));
    // More fragments than before: the peer has begun again with smaller ones (RFC 7383 2.6).
    let plain_text = plain(900);
    let parts = fragments(&suite, &plain_text, 300);
    assert!(parts.len() > 3);
    let mut whole = None;
    for (number, part) in parts {
        match reassembly.add(number, part).expect("is new") {
            Progress::Waiting => {}
            Progress::Whole(found) => whole = Some(found),
        }
    }
    assert_eq!(whole, Some(plain_text));

    let mut reassembly = Reassembly::new();
    let mut refused = None;
    for index in 1..=limits::FRAGMENTS {
        refused = refused.or(reassembly.add(number(index, limits::FRAGMENTS), plain(1_000)).err());
    }
    assert_eq!(refused, Some(FragmentRefused::TooLong), "memory without a bound");
}

proptest! {
    /// Whatever order fragments come in, and however often.
    #[test]
    fn fragments_in_any_order(length in 300usize..4_000, limit in 120usize..400, order in vec(any::<prop::sample::Index>(), 0..60)) {
        let suite = suites()[3];
        let plain = plain(length);
        let datagrams = fragments(&suite, &plain, limit.min(length));
        let mut reassembly = Reassembly::new();
        let mut whole = None;
        let picked = order.iter().map(|index| index.index(datagrams.len()));
        for at in picked.chain(0..datagrams.len()) {
            if whole.is_some() {
                break;
            }
            let (number, part) = datagrams[at].clone();
            match reassembly.add(number, part) {
                Ok(Progress::Whole(found)) => whole = Some(found),
                Ok(Progress::Waiting) | Err(FragmentRefused::Duplicate) => {}
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
        prop_assert_eq!(whole, Some(plain));
    }
}
