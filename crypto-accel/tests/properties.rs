//! Properties that hold for every key, length and algorithm.

mod common;

use common::{ALGORITHMS, counting_key, nonce, opened, received, sealed};
use proptest::prelude::*;
use ravelin_crypto_accel::aead::{Algorithm, Key, OpenJob, SealJob, open, open_one, seal, seal_one};
use ravelin_crypto_accel::etm::{self, Cipher, Hash, OpenError};
use ravelin_crypto_accel::{BadTag, LengthError, Text, iv, nonce as numbers};

fn any_algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(&ALGORITHMS[..])
}

fn octets(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=most)
}

/// One suite of encrypt-then-MAC, keyed.
fn any_suite() -> impl Strategy<Value = etm::Key> {
    let ciphers = [(Cipher::Null, 0), (Cipher::AesCbc, 16), (Cipher::AesCbc, 32)];
    let hashes = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
    (prop::sample::select(ciphers.to_vec()), prop::sample::select(hashes.to_vec()), any::<u8>()).prop_map(
        |((cipher, cipher_key), hash, fill)| {
            etm::Key::new(cipher, &vec![fill; cipher_key], hash, &vec![!fill; hash.key_len()])
                .expect("lengths are right")
        },
    )
}

fn flipped(octets: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = octets.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

proptest! {
    #[test]
    fn opening_gives_back_what_was_sealed(
        algorithm in any_algorithm(), first: u8, iv: [u8; 12], aad in octets(80), clear in octets(2100),
    ) {
        let key = counting_key(algorithm, first);
        let (hidden, tag) = sealed(&key, &iv, &aad, &clear);
        prop_assert!(clear.len() < 16 || hidden != clear);
        prop_assert_eq!(opened(&key, &iv, &aad, &hidden, &tag), (clear, Ok(())));
    }

    #[test]
    fn across_equals_in_place(
        algorithm in any_algorithm(), iv: [u8; 12], aad in octets(40), clear in octets(600), cut: prop::sample::Index,
    ) {
        let key = counting_key(algorithm, 9);
        let (expected, expected_tag) = sealed(&key, &iv, &aad, &clear);
        let (input, tail) = clear.split_at(cut.index(clear.len() + 1));
        let (mut output, mut tag) = (vec![0xa5; clear.len()], [0; 16]);
        seal_one(&key, nonce(&iv), &aad, Text::across(input, tail, &mut output).unwrap(), &mut tag);
        prop_assert_eq!((&output, tag), (&expected, expected_tag));

        let (input, tail) = expected.split_at(cut.index(clear.len() + 1));
        let outcome = open_one(&key, received(&iv), &aad, Text::across(input, tail, &mut output).unwrap(), &tag);
        prop_assert_eq!((output, outcome), (clear, Ok(())));
    }

    #[test]
    fn scattered_equals_in_place(
        algorithm in any_algorithm(), iv: [u8; 12], aad in octets(40), parts in prop::collection::vec(octets(700), 0..9),
    ) {
        let key = counting_key(algorithm, 9);
        let clear = parts.concat();
        let (expected, expected_tag) = sealed(&key, &iv, &aad, &clear);
        let (mut output, mut tag) = (vec![0xa5; clear.len()], [0; 16]);
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        seal_one(&key, nonce(&iv), &aad, Text::scattered(&slices, &mut output).unwrap(), &mut tag);
        prop_assert_eq!((&output, tag), (&expected, expected_tag));

        let mut rest = &expected[..];
        let slices: Vec<&[u8]> = parts.iter().map(|part| rest.split_off(..part.len()).unwrap()).collect();
        let outcome = open_one(&key, received(&iv), &aad, Text::scattered(&slices, &mut output).unwrap(), &tag);
        prop_assert_eq!((output, outcome), (clear, Ok(())));
    }

    #[test]
    fn any_flipped_bit_is_found_and_the_output_wiped(
        algorithm in any_algorithm(), iv: [u8; 12], aad in octets(40), clear in octets(300), place: prop::sample::Index,
    ) {
        let key = counting_key(algorithm, 9);
        let (hidden, tag) = sealed(&key, &iv, &aad, &clear);
        let zeros = vec![0; clear.len()];
        let of_tag = flipped(&tag, place.index(128)).try_into().unwrap();
        prop_assert_eq!(opened(&key, &iv, &aad, &hidden, &of_tag), (zeros.clone(), Err(BadTag)));
        let of_iv = flipped(&iv, place.index(96));
        prop_assert_eq!(opened(&key, &of_iv, &aad, &hidden, &tag), (zeros.clone(), Err(BadTag)));
        if !hidden.is_empty() {
            let of_text = flipped(&hidden, place.index(8 * hidden.len()));
            prop_assert_eq!(opened(&key, &iv, &aad, &of_text, &tag), (zeros.clone(), Err(BadTag)));
        }
        if !aad.is_empty() {
            let of_aad = flipped(&aad, place.index(8 * aad.len()));
            prop_assert_eq!(opened(&key, &iv, &of_aad, &hidden, &tag), (zeros, Err(BadTag)));
        }
    }

    #[test]
    fn a_forgery_leaves_zeros_in_a_separate_output(algorithm in any_algorithm(), hidden in octets(300)) {
        let mut output = vec![0xa5; hidden.len()];
        let text = Text::across(&hidden, b"", &mut output).unwrap();
        prop_assert_eq!(open_one(&counting_key(algorithm, 1), received(&[0; 12]), b"", text, &[0; 16]), Err(BadTag));
        prop_assert!(output.iter().all(|octet| *octet == 0));
    }

    #[test]
    fn a_batch_equals_its_jobs_one_by_one(
        texts in prop::collection::vec((any_algorithm(), any::<u8>(), octets(40), octets(400)), 0..40),
        forged in prop::collection::vec(any::<bool>(), 40),
    ) {
        let keys: Vec<Key> = texts.iter().map(|(algorithm, first, ..)| counting_key(*algorithm, *first)).collect();
        let mut outputs: Vec<Vec<u8>> = texts.iter().map(|(.., clear)| clear.clone()).collect();
        let mut tags = vec![[0; 16]; texts.len()];
        let mut jobs: Vec<SealJob<'_>> = (texts.iter().zip(&keys).zip(outputs.iter_mut()).zip(&mut tags))
            .map(|((((.., aad, _), key), output), tag)| {
                SealJob::new(key, nonce(&[7; 12]), aad, Text::in_place(output).unwrap(), tag)
            })
            .collect();
        seal(&mut jobs);
        for (((_, _, aad, clear), key), (output, tag)) in texts.iter().zip(&keys).zip(outputs.iter().zip(&tags)) {
            prop_assert_eq!(&sealed(key, &[7; 12], aad, clear), &(output.clone(), *tag));
        }

        for (tag, forged) in tags.iter_mut().zip(&forged) {
            tag[3] ^= u8::from(*forged);
        }
        let mut jobs: Vec<OpenJob<'_>> = (texts.iter().zip(&keys).zip(outputs.iter_mut()).zip(&tags))
            .map(|((((.., aad, _), key), output), tag)| {
                OpenJob::new(key, received(&[7; 12]), aad, Text::in_place(output).unwrap(), tag)
            })
            .collect();
        open(&mut jobs);
        let outcomes: Vec<_> = jobs.iter().map(OpenJob::outcome).collect();
        for (((.., clear), output), (outcome, forged)) in texts.iter().zip(&outputs).zip(outcomes.iter().zip(&forged)) {
            prop_assert_eq!(*outcome, if *forged { Err(BadTag) } else { Ok(()) });
            prop_assert_eq!(output, &if *forged { vec![0; clear.len()] } else { clear.clone() });
        }
    }

    #[test]
    fn encrypt_then_mac_opens_what_it_sealed_and_nothing_else(
        key in any_suite(), before in octets(12), after in octets(4), iv: [u8; 16],
        clear in prop::collection::vec(any::<[u8; 16]>(), 1..30), place: prop::sample::Index,
    ) {
        let clear = clear.concat();
        let (mut hidden, mut icv) = (clear.clone(), vec![0; key.icv_len()]);
        key.seal(&before, iv::Iv::promised(iv), Text::in_place(&mut hidden).unwrap(), &after, &mut icv).unwrap();
        prop_assert_eq!(hidden == clear, key.iv_len() == 0);

        let mut output = vec![0xa5; clear.len()];
        let open = |hidden: &[u8], icv: &[u8], output: &mut [u8]| {
            key.open(&before, &iv, Text::across(hidden, b"", output).unwrap(), &after, icv)
        };
        prop_assert_eq!(open(&hidden, &icv, &mut output), Ok(()));
        prop_assert_eq!(&output, &clear);
        let bad = Err(OpenError::BadTag(BadTag));
        prop_assert_eq!(open(&hidden, &flipped(&icv, place.index(8 * icv.len())), &mut output), bad);
        prop_assert!(output.iter().all(|octet| *octet == 0));
        prop_assert_eq!(open(&flipped(&hidden, place.index(8 * hidden.len())), &icv, &mut output), bad);
    }

    #[test]
    fn encrypt_then_mac_takes_its_input_in_two_parts(
        key in any_suite(), clear in prop::collection::vec(any::<[u8; 16]>(), 1..30), cut: prop::sample::Index,
    ) {
        let clear = clear.concat();
        let (mut in_place, mut icv) = (clear.clone(), vec![0; key.icv_len()]);
        key.seal(b"", iv::Iv::promised([1; 16]), Text::in_place(&mut in_place).unwrap(), b"", &mut icv).unwrap();
        let (input, tail) = clear.split_at(cut.index(clear.len()));
        let (mut across, mut icv_across) = (vec![0; clear.len()], vec![0; key.icv_len()]);
        let text = Text::across(input, tail, &mut across).unwrap();
        key.seal(b"", iv::Iv::promised([1; 16]), text, b"", &mut icv_across).unwrap();
        prop_assert_eq!((across, icv_across), (in_place, icv));
    }
}

#[test]
fn a_job_is_done_once() {
    let key = counting_key(Algorithm::Aes128Gcm, 0);
    let (mut octets, mut tag) = (*b"some clear text.", [0; 16]);
    let text = Text::in_place(&mut octets).unwrap();
    let mut jobs = [SealJob::new(&key, nonce(&[0; 12]), b"", text, &mut tag)];
    seal(&mut jobs);
    seal(&mut jobs); // with the same nonce this would bring the clear text back
    assert_eq!((octets.to_vec(), tag), sealed(&key, &[0; 12], b"", b"some clear text."));

    let mut jobs = [OpenJob::new(&key, received(&[0; 12]), b"", Text::in_place(&mut octets).unwrap(), &tag)];
    assert_eq!(jobs[0].outcome(), Err(BadTag));
    open(&mut jobs);
    open(&mut jobs);
    assert_eq!(jobs[0].outcome(), Ok(()));
    assert_eq!(&octets, b"some clear text.");
}

#[test]
fn keys_of_a_wrong_length_are_refused() {
    for algorithm in ALGORITHMS {
        for given in (0..70).filter(|given| *given != algorithm.key_len()) {
            let refused = Key::new(algorithm, &vec![0; given]).unwrap_err();
            assert_eq!((refused.algorithm, refused.given), (algorithm.name(), given));
        }
    }
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        for given in (0..140).filter(|given| *given != hash.key_len()) {
            assert!(etm::Key::new(Cipher::Null, b"", hash, &vec![0; given]).is_err());
        }
    }
    for given in (0..70).filter(|given| ![16, 32].contains(given)) {
        assert!(etm::Key::new(Cipher::AesCbc, &vec![0; given], Hash::Sha256, &[0; 32]).is_err());
    }
    assert!(etm::Key::new(Cipher::Null, b"x", Hash::Sha256, &[0; 32]).is_err());
}

