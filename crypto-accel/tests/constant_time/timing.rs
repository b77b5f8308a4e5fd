//! By the clock: opening takes as long wherever a tag is wrong, and sealing whatever the key, by Welch's t-test over
//! measurements of two classes in random order (Reparaz, Balasch and Verbauwhede, "Dude, is my code constant time?").
//!
//! A busy machine makes noise, never a difference between the classes that stays: so only a difference in every one
//! of several rounds counts. `RAVELIN_TIMING_ROUNDS` asks for more and longer ones.

use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::cell::RefCell;

use ravelin_crypto_accel::BackEnd;
use ravelin_crypto_accel::aead::{Algorithm, Key};

use crate::common::ALGORITHMS;
use crate::work::{Batch, careless_equal, noise};

/// Beyond this |t| two classes differ, were it seen once on a quiet machine.
const BEYOND_CHANCE: f64 = 4.5;

/// Measurements of each class in a round, and rounds.
fn effort() -> (usize, usize) {
    let rounds = std::env::var("RAVELIN_TIMING_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    rounds.map_or((4_000, 7), |rounds| (200_000, rounds))
}

/// Mean and variance as they grow (Welford).
#[derive(Default)]
struct Sample {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sample {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let distance = value - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (value - self.mean);
    }

    /// Welch's t between two samples.
    fn t(&self, other: &Self) -> f64 {
        let spread = |sample: &Self| sample.squares / (sample.count - 1.0) / sample.count;
        (self.mean - other.mean) / (spread(self) + spread(other)).sqrt().max(f64::MIN_POSITIVE)
    }
}

/// Ticks that the work takes.
fn ticks(work: impl FnOnce()) -> u64 {
    let now = || {
        // SAFETY: every x86-64 processor has these instructions.
        unsafe { _mm_lfence() };
        // SAFETY: as above.
        unsafe { _rdtsc() }
    };
    let start = now();
    work();
    now() - start
}

/// The class of a measurement, by SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators"): an
/// order with any rhythm in it could keep step with one of the processor's, and what belongs to places in the order would
/// look like a difference between classes.
fn coin(seed: u64, i: u64) -> bool {
    let mixed = (seed << 32 | i).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ mixed >> 31) & 1 == 1
}

/// The t of the class that shows most: over all measurements, and over those below some limits, which leave out what the
/// machine added.
fn round(count: usize, seed: u64, prepare: &mut dyn FnMut(bool), work: &mut dyn FnMut()) -> f64 {
    let mut measured: Vec<(bool, u64)> = Vec::with_capacity(2 * count);
    for i in 0..2 * count as u64 {
        let class = coin(seed, i);
        prepare(class);
        measured.push((class, ticks(&mut *work)));
    }
    let mut sorted: Vec<u64> = measured.iter().map(|(_, ticks)| *ticks).collect();
    sorted.sort_unstable();
    let limits = [75, 90, 99, 100].map(|percent| sorted[sorted.len() * percent / 100 - 1]);
    let t = limits.into_iter().filter_map(|limit| {
        let mut samples = [Sample::default(), Sample::default()];
        for (class, ticks) in measured.iter().filter(|(_, ticks)| *ticks <= limit) {
            samples[usize::from(*class)].add(*ticks as f64);
        }
        let enough = samples.iter().all(|sample| sample.count > count as f64 / 10.0);
        enough.then(|| samples[0].t(&samples[1]))
    });
    t.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or_default()
}

/// The t of each round, until one shows nothing.
fn rounds(prepare: &mut dyn FnMut(bool), work: &mut dyn FnMut()) -> Vec<f64> {
    let (count, rounds) = effort();
    let mut seen = Vec::new();
    for seed in 0..rounds as u64 {
        seen.push(round(count, seed, prepare, work));
        if seen[seen.len() - 1].abs() < BEYOND_CHANCE {
            break;
        }
    }
    seen
}

/// A difference in every round, always the same way round.
fn stays(t: &[f64]) -> bool {
    t.iter().all(|t| t.abs() >= BEYOND_CHANCE) && (t.iter().all(|t| *t > 0.0) || t.iter().all(|t| *t < 0.0))
}

/// Writes the octets of one class. Both are read, so that classes differ in nothing but the octets: where memory lies may
/// make a difference, too.
fn choose(to: &mut [u8], class: bool, [no, yes]: [&[u8]; 2]) {
    let mask = std::hint::black_box(0u8.wrapping_sub(u8::from(class)));
    for (to, (no, yes)) in to.iter_mut().zip(no.iter().zip(yes)) {
        *to = no ^ ((no ^ yes) & mask);
    }
}

fn cases() -> impl Iterator<Item = (String, BackEnd, Algorithm)> {
    let all = BackEnd::available().flat_map(|back_end| ALGORITHMS.map(|algorithm| (back_end, algorithm)));
    all.map(|(back_end, algorithm)| (format!("{} {algorithm:?}", back_end.name()), back_end, algorithm))
}

/// Whether a tag is right is no secret, and a text with a wrong one is wiped, which takes time; where it is wrong is one.
#[test]
fn where_a_tag_is_wrong_takes_no_time() {
    for (case, back_end, algorithm) in cases() {
        let key = Key::on(back_end, algorithm, &noise(algorithm.key_len(), 1)).expect("the length is right");
        let (mut batch, sealed) = (Batch::<1>::new(64, 12), noise(64, 4));
        batch.seal(&key);
        let (mut first, mut last) = (batch.tags[0], batch.tags[0]);
        first[0] ^= 1;
        last[15] ^= 1;
        let batch = RefCell::new(batch);
        let t = rounds(
            &mut |class| {
                let mut batch = batch.borrow_mut();
                choose(&mut batch.tags[0], class, [&last, &first]);
                batch.texts[0].copy_from_slice(&sealed);
            },
            &mut || assert!(batch.borrow_mut().open(&key)[0].is_err()),
        );
        println!("{case}: t {t:.1?}");
        assert!(!stays(&t), "{case}: t {t:?}");
    }
}

/// The key is made anew each time, so that it always comes to lie in the same place.
#[test]
fn which_text_and_key_take_no_time() {
    for (case, back_end, algorithm) in cases() {
        let octets = [vec![0; algorithm.key_len()], noise(algorithm.key_len(), 9)];
        let texts = [vec![0; 256], noise(256, 5)];
        let mut chosen = vec![0; algorithm.key_len()];
        let state = RefCell::new((Batch::<1>::new(256, 12), None));
        let t = rounds(
            &mut |class| {
                let (batch, key) = &mut *state.borrow_mut();
                *key = None;
                choose(&mut chosen, class, octets.each_ref().map(Vec::as_slice));
                *key = Some(Key::on(back_end, algorithm, &chosen).expect("the length is right"));
                choose(&mut batch.texts[0], class, texts.each_ref().map(Vec::as_slice));
            },
            &mut || {
                let (batch, key) = &mut *state.borrow_mut();
                batch.seal(key.as_ref().expect("it was made"));
            },
        );
        println!("{case}: t {t:.1?}");
        assert!(!stays(&t), "{case}: t {t:?}");
    }
}

#[test]
fn a_comparison_that_stops_early_takes_time() {
    let right = vec![7u8; 4096];
    let (mut first, mut last) = (right.clone(), right.clone());
    first[0] ^= 1;
    last[4095] ^= 1;
    let wrong = RefCell::new(&first);
    let t = rounds(&mut |class| *wrong.borrow_mut() = if class { &first } else { &last }, &mut || {
        std::hint::black_box(careless_equal(&right, &wrong.borrow()));
    });
    assert!(stays(&t), "t {t:?}");
}
