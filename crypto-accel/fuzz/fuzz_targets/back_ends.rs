//! Any batch of jobs, on every back end beside the portable one: the same octets, the same outcomes, nothing else touched.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ravelin_crypto_accel::aead::{Algorithm, Key, OpenJob, SealJob, open, seal};
use ravelin_crypto_accel::nonce::{Nonce, NumberRange, ReceivedNonce};
use ravelin_crypto_accel::{BackEnd, BadTag, Text};

/// A batch as the fuzzer makes it up.
#[derive(Debug, Arbitrary)]
struct Batch {
    /// What clear texts and associated data are made of.
    seed: u8,
    jobs: Vec<Job>,
}

#[derive(Debug, Arbitrary)]
struct Job {
    algorithm: u8,
    key: u8,
    iv: [u8; 12],
    aad: u8,
    /// Mostly short; see [`Job::length`].
    length: u16,
    /// Where the text begins in its buffer.
    shift: u8,
    /// In place, or across from input and tail that are cut here, or if odd from parts of this length.
    cut: Option<u16>,
    /// Which bit is flipped before opening, if one is.
    forged: Option<u16>,
}

impl Job {
    fn algorithm(&self) -> Algorithm {
        [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305]
            [usize::from(self.algorithm) % 3]
    }

    fn length(&self) -> usize {
        match self.length {
            length if length & 0x8000 == 0 => usize::from(length) % 200,
            length if length & 0x4000 == 0 => usize::from(length) % 2_100,
            length => usize::from(length) % 20_000,
        }
    }

    fn shift(&self) -> usize {
        usize::from(self.shift) % 64
    }
}

/// What a back end made of the batch: ciphertexts with their surroundings, tags, then what opening left.
#[derive(PartialEq, Eq)]
struct Made {
    sealed: Vec<Vec<u8>>,
    tags: Vec<[u8; 16]>,
    opened: Vec<Vec<u8>>,
    outcomes: Vec<Result<(), BadTag>>,
}

fn octets(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|i| ((i + 1).wrapping_mul(0x9e37_79b1 + 2 * usize::from(seed)) >> 13) as u8).collect()
}

/// Octets around each text, which must stay.
const FENCE: u8 = 0xe7;

/// The input in parts, at most 20 of them.
fn parts<'a>(job: &Job, input: &'a [u8]) -> Vec<&'a [u8]> {
    let length = usize::from(job.cut.unwrap_or_default()).max(input.len() / 20 + 1);
    input.chunks(length).collect()
}

fn text<'a>(job: &Job, input: &'a [u8], parts: &'a [&'a [u8]], buffer: &'a mut [u8]) -> Text<'a> {
    let place = &mut buffer[job.shift()..][..input.len()];
    let text = match job.cut {
        None => {
            place.copy_from_slice(input);
            Text::in_place(place)
        }
        Some(cut) if cut % 2 == 1 => Text::scattered(parts, place),
        Some(cut) => {
            let (head, tail) = input.split_at(usize::from(cut).min(input.len()));
            Text::across(head, tail, place)
        }
    };
    text.expect("the lengths fit")
}

fn run(batch: &Batch, back_end: BackEnd) -> Made {
    let jobs = &batch.jobs;
    let key = |job: &Job| Key::on(back_end, job.algorithm(), &octets(job.algorithm().key_len(), job.key));
    let made: Vec<Key> = jobs.iter().map(|job| key(job).expect("the length is right")).collect();
    // Jobs with the same octets share a key, as packets of one SA do.
    let first = |job: &Job| {
        jobs.iter().position(|other| (other.key, other.algorithm()) == (job.key, job.algorithm()))
    };
    let keys: Vec<&Key> = jobs.iter().map(|job| &made[first(job).expect("it is among them")]).collect();
    let aads: Vec<Vec<u8>> = jobs.iter().map(|job| octets(job.aad.into(), batch.seed)).collect();
    let clear: Vec<Vec<u8>> = jobs.iter().map(|job| octets(job.length(), batch.seed)).collect();
    let room = || jobs.iter().map(|job| vec![FENCE; job.shift() + job.length() + 64]).collect::<Vec<_>>();

    let clear_parts: Vec<_> = jobs.iter().zip(&clear).map(|(job, clear)| parts(job, clear)).collect();
    let (mut sealed, mut tags) = (room(), vec![[0; 16]; jobs.len()]);
    let mut work: Vec<SealJob<'_>> = (jobs
        .iter()
        .zip(keys.iter().copied())
        .zip(&aads)
        .zip(clear.iter().zip(&clear_parts))
        .zip(&mut sealed)
        .zip(&mut tags))
    .map(|(((((job, key), aad), (clear, parts)), sealed), tag)| {
        let number = NumberRange::from_reserved(0, 1).take().expect("one is left");
        SealJob::new(key, Nonce::tls13(&job.iv, number), aad, text(job, clear, parts, sealed), tag)
    })
    .collect();
    seal(&mut work);

    let mut hidden: Vec<Vec<u8>> = jobs
        .iter()
        .zip(&sealed)
        .map(|(job, sealed)| sealed[job.shift()..][..job.length()].to_vec())
        .collect();
    let mut given = tags.clone();
    for ((job, hidden), tag) in jobs.iter().zip(&mut hidden).zip(&mut given) {
        let Some(bit) = job.forged.map(usize::from) else { continue };
        match hidden.len() {
            0 => tag[bit / 8 % 16] ^= 1 << (bit % 8),
            length if bit % 2 == 0 => hidden[bit / 8 % length] ^= 1 << (bit % 8),
            _ => tag[bit / 8 % 16] ^= 1 << (bit % 8),
        }
    }
    let hidden_parts: Vec<_> = jobs.iter().zip(&hidden).map(|(job, hidden)| parts(job, hidden)).collect();
    let mut opened = room();
    let mut work: Vec<OpenJob<'_>> = (jobs
        .iter()
        .zip(keys.iter().copied())
        .zip(&aads)
        .zip(hidden.iter().zip(&hidden_parts))
        .zip(&mut opened)
        .zip(&given))
    .map(|(((((job, key), aad), (hidden, parts)), opened), tag)| {
        OpenJob::new(key, ReceivedNonce::tls13(&job.iv, 0), aad, text(job, hidden, parts, opened), tag)
    })
    .collect();
    open(&mut work);
    let outcomes: Vec<_> = work.iter().map(OpenJob::outcome).collect();

    for (i, job) in jobs.iter().enumerate() {
        let inside = job.shift()..job.shift() + job.length();
        for buffer in [&sealed[i], &opened[i]] {
            let outside = buffer[..inside.start].iter().chain(&buffer[inside.end..]);
            assert!(outside.copied().all(|octet| octet == FENCE), "wrote outside of the text");
        }
        let due = if job.forged.is_some() { Err(BadTag) } else { Ok(()) };
        assert_eq!(outcomes[i], due);
        let left = if job.forged.is_some() { vec![0; job.length()] } else { clear[i].clone() };
        assert!(opened[i][inside] == left, "neither the clear text nor zeros");
    }
    Made { sealed, tags, opened, outcomes }
}

fuzz_target!(|batch: Batch| {
    let oracle = BackEnd::available().last().expect("the portable one is always there");
    let expected = run(&batch, oracle);
    for back_end in BackEnd::available().filter(|back_end| *back_end != oracle) {
        assert!(run(&batch, back_end) == expected, "{} differs", back_end.name());
    }
});
