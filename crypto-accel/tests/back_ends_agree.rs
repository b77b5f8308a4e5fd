//! Every back end gives what the portable one gives, for all lengths, alignments and ways through memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

mod common;

use common::{ALGORITHMS, keys, nonce, received};
use proptest::prelude::*;
use ravelin_crypto_accel::aead::{Algorithm, Key, OpenJob, SealJob, open, open_one, seal, seal_one};
use ravelin_crypto_accel::{BackEnd, BadTag, Text};

/// Octets that differ from place to place, the same in every run.
fn noise(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| ((i + 1).wrapping_mul(2_654_435_761 + 2 * seed) >> 13) as u8).collect()
}

fn seal_in_place(key: &Key, aad: &[u8], octets: &mut [u8]) -> [u8; 16] {
    let mut tag = [0; 16];
    seal_one(key, nonce(&[0x5a; 12]), aad, Text::in_place(octets).unwrap(), &mut tag);
    tag
}

fn open_in_place(key: &Key, aad: &[u8], octets: &mut [u8], tag: &[u8; 16]) -> Result<(), BadTag> {
    open_one(key, received(&[0x5a; 12]), aad, Text::in_place(octets).unwrap(), tag)
}

/// Seals and opens with each back end and compares with the last, the portable one.
fn agree(algorithm: Algorithm, aad: &[u8], clear: &[u8], cut: usize, shift: usize) {
    let keys = keys(algorithm, &noise(algorithm.key_len(), aad.len()));
    let (_, oracle) = keys.last().unwrap();
    let mut expected = clear.to_vec();
    let expected_tag = seal_in_place(oracle, aad, &mut expected);
    for (back_end, key) in &keys {
        let case = || format!("{back_end} {algorithm:?} aad {} text {}", aad.len(), clear.len());
        let mut room = vec![0xee; clear.len() + shift + 1];
        let octets = &mut room[shift..][..clear.len()];
        octets.copy_from_slice(clear);
        let tag = seal_in_place(key, aad, octets);
        assert_eq!((&*octets, tag), (&expected[..], expected_tag), "sealed {}", case());
        assert_eq!(open_in_place(key, aad, octets, &tag), Ok(()), "{}", case());
        assert_eq!(octets, clear, "opened {}", case());

        let apart = [&vec![0x33; 63 - shift], clear].concat();
        let (input, tail) = apart[63 - shift..].split_at(cut.min(clear.len()));
        let mut tag = [0; 16];
        octets.fill(0x77);
        seal_one(key, nonce(&[0x5a; 12]), aad, Text::across(input, tail, octets).unwrap(), &mut tag);
        assert_eq!((&*octets, tag), (&expected[..], expected_tag), "across, cut {cut} {}", case());
        let (input, tail) = expected.split_at(cut.min(clear.len()));
        let text = Text::across(input, tail, octets).unwrap();
        assert_eq!(open_one(key, received(&[0x5a; 12]), aad, text, &tag), Ok(()), "{}", case());
        assert_eq!(octets, clear, "opened across, cut {cut} {}", case());

        tag[cut % 16] ^= 1;
        assert_eq!(open_in_place(key, aad, octets, &tag), Err(BadTag));
        assert!(octets.iter().all(|octet| *octet == 0), "not wiped {}", case());
        assert!(room[..shift].iter().all(|octet| *octet == 0xee), "wrote before {}", case());
        assert_eq!(room.last(), Some(&0xee), "wrote behind {}", case());
    }
}

#[test]
fn a_key_that_was_folded_is_the_same_key() {
    for algorithm in ALGORITHMS {
        for (back_end, key) in keys(algorithm, &noise(algorithm.key_len(), 5)) {
            let clear = noise(500, 9);
            let mut sealed = clear.clone();
            let tag = seal_in_place(&key, b"aad", &mut sealed);
            let Some(folded) = key.fold() else {
                assert!(back_end == "portable" || algorithm == Algorithm::ChaCha20Poly1305);
                continue;
            };
            drop(key);
            let again = folded.unfold().unwrap();
            assert_eq!(again.algorithm(), algorithm);
            let mut octets = clear.clone();
            assert_eq!(seal_in_place(&again, b"aad", &mut octets), tag, "{back_end}");
            assert_eq!(octets, sealed, "{back_end}");
            assert_eq!(open_in_place(&again, b"aad", &mut octets, &tag), Ok(()), "{back_end}");
        }
    }
}

#[test]
fn for_all_lengths_to_2100() {
    for algorithm in ALGORITHMS {
        for length in 0..=2100 {
            agree(
                algorithm,
                &noise(12, 1),
                &noise(length, 3),
                length.saturating_sub(length % 37),
                length % 64,
            );
        }
    }
}