#[test]
fn cbc_takes_whole_blocks_and_icvs_their_length() {
    let key = etm::Key::new(Cipher::AesCbc, &[0; 16], Hash::Sha384, &[0; 48]).unwrap();
    let seal = |text: usize, icv: usize| {
        key.seal(
            b"",
            iv::Iv::promised([0; 16]),
            Text::in_place(&mut vec![0; text]).unwrap(),
            b"",
            &mut vec![0; icv],
        )
    };
    assert_eq!(seal(32, 24), Ok(()));
    assert_eq!(seal(33, 24), Err(LengthError::Blocks(33)));
    assert_eq!(seal(32, 16), Err(LengthError::Icv { expected: 24, given: 16 }));
}

#[test]
fn nothing_secret_is_printed() {
    let key = counting_key(Algorithm::Aes256Gcm, 0);
    assert_eq!(format!("{key:?}"), "Key(AES-256-GCM)");
    let key = etm::Key::new(Cipher::AesCbc, &[7; 32], Hash::Sha512, &[7; 64]).unwrap();
    assert_eq!(format!("{key:?}"), "etm::Key(AES-256-CBC, HMAC-SHA-512-256)");
    assert_eq!(format!("{:?} {:?}", nonce(&[7; 12]), received(&[7; 12])), "Nonce ReceivedNonce");
    assert_eq!(format!("{:?}", iv::Generator::new(&[7; 16])), "iv::Generator");
}

#[test]
fn keys_go_to_all_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Key>();
    shared::<etm::Key>();
    shared::<iv::Generator>();
    shared::<numbers::NumberRange>();
}