#[test]
fn for_all_associated_data_to_64_and_short_texts() {
    for algorithm in ALGORITHMS {
        for aad in 0..=64 {
            for length in [0, 1, 15, 16, 17, 63, 64, 65, 300, 333, 364, 500] {
                agree(algorithm, &noise(aad, 2), &noise(length, 4), length / 2, aad % 16);
            }
        }
    }
}

#[test]
fn for_all_alignments() {
    for shift in 0..64 {
        for length in [1, 15, 16, 31, 64, 77, 129, 255, 256, 513, 1420] {
            for algorithm in ALGORITHMS {
                agree(algorithm, &noise(8, 1), &noise(length, 5), length - length % 11, shift);
            }
        }
    }
}

/// The counter goes past every octet boundary of its lower half.
#[test]
fn for_texts_of_more_than_a_mebioctet() {
    for algorithm in ALGORITHMS {
        agree(algorithm, b"", &noise((1 << 20) + 4099, 6), 1 << 20, 1);
    }
}

/// Nine short texts, each under its own key or all under one, and each a little longer than the one before: some go four
/// at a time, some alone, and one of them is forged.
#[test]
fn for_batches_of_short_texts() {
    for algorithm in ALGORITHMS {
        for back_end in BackEnd::available() {
            for length in (0..=150).chain(185..=200).chain(250..=262) {
                for (aad, step, keys) in
                    [(8, 0, 9), (8, 0, 1), (0, 0, 9), (16, 0, 1), (17, 0, 9), (12, 1, 9), (8, 9, 1)]
                {
                    short_batch(algorithm, back_end, keys, &noise(aad, 3), length, step);
                }
            }
        }
    }
}

fn short_batch(
    algorithm: Algorithm,
    back_end: BackEnd,
    count: usize,
    aad: &[u8],
    length: usize,
    step: usize,
) {
    let oracle = BackEnd::available().last().unwrap();
    let key = |back_end, i| Key::on(back_end, algorithm, &noise(algorithm.key_len(), i % count)).unwrap();
    let keys: Vec<Key> = (0..count).map(|i| key(back_end, i)).collect();
    let clear: Vec<Vec<u8>> = (0..9).map(|i| noise(length + i * step, i)).collect();
    let (mut octets, mut tags) = (clear.clone(), vec![[0; 16]; 9]);
    let mut jobs: Vec<SealJob<'_>> = (keys.iter().cycle().zip(octets.iter_mut()).zip(&mut tags))
        .map(|((key, text), tag)| SealJob::new(key, nonce(&[9; 12]), aad, Text::in_place(text).unwrap(), tag))
        .collect();
    seal(&mut jobs);
    for (i, clear) in clear.iter().enumerate() {
        let mut expected = clear.clone();
        let mut tag = [0; 16];
        let text = Text::in_place(&mut expected).unwrap();
        seal_one(&key(oracle, i), nonce(&[9; 12]), aad, text, &mut tag);
        assert_eq!((&octets[i], tags[i]), (&expected, tag), "{} {algorithm:?} {length}", back_end.name());
    }

    tags[5][15] ^= 0x80;
    let mut jobs: Vec<OpenJob<'_>> = (keys.iter().cycle().zip(octets.iter_mut()).zip(&tags))
        .map(|((key, text), tag)| {
            OpenJob::new(key, received(&[9; 12]), aad, Text::in_place(text).unwrap(), tag)
        })
        .collect();
    open(&mut jobs);
    let outcomes: Vec<_> = jobs.iter().map(OpenJob::outcome).collect();
    for (i, clear) in clear.iter().enumerate() {
        let forged = i == 5;
        assert_eq!(outcomes[i], if forged { Err(BadTag) } else { Ok(()) });
        assert_eq!(octets[i], if forged { vec![0; clear.len()] } else { clear.clone() });
    }
}

proptest! {
    #[test]
    fn for_any_larger_text(length in 2100..70_000usize, aad in 0..3000usize, cut in 0..70_000usize, shift in 0..64usize) {
        agree(ALGORITHMS[length % ALGORITHMS.len()], &noise(aad, 7), &noise(length, 8), cut, shift);
    }
}

/// A test machine with AVX-512 must not silently test less.
#[test]
fn what_the_processor_has_is_available() {
    let names: Vec<_> = BackEnd::available().map(BackEnd::name).collect();
    assert_eq!(names.last(), Some(&"portable"));
    #[cfg(target_arch = "x86_64")]
    if std::env::var_os("RAVELIN_CRYPTO_DISABLE").is_none() {
        assert_eq!(names.contains(&"aesni"), is_x86_feature_detected!("aes"));
        assert_eq!(
            names.contains(&"vaes512"),
            is_x86_feature_detected!("vaes") && is_x86_feature_detected!("avx512bw")
        );
    }
    assert_eq!(BackEnd::best().name(), names[0]);
}
